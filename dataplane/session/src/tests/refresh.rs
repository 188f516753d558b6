//! Columns of rules are looked up again between two requests, unseen by the client.

use super::*;

const LATER: Now = Now {
    wall_micros: 60_000_000,
    mono: Duration::from_secs(60),
};
const VIEW: u32 = 30_000;

/// What the target answers to the query of ours: where the column is, and the highest number of a relation.
fn answer(places: &[(&str, &str, &str)], status: TransactionStatus) -> Vec<u8> {
    let mut out = [
        bare(backend::CLOSE_COMPLETE),
        bare(backend::PARSE_COMPLETE),
        bare(backend::BIND_COMPLETE),
    ]
    .concat();
    for (index, table, attribute) in places {
        out.extend(row(&[
            Some(index.as_bytes()),
            Some(table.as_bytes()),
            Some(attribute.as_bytes()),
        ]));
    }
    out.extend(complete("SELECT 2"));
    out.extend([bare(backend::CLOSE_COMPLETE), bare(backend::CLOSE_COMPLETE)].concat());
    out.extend(bytes(|out| encode::ready_for_query(out, status)));
    out
}

fn asked(talk: &mut Talk) -> bool {
    let asked = talk.seen_by_target().contains("sluice catalog lookup");
    talk.to_target.clear();
    asked
}

/// A session in which a view was made.
fn changed() -> Talk {
    let mut snapshot = snapshot();
    snapshot.redactions[0].detect.clear();
    snapshot.connections[0].guardrails.clear();
    let mut talk = Talk::with(&snapshot);
    talk.client(&query("create view v as select name as x from customers"));
    assert!(!asked(&mut talk));
    talk.target(&[complete("CREATE VIEW"), ready()].concat());
    talk.to_client.clear();
    talk
}

fn of_view(name: &str) -> Vec<u8> {
    columns(&[(name, VIEW, 1, 25, Format::Text)])
}

#[test]
fn a_view_is_found_before_it_is_read() {
    let mut talk = changed();
    talk.client(&query("select x from v"));
    assert!(asked(&mut talk));
    let lookup = answer(&[("0", "30000", "1"), ("-1", "30001", "0")], TransactionStatus::Idle);
    let rest = [of_view("x"), row(&[Some(b"Alice")]), complete("SELECT 1"), ready()].concat();
    talk.target(&[lookup, rest].concat());
    let expected = [of_view("x"), row(&[Some(b"[NAME")]), complete("SELECT 1"), ready()].concat();
    assert_eq!(talk.to_client, expected, "the client sees its own answer alone");
    talk.client(&query("select x from v"));
    assert!(!asked(&mut talk), "once");
    assert_eq!(talk.statements().len(), 2);
}

#[test]
fn the_answer_means_the_same_however_it_is_cut() {
    let lookup = answer(&[("0", "30000", "1"), ("-1", "30001", "0")], TransactionStatus::Idle);
    let rest = [of_view("x"), row(&[Some(b"Alice")]), complete("SELECT 1"), ready()].concat();
    let all = [lookup, rest].concat();
    for cut in 0..all.len() {
        let mut talk = changed();
        talk.client(&query("select x from v"));
        talk.target(&all[..cut]).target(&all[cut..]);
        assert!(
            talk.seen_by_client().contains("[NAME") && !talk.seen_by_client().contains("Alice"),
            "{cut}"
        );
        assert!(talk.close.is_none());
    }
}

#[test]
fn an_answer_that_fails_leaves_unknown_what_is_unknown() {
    let mut talk = changed();
    talk.client(&query("select name from v"));
    assert!(asked(&mut talk));
    talk.target(&[error("57014", "canceling statement due to statement timeout"), ready()].concat());
    assert!(talk.to_client.is_empty(), "{}", talk.seen_by_client());
    talk.target(&[of_view("name"), row(&[Some(b"Alice")]), complete("SELECT 1"), ready()].concat());
    assert!(talk.seen_by_client().contains("[NAME"), "by its name");
    talk.client(&query("select 1"));
    assert!(!asked(&mut talk), "not at once again");
}

#[test]
fn the_end_of_the_session_is_heard_by_the_client() {
    let mut talk = changed();
    talk.client(&query("select x from v"));
    let fields: &[(u8, &[u8])] = &[
        (b'S', b"FATAL"),
        (b'V', b"FATAL"),
        (b'C', b"57P01"),
        (b'M', b"terminating"),
    ];
    talk.target(&bytes(|out| encode::error_response(out, fields).unwrap()));
    assert!(talk.seen_by_client().contains("57P01"));
}

#[test]
fn nothing_is_asked_between_messages_that_belong_together() {
    let mut talk = changed();
    talk.client(&[parse("", "select x from v"), bind("", "", &[], &[]), execute("", 0)].concat());
    assert_eq!(
        talk.seen_by_target().matches("sluice catalog lookup").count(),
        8,
        "before all of it, once"
    );
    talk.to_target.clear();
    talk.client(&sync());
    assert!(!asked(&mut talk));
    let mut talk = changed();
    talk.client(&[sync(), query("select 1")].concat());
    assert!(!asked(&mut talk), "the answer to the Sync is not there yet");
}

#[test]
fn a_transaction_that_somebody_began_is_not_used() {
    let mut snapshot = snapshot();
    snapshot.connections[0].guardrails.clear();
    let mut talk = Talk::with(&snapshot);
    talk.client(&query("begin"));
    talk.target(
        &[
            complete("BEGIN"),
            bytes(|out| encode::ready_for_query(out, TransactionStatus::InTransaction)),
        ]
        .concat(),
    );
    asked(&mut talk);
    let later = query("select 1");
    let fed = talk
        .session
        .feed(Direction::ToUpstream, &mut later.clone(), &mut talk.scratch, LATER);
    assert_eq!(fed.out.len(), later.len(), "however long ago it was");
}

#[test]
fn time_alone_makes_it_due_outside_of_transactions() {
    let mut talk = Talk::new();
    let later = query("select 1");
    let fed = talk
        .session
        .feed(Direction::ToUpstream, &mut later.clone(), &mut talk.scratch, LATER);
    assert!(fed.out.len() > later.len());
    // Without rules on columns nothing is asked.
    let mut snapshot = snapshot();
    snapshot.redactions[0].columns.clear();
    let mut talk = Talk::with(&snapshot);
    let fed = talk
        .session
        .feed(Direction::ToUpstream, &mut later.clone(), &mut talk.scratch, LATER);
    assert_eq!(fed.out.len(), later.len());
}

#[test]
fn columns_that_a_policy_names_anew_are_looked_up() {
    let mut talk = Talk::new();
    let mut newer = snapshot();
    newer.generation = 2;
    newer.redactions[0].columns = vec!["public.a.b".into(), "public.customers.name".into()];
    let close = talk.session.policy_changed(compiled(&newer), &mut talk.scratch, NOW);
    assert!(close.is_none());
    talk.client(&query("select name from customers"));
    assert!(asked(&mut talk));
    // Whatever the answer says, the column that was known stays known under its new number.
    let shape = columns(&[("x", TABLE, 2, 25, Format::Text)]);
    let lookup = answer(&[("-1", "20000", "0")], TransactionStatus::Idle);
    talk.target(&[lookup, shape, row(&[Some(b"Alice")]), complete("SELECT 1"), ready()].concat());
    assert!(talk.seen_by_client().contains("[NAME"));
}
