//! Replication streams: both ways at once, masked by what they say of tables, closed where they cannot be followed.

use codecs::postgres::replication::Replication;

use super::*;

const EMAIL: &str = "alice@example.com";
const START: &str = "START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p')";

fn allowing(change: impl FnOnce(&mut wire::Snapshot)) -> wire::Snapshot {
    let mut snapshot = snapshot();
    snapshot.connections[0].postgres = Some(wire::Postgres {
        replication: true,
        ..Default::default()
    });
    change(&mut snapshot);
    snapshot
}

fn talk(snapshot: &wire::Snapshot) -> Talk {
    let mut talk = Talk::with(snapshot);
    talk.session.replication = Some(Replication::Logical);
    talk
}

/// A session whose stream has begun.
fn streaming(snapshot: &wire::Snapshot) -> Talk {
    let mut talk = talk(snapshot);
    talk.client(&query(START)).target(&frame(b'W', &[0, 0, 0]));
    assert!(talk.close.is_none(), "{:?}", talk.close);
    talk.to_client.clear();
    talk
}

fn log(message: &[u8]) -> Vec<u8> {
    frame(b'd', &[b"w".as_slice(), &[0; 24], message].concat())
}

/// Table number `oid` with columns of text.
fn relation(oid: u32, schema: &str, table: &str, columns: &[&str]) -> Vec<u8> {
    let mut out = vec![b'R'];
    out.extend_from_slice(&oid.to_be_bytes());
    out.extend_from_slice(format!("{schema}\0{table}\0d").as_bytes());
    out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
    for column in columns {
        out.push(0);
        out.extend_from_slice(column.as_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff]);
    }
    log(&out)
}

