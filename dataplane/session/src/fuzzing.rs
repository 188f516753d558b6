//! Entry points for fuzzers: arbitrary bytes in, no panic and bounded memory out.

use std::sync::Arc;

use codecs::codec::Direction;
use proto::policy as wire;

use crate::{EndCause, Now, Opening, ResolvedColumn, Scratch, Session, policy};

/// Plays a conversation: each piece has one byte with its direction (lowest bit) and its length (the rest, in steps of
/// four, 255 meaning all that is left), then its bytes. Keeps what was not consumed, as a relay does.
///
/// # Panics
/// When the session breaks its promises: that is what a fuzzer looks for.
pub fn pg_session(data: &[u8]) {
    let (mut session, mut scratch) = open();
    let mut held = [Vec::new(), Vec::new()];
    let mut rest = data;
    while let Some((&head, tail)) = rest.split_first() {
        let wanted = if head >= 254 {
            tail.len()
        } else {
            usize::from(head >> 1) * 4
        };
        let (piece, after) = tail.split_at(wanted.min(tail.len()));
        rest = after;
        let (direction, buffer) = match (head & 1, &mut held) {
            (0, [up, _]) => (Direction::ToUpstream, up),
            (_, [_, down]) => (Direction::ToDownstream, down),
        };
        buffer.extend_from_slice(piece);
        let fed = session.feed(direction, buffer, &mut scratch, Now::default());
        assert!(fed.consumed <= buffer.len());
        let mut out = Vec::new();
        fed.out.copy_to(buffer, &mut out);
        assert_eq!(out.len(), fed.out.len());
        if fed.close.is_some() {
            break;
        }
        buffer.drain(..fed.consumed);
    }
    session.end(EndCause::Client, &mut scratch, Now::default());
    scratch.tap().clear();
}

fn open() -> (Session, Scratch) {
    let snapshot = wire::Snapshot {
        generation: 1,
        installation_key: vec![1; 32],
        users: vec![wire::User {
            name: "u".into(),
            groups: vec!["g".into()],
            ..Default::default()
        }],
        connections: vec![wire::Connection {
            name: "c".into(),
            groups: vec!["g".into()],
            redact: vec!["r".into()],
            guardrails: vec!["d".into()],
            record: wire::Record::Full as i32,
            ..Default::default()
        }],
        redactions: vec![wire::Redaction {
            name: "r".into(),
            detect: vec!["EMAIL_ADDRESS".into(), "CREDIT_CARD_NUMBER".into()],
            columns: vec!["s.t.c".into()],
            on_error: wire::OnError::BlankField as i32,
            ..Default::default()
        }],
        guardrails: vec![wire::Guardrail {
            name: "d".into(),
            unparsed_allowed: false,
            rules: vec![wire::GuardrailRule {
                deny: vec!["drop".into()],
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    #[allow(clippy::expect_used)]
    let policy = Arc::new(policy::compile(&snapshot).expect("the snapshot above is right"));
    #[allow(clippy::expect_used)]
    let connection = Arc::clone(policy.connection("c").expect("it is in the snapshot above"));
    let opening = Opening {
        session_id: [0; 16],
        user: "u".into(),
        token_id: String::new(),
        connection,
        database: String::new(),
        client_addr: String::new(),
        application_name: String::new(),
        server_params: Vec::new(),
        columns: vec![ResolvedColumn {
            index: 0,
            table_oid: 7,
            attribute: 1,
        }],
        relation_oid_max: 100,
        replication: None,
    };
    let mut scratch = Scratch::new();
    let session = Session::open(policy, opening, &mut scratch, Now::default());
    (session, scratch)
}
