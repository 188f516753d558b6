//! Texts that a PostgreSQL 15 server accepted, with the number of statements it ran: we have to cut them alike.

use crate::wire::sql::{Analyzer, Effects, LexOptions};

/// Per line, with tabs between: `standard_conforming_strings`, number of statements, how many of them were
/// `LISTEN`, the text with `\n \r \t \f \\` for what these stand for. Made by asking a server with random
/// texts of quotes, escapes, comments and statements, and keeping what it accepted.
const SPLITS: &str = include_str!("server_splits.txt");

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('f') => '\u{c}',
                other => other.expect("an escape has a letter"),
            },
            other => other,
        });
    }
    out
}

#[test]
fn texts_are_cut_where_the_server_cuts_them() {
    let mut analyzer = Analyzer::new(0);
    let mut count = 0;
    for line in SPLITS.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [conforming, statements, listens, text] = parts[..] else {
            panic!("not four parts: {line}");
        };
        let options = LexOptions {
            standard_conforming_strings: conforming == "on",
        };
        let text = unescape(text);
        let found = analyzer.analyze(&text, options).statements;
        assert_eq!(found.len().to_string(), statements, "{line}");
        let listening = found.iter().filter(|one| one.effects.contains(Effects::LISTEN));
        assert_eq!(listening.count().to_string(), listens, "{line}");
        count += 1;
    }
    assert!(count >= 250);
}