fn insert(oid: u32, values: &[Option<&str>]) -> Vec<u8> {
    let mut out = vec![b'I'];
    out.extend_from_slice(&oid.to_be_bytes());
    out.push(b'N');
    out.extend_from_slice(&(values.len() as u16).to_be_bytes());
    for value in values {
        match value {
            None => out.push(b'n'),
            Some(value) => {
                out.push(b't');
                out.extend_from_slice(&(value.len() as u32).to_be_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
    log(&out)
}

#[test]
fn rows_of_a_stream_are_masked_by_detector_and_by_column() {
    let mut talk = streaming(&allowing(|_| {}));
    let table = relation(TABLE, "public", "customers", &["id", "name", "email"]);
    talk.target(&[table.clone(), insert(TABLE, &[Some("1"), Some("Alice"), Some(EMAIL)])].concat());
    let expected = [
        table,
        insert(TABLE, &[Some("1"), Some("[NAME"), Some("[EMAIL]**********")]),
    ]
    .concat();
    assert_eq!(talk.to_client, expected);
    // The client goes on beside it.
    talk.to_target.clear();
    let status = frame(b'd', &[b"r".as_slice(), &[0; 33]].concat());
    talk.client(&status);
    assert_eq!(talk.to_target, status);
}

#[test]
fn null_is_told_as_a_tuple_tells_it() {
    let mut talk = streaming(&allowing(|snapshot| {
        snapshot.redactions[0].mask = Some(wire::Mask {
            kind: wire::MaskKind::Null as i32,
            ..Default::default()
        });
    }));
    let table = relation(TABLE, "public", "customers", &["id", "name", "email"]);
    talk.target(&[table.clone(), insert(TABLE, &[Some("1"), Some("Alice"), Some(EMAIL)])].concat());
    let expected = [table, insert(TABLE, &[Some("1"), None, None])].concat();
    assert_eq!(talk.to_client, expected);
}

#[test]
fn a_partition_and_a_young_table_follow_the_rule() {
    let mut talk = streaming(&allowing(|_| {}));
    for (oid, table) in [(TABLE, "customers_2026"), (30_000, "remade")] {
        talk.target(&[relation(oid, "other", table, &["name"]), insert(oid, &[Some("Alice")])].concat());
    }
    talk.target(
        &[
            relation(17_000, "other", "old", &["name"]),
            insert(17_000, &[Some("Alice")]),
        ]
        .concat(),
    );
    assert_eq!(talk.seen_by_client().matches("[NAME").count(), 2);
    assert_eq!(
        talk.seen_by_client().matches("Alice").count(),
        1,
        "an old table of another name"
    );
}

#[test]
fn what_is_no_stream_of_the_plugin_ends_the_session() {
    for message in [
        log(format!("table public.customers: INSERT: email[text]:'{EMAIL}'").as_bytes()),
        insert(99, &[Some(EMAIL)]),
        frame(b'd', EMAIL.as_bytes()),
        log(&[b"B".as_slice(), &[0; 20], EMAIL.as_bytes()].concat()),
    ] {
        let mut talk = streaming(&allowing(|_| {}));
        talk.target(&message);
        assert!(talk.close.is_some());
        assert!(!talk.seen_by_client().contains(EMAIL));
    }
}

#[test]
fn streams_that_cannot_be_masked_are_refused_before_the_target_sees_them() {
    for text in [
        "START_REPLICATION 0/0",
        "START_REPLICATION SLOT s LOGICAL 0/0",
        "BASE_BACKUP",
        "START_REPLICATIO SLOT s",
    ] {
        let mut talk = talk(&allowing(|snapshot| snapshot.connections[0].guardrails.clear()));
        talk.client(&query(text));
        assert!(!talk.seen_by_target().contains(text), "{text}");
    }
    // A stream that begins all the same is not let through.
    let mut talk = talk(&allowing(|_| {}));
    talk.client(&query("IDENTIFY_SYSTEM")).target(&frame(b'W', &[0, 0, 0]));
    assert!(talk.close.is_some());
    // Nor one in an ordinary session.
    let mut talk = Talk::with(&allowing(|_| {}));
    talk.client(&query("SELECT 1")).target(&frame(b'W', &[0, 0, 0]));
    assert!(talk.close.is_some());
}

#[test]
fn an_answer_in_parts_is_one_statement() {
    let mut talk = talk(&allowing(|snapshot| snapshot.connections[0].redact.clear()));
    let part = [text_column("recptr"), row(&[Some(b"0/1")]), complete("SELECT")].concat();
    let files = [frame(b'H', &[0, 0, 0]), frame(b'd', b"nfile"), frame(b'c', b"")].concat();
    talk.client(&query("BASE_BACKUP (LABEL 'x')"));
    let answer = [part.as_slice(), &part, &files, &part, &complete("SELECT"), &ready()].concat();
    talk.target(&answer);
    assert_eq!(talk.to_client, answer);
    let statements = talk.statements();
    assert_eq!(statements.len(), 1, "{statements:?}");
    assert_eq!(statements[0].outcome(), audit::Outcome::Ok);
    talk.client(&query("SELECT 1"));
    talk.target(&[text_column("x"), row(&[Some(b"1")]), complete("SELECT 1"), ready()].concat());
    assert_eq!(talk.statements().len(), 1);
}

#[test]
fn both_sides_end_a_stream_and_statements_follow() {
    let mut talk = streaming(&allowing(|_| {}));
    talk.client(&[frame(b'c', b""), query("IDENTIFY_SYSTEM")].concat());
    assert!(talk.seen_by_target().contains("IDENTIFY_SYSTEM"));
    let rest = [
        relation(TABLE, "public", "customers", &["name"]),
        insert(TABLE, &[Some("Alice")]),
    ]
    .concat();
    // The server may send some more after it has said that it is done; that is looked at as well.
    let late = insert(TABLE, &[Some("Alice")]);
    talk.target(&[rest, frame(b'c', b""), late, complete("COPY 0"), ready()].concat());
    assert_eq!(talk.seen_by_client().matches("[NAME").count(), 2);
    assert!(!talk.seen_by_client().contains("Alice"));
    talk.target(
        &[
            text_column("systemid"),
            row(&[Some(b"7000000000000000001")]),
            complete("SELECT"),
            ready(),
        ]
        .concat(),
    );
    assert!(
        talk.seen_by_client().contains("7000000000000000001"),
        "facts about the server are no data"
    );
    assert_eq!(talk.statements().len(), 2);
    assert!(talk.close.is_none());
}

#[test]
fn during_a_stream_the_client_sends_nothing_else() {
    let mut talk = streaming(&allowing(|_| {}));
    talk.client(&query("SELECT 1"));
    assert!(talk.close.is_some() && !talk.seen_by_target().contains("SELECT"));
}

#[test]
fn rules_that_change_apply_to_a_stream_that_runs() {
    let mut talk = streaming(&allowing(|_| {}));
    let table = relation(TABLE, "public", "customers", &["name", "email"]);
    talk.target(&table);
    let other = allowing(|snapshot| {
        snapshot.generation = 2;
        snapshot.redactions[0].columns = vec!["public.customers.email".into()];
        snapshot.redactions[0].detect.clear();
    });
    let close = talk.session.policy_changed(compiled(&other), &mut talk.scratch, NOW);
    assert!(close.is_none());
    talk.target(&insert(TABLE, &[Some("Alice"), Some("x-y-z")]));
    assert!(talk.seen_by_client().contains("Alice") && !talk.seen_by_client().contains("x-y-z"));
    let denied = allowing(|snapshot| {
        snapshot.generation = 3;
        snapshot.connections[0].postgres = None;
    });
    let close = talk.session.policy_changed(compiled(&denied), &mut talk.scratch, NOW);
    assert!(close.is_some(), "replication is not allowed any more");
}
