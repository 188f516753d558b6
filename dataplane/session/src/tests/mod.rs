//! Conversations with a session: what the client sends, what the target answers, what each of them sees, what is noted.

mod cuts;
mod fuzz;
mod holds;
mod leaks;
mod playbooks;
mod record;
mod refresh;
mod replication;
mod speed;

use std::sync::Arc;
use std::time::Duration;

use codecs::postgres::message::tag::{backend, frontend};
use codecs::postgres::message::{Format, TransactionStatus, encode};
use proto::Message;
use proto::audit::{self, event::Kind};
use proto::policy as wire;

use crate::{Close, Direction, EndCause, Now, Opening, Policy, ResolvedColumn, Scratch, Session, policy};

/// A snapshot with one user (`alice`, group `eng`), one connection (`orders`), and one rule and guardrail to change.
pub(crate) fn snapshot() -> wire::Snapshot {
    wire::Snapshot {
        generation: 1,
        installation_key: vec![7; 32],
        users: vec![wire::User {
            id: "u1".into(),
            name: "alice".into(),
            groups: vec!["eng".into()],
            salt: vec![1; 16],
            iterations: 4096,
            tokens: vec![wire::Token {
                id: "t1".into(),
                stored_key: vec![2; 32],
                server_key: vec![3; 32],
                sha256: vec![4; 32],
                ..Default::default()
            }],
        }],
        connections: vec![wire::Connection {
            id: "c1".into(),
            name: "orders".into(),
            protocol: "postgres".into(),
            groups: vec!["eng".into()],
            redact: vec!["pii".into()],
            guardrails: vec!["safe".into()],
            ..Default::default()
        }],
        redactions: vec![wire::Redaction {
            name: "pii".into(),
            detect: vec!["EMAIL_ADDRESS".into(), "CREDIT_CARD_NUMBER".into()],
            columns: vec!["public.customers.name".into()],
            ..Default::default()
        }],
        guardrails: vec![wire::Guardrail {
            name: "safe".into(),
            unparsed_allowed: false,
            rules: vec![
                wire::GuardrailRule {
                    deny: vec!["delete-without-where".into()],
                    ..Default::default()
                },
                wire::GuardrailRule {
                    deny: vec!["drop".into()],
                    message: "ask #dba".into(),
                    ..Default::default()
                },
                wire::GuardrailRule {
                    deny_pattern: "(?i)pg_read_file".into(),
                    ..Default::default()
                },
                wire::GuardrailRule {
                    review: vec!["alter".into()],
                    ..Default::default()
                },
            ],
        }],
        ..Default::default()
    }
}

pub(crate) fn compiled(snapshot: &wire::Snapshot) -> Arc<Policy> {
    Arc::new(policy::compile(snapshot).expect("the snapshot is right"))
}

pub(crate) const NOW: Now = Now {
    wall_micros: 1_000_000,
    mono: Duration::from_micros(500),
};
pub(crate) const TABLE: u32 = 16_400;

/// A session and what both peers and the tap got of it.
pub(crate) struct Talk {
    pub session: Session,
    pub scratch: Scratch,
    up: Vec<u8>,
    down: Vec<u8>,
    pub to_target: Vec<u8>,
    pub to_client: Vec<u8>,
    pub close: Option<Close>,
    pub stalled: bool,
}

impl Talk {
    pub fn new() -> Talk {
        Talk::with(&snapshot())
    }

    pub fn with(snapshot: &wire::Snapshot) -> Talk {
        Talk::on(&compiled(snapshot), Scratch::new())
    }

    /// A session on a core that has had others.
    pub fn on(policy: &Arc<Policy>, mut scratch: Scratch) -> Talk {
        let policy = Arc::clone(policy);
        let connection = Arc::clone(policy.connection("orders").unwrap());
        let opening = Opening {
            session_id: [9; 16],
            user: "alice".into(),
            token_id: "t1".into(),
            connection,
            database: "orders".into(),
            client_addr: "127.0.0.1:1".into(),
            application_name: "test".into(),
            server_params: vec![("standard_conforming_strings".into(), "on".into())],
            columns: vec![ResolvedColumn {
                index: 0,
                table_oid: TABLE,
                attribute: 2,
            }],
            relation_oid_max: 20_000,
            replication: None,
        };
        let session = Session::open(policy, opening, &mut scratch, NOW);
        Talk {
            session,
            scratch,
            up: Vec::new(),
            down: Vec::new(),
            to_target: Vec::new(),
            to_client: Vec::new(),
            close: None,
            stalled: false,
        }
    }

    fn feed(&mut self, direction: Direction, bytes: &[u8]) {
        let (pending, out) = match direction {
            Direction::ToUpstream => (&mut self.up, &mut self.to_target),
            Direction::ToDownstream => (&mut self.down, &mut self.to_client),
        };
        pending.extend_from_slice(bytes);
        if self.close.is_some() {
            return;
        }
        let fed = self.session.feed(direction, pending, &mut self.scratch, NOW);
        fed.out.copy_to(pending, out);
        assert!(fed.consumed <= pending.len());
        if fed.close.is_none() && !fed.stalled && fed.consumed < pending.len() {
            assert!(
                fed.need == 0 || fed.need > pending.len() - fed.consumed,
                "asks for what is there"
            );
        }
        pending.drain(..fed.consumed);
        if direction == Direction::ToUpstream {
            self.stalled = fed.stalled;
        }
        if let Some(close) = fed.close {
            if direction == Direction::ToDownstream {
                self.to_client.extend_from_slice(&close.to_downstream);
            }
            self.close = Some(close);
        }
    }

