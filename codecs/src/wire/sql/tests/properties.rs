//! Properties that hold for every text.

use proptest::prelude::*;

use super::{analyze, effects};
use crate::wire::sql::{Analyzer, Effects, LexOptions, Lexer};

/// Pieces that are likely to meet each other in an unfortunate way.
const PIECES: &[&str] = &[
    "select",
    "delete",
    "from",
    "t",
    "where",
    "update",
    "set",
    "with",
    "as",
    "(",
    ")",
    ";",
    ",",
    "'",
    "\"",
    "$$",
    "$a$",
    "E'",
    "U&'",
    "U&\"",
    "uescape",
    "--",
    "/*",
    "*/",
    "\n",
    "\\",
    "begin",
    "atomic",
    "end",
    "case",
    "create",
    "function",
    "or",
    "replace",
    "do",
    "copy",
    "to",
    "stdout",
    "explain",
    "analyze",
    "prepare",
    "execute",
    "1",
    "1.5",
    ".",
    "..",
    "::",
    ":=",
    "+",
    "-",
    "@",
    "||",
    "é",
    "\u{0}",
    "set_config",
    "merge",
    "into",
    "when",
    "then",
    "language",
    "plpgsql",
    "'x'",
    "$1",
    " ",
    "b'",
    "x'",
    "[",
    "]",
    "returning",
    "loop",
    "declare",
    "cursor",
    "for",
    "values",
    "only",
    "*",
    "role",
    "union",
    "all",
    "not",
    "exists",
    "interval",
];

fn soup() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.join(" "))
}

fn glued() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

fn check(text: &str) {
    for conforming in [true, false] {
        let options = LexOptions {
            standard_conforming_strings: conforming,
        };
        let mut last = 0;
        for token in Lexer::new(text, options) {
            assert!(token.start >= last && token.end > token.start, "{token:?}");
            assert!(text.get(token.start..token.end).is_some(), "{token:?}");
            last = token.end;
        }
        let mut analyzer = Analyzer::new(2);
        let first = analyzer.analyze(text, options).statements.to_vec();
        for statement in &first {
            assert!(text.get(statement.span.clone()).is_some());
        }
        let again = analyzer.analyze(text, options).statements;
        assert_eq!(first.len(), again.len());
        for (a, b) in first.iter().zip(again) {
            assert_eq!((a.effects, a.verb, a.parsed), (b.effects, b.verb, b.parsed));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_soup_of_words_is_read_without_panic(text in soup()) {
        check(&text);
    }

    #[test]
    fn any_glued_soup_is_read_without_panic(text in glued()) {
        check(&text);
    }

    /// Comments, case and white space change nothing.
    #[test]
    fn disguises_change_nothing(
        words in proptest::collection::vec(proptest::sample::select(&["delete", "from", "t", "where", "a", "=", "1",
            "update", "set", "select", "drop", "table", "(", ")", "with", "as", ",", ";"][..]), 1..25),
        comments in proptest::collection::vec(proptest::sample::select(&[" ", "\n", "/**/", "/* ; /* drop */ */", " -- x\n", "\t"][..]), 25),
    ) {
        let plain = words.join(" ");
        let mut disguised = String::new();
        for (word, comment) in words.iter().zip(&comments) {
            disguised.push_str(&word.to_uppercase());
            disguised.push_str(comment);
        }
        prop_assert_eq!(effects(&plain), effects(&disguised));
    }

    /// What is inside a string literal changes nothing.
    #[test]
    fn string_literals_change_nothing(text in any::<String>()) {
        prop_assume!(!text.contains('\0'));
        let literal = text.replace('\'', "''");
        let statement = format!("select * from t where a = '{literal}' and b = 1");
        let found = analyze(&statement);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].effects, Effects::SELECT);
        prop_assert!(found[0].parsed);
    }

    /// A statement does the same wherever it stands in a batch.
    #[test]
    fn batches_are_the_sum_of_their_statements(
        words in proptest::collection::vec(proptest::sample::select(&["delete from", "t", "where", "update", "set",
            "select", "drop", "with", "as", "1", "=", "explain", "analyze", "insert into", "copy", "role"][..]), 1..12),
        more in soup(),
    ) {
        let text = words.join(" ");
        let both = analyze(&format!("{text};\n{more}"));
        let alone = analyze(&text);
        prop_assert_eq!(both[0].effects, alone[0].effects);
        prop_assert_eq!(both[0].parsed, alone[0].parsed);
    }
}

