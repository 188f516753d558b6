//! Policy files: the documented example, every mistake at once, and the way back to text.

use super::*;
use crate::domain::model::{Entry, Owner};

const EXAMPLE: &str = r##"
[[pool]]
name = "office"

[[connection]]
name     = "orders"
type     = "postgres"
pool     = "office"
host     = "127.0.0.1"
port     = 5432
database = "orders"
tls      = "prefer"
username = "env:ORDERS_USER"
password = "file:/run/secrets/orders"
groups   = ["engineering"]
redact   = ["personal-data"]
guardrails = ["no-accidents"]
record   = "statements"
audit    = "ordered"
listen   = "127.0.0.1:25432"

[[redaction]]
name    = "personal-data"
detect  = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER"]
columns = ["public.customers.name"]
custom  = [{ name = "TICKET", regex = "TCK-[0-9]{8}" }]
mask    = "label"
mode    = "enforce"
on_error = "close"
except_groups = ["dpo"]

[[guardrail]]
name = "no-accidents"
rules = [
  { deny = "delete-without-where" }, { deny = "update-without-where" },
  { deny = ["drop", "truncate"], message = "ask #dba" },
  { review = ["alter"], reviewers = ["dba"] },
  { deny_pattern = "(?i)pg_read_file" },
]

[[group]]
name = "engineering"
[[user]]
name = "alice"
email = "alice@example.com"
groups = ["engineering"]
"##;

fn catalog(bodies: BTreeMap<Key, Body>) -> Catalog {
    let entries = bodies.into_iter().map(|(key, body)| {
        let entry = Entry {
            id: key.1.clone(),
            body,
            managed_by: Owner::Policy,
            created_micros: 0,
            updated_micros: 0,
        };
        (key, entry)
    });
    Catalog {
        entries: entries.collect(),
    }
}

#[test]
fn the_documented_example_is_read() {
    let bodies = parse(EXAMPLE).unwrap();
    assert_eq!(bodies.len(), 6);
    let Some(Body::Guardrail(guardrail)) = bodies.get(&(Kind::Guardrail, "no-accidents".to_owned())) else {
        panic!("no guardrail");
    };
    assert_eq!(guardrail.rules.len(), 5);
    assert_eq!(guardrail.rules[2].deny, ["drop", "truncate"]);
    assert_eq!(guardrail.rules[3].reviewers, ["dba"]);
}

#[test]
fn an_export_reads_back_as_what_was_exported() {
    let bodies = parse(EXAMPLE).unwrap();
    let text = export(&catalog(bodies.clone())).unwrap();
    assert_eq!(parse(&text).unwrap(), bodies, "{text}");
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let text = r#"
polcy = 1
[[pool]]
name = "bad name"
[[connection]]
name = "a"
type = "oracle"
pool = "p"
via = "direct"
host = "h"
port = 99999
username = "plain"
pasword = "literal:hunter2"
record = "some"
[[connection]]
type = "postgres"
via = "direct"
host = "h"
username = "env:U"
[[redaction]]
name = "r"
mask = "partial:x"
[[guardrail]]
name = "g"
rules = [{ deny = "drop", review = "alter" }, { reviewers = ["x"] }]
[[user]]
name = "alice"
[[user]]
name = "alice"
"#;
    let mistakes = parse(text).unwrap_err();
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for expected in [
        "unknown key \"polcy\"",
        "pool \"bad name\": name: must be letters",
        "connection \"a\": type: \"oracle\" is not built",
        "connection \"a\": pool: give either",
        "connection \"a\": port: must be a whole number",
        "connection \"a\": username: must be a secret reference",
        "connection \"a\": unknown key \"pasword\" (did you mean \"password\"?)",
        "connection \"a\": record: \"some\" is none of",
        "connection 2: name: is missing",
        "redaction \"r\": mask: partial:N",
        "redaction \"r\": detect: a rule needs",
        "guardrail \"g\": rule 1: must have exactly one",
        "guardrail \"g\": rule 2: must have exactly one",
        "user \"alice\": is there twice",
    ] {
        assert!(
            texts.iter().any(|t| t.starts_with(expected)),
            "{expected} is not in {texts:#?}"
        );
    }
    assert!(!texts.iter().any(|t| t.contains("hunter2")));
}

#[test]
fn a_syntax_error_has_its_line() {
    let mistakes = parse("[[pool]]\nname = \n").unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].place.starts_with("line 2"), "{:?}", mistakes[0]);
}

#[test]
fn literal_passwords_are_masked_and_come_back_from_the_store() {
    let with = |password: &str| {
        let text = format!(
            "[[connection]]\nname = \"a\"\ntype = \"postgres\"\nvia = \"direct\"\nhost = \"h\"\nusername = \"literal:app\"\npassword = \"{password}\"\n"
        );
        parse(&text).unwrap().into_values().next().unwrap()
    };
    let stored = with("literal:hunter2");
    let text = export(&catalog([(stored.key(), stored.clone())].into())).unwrap();
    assert!(!text.contains("hunter2"));
    assert!(text.contains("literal:***"));
    assert!(text.contains("literal:app"));
    let mut back = with("literal:***");
    unmask(&mut back, Some(&stored)).unwrap();
    assert_eq!(back, stored);
    assert!(unmask(&mut with("literal:***"), None).is_err());
    assert!(unmask(&mut with("literal:***"), Some(&with("env:P"))).is_err());
}

#[test]
fn masks() {
    assert_eq!(Mask::parse("partial:4"), Ok(Mask::Partial(4)));
    assert_eq!(Mask::parse("replace:a:b"), Ok(Mask::Replace("a:b".to_owned())));
    assert_eq!(Mask::parse("replace:"), Ok(Mask::Replace(String::new())));
    for bad in [
        "",
        "labels",
        "partial",
        "partial:",
        "partial:-1",
        "partial:65",
        "full:1",
    ] {
        assert!(Mask::parse(bad).is_err(), "{bad}");
    }
}
