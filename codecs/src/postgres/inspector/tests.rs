//! Conversations as the inspector sees them.

use super::*;
use crate::malformed::Malformed;
use crate::postgres::message::tag::backend as tag;
use crate::postgres::message::{Bind, Format, Target};

type Talk = Inspector<&'static str>;

/// A RowDescription of one text column.
fn one_column(format: i16) -> Vec<u8> {
    let mut body = b"\0\x01x\0\0\0\x40\0\0\x02\0\0\0\x19\xff\xff\xff\xff\xff\xff".to_vec();
    body.extend_from_slice(&format.to_be_bytes());
    body
}

fn bind(talk: &mut Talk, portal: &str, statement: &str, formats: &[i16]) {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0\0\0"].concat();
    body.extend_from_slice(&(formats.len() as i16).to_be_bytes());
    for format in formats {
        body.extend_from_slice(&format.to_be_bytes());
    }
    talk.bind(&Bind::parse(&body).unwrap(), 0, |_| {}).unwrap();
}

fn answer<'a>(talk: &mut Talk, tag: u8, body: &'a [u8]) -> Answer<'a, &'static str> {
    talk.answer(tag, body).unwrap()
}

#[test]
fn a_message_of_several_statements_is_answered_one_by_one() {
    let mut talk = Talk::new();
    talk.query("a; b", false, 4, 7);
    assert!(matches!(
        answer(&mut talk, tag::ROW_DESCRIPTION, &one_column(0)),
        Answer::ResultBegins(_)
    ));
    assert!(matches!(answer(&mut talk, tag::DATA_ROW, b""), Answer::Row));
    for index in 0..2 {
        let Answer::Completed { current, tag } = answer(&mut talk, tag::COMMAND_COMPLETE, b"SELECT 1\0") else {
            panic!("it is complete");
        };
        assert_eq!(
            (current.index, current.at, current.statement, tag),
            (index, 7, Some("a; b"), &b"SELECT 1"[..])
        );
    }
    assert!(matches!(
        answer(&mut talk, tag::READY_FOR_QUERY, b"I"),
        Answer::Ready { open: Some(_) }
    ));
    assert_eq!(talk.backlog(), 0);
}

#[test]
fn what_nobody_described_is_asked_for_and_the_answer_swallowed() {
    let mut talk = Talk::new();
    talk.parse("s".as_bytes(), "select x", 8, 0).unwrap();
    bind(&mut talk, "", "s", &[1]);
    assert_eq!(
        talk.execute(b"", false, None, Wanted::Origins, 0),
        Announced::DescribePortal
    );
    assert!(talk.sync(0));
    assert!(matches!(answer(&mut talk, tag::PARSE_COMPLETE, b""), Answer::Forward));
    assert!(matches!(answer(&mut talk, tag::BIND_COMPLETE, b""), Answer::Forward));
    assert!(matches!(
        answer(&mut talk, tag::ROW_DESCRIPTION, &one_column(1)),
        Answer::Swallow
    ));
    assert!(matches!(answer(&mut talk, tag::DATA_ROW, b""), Answer::Row));
    let Described::Rows(shape) = &talk.current().unwrap().result else {
        panic!("the rows are described");
    };
    assert_eq!(shape.columns[0].format, Format::Binary);
    assert_eq!(shape.columns[0].origin.unwrap().table, 0x4000);
}

#[test]
fn a_described_statement_is_run_again_without_asking() {
    let mut talk = Talk::new();
    talk.parse(b"s", "select x", 8, 0).unwrap();
    talk.describe(Target::Statement(b"s"), 0);
    talk.sync(0);
    answer(&mut talk, tag::PARSE_COMPLETE, b"");
    answer(&mut talk, tag::PARAMETER_DESCRIPTION, b"\0\0");
    assert!(matches!(
        answer(&mut talk, tag::ROW_DESCRIPTION, &one_column(0)),
        Answer::Describes(_)
    ));
    answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    for format in [0, 1] {
        bind(&mut talk, "", "s", &[format]);
        assert_eq!(talk.execute(b"", false, None, Wanted::Types, 0), Announced::Nothing);
        talk.sync(0);
        answer(&mut talk, tag::BIND_COMPLETE, b"");
        assert!(matches!(answer(&mut talk, tag::DATA_ROW, b""), Answer::Row));
        let current = talk.current().unwrap();
        let portal = current.portal.as_deref().unwrap();
        // The description is the statement's: the formats of the Bind win over it.
        assert!(!portal.has_own_shape());
        assert_eq!(portal.formats.of(0).map(|format| format.code()), Some(format));
        answer(&mut talk, tag::COMMAND_COMPLETE, b"SELECT 1\0");
        answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    }
}

#[test]
fn a_statement_that_nobody_described_is_asked_for_once() {
    let mut talk = Talk::new();
    talk.parse(b"s", "select x", 8, 0).unwrap();
    bind(&mut talk, "", "s", &[]);
    assert_eq!(
        talk.execute(b"", false, None, Wanted::Types, 0),
        Announced::DescribeStatement
    );
    talk.sync(0);
    for tag in [tag::PARSE_COMPLETE, tag::BIND_COMPLETE] {
        answer(&mut talk, tag, b"");
    }
    assert!(matches!(
        answer(&mut talk, tag::PARAMETER_DESCRIPTION, b"\0\0"),
        Answer::Swallow
    ));
    assert!(matches!(
        answer(&mut talk, tag::ROW_DESCRIPTION, &one_column(0)),
        Answer::Swallow
    ));
    answer(&mut talk, tag::COMMAND_COMPLETE, b"SELECT 0\0");
    answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    bind(&mut talk, "", "s", &[]);
    assert_eq!(talk.execute(b"", false, None, Wanted::Types, 0), Announced::Nothing);
    bind(&mut talk, "", "s", &[]);
    assert_eq!(
        talk.execute(b"", false, None, Wanted::Origins, 0),
        Announced::DescribePortal,
        "the tables of its columns may be others by now"
    );
}

