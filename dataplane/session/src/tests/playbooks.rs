//! Protocol conversations: simple, extended, pipelined, failing, re-executed, COPY.

use super::*;

const EMAIL: &[u8] = b"alice@example.com";
const MASKED: &[u8] = b"[EMAIL]**********";

#[test]
fn simple_query_is_masked_and_noted_once() {
    let mut talk = Talk::new();
    talk.client(&query("select email from customers where email = 'bob@example.org'"));
    assert!(
        talk.seen_by_target().contains("bob@example.org"),
        "the target gets the statement as it is"
    );
    let answer = [
        text_column("email"),
        row(&[Some(EMAIL)]),
        row(&[None]),
        complete("SELECT 2"),
        ready(),
    ]
    .concat();
    talk.target(&answer);
    let expected = [
        text_column("email"),
        row(&[Some(MASKED)]),
        row(&[None]),
        complete("SELECT 2"),
        ready(),
    ]
    .concat();
    assert_eq!(talk.to_client, expected);
    let statements = talk.statements();
    assert_eq!(statements.len(), 1);
    let statement = &statements[0];
    assert_eq!(
        statement.text,
        "select email from customers where email = '[EMAIL]********'"
    );
    assert_eq!((statement.rows, statement.outcome()), (2, audit::Outcome::Ok));
    assert_eq!(statement.outcome_detail, "SELECT 2");
    assert_eq!(statement.form, "simple");
    let places: Vec<&str> = statement
        .findings
        .iter()
        .map(|finding| finding.place.as_str())
        .collect();
    assert_eq!(places, ["statement", "email"]);
}

#[test]
fn denied_statement_becomes_a_syntax_error_and_the_answer_is_ours() {
    let mut talk = Talk::new();
    talk.client(&[query("delete from customers"), query("select 1")].concat());
    assert!(!talk.seen_by_target().contains("delete"));
    assert!(talk.seen_by_target().contains("select 1"));
    talk.target(&[error("42601", "syntax error at or near \"!\""), ready()].concat());
    let seen = talk.seen_by_client();
    assert!(
        seen.contains("42501") && seen.contains("guardrail \"safe\"") && !seen.contains("42601"),
        "{seen}"
    );
    talk.target(&[text_column("c"), row(&[Some(b"1")]), complete("SELECT 1"), ready()].concat());
    let outcomes: Vec<_> = talk
        .statements()
        .iter()
        .map(|s| (s.outcome(), s.text.clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            (audit::Outcome::Denied, "delete from customers".into()),
            (audit::Outcome::Ok, "select 1".into()),
        ]
    );
}

#[test]
fn a_batch_with_one_denied_statement_is_refused_whole() {
    let mut talk = Talk::new();
    talk.client(&query("select 1; drop table t; select 2"));
    assert!(!talk.seen_by_target().contains("select"));
    talk.target(&[error("42601", "x"), ready()].concat());
    assert!(talk.seen_by_client().contains("ask #dba"));
    assert_eq!(
        talk.statements().len(),
        3,
        "each statement of the batch is noted as denied"
    );
}

#[test]
fn refusals_cover_patterns_prepare_and_explain() {
    for text in [
        "select PG_read_file('/etc/passwd')",
        "prepare p as delete from t",
        "explain analyze delete from t",
        "with d as (delete from t returning *) select * from d",
    ] {
        let mut talk = Talk::new();
        talk.client(&query(text));
        talk.target(&[error("42601", "x"), ready()].concat());
        assert!(talk.seen_by_client().contains("42501"), "{text}");
        assert_eq!(talk.statements()[0].outcome(), audit::Outcome::Denied, "{text}");
    }
}