/// Looking ahead is paid for: texts that make every place look at the whole rest end in linear time.
#[test]
fn looking_ahead_is_linear() {
    for (before, repeated, after) in [
        ("select ", "dblink(", "1"),
        ("select ", "set_config(", "1"),
        ("", "delete from (", "t"),
        ("", "update t set (", "t"),
        ("update ", "update.", "t"),
        ("", "merge into ", "t"),
        ("do $$", " execute ", "$$"),
        ("do $$", " execute 'a' ||", "$$"),
        ("do $$", " begin copy ", "$$"),
        ("do $$ execute x;", " 'execute ''delete from t'''", "$$"),
        ("do $$", " begin do 'x' ", "$$"),
        ("select ", "f(1), ", "1"),
        ("select * from ", "t, ", "t"),
        ("", "explain (", "t"),
        ("", "with a as (", "t"),
        ("select ", "a.", "b"),
        ("", "'x'\n", ""),
        ("", "$a", ""),
        ("select ", "U&\"a\" uescape '!' , ", "1"),
    ] {
        let text = format!("{before}{}{after}", repeated.repeat(1_000_000 / repeated.len()));
        let start = std::time::Instant::now();
        analyze(&text);
        let took = start.elapsed();
        assert!(took.as_secs() < 4, "{took:?} for {repeated:?}");
    }
}

/// Deep and long texts are refused by the parser's limits, not by the stack: run on a small one.
#[test]
fn hostile_shapes_end_on_a_small_stack() {
    let shapes: &[(&str, &str, &str)] = &[
        ("select ", "(", "1"),
        ("select ", "1+", "1"),
        ("select ", "a.", "b"),
        ("select ", "not ", "1"),
        ("select ", "- ", "1"),
        ("select ", "case when ", "1"),
        ("select ", "f(", "1"),
        ("select ", "(select ", "1"),
        ("select * from ", "(", "t"),
        ("select * from ", "t join (", "t"),
        ("select ", "1 union select ", "1"),
        ("select 1", "::int", ""),
        ("select 1", "[1]", ""),
        ("select 1", " is null", ""),
        ("select a", " and b", ""),
        ("select a", " between b", ""),
        ("select ", "array[", ""),
        ("select ", "cast(", ""),
        ("select ", "interval ", ""),
        ("select ", "exists (", ""),
        ("", "explain analyze ", "delete from t"),
        ("", "prepare a as ", "delete from t"),
        ("", "with a as (", "delete from t"),
        ("", "with a as (delete from t) ", "select 1"),
        ("", "begin ", ""),
        ("create table t (a ", "int[", ""),
        ("select x", " collate c", ""),
        ("select x", " at time zone y", ""),
        ("select 1 where a in ", "(b in (", ""),
        ("select * from t", " cross join t", ""),
        ("select a", "->b", ""),
        ("select f", "(1)", ""),
        ("delete from ", "(delete from ", "t"),
        ("", "declare c cursor for ", "select 1"),
        ("do ", "$a$ execute $b$ ", ""),
    ];
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let run = move || {
        for (before, repeated, after) in shapes {
            for times in [10, 30, 60, 120, 300, 700, 1500, 20_000] {
                let text = format!("{before}{}{after}", repeated.repeat(times));
                let start = std::time::Instant::now();
                let found = analyze(&text);
                let took = start.elapsed();
                assert!(took.as_millis() < 4_000, "{took:?} for {times} x {repeated:?}");
                assert!(found.len() <= 1);
            }
        }
    };
    thread.spawn(run).expect("a thread").join().expect("no overflow");
}
