//! A whole session of the inspection core: frame, inspect, judge, note, rewrite.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use proto::policy as wire;
use session::{Direction, Now, Opening, Scratch, Session, policy};

use crate::{Case, Make, case, rows};

pub const CASES: &[(&str, Make)] = &[
    ("session/prepared query", prepared),
    ("session/typed rows", || large("session/typed rows", &TYPED, 200)),
    ("session/text rows", || large("session/text rows", &ALL_TEXT, 200)),
    ("session/rewritten rows", || large("session/rewritten rows", &TYPED, 1)),
];

const NOW: Now = Now {
    wall_micros: 1_000_000,
    mono: Duration::from_micros(500),
};
const TYPED: [(&str, u32); 5] = [
    ("id", rows::INT8),
    ("created", rows::TIMESTAMPTZ),
    ("amount", rows::NUMERIC),
    ("note", rows::TEXT),
    ("contact", rows::TEXT),
];
const ALL_TEXT: [(&str, u32); 5] = [
    ("id", rows::TEXT),
    ("created", rows::TEXT),
    ("amount", rows::TEXT),
    ("note", rows::TEXT),
    ("contact", rows::TEXT),
];
const BYTES: usize = 64 * 1024;

/// A session under the demo's redaction rule and guardrail.
struct Talk {
    session: Session,
    scratch: Scratch,
}

impl Talk {
    fn open() -> Self {
        let names = [
            "EMAIL_ADDRESS",
            "CREDIT_CARD_NUMBER",
            "US_SOCIAL_SECURITY_NUMBER",
            "IBAN_CODE",
            "PHONE_NUMBER",
        ];
        let groups = vec!["eng".to_owned()];
        let snapshot = wire::Snapshot {
            generation: 1,
            installation_key: vec![7; 32],
            users: vec![wire::User {
                name: "alice".into(),
                groups: groups.clone(),
                ..Default::default()
            }],
            connections: vec![wire::Connection {
                name: "orders".into(),
                protocol: "postgres".into(),
                groups,
                redact: vec!["pii".into()],
                guardrails: vec!["safe".into()],
                ..Default::default()
            }],
            redactions: vec![wire::Redaction {
                name: "pii".into(),
                detect: names.iter().map(|name| (*name).to_owned()).collect(),
                ..Default::default()
            }],
            guardrails: vec![wire::Guardrail {
                name: "safe".into(),
                rules: vec![wire::GuardrailRule {
                    deny: vec!["delete-without-where".into()],
                    ..Default::default()
                }],
            }],
            ..Default::default()
        };
        let policy = Arc::new(policy::compile(&snapshot).expect("the snapshot above is right"));
        let connection = Arc::clone(policy.connection("orders").expect("it is in the snapshot"));
        let opening = Opening {
            session_id: [9; 16],
            user: "alice".into(),
            token_id: String::new(),
            connection,
            database: "orders".into(),
            client_addr: "127.0.0.1:1".into(),
            application_name: "micro".into(),
            server_params: vec![("standard_conforming_strings".into(), "on".into())],
            columns: Vec::new(),
            relation_oid_max: 0,
            replication: None,
        };
        let mut scratch = Scratch::new();
        let session = Session::open(policy, opening, &mut scratch, NOW);
        Self { session, scratch }
    }

    fn feed(&mut self, direction: Direction, bytes: &mut [u8]) {
        let fed = self.session.feed(direction, bytes, &mut self.scratch, NOW);
        assert_eq!(fed.consumed, bytes.len());
        assert!(fed.close.is_none());
        black_box(fed.out.len());
    }
}

fn prepared() -> Case {
    let mut talk = Talk::open();
    let text = b"s\0SELECT abalance FROM pgbench_accounts WHERE aid = $1\0\0\0";
    talk.feed(
        Direction::ToUpstream,
        &mut [rows::message(b'P', text), rows::message(b'S', b"")].concat(),
    );
    talk.feed(
        Direction::ToDownstream,
        &mut [rows::message(b'1', b""), rows::message(b'Z', b"I")].concat(),
    );
    let (mut up, mut down) = (rows::prepared_query(), rows::prepared_answer());
    case("session/prepared query", 0, move || {
        talk.feed(Direction::ToUpstream, &mut up);
        talk.feed(Direction::ToDownstream, &mut down);
        talk.scratch.tap().clear();
    })
}

/// Rows of a result that does not end.
fn large(name: &'static str, columns: &[(&str, u32)], every: u64) -> Case {
    let mut talk = Talk::open();
    talk.feed(
        Direction::ToUpstream,
        &mut rows::message(b'Q', b"SELECT * FROM orders\0"),
    );
    talk.feed(Direction::ToDownstream, &mut rows::description(columns));
    let fresh = rows::stream(BYTES, every);
    let mut bytes = fresh.clone();
    case(name, fresh.len(), move || {
        // Masks are written in place, so every run needs the rows as they came.
        bytes.copy_from_slice(&fresh);
        talk.feed(Direction::ToDownstream, &mut bytes);
    })
}
