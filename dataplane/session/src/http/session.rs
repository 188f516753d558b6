//! A client's use of a connection of type `http`, as the record has it: one session per socket and key, one statement per request.

use std::sync::Arc;

use proto::audit::{Outcome, SessionEnd, SessionStart};
use proto::policy::Record;

use super::body::BodyFilter;
use super::headers::FieldTally;
use super::limits::EVENT_PATH_BYTES_MAX;
use crate::judge::access::{self, Admission, Denied};
use crate::judge::tally::{Place, Tally};
use crate::policy::{ConnectionPolicy, Policy, RuleSet};
use crate::record::{self, Request};
use crate::session::{EndCause, Now, Scratch};
use crate::tap::Head;
use crate::text::cut;

/// A session.
pub struct HttpSession {
    pub id: [u8; 16],
    pub user: String,
    pub token_id: String,
    pub connection: Arc<ConnectionPolicy>,
    groups: Vec<String>,
    sequence: u64,
    number: u64,
    bytes_up: u64,
    bytes_down: u64,
}

/// One request and its answer, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// `METHOD /path?names`, with values of the query left out.
    pub text: String,
    /// The route's template; empty: none.
    pub template: String,
    pub started_at_micros: u64,
    pub started_mono_micros: u64,
    pub status: u16,
    /// Bytes of both bodies.
    pub bytes_up: u64,
    pub bytes_down: u64,
    /// Name of the rule that refused it.
    pub denied: Option<&'static str>,
    /// The answer was cut off.
    pub broken: bool,
    /// Counts in header and body of the answer.
    pub fields: FieldTally,
    number: Option<u64>,
}

impl Exchange {
    /// Begins an exchange.
    pub fn begin(text: String, now: Now) -> Exchange {
        Exchange {
            text,
            started_at_micros: now.wall_micros,
            started_mono_micros: now.mono_micros(),
            ..Exchange::default()
        }
    }

    pub fn duration_micros(&self, now: Now) -> u64 {
        now.mono_micros().saturating_sub(self.started_mono_micros)
    }
}

impl HttpSession {
    /// Opens a session that was admitted, and notes it.
    pub fn open(
        id: [u8; 16],
        policy: &Policy,
        admission: &Admission,
        client_addr: String,
        application: String,
        scratch: &mut Scratch,
        now: Now,
    ) -> HttpSession {
        let mut session = HttpSession {
            id,
            user: admission.user.name.clone(),
            token_id: admission.token_id.clone(),
            connection: Arc::clone(&admission.connection),
            groups: admission.user.groups.clone(),
            sequence: 0,
            number: 0,
            bytes_up: 0,
            bytes_down: 0,
        };
        let start = SessionStart {
            user: session.user.clone(),
            user_id: admission.user.id.clone(),
            token_id: session.token_id.clone(),
            connection: session.connection.name.clone(),
            connection_id: session.connection.id.clone(),
            protocol: session.connection.protocol.clone(),
            database: String::new(),
            client_address: client_addr,
            application,
            generation: policy.generation(),
        };
        let head = session.head(now, true);
        drop(scratch.tap.start(head, start));
        session
    }

    /// What is masked for its user, by the policy under which a request came.
    pub fn rules(&self) -> Option<Arc<RuleSet>> {
        self.connection
            .rule_set(&self.groups)
            .filter(|rules| !rules.is_empty())
            .cloned()
    }

    /// Takes over a newer policy for the requests to come.
    ///
    /// # Errors
    /// The session may not go on.
    pub fn policy_changed(&mut self, policy: &Policy, now: Now) -> Result<(), Denied> {
        let user = policy.user(&self.user).ok_or(Denied::UnknownUser)?;
        let connection = policy
            .connection(&self.connection.name)
            .ok_or(Denied::UnknownConnection)?;
        access::recheck(policy, user, connection, &self.token_id, now.wall_micros)?;
        self.connection = Arc::clone(connection);
        self.groups.clone_from(&user.groups);
        Ok(())
    }

    /// Notes an exchange. `complete`: it is over; else this is the promise that its event follows.
    pub fn note(
        &mut self,
        exchange: &mut Exchange,
        body: Option<&BodyFilter>,
        complete: bool,
        scratch: &mut Scratch,
        now: Now,
    ) {
        let number = *exchange.number.get_or_insert_with(|| {
            self.number += 1;
            self.number - 1
        });
        if self.connection.record == Record::Meta {
            if complete {
                self.bytes_up += exchange.bytes_up;
                self.bytes_down += exchange.bytes_down;
            }
            return;
        }
        let rules = body.map(|body| Arc::clone(&body.rules)).or_else(|| self.rules());
        let mut text = exchange.text.clone().into_bytes();
        let mut tally = Tally::default();
        record::mask(
            rules.as_deref(),
            Place::Statement,
            &mut text,
            &mut scratch.redactor,
            &mut tally,
        );
        let shown = cut(&text, EVENT_PATH_BYTES_MAX);
        let outcome = match exchange {
            _ if !complete => Outcome::Unfinished,
            Exchange { denied: Some(_), .. } => Outcome::Denied,
            Exchange { broken: true, .. } => Outcome::Unfinished,
            Exchange { status: 400.., .. } => Outcome::Error,
            _ => Outcome::Ok,
        };
        let detail = match exchange.denied {
            _ if !complete => String::new(),
            Some(rule) => format!("{} {rule}", exchange.status),
            None => exchange.status.to_string(),
        };
        let request = Request {
            text: shown,
            text_cut: shown.len() < text.len(),
            template: &exchange.template,
            started_at_micros: exchange.started_at_micros,
            duration_micros: if complete { exchange.duration_micros(now) } else { 0 },
            bytes: if complete { exchange.bytes_down } else { 0 },
            outcome,
            detail: &detail,
            rules: rules.as_deref(),
            tallies: if complete {
                [Some(&tally), Some(&exchange.fields.0), body.map(|body| &body.tally)]
            } else {
                [Some(&tally), None, None]
            },
            number,
            promise: !complete,
        };
        let head = self.head(now, complete);
        drop(request.note(&mut scratch.tap, &head));
        if complete {
            self.bytes_up += exchange.bytes_up;
            self.bytes_down += exchange.bytes_down;
        }
    }

    /// Notes the end.
    pub fn end(mut self, cause: &EndCause, scratch: &mut Scratch, now: Now) {
        let (cause, message) = cause.words();
        let end = SessionEnd {
            cause: cause.to_owned(),
            message: message.to_owned(),
            bytes_to_upstream: self.bytes_up,
            bytes_to_downstream: self.bytes_down,
            statements: self.number,
        };
        let head = self.head(now, true);
        drop(scratch.tap.end(head, end));
    }

    /// Head of the next event; a promise takes no number of its own.
    fn head(&mut self, now: Now, is_event: bool) -> Head {
        let head = Head {
            session_id: self.id,
            sequence: self.sequence,
            at_micros: now.wall_micros,
        };
        self.sequence += u64::from(is_event);
        head
    }
}
