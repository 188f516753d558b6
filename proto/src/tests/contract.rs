//! The `.proto` files are the published contract: every message field and enum value here stands there, and the other way round.

use std::collections::BTreeSet;

/// `message.field = tag`, or `ENUM VALUE = number`.
type Entries = BTreeSet<String>;

#[test]
fn the_published_contract_is_what_is_spoken() {
    for (rust, published) in [
        (include_str!("../policy.rs"), include_str!("../../policy.proto")),
        (include_str!("../tunnel.rs"), include_str!("../../tunnel.proto")),
        (include_str!("../control.rs"), include_str!("../../control.proto")),
        (include_str!("../audit.rs"), include_str!("../../audit.proto")),
    ] {
        let (ours, theirs) = (of_rust(rust), of_proto(published));
        assert!(ours.len() > 20, "the sources are read: {ours:?}");
        assert_eq!(
            ours.difference(&theirs).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "not published"
        );
        assert_eq!(
            theirs.difference(&ours).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "not spoken"
        );
    }
}

/// Fields from `#[prost(…, tag = "n")] pub name:` inside `pub struct Name`; those of a oneof count for their module's message.
fn of_rust(source: &str) -> Entries {
    let mut entries = Entries::new();
    let (mut owner, mut tag, mut in_enum) = (String::new(), None, false);
    for line in source.lines().map(str::trim) {
        if let Some(name) = declared(line, "pub struct ") {
            (owner, in_enum) = (name, false);
        } else if let Some(name) = declared(line, "pub mod ") {
            owner = camel(&name);
        } else if let Some(name) = declared(line, "pub enum ") {
            in_enum = name != "Kind";
            owner = if in_enum { name } else { owner };
        } else if let Some(found) = line.split("tag = \"").nth(1) {
            tag = found.split('"').next().map(str::to_owned);
        } else if let Some(tag) = tag.take() {
            let name = line
                .trim_start_matches("pub ")
                .split([':', '('])
                .next()
                .unwrap_or_default();
            entries.insert(format!("{owner}.{} = {tag}", snake(name)));
        } else if in_enum && let Some((name, number)) = line.trim_end_matches(',').split_once(" = ") {
            entries.insert(format!("{owner}.{}_{} = {number}", snake(&owner), snake(name)));
        }
    }
    entries
}

fn of_proto(text: &str) -> Entries {
    let mut entries = Entries::new();
    let mut owner = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        if let Some(name) = declared(line, "message ").or_else(|| declared(line, "enum ")) {
            owner = name;
        } else if let Some((left, number)) = line.trim_end_matches(';').split_once(" = ")
            && line.ends_with(';')
            && !owner.is_empty()
        {
            let name = left.rsplit(' ').next().unwrap_or_default();
            entries.insert(format!("{owner}.{} = {number}", name.to_lowercase()));
        }
    }
    entries
}

fn declared(line: &str, keyword: &str) -> Option<String> {
    let name = line.strip_prefix(keyword)?.split([' ', '{', '(']).next()?;
    line.ends_with('{').then(|| name.to_owned())
}

fn camel(name: &str) -> String {
    let upper = |part: &str| {
        part.chars()
            .next()
            .map(|c| c.to_uppercase().chain(part.chars().skip(1)).collect::<String>())
    };
    name.split('_').filter_map(upper).collect()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