#[test]
fn denied_parse_skips_to_the_sync_like_any_error() {
    let mut talk = Talk::new();
    let denied = [
        parse("", "drop table t"),
        bind("", "", &[], &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    talk.client(
        &[
            denied,
            parse("", "select 1"),
            bind("", "", &[], &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    assert!(!talk.seen_by_target().contains("drop"));
    assert!(talk.stalled, "what would run is not known, so it might be a COPY");
    talk.target(&error("42601", "x"));
    assert!(talk.seen_by_client().contains("42501") && !talk.stalled);
    talk.target(&ready());
    talk.to_client.clear();
    let answer = [
        bare(b'1'),
        bare(b'2'),
        text_column("c"),
        row(&[Some(EMAIL)]),
        complete("SELECT 1"),
        ready(),
    ]
    .concat();
    talk.target(&answer);
    assert!(talk.close.is_none(), "{:?}", talk.close);
    let expected = [
        bare(b'1'),
        bare(b'2'),
        text_column("c"),
        row(&[Some(MASKED)]),
        complete("SELECT 1"),
        ready(),
    ]
    .concat();
    assert_eq!(talk.to_client, expected);
    let outcomes: Vec<_> = talk.statements().iter().map(|s| s.outcome()).collect();
    assert_eq!(outcomes, [audit::Outcome::Denied, audit::Outcome::Ok]);
}

#[test]
fn execution_without_describe_makes_us_ask_and_swallow_the_answer() {
    let mut talk = Talk::new();
    talk.client(
        &[
            parse("s1", "select email from t"),
            bind("", "s1", &[], &[1]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let asked = describe(b'P', "");
    assert!(
        talk.to_target.windows(asked.len()).any(|window| window == asked),
        "a Describe was put in"
    );
    let shape = columns(&[("email", 0, 0, 25, Format::Binary)]);
    talk.target(
        &[
            bare(b'1'),
            bare(b'2'),
            shape,
            row(&[Some(EMAIL)]),
            complete("SELECT 1"),
            ready(),
        ]
        .concat(),
    );
    let expected = [
        bare(b'1'),
        bare(b'2'),
        row(&[Some(MASKED)]),
        complete("SELECT 1"),
        ready(),
    ]
    .concat();
    assert_eq!(talk.to_client, expected);
}

#[test]
fn statement_description_serves_later_executions_with_the_formats_of_bind() {
    let mut talk = Talk::with(&without_columns());
    talk.client(&[parse("s1", "select card from t"), describe(b'S', "s1"), sync()].concat());
    let shape = columns(&[("card", 0, 0, 20, Format::Text)]);
    talk.target(&[bare(b'1'), frame(b't', &[0, 0]), shape, ready()].concat());
    talk.to_target.clear();
    for (formats, value, masked) in [
        (&[1i16][..], 4_111_111_111_111_111i64.to_be_bytes().to_vec(), vec![0; 8]),
        (&[][..], b"4111111111111111".to_vec(), b"0000000000000000".to_vec()),
    ] {
        talk.to_client.clear();
        let sent = [bind("", "s1", &[], formats), execute("", 0), sync()].concat();
        talk.client(&sent);
        assert!(talk.to_target.ends_with(&sent), "nothing was put in");
        talk.target(&[bare(b'2'), row(&[Some(&value)]), complete("SELECT 1"), ready()].concat());
        let expected = [bare(b'2'), row(&[Some(&masked)]), complete("SELECT 1"), ready()].concat();
        assert_eq!(talk.to_client, expected);
    }
    let statements = talk.statements();
    assert_eq!(statements.len(), 2);
    assert_eq!(statements[1].prepared, "s1");
    assert_eq!(statements[1].findings[0].place, "card");
}

/// Rules that look at values only.
fn without_columns() -> wire::Snapshot {
    let mut snapshot = snapshot();
    snapshot.redactions[0].columns.clear();
    snapshot
}

#[test]
fn what_a_statement_returns_is_asked_for_once_where_rules_look_at_values_only() {
    let mut talk = Talk::with(&without_columns());
    let run = [bind("", "s1", &[], &[1]), execute("", 0), sync()].concat();
    talk.client(&[parse("s1", "select email from t"), run.clone()].concat());
    let shape = text_column("email");
    talk.target(&[bare(b'1'), bare(b'2'), frame(b't', &[0, 0]), shape].concat());
    let answer = [row(&[Some(EMAIL)]), complete("SELECT 1"), ready()].concat();
    talk.target(&answer);
    let masked = [row(&[Some(MASKED)]), complete("SELECT 1"), ready()].concat();
    assert_eq!(talk.to_client, [bare(b'1'), bare(b'2'), masked.clone()].concat());
    let asked = describe(b'S', "s1");
    assert_eq!(
        talk.to_target
            .windows(asked.len())
            .filter(|window| *window == asked)
            .count(),
        1
    );
    talk.to_target.clear();
    talk.to_client.clear();
    talk.client(&run).target(&[bare(b'2'), answer].concat());
    assert_eq!(talk.to_target, run, "it leaves as it came");
    assert_eq!(talk.to_client, [bare(b'2'), masked].concat());
}

#[test]
fn a_statement_that_was_described_over_a_decoy_is_asked_about_again() {
    // A table of the same name and shape stood in front of the real one when the statement was described, and is gone.
    let decoy = columns(&[("name", TABLE + 9, 2, 25, Format::Text)]);
    let real = columns(&[("name", TABLE, 2, 25, Format::Text)]);
    let mut talk = Talk::new();
    talk.client(&[parse("s1", "select name from customers"), describe(b'S', "s1"), sync()].concat());
    talk.target(&[bare(b'1'), frame(b't', &[0, 0]), decoy, ready()].concat());
    talk.client(&[bind("", "s1", &[], &[]), execute("", 0), sync()].concat());
    let answer = [row(&[Some(b"Alice Adams")]), complete("SELECT 1"), ready()].concat();
    talk.target(&[bare(b'2'), real, answer].concat());
    assert!(talk.close.is_none(), "{:?}", talk.close);
    assert!(!talk.seen_by_client().contains("Adams"), "{}", talk.seen_by_client());
}

#[test]
fn only_a_statement_that_still_runs_is_cancelled_for_its_size() {
    let mut snapshot = snapshot();
    snapshot.connections[0].postgres = Some(wire::Postgres {
        result_rows_max: 1,
        ..Default::default()
    });
    let rows = [text_column("n"), row(&[Some(b"1")]), row(&[Some(b"2")])].concat();
    let rest = [complete("SELECT 2"), ready()].concat();
    let mut talk = Talk::with(&snapshot);
    talk.client(&query("select n from t"));
    talk.target(&[rows.clone(), rest.clone()].concat());
    assert!(!talk.session.take_cancel(), "it is over");
    talk.client(&query("select n from t")).target(&rows);
    assert!(talk.session.take_cancel());
    assert!(!talk.session.take_cancel(), "once");
    talk.target(&rest);
    assert_eq!(talk.seen_by_client().matches("1 rows").count(), 2);
}

#[test]
fn nothing_is_sent_while_a_cancel_request_is_under_way() {
    let mut snapshot = snapshot();
    snapshot.connections[0].postgres = Some(wire::Postgres {
        statement_time_max_ms: 1000,
        ..Default::default()
    });
    let mut talk = Talk::with(&snapshot);
    talk.client(&query("select pg_sleep(9)"));
    talk.session.overdue();
    talk.client(&query("select 2"));
    // The target has answered; a second signal may still be on its way to it.
    talk.target(&[error("57014", "canceling statement due to user request"), ready()].concat());
    assert!(!talk.session.is_overdue());
    assert!(talk.seen_by_client().contains("longer than the 1 s"));
    assert!(!talk.seen_by_target().contains("select 2"));
    talk.session.cancel_is_over();
    talk.client(b"");
    assert!(talk.seen_by_target().contains("select 2"));
}

#[test]
fn nothing_is_asked_where_nothing_is_redacted() {
    let mut snapshot = snapshot();
    snapshot.connections[0].redact.clear();
    let mut talk = Talk::with(&snapshot);
    let sent = [
        parse("", "select email from t"),
        bind("", "", &[], &[1]),
        execute("", 0),
        sync(),
    ]
    .concat();
    talk.client(&sent);
    assert_eq!(talk.to_target, sent);
    let answer = [
        bare(b'1'),
        bare(b'2'),
        row(&[Some(EMAIL)]),
        complete("SELECT 1"),
        ready(),
    ]
    .concat();
    talk.target(&answer);
    assert_eq!(talk.to_client, answer);
}

#[test]
fn portal_that_is_run_in_parts_keeps_its_plan() {
    let mut talk = Talk::new();
    let open = [
        parse("", "select email from t"),
        bind("p", "", &[], &[]),
        describe(b'P', "p"),
        execute("p", 1),
    ]
    .concat();
    talk.client(&open);
    talk.client(&frame(frontend::FLUSH, b""));
    talk.target(
        &[
            bare(b'1'),
            bare(b'2'),
            text_column("email"),
            row(&[Some(EMAIL)]),
            bare(b's'),
        ]
        .concat(),
    );
    talk.client(&[execute("p", 0), sync()].concat());
    talk.target(&[row(&[Some(EMAIL)]), complete("SELECT 1"), ready()].concat());
    assert!(!talk.seen_by_client().contains("alice@"));
    let details: Vec<_> = talk.statements().into_iter().map(|s| s.outcome_detail).collect();
    assert_eq!(details, ["suspended", "SELECT 1"]);
}

#[test]
fn error_inside_a_pipeline_skips_and_the_next_group_is_matched_again() {
    let mut talk = Talk::new();
    let group = |text: &str| {
        [
            parse("", text),
            bind("", "", &[], &[]),
            describe(b'P', ""),
            execute("", 0),
        ]
        .concat()
    };
    talk.client(
        &[
            group("select bad"),
            group("select never"),
            sync(),
            group("select email"),
            sync(),
        ]
        .concat(),
    );
    talk.target(&[error("42703", "column \"alice@example.com\" does not exist"), ready()].concat());
    assert!(!talk.seen_by_client().contains("alice@"), "error text is masked");
    talk.target(
        &[
            bare(b'1'),
            bare(b'2'),
            text_column("e"),
            row(&[Some(EMAIL)]),
            complete("SELECT 1"),
            ready(),
        ]
        .concat(),
    );
    assert!(talk.close.is_none() && !talk.seen_by_client().contains("alice@"));
    let outcomes: Vec<_> = talk
        .statements()
        .iter()
        .map(|s| (s.outcome(), s.text.clone()))
        .collect();
    assert_eq!(outcomes[0], (audit::Outcome::Error, "select bad".into()));
    assert_eq!(outcomes.last().unwrap(), &(audit::Outcome::Ok, "select email".into()));
}

#[test]
fn failed_parse_of_a_known_name_leaves_the_old_statement_in_place() {
    let mut talk = Talk::new();
    talk.client(&[parse("s", "select old"), sync()].concat());
    talk.target(&[bare(b'1'), ready()].concat());
    talk.client(&[parse("s", "select new"), sync()].concat());
    talk.target(&[error("42P05", "exists"), ready()].concat());
    talk.client(&[bind("", "s", &[], &[]), describe(b'P', ""), execute("", 0), sync()].concat());
    talk.target(&[bare(b'2'), bare(b'n'), complete("SELECT 0"), ready()].concat());
    let statements = talk.statements();
    assert_eq!(statements.last().unwrap().text, "select old");
}

#[test]
fn failed_statement_of_a_batch_skips_the_rest() {
    let mut talk = Talk::new();
    talk.client(&query("select 1; select 1/0; select 3"));
    talk.target(&[text_column("c"), row(&[Some(b"1")]), complete("SELECT 1")].concat());
    talk.target(&[error("22012", "division by zero"), ready()].concat());
    let got: Vec<_> = talk
        .statements()
        .into_iter()
        .map(|s| (s.text.clone(), s.outcome(), s.batch))
        .collect();
    assert_eq!(
        got,
        [
            ("select 1".into(), audit::Outcome::Ok, 1),
            ("select 1/0".into(), audit::Outcome::Error, 1),
            ("select 3".into(), audit::Outcome::Skipped, 1),
        ]
    );
}

#[test]
fn copy_in_passes_and_is_counted() {
    let mut talk = Talk::new();
    talk.client(&query("copy t from stdin"));
    talk.target(&frame(b'G', &[0, 0, 1, 0, 0]));
    let data = [frame(b'd', b"a\tb\n"), frame(b'd', b"c\td\n"), bare(b'c')].concat();
    talk.client(&data);
    assert!(talk.to_target.ends_with(&data));
    talk.target(&[complete("COPY 2"), ready()].concat());
    let statement = talk.statements().pop().unwrap();
    assert_eq!((statement.rows, statement.outcome_detail.as_str()), (2, "COPY 2"));
    assert!(statement.bytes >= 8);
}

#[test]
fn sync_behind_an_extended_copy_waits_and_is_dropped_when_the_copy_begins() {
    let mut talk = Talk::new();
    talk.client(
        &[
            parse("", "copy t from stdin"),
            bind("", "", &[], &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    assert!(talk.stalled);
    assert!(
        talk.to_target.ends_with(&frame(frontend::FLUSH, b"")),
        "the server is made to answer"
    );
    talk.target(&[bare(b'1'), bare(b'2'), bare(b'n')].concat());
    assert!(talk.stalled);
    talk.target(&frame(b'G', &[0, 0, 1, 0, 0]));
    assert!(
        !talk.stalled && talk.to_target.ends_with(&frame(frontend::FLUSH, b"")),
        "no Sync was sent"
    );
    talk.client(&[frame(b'd', b"1\n"), bare(b'c'), sync()].concat());
    assert!(talk.to_target.ends_with(&sync()));
    talk.target(&[complete("COPY 1"), ready()].concat());
    assert!(talk.close.is_none());
    assert_eq!(talk.statements().len(), 1);
}

#[test]
fn desync_and_nonsense_end_the_session_with_a_clear_error() {
    let mut talk = Talk::new();
    talk.target(&complete("SELECT 1"));
    assert!(talk.close.is_some(), "an answer without a question");
    let seen = talk.seen_by_client();
    assert!(seen.contains("FATAL") && seen.contains("08P01"), "{seen}");
    let mut talk = Talk::new();
    talk.client(b"\xffgarbage");
    assert!(talk.close.is_some());
    assert!(talk.to_target.is_empty());
}

#[test]
fn poison_that_is_not_rejected_ends_the_session() {
    let mut talk = Talk::new();
    talk.client(&query("drop table t"));
    talk.target(&complete("DROP TABLE"));
    assert!(talk.close.is_some());
}

#[test]
fn new_policy_applies_from_the_next_statement_and_revokes_access() {
    let mut talk = Talk::new();
    talk.client(&[parse("s", "select email from t"), sync()].concat());
    talk.target(&[bare(b'1'), ready()].concat());
    let mut next = snapshot();
    next.generation = 2;
    next.guardrails[0].rules = vec![wire::GuardrailRule {
        deny: vec!["select".into()],
        ..Default::default()
    }];
    assert!(
        talk.session
            .policy_changed(compiled(&next), &mut talk.scratch, NOW)
            .is_none()
    );
    talk.client(&[bind("", "s", &[], &[]), execute("", 0), sync()].concat());
    talk.target(&[bare(b'2'), error("34000", "portal does not exist"), ready()].concat());
    assert!(
        talk.seen_by_client().contains("42501"),
        "the prepared statement is judged again"
    );
    next.generation = 3;
    next.users[0].tokens.clear();
    let close = talk
        .session
        .policy_changed(compiled(&next), &mut talk.scratch, NOW)
        .expect("revoked");
    assert!(String::from_utf8_lossy(&close.to_downstream).contains("57P01"));
}

#[test]
fn sql_prepared_statements_are_known_to_the_protocol() {
    let mut talk = Talk::new();
    talk.client(&query("prepare s as select 1.0::float8"));
    talk.target(&[complete("PREPARE"), ready()].concat());
    talk.client(&[bind("", "s", &[], &[]), execute("", 0), sync()].concat());
    talk.target(
        &[
            bare(b'2'),
            text_column("e"),
            row(&[Some(EMAIL)]),
            complete("SELECT 1"),
            ready(),
        ]
        .concat(),
    );
    assert!(!talk.seen_by_client().contains("alice@"));
    assert!(talk.statements()[1].text.starts_with("prepare s"));
}

/// Rows that follow each other take a shorter way than the first: what it lets out and where it stops is the same.
#[test]
fn a_bad_row_ends_the_session_behind_the_good_ones_whether_they_come_together_or_apart() {
    let shape = columns(&[("id", TABLE, 1, 23, Format::Text), ("name", TABLE, 2, 25, Format::Text)]);
    let good = |id: &'static str| row(&[Some(id.as_bytes()), Some(b"Ada Lovelace")]);
    let short = row(&[Some(b"4")]);
    let mut overlong = good("5");
    let at = overlong.len() - b"Ada Lovelace".len() - 1;
    overlong[at] += 1;
    let mut negative = good("6");
    negative[at - 3..=at].copy_from_slice(&(-2i32).to_be_bytes());
    for bad in [short, overlong, negative] {
        let outcome = |pieces: &[&[u8]]| {
            let mut talk = Talk::new();
            talk.client(&query("select id, name from customers"));
            talk.target(&shape);
            for piece in pieces {
                talk.target(piece);
            }
            let close = talk.close.as_ref().map(|close| close.to_downstream.clone());
            (talk.to_client.clone(), close)
        };
        let rows = [good("1"), good("2"), good("3")];
        let together = outcome(&[&[&rows.concat()[..], &bad[..], &good("7")[..]].concat()]);
        let apart = outcome(&[&rows[0], &rows[1], &rows[2], &bad]);
        assert!(together.1.is_some(), "the session is over");
        assert_eq!(together.1, apart.1);
        let whole = outcome(&[&rows.concat()]).0;
        assert!(
            together.0.starts_with(&whole) && apart.0.starts_with(&whole),
            "all good rows left"
        );
        assert!(!String::from_utf8_lossy(&together.0).contains("Lovelace"));
    }
}
