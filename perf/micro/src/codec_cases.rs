//! Framer and inspector of the PostgreSQL codec, alone.

use std::hint::black_box;

use codecs::postgres::framer::{Framed, Framer, HEADER_BYTES, Speaker};
use codecs::postgres::inspector::{Inspector, Wanted};
use codecs::postgres::message::Frontend;

use crate::{Case, Make, case, rows};

pub const CASES: &[(&str, Make)] = &[
    ("codecs/framer rows", framer_rows),
    ("codecs/framer queries", framer_queries),
    ("codecs/inspector prepared query", inspector),
];

const BYTES: usize = 64 * 1024;

fn framer_rows() -> Case {
    let bytes = rows::stream(BYTES, 0);
    case("codecs/framer rows", bytes.len(), move || {
        black_box(count(Speaker::Backend, &bytes));
    })
}

fn framer_queries() -> Case {
    let bytes = rows::prepared_query().repeat(64);
    case("codecs/framer queries", bytes.len(), move || {
        assert_eq!(count(Speaker::Frontend, &bytes), 4 * 64);
    })
}

fn count(speaker: Speaker, bytes: &[u8]) -> usize {
    let mut framer = Framer::new(speaker);
    let (mut at, mut frames) = (0, 0);
    while at < bytes.len() {
        match framer.next(&bytes[at..]) {
            Ok(Framed::Frame { len, .. }) => at += len,
            other => panic!("whole frames: {other:?}"),
        }
        frames += 1;
    }
    frames
}

/// The requests and answers of one prepared query, matched with each other.
fn inspector() -> Case {
    let mut inspector: Inspector<u32> = Inspector::new();
    inspector.parse(b"s", 7, 64, 0).expect("a first statement");
    inspector.sync(0);
    for frame in [rows::message(b'1', b""), rows::message(b'Z', b"I")] {
        inspector
            .answer(frame[0], &frame[HEADER_BYTES..])
            .expect("the answers to Parse and Sync");
    }
    let (request, answer) = (rows::prepared_query(), rows::prepared_answer());
    case("codecs/inspector prepared query", 0, move || {
        for (tag, body) in frames(&request) {
            match Frontend::parse(tag, body).expect("a message of ours") {
                Frontend::Bind(bind) => inspector.bind(&bind, 0, |_| {}).expect("a known statement"),
                Frontend::Describe(target) => inspector.describe(target, 0),
                Frontend::Execute(execute) => {
                    black_box(inspector.execute(execute.portal, false, None, Wanted::Types, 0));
                }
                Frontend::Sync => {
                    inspector.sync(0);
                }
                _ => unreachable!("the query above"),
            }
        }
        for (tag, body) in frames(&answer) {
            black_box(inspector.answer(tag, body).expect("the answer to the query"));
        }
    })
}

fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let length = bytes.get(1..HEADER_BYTES)?.try_into().map(i32::from_be_bytes).ok()? as usize + 1;
        let (frame, rest) = bytes.split_at(length);
        bytes = rest;
        Some((frame[0], &frame[HEADER_BYTES..]))
    })
}
