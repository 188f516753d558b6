//! A corpus of statements with the effects that they have, kept as data so that other tests can send it to a real server.

use super::effects;

const CORPUS: &str = include_str!("corpus.txt");

/// Effects and text of every line, escapes undone.
fn corpus() -> impl Iterator<Item = (&'static str, String)> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| {
        let (expected, text) = line.split_once(" | ").unwrap_or((line, ""));
        (expected.trim_start_matches("! "), unescape(text))
    })
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match (next, next == '\\') {
            (_, true) => match rest.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('\\') => out.push('\\'),
                other => panic!("escape {other:?} in {text}"),
            },
            (plain, false) => out.push(plain),
        }
    }
    out
}

#[test]
fn every_statement_has_its_effects() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (expected, text) in corpus() {
        count += 1;
        let found = effects(&text);
        let mut names: Vec<&str> = found.names().collect();
        names.sort_unstable();
        if names.join(" ") != expected {
            wrong.push(format!(
                "{text}\n    expected {expected}\n    found    {}",
                names.join(" ")
            ));
        }
    }
    assert!(count >= 290, "{count}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
