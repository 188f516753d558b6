//! What the record says.

use super::*;

#[test]
fn start_and_end_frame_the_record_and_sequences_have_no_gap() {
    let mut talk = Talk::new();
    talk.client(&query("select 1"));
    talk.target(&[text_column("c"), row(&[Some(b"1")]), complete("SELECT 1"), ready()].concat());
    talk.client(&query("select pg_sleep(9)")).end();
    let events = talk.events();
    assert_eq!(
        events.iter().map(|event| event.sequence).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let Some(Kind::Start(start)) = &events[0].kind else {
        panic!("{events:?}")
    };
    assert_eq!(
        (start.user.as_str(), start.connection.as_str(), start.generation),
        ("alice", "orders", 1)
    );
    let Some(Kind::Statement(open)) = &events[2].kind else {
        panic!("{events:?}")
    };
    assert_eq!((open.outcome(), open.number), (audit::Outcome::Unfinished, 1));
    let Some(Kind::End(end)) = &events[3].kind else {
        panic!("{events:?}")
    };
    assert_eq!((end.cause.as_str(), end.statements), ("client", 2));
}

#[test]
fn parameters_are_noted_masked() {
    let mut talk = Talk::new();
    let bound = bind("", "", &["42", "alice@example.com"], &[]);
    talk.client(
        &[
            parse("", "select $1, $2"),
            bound,
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    talk.target(&[bare(b'1'), bare(b'2'), bare(b'n'), complete("SELECT 0"), ready()].concat());
    let statement = talk.statements().pop().unwrap();
    let parameters: Vec<_> = statement.parameters.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(parameters, ["42", "[EMAIL]**********"]);
    assert_eq!(statement.findings[0].place, "parameter");
}

#[test]
fn answer_that_leaves_in_parts_is_in_the_record_before_its_first_byte() {
    let mut talk = Talk::new();
    talk.client(&query("select big"));
    talk.events();
    talk.target(&[text_column("c"), row(&[Some(b"1")])].concat());
    assert!(!talk.to_client.is_empty());
    let events = talk.events();
    let Some(Kind::Promise(promise)) = &events[0].kind else {
        panic!("{events:?}")
    };
    assert_eq!(
        (promise.text.as_str(), promise.number, promise.rows),
        ("select big", 0, 0)
    );
    talk.target(&[row(&[Some(b"2")]), complete("SELECT 2"), ready()].concat());
    let after = talk.events();
    assert_eq!(after.len(), 1, "one promise is enough: {after:?}");
    assert_eq!(after[0].sequence, events[0].sequence, "a promise takes no sequence");
    let Some(Kind::Statement(whole)) = &after[0].kind else {
        panic!("{after:?}")
    };
    assert_eq!((whole.number, whole.rows), (0, 2));
}

#[test]
fn answer_that_leaves_at_once_is_one_record() {
    let mut talk = Talk::new();
    talk.client(&query("select 1"));
    talk.events();
    talk.target(&[text_column("c"), row(&[Some(b"1")]), complete("SELECT 1"), ready()].concat());
    assert_eq!(talk.events().len(), 1);
}

#[test]
fn what_comes_after_the_last_answer_of_a_message_is_no_statement() {
    let mut talk = Talk::new();
    talk.client(&query("select 1"));
    talk.target(&complete("SELECT 1"));
    talk.target(&notification("a", "b"));
    talk.target(&ready()).end();
    let events = talk.events();
    assert!(!events.iter().any(|event| matches!(event.kind, Some(Kind::Promise(_)))));
    assert!(matches!(&events.last().unwrap().kind, Some(Kind::End(end)) if end.statements == 1));
}

#[test]
fn notice_before_a_refusal_is_no_statement() {
    let mut talk = Talk::new();
    talk.client(&query("drop table t"));
    talk.target(&notice("DEBUG"));
    talk.end();
    let events = talk.events();
    let outcomes: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.kind {
            Some(Kind::Statement(statement) | Kind::Promise(statement)) => Some(statement.outcome()),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes, [audit::Outcome::Denied]);
}

#[test]
fn statements_of_a_message_share_their_batch_whatever_is_refused_meanwhile() {
    let mut talk = Talk::new();
    talk.client(&query("select 1; select 2"));
    talk.target(&complete("SELECT 1"));
    talk.client(&query("drop table t"));
    talk.target(&[complete("SELECT 1"), ready()].concat());
    let places: Vec<_> = talk
        .statements()
        .iter()
        .map(|s| (s.number, s.batch, s.text.clone()))
        .collect();
    assert_eq!(
        places,
        [
            (0, 1, "select 1".to_owned()),
            (1, 2, "drop table t".to_owned()),
            (2, 1, "select 2".to_owned()),
        ]
    );
}

/// A statement that cannot be prepared, and two that the target ignores for it, as it ignores the run of the first.
fn failing_pipeline() -> [Vec<u8>; 2] {
    let run = |text: &str| [parse("", text), bind("", "", &[], &[]), execute("", 0)].concat();
    [run("select bad"), [run("select 1"), run("select 2"), sync()].concat()]
}

#[test]
fn what_follows_an_error_is_recorded_as_skipped_whenever_the_error_is_read() {
    let told = |talk: &mut Talk| {
        let statements = talk.statements();
        let told = statements
            .into_iter()
            .map(|s| (s.number, s.batch, s.text.clone(), s.outcome()));
        told.collect::<Vec<_>>()
    };
    let failed = error("42703", "no such column");
    let [first, rest] = failing_pipeline();
    let mut early = Talk::new();
    early.client(&first).target(&failed).client(&rest).target(&ready());
    let mut late = Talk::new();
    late.client(&first).client(&rest).target(&[failed, ready()].concat());
    let expected = [
        (0, 1, "select bad".to_owned(), audit::Outcome::Error),
        (1, 2, "select bad".to_owned(), audit::Outcome::Skipped),
        (2, 3, "select 1".to_owned(), audit::Outcome::Skipped),
        (3, 4, "select 2".to_owned(), audit::Outcome::Skipped),
    ];
    assert_eq!(told(&mut late), expected);
    assert_eq!(told(&mut early), expected);
}

#[test]
fn recording_holds_what_the_client_saw() {
    let mut full = snapshot();
    full.connections[0].record = wire::Record::Full as i32;
    let mut talk = Talk::with(&full);
    talk.client(&query("select email"));
    talk.target(
        &[
            text_column("e"),
            row(&[Some(b"alice@example.com")]),
            complete("SELECT 1"),
            ready(),
        ]
        .concat(),
    );
    let mut data = Vec::new();
    for event in talk.events() {
        if let Some(Kind::Recording(piece)) = event.kind {
            assert_eq!(piece.offset, data.len() as u64);
            data.extend_from_slice(&piece.data);
        }
    }
    assert_eq!(data, talk.to_client);
}

#[test]
fn meta_keeps_start_end_and_counts_only() {
    let mut meta = snapshot();
    meta.connections[0].record = wire::Record::Meta as i32;
    let mut talk = Talk::with(&meta);
    talk.client(&query("select email"));
    talk.target(&[complete("SELECT 0"), ready()].concat());
    talk.end();
    let events = talk.events();
    assert_eq!(events.len(), 2);
    assert!(matches!(&events[1].kind, Some(Kind::End(end)) if end.statements == 1));
}

#[test]
fn hand_written_encoding_is_what_the_generated_one_would_write() {
    let mut talk = Talk::new();
    talk.client(&query("select 'alice@example.com'; select 2"));
    talk.target(
        &[
            text_column("c"),
            row(&[Some(b"alice@example.com")]),
            complete("SELECT 1"),
        ]
        .concat(),
    );
    talk.target(&[text_column("c"), row(&[Some(b"2")]), complete("SELECT 1"), ready()].concat());
    let written = talk.scratch.tap().take();
    let mut again = Vec::new();
    for event in events(&written) {
        again.extend_from_slice(&event.encode_length_delimited_to_vec());
    }
    // Field order differs; content and length do not.
    assert_eq!(written.len(), again.len());
    assert_eq!(events(&written), events(&again));
}

#[test]
fn idle_session_is_small() {
    assert!(size_of::<Session>() <= 1024, "{}", size_of::<Session>());
}