#[test]
fn a_statement_that_may_be_gone_is_not_asked_for() {
    let mut talk = Talk::new();
    talk.parse(b"s", "select x", 8, 0).unwrap();
    bind(&mut talk, "p", "s", &[]);
    talk.query("deallocate s", false, 12, 0);
    assert_eq!(
        talk.execute(b"p", false, None, Wanted::Types, 0),
        Announced::DescribePortal
    );
    assert_eq!(talk.execute(b"p", false, None, Wanted::Nothing, 0), Announced::Nothing);
}

#[test]
fn an_error_skips_to_the_next_sync() {
    let mut talk = Talk::new();
    for statement in ["bad", "skipped"] {
        talk.parse(b"", statement, 1, 0).unwrap();
        bind(&mut talk, "", "", &[]);
        talk.execute(b"", false, None, Wanted::Types, 0);
    }
    talk.sync(0);
    let Answer::Failed(failure) = answer(&mut talk, tag::ERROR_RESPONSE, b"") else {
        panic!("it failed");
    };
    assert_eq!(failure.before.unwrap().statement, Some("bad"));
    assert_eq!(failure.skipped.len(), 2, "both Executes");
    assert_eq!(talk.backlog(), 1, "the Sync");
    answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    assert_eq!(talk.backlog(), 0);
}

#[test]
fn answers_that_nobody_asked_for_are_a_desync() {
    for tag in [
        tag::DATA_ROW,
        tag::COMMAND_COMPLETE,
        tag::PARSE_COMPLETE,
        tag::BIND_COMPLETE,
        tag::CLOSE_COMPLETE,
        tag::NO_DATA,
        tag::COPY_DATA,
        tag::COPY_DONE,
        tag::PORTAL_SUSPENDED,
        b'?',
    ] {
        let error = Talk::new().answer(tag, b"x\0").unwrap_err();
        assert!(matches!(error, Malformed::Tag { .. }), "{}", tag as char);
    }
    // Of a refused statement only the error may come.
    let mut talk = Talk::new();
    talk.query("drop", true, 4, 0);
    assert!(talk.answer(tag::COMMAND_COMPLETE, b"DROP TABLE\0").is_err());
}

#[test]
fn what_is_sent_between_an_error_and_the_sync_is_named_and_forgotten() {
    let mut talk = Talk::new();
    talk.parse(b"kept", "kept", 1, 0).unwrap();
    talk.sync(0);
    answer(&mut talk, tag::PARSE_COMPLETE, b"");
    answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    talk.parse(b"", "bad", 1, 0).unwrap();
    answer(&mut talk, tag::ERROR_RESPONSE, b"");
    // The error is read before any of this is sent.
    talk.parse(b"new", "ignored", 1, 0).unwrap();
    talk.describe(Target::Statement(b"kept"), 0);
    bind(&mut talk, "", "new", &[]);
    assert!(talk.take_skipped().is_none());
    assert_eq!(talk.execute(b"", false, None, Wanted::Types, 0), Announced::Nothing);
    assert_eq!(talk.take_skipped().unwrap().statement, Some("ignored"));
    talk.close(Target::Statement(b"kept"), 0);
    talk.execute(b"", false, Some("refused"), Wanted::Types, 0);
    assert!(talk.take_skipped().is_none(), "that was noted as refused");
    talk.query("ignored too", false, 1, 0);
    assert_eq!(talk.take_skipped().unwrap().statement, Some("ignored too"));
    talk.sync(0);
    assert!(talk.take_skipped().is_none());
    assert_eq!(talk.backlog(), 1, "the Sync");
    answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    // None of it happened: the new one does not exist, the old one does and was never described.
    assert_eq!((talk.statement(b"new"), talk.statement(b"kept")), (None, Some(&"kept")));
    bind(&mut talk, "", "kept", &[]);
    assert_eq!(
        talk.execute(b"", false, None, Wanted::Origins, 0),
        Announced::DescribePortal
    );
}

#[test]
fn what_the_server_ignores_takes_bounded_memory() {
    let mut talk = Talk::new();
    talk.parse(b"", "bad", 1, 0).unwrap();
    answer(&mut talk, tag::ERROR_RESPONSE, b"");
    talk.parse(b"first", "first", 1, 0).unwrap();
    talk.parse(b"", "large", crate::postgres::limits::BACKLOG_BYTES_MAX, 0)
        .unwrap();
    assert_eq!((talk.statement(b"first"), talk.statement(b"")), (Some(&"first"), None));
    talk.sync(0);
    answer(&mut talk, tag::READY_FOR_QUERY, b"I");
    talk.parse(b"", "next", 1, 0).unwrap();
    assert_eq!((talk.statement(b"first"), talk.statement(b"")), (None, Some(&"next")));
}
