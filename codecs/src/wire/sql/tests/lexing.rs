//! The lexer and the cutting into statements.

use super::analyze;
use crate::wire::sql::{Analyzer, Kind, LexOptions, Lexer};

/// The tokens of `text` as `kind:text`.
fn tokens(text: &str, conforming: bool) -> Vec<(Kind, &str)> {
    let options = LexOptions {
        standard_conforming_strings: conforming,
    };
    let lexer = Lexer::new(text, options);
    lexer.map(|token| (token.kind, &text[token.start..token.end])).collect()
}

fn kinds(text: &str) -> Vec<Kind> {
    tokens(text, true).into_iter().map(|(kind, _)| kind).collect()
}

fn texts(text: &str) -> Vec<&str> {
    tokens(text, true).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn comments_are_skipped_and_nest() {
    assert_eq!(texts("a/* x /* y */ z */b"), ["a", "b"]);
    assert_eq!(texts("a -- b\nc --d\re"), ["a", "c", "e"]);
    assert_eq!(texts("/**/DeLeTe/**/ FrOm"), ["DeLeTe", "FrOm"]);
    assert_eq!(texts("a /*/* */*/ b"), ["a", "b"]);
    assert_eq!(texts("a /**//***/ b"), ["a", "b"]);
    assert_eq!(kinds("a /* /* */ b"), [Kind::Word, Kind::Unterminated]);
    assert_eq!(texts("1 -/**/2"), ["1", "-", "2"]);
    assert_eq!(texts("'/*' a '*/'"), ["'/*'", "a", "'*/'"]);
}

#[test]
fn strings_end_where_the_server_ends_them() {
    assert_eq!(texts("'it''s' x"), ["'it''s'", "x"]);
    assert_eq!(texts(r"'a\' x"), [r"'a\'", "x"]);
    assert_eq!(texts(r"E'a\'b' x"), [r"E'a\'b'", "x"]);
    assert_eq!(texts(r"e'a\\' x"), [r"e'a\\'", "x"]);
    assert_eq!(texts("U&'d\\0061' x"), ["U&'d\\0061'", "x"]);
    assert_eq!(texts("B'01' X'1F' n'x' a"), ["B'01'", "X'1F'", "n'x'", "a"]);
    assert_eq!(texts("B'1''0'"), ["B'1'", "'0'"]);
    assert_eq!(kinds("'open"), [Kind::Unterminated]);
    assert_eq!(kinds("E'open\\'"), [Kind::Unterminated]);
    assert_eq!(kinds("u & 'x'"), [Kind::Word, Kind::Operator, Kind::String]);
}

#[test]
fn backslashes_escape_when_strings_do_not_conform() {
    let read = tokens(r"'a\' delete from t --' x", false);
    assert_eq!(read[0].1, r"'a\' delete from t --'");
    let read = tokens(r"'a\' delete from t --' x", true);
    assert_eq!(read[0].1, r"'a\'");
    assert_eq!(read[1].1, "delete");
}

#[test]
fn strings_go_on_over_newlines() {
    assert_eq!(texts("'a'\n'b' x"), ["'a'\n'b'", "x"]);
    assert_eq!(texts("'a' 'b'"), ["'a'", "'b'"]);
    assert_eq!(texts("'a' -- c '\n 'b' x"), ["'a' -- c '\n 'b'", "x"]);
    assert_eq!(texts("'a' /* c */\n'b'"), ["'a'", "'b'"]);
    // The second part is read like the first: the backslash hides the quote.
    assert_eq!(texts("E'a'\n'b\\'c' x"), ["E'a'\n'b\\'c'", "x"]);
}

#[test]
fn dollar_quotes_need_their_own_tag() {
    assert_eq!(texts("$$ ; $a$ ; $$ x"), ["$$ ; $a$ ; $$", "x"]);
    assert_eq!(texts("$a$ $$ $b$ $a$ x"), ["$a$ $$ $b$ $a$", "x"]);
    assert_eq!(texts("$a$b$a$c"), ["$a$b$a$", "c"]);
    assert_eq!(texts("a$$b$$"), ["a$$b$$"]);
    assert_eq!(kinds("$1 $12"), [Kind::Parameter, Kind::Parameter]);
    assert_eq!(texts("$1$$x$$"), ["$1", "$$x$$"]);
    assert_eq!(texts("$a b$"), ["$", "a", "b$"]);
    assert_eq!(kinds("$é$ x $é$"), [Kind::DollarString]);
    assert_eq!(kinds("$a$ x"), [Kind::Unterminated]);
}

#[test]
fn operators_follow_the_rules_for_signs_and_comments() {
    assert_eq!(texts("a<-1"), ["a", "<", "-", "1"]);
    assert_eq!(texts("a@-1"), ["a", "@-", "1"]);
    assert_eq!(texts("a=-1"), ["a", "=", "-", "1"]);
    assert_eq!(texts("a+-+-b"), ["a", "+", "-", "+", "-", "b"]);
    assert_eq!(texts("a->>'b'"), ["a", "->>", "'b'"]);
    assert_eq!(texts("a*--c\nb"), ["a", "*", "b"]);
    assert_eq!(texts("a@/*c*/b"), ["a", "@", "b"]);
    assert_eq!(texts("a<<=-@-b"), ["a", "<<=-@-", "b"]);
    assert_eq!(texts("+*+"), ["+*", "+"]);
    assert_eq!(
        texts("a::int:=b:c..d"),
        ["a", "::", "int", ":=", "b", ":", "c", "..", "d"]
    );
}

#[test]
fn numbers_stop_where_names_start() {
    assert_eq!(
        texts("1 1.5 .5 1. 1e3 1E-3 1.5e+3"),
        ["1", "1.5", ".5", "1.", "1e3", "1E-3", "1.5e+3"]
    );
    assert_eq!(texts("1..10"), ["1", "..", "10"]);
    assert_eq!(texts("1from"), ["1", "from"]);
    assert_eq!(texts("0x1F 0b10 1_000 1_ x"), ["0x1F", "0b10", "1_000", "1", "_", "x"]);
    assert_eq!(texts("1union"), ["1", "union"]);
}

#[test]
fn quoted_names_keep_their_quotes_inside() {
    assert_eq!(texts(r#""a""b" c"#), [r#""a""b""#, "c"]);
    assert_eq!(texts(r#"U&"d\0061t" c"#), [r#"U&"d\0061t""#, "c"]);
    assert_eq!(texts("\"a\n;\" c"), ["\"a\n;\"", "c"]);
    assert_eq!(kinds("\"open"), [Kind::Unterminated]);
}

#[test]
fn long_runs_of_signs_are_read_in_linear_time() {
    let text = "+".repeat(1_000_000);
    assert_eq!(Lexer::new(&text, LexOptions::default()).count(), 1_000_000);
    let text = format!("{}@", "+".repeat(1_000_000));
    assert_eq!(Lexer::new(&text, LexOptions::default()).count(), 1);
}

/// The statements of `text` by their spans.
fn cut(text: &str) -> Vec<&str> {
    let statements = analyze(text);
    statements.iter().map(|s| &text[s.span.clone()]).collect()
}

#[test]
fn statements_are_cut_at_top_level_semicolons() {
    assert_eq!(cut("select 1; select 2"), ["select 1", "select 2"]);
    assert_eq!(cut(";; select 1 ;;-- x\n;"), ["select 1"]);
    assert_eq!(cut(" -- nothing\n /* here */ "), [""; 0]);
    assert_eq!(
        cut("select ';' ; select $$;$$ ; select \";\""),
        ["select ';'", "select $$;$$", "select \";\""]
    );
    let rule = "create rule r as on insert to t do also (delete from a; delete from b)";
    assert_eq!(cut(rule), [rule]);
}

#[test]
fn atomic_bodies_are_not_cut() {
    let function = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC \
                    SELECT CASE WHEN true THEN 1 END; DELETE FROM t; END";
    assert_eq!(cut(&format!("{function}; select 1")), [function, "select 1"]);
    assert_eq!(cut("begin; atomic; end"), ["begin", "atomic", "end"]);
    assert_eq!(cut("create table begin (atomic int); select 1").len(), 2);
    assert_eq!(
        cut("create function f(begin atomic) returns int as 'x' language sql; select 1").len(),
        2
    );
}

#[test]
fn one_text_has_a_bounded_number_of_statements() {
    let text = "select 1;".repeat(5_000) + "drop table t";
    let statements = analyze(&text);
    assert_eq!(statements.len(), crate::wire::sql::limits::STATEMENTS_MAX);
    let last = statements.last().expect("there are some");
    assert!(last.effects.names().any(|name| name == "drop"));
    assert_eq!(last.span.end, text.len());
}

#[test]
fn literals_do_not_matter_to_the_cache() {
    let mut analyzer = Analyzer::new(8);
    let options = LexOptions::default();
    for text in [
        "SELECT * FROM t WHERE a = 1 AND b IN (1,2,3)",
        "select  * from T where a = $1 and b in ($2)",
        "select * /* x */ from t where a = 'x' and b in (-1, 'a', 3, $5)",
        "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')",
        "insert into t values ($1, $2)",
    ] {
        analyzer.analyze(text, options);
    }
    // Kinds of literals differ, so the forms differ; lengths of lists do not matter.
    let (hits, _) = analyzer.cache_counts();
    analyzer.analyze("SELECT * FROM t WHERE a = 7 AND b IN (9)", options);
    analyzer.analyze("INSERT INTO t VALUES (5,'x')", options);
    assert_eq!(analyzer.cache_counts().0, hits + 2);
}

#[test]
fn the_cache_is_bounded_and_evicts() {
    let mut analyzer = Analyzer::new(4);
    for round in 0..3 {
        for table in 0..16 {
            let text = format!("select * from t{table}");
            let analysis = analyzer.analyze(&text, LexOptions::default());
            assert_eq!(analysis.statements[0].tables[0].name, format!("t{table}"), "{round}");
        }
    }
    assert_eq!(analyzer.cache_counts().0, 0);
    analyzer.analyze("select * from t15", LexOptions::default());
    assert_eq!(analyzer.cache_counts().0, 1);
}