    /// The client sends.
    pub fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.feed(Direction::ToUpstream, bytes);
        self
    }

    /// The target answers; a client that was made to wait is heard again.
    pub fn target(&mut self, bytes: &[u8]) -> &mut Self {
        self.feed(Direction::ToDownstream, bytes);
        if self.stalled {
            self.feed(Direction::ToUpstream, b"");
        }
        self
    }

    pub fn end(&mut self) -> &mut Self {
        self.session.end(EndCause::Client, &mut self.scratch, NOW);
        self
    }

    /// All events so far.
    pub fn events(&mut self) -> Vec<audit::Event> {
        events(&self.scratch.tap().take())
    }

    /// Statements of the events so far.
    pub fn statements(&mut self) -> Vec<audit::Statement> {
        let kinds = self.events().into_iter().filter_map(|event| event.kind);
        kinds
            .filter_map(|kind| match kind {
                Kind::Statement(statement) => Some(statement),
                _ => None,
            })
            .collect()
    }

    pub fn seen_by_client(&self) -> String {
        String::from_utf8_lossy(&self.to_client).into_owned()
    }

    pub fn seen_by_target(&self) -> String {
        String::from_utf8_lossy(&self.to_target).into_owned()
    }
}

pub(crate) fn events(mut bytes: &[u8]) -> Vec<audit::Event> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        events.push(audit::Event::decode_length_delimited(&mut bytes).expect("events are well-formed"));
    }
    events
}

/// Bytes of several messages.
pub(crate) fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

pub(crate) fn query(text: &str) -> Vec<u8> {
    bytes(|out| encode::query(out, text.as_bytes()).unwrap())
}

pub(crate) fn complete(tag: &str) -> Vec<u8> {
    bytes(|out| encode::command_complete(out, tag.as_bytes()).unwrap())
}

pub(crate) fn ready() -> Vec<u8> {
    bytes(|out| encode::ready_for_query(out, TransactionStatus::Idle))
}

pub(crate) fn error(sqlstate: &str, message: &str) -> Vec<u8> {
    let fields: &[(u8, &[u8])] = &[
        (b'S', b"ERROR"),
        (b'V', b"ERROR"),
        (b'C', sqlstate.as_bytes()),
        (b'M', message.as_bytes()),
    ];
    bytes(|out| encode::error_response(out, fields).unwrap())
}

pub(crate) fn notice(text: &str) -> Vec<u8> {
    frame(
        backend::NOTICE_RESPONSE,
        &[b"SNOTICE\0VNOTICE\0C00000\0M", text.as_bytes(), b"\0\0"].concat(),
    )
}

pub(crate) fn notification(channel: &str, payload: &str) -> Vec<u8> {
    let body = [&[0, 0, 0, 7], channel.as_bytes(), b"\0", payload.as_bytes(), b"\0"].concat();
    frame(backend::NOTIFICATION_RESPONSE, &body)
}

/// A described column: name, table, attribute, type, format.
pub(crate) type Described<'a> = (&'a str, u32, i16, u32, Format);

pub(crate) fn columns(columns: &[Described<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(columns.len() as i16).to_be_bytes());
    for (name, table, attribute, type_oid, format) in columns {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(&table.to_be_bytes());
        body.extend_from_slice(&attribute.to_be_bytes());
        body.extend_from_slice(&type_oid.to_be_bytes());
        body.extend_from_slice(&(-1i16).to_be_bytes());
        body.extend_from_slice(&(-1i32).to_be_bytes());
        body.extend_from_slice(&format.code().to_be_bytes());
    }
    frame(backend::ROW_DESCRIPTION, &body)
}

pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub(crate) fn text_column(name: &str) -> Vec<u8> {
    columns(&[(name, 0, 0, 25, Format::Text)])
}

pub(crate) fn row(cells: &[Option<&[u8]>]) -> Vec<u8> {
    bytes(|out| encode::data_row(out, cells).unwrap())
}

pub(crate) fn parse(name: &str, text: &str) -> Vec<u8> {
    bytes(|out| encode::parse(out, name.as_bytes(), text.as_bytes(), &[]).unwrap())
}

/// A Bind with text parameters and these result formats.
pub(crate) fn bind(portal: &str, statement: &str, parameters: &[&str], formats: &[i16]) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend_from_slice(&(parameters.len() as i16).to_be_bytes());
    for parameter in parameters {
        body.extend_from_slice(&(parameter.len() as i32).to_be_bytes());
        body.extend_from_slice(parameter.as_bytes());
    }
    body.extend_from_slice(&(formats.len() as i16).to_be_bytes());
    for format in formats {
        body.extend_from_slice(&format.to_be_bytes());
    }
    frame(frontend::BIND, &body)
}

pub(crate) fn describe(kind: u8, name: &str) -> Vec<u8> {
    frame(frontend::DESCRIBE, &[&[kind], name.as_bytes(), b"\0"].concat())
}

pub(crate) fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    bytes(|out| encode::execute(out, portal.as_bytes(), rows_max).unwrap())
}

pub(crate) fn sync() -> Vec<u8> {
    frame(frontend::SYNC, b"")
}

pub(crate) fn bare(tag: u8) -> Vec<u8> {
    frame(tag, b"")
}
