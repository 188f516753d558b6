//! One session: what it remembers between two pieces of bytes, and what its owner may ask of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codecs::codec::Direction;
use codecs::fact::Form;
use codecs::malformed::Malformed;
use codecs::postgres::inspector::Inspector;
use codecs::postgres::refusal::Refusal as PostgresRefusal;
use codecs::postgres::refusal::sqlstate;
use codecs::postgres::replication::Replication;
use codecs::splice::Splice;
use codecs::wire::sql::Analyzer;
use proto::audit::{Outcome, SessionEnd, SessionStart};
use proto::policy::Record;

use crate::hold::Holds;
use crate::judge::access;
use crate::judge::redact::{Redactor, Trouble};
use crate::judge::tally::Tally;
use crate::limits::ANALYSIS_CACHE_ENTRIES_MAX;
use crate::outgoing::Outgoing;
use crate::pipeline;
use crate::pipeline::refresh::Refresh;
use crate::plan::{Origins, Plan};
use crate::policy::{ConnectionPolicy, Policy, RuleSet};
use crate::tap::{Head, Tap};
use crate::text::Text;
use crate::verdict::Refusal;

/// The time, passed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since the Unix epoch.
    pub wall_micros: u64,
    /// Since any fixed moment of the process; never goes back.
    pub mono: Duration,
}

impl Now {
    pub(crate) fn mono_micros(&self) -> u64 {
        self.mono.as_micros() as u64
    }
}

/// Where a column of [`ConnectionPolicy::columns`] is on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResolvedColumn {
    /// Index into [`ConnectionPolicy::columns`].
    pub index: usize,
    pub table_oid: u32,
    /// Attribute number (`pg_attribute.attnum`).
    pub attribute: i16,
}

/// What is known when a session opens.
#[derive(Debug, Clone)]
pub struct Opening {
    pub session_id: [u8; 16],
    /// Name of the user; must be in the policy.
    pub user: String,
    pub token_id: String,
    pub connection: Arc<ConnectionPolicy>,
    /// Database on the target.
    pub database: String,
    /// For the record: address and port of the client.
    pub client_addr: String,
    /// For the record: what the client calls itself.
    pub application_name: String,
    /// ParameterStatus of the target at login.
    pub server_params: Vec<(String, String)>,
    pub columns: Vec<ResolvedColumn>,
    /// Highest relation OID when `columns` were looked up; 0: not known.
    pub relation_oid_max: u32,
    /// A replication connection, admitted by [`ConnectionPolicy::refuses_replication`].
    pub replication: Option<Replication>,
}

/// Why a session is closed by its own decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseCause {
    /// The client's bytes do not follow the protocol, or ask for what is not supported.
    Downstream(String),
    /// The target's bytes do not follow the protocol.
    Upstream(String),
    /// The policy says so: access revoked, value that could not be inspected.
    Policy(String),
}

/// The session is over; send `to_downstream`, then close both sides.
#[derive(Debug, Clone)]
pub struct Close {
    /// The protocol's own error, for the client; goes after everything in [`Fed::out`] when that was for the client.
    pub to_downstream: Vec<u8>,
    pub cause: CloseCause,
}

impl Close {
    pub(crate) fn fatal(code: &str, message: &str, cause: CloseCause) -> Close {
        Close {
            to_downstream: PostgresRefusal::fatal(code, message).to_error(),
            cause,
        }
    }

    pub(crate) fn downstream(error: Malformed) -> Close {
        let message = format!("Sluice does not understand what the client sent: {error}");
        Close::fatal(
            sqlstate::PROTOCOL_VIOLATION,
            &message,
            CloseCause::Downstream(error.to_string()),
        )
    }

    pub(crate) fn upstream(error: Malformed) -> Close {
        let message = format!("Sluice does not understand what the target sent: {error}");
        Close::fatal(
            sqlstate::PROTOCOL_VIOLATION,
            &message,
            CloseCause::Upstream(error.to_string()),
        )
    }

    pub(crate) fn trouble(trouble: Trouble) -> Close {
        match trouble {
            Trouble::Malformed(error) => Close::upstream(error),
            Trouble::Unreadable(why) => {
                let message = format!("the session was closed because a value could not be inspected: {why}");
                Close::fatal(
                    sqlstate::INSUFFICIENT_PRIVILEGE,
                    &message,
                    CloseCause::Policy(why.to_owned()),
                )
            }
        }
    }

    pub(crate) fn too_large(what: &str, bytes: usize, max: usize) -> Close {
        let message = format!("{what} of {bytes} bytes is larger than Sluice inspects ({max} bytes)");
        Close::fatal(
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            &message,
            CloseCause::Downstream(message.clone()),
        )
    }

    fn revoked(why: &str) -> Close {
        let message = "terminating connection due to administrator command: access was revoked";
        Close::fatal(sqlstate::ADMIN_SHUTDOWN, message, CloseCause::Policy(why.to_owned()))
    }
}

/// Why a session ends, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndCause {
    /// The client said goodbye or closed its socket.
    Client,
    /// The target closed its side, or was lost.
    Target(String),
    /// A [`Close`] was returned.
    Closed(CloseCause),
    /// The program is being stopped.
    Shutdown,
    /// An administrator ended the session.
    Killed(String),
    /// Anything that failed on our side.
    Error(String),
}

impl EndCause {
    /// Word and message of the audit event.
    pub(crate) fn words(&self) -> (&'static str, &str) {
        match self {
            EndCause::Client => ("client", ""),
            EndCause::Target(message) => ("target", message),
            EndCause::Closed(CloseCause::Downstream(message)) => ("client-protocol", message),
            EndCause::Closed(CloseCause::Upstream(message)) => ("target-protocol", message),
            EndCause::Closed(CloseCause::Policy(message)) => ("policy", message),
            EndCause::Shutdown => ("shutdown", ""),
            EndCause::Killed(message) => ("killed", message),
            EndCause::Error(message) => ("error", message),
        }
    }
}

/// What became of the bytes of one call.
#[derive(Debug)]
#[must_use]
pub struct Fed {
    /// So many leading bytes of the input are dealt with; the caller keeps the rest and shows it again, with what follows.
    pub consumed: usize,
    /// Total bytes, counted from `input[consumed..]`, that are required before a next step can be made; 0: not known,
    /// at least one more than there are now.
    pub need: usize,
    /// What leaves in the direction of the bytes. Ranges count from the start of the input.
    pub out: Outgoing,
    /// Only for [`Direction::ToUpstream`]: the rest has to wait for the other direction. Call again with the same
    /// bytes after the next feed [`Direction::ToDownstream`]; read nothing more from the client until then.
    pub stalled: bool,
    /// The session is over.
    pub close: Option<Close>,
}

/// What sessions of one core share: buffers that are empty between two calls, the statement analyser, the tap.
pub struct Scratch {
    pub(crate) tap: Tap,
    pub(crate) analyzer: Analyzer,
    pub(crate) redactor: Redactor,
    pub(crate) splice: Splice,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            tap: Tap::new(),
            analyzer: Analyzer::new(ANALYSIS_CACHE_ENTRIES_MAX),
            redactor: Redactor::default(),
            splice: Splice::new(),
        }
    }

    /// The events noted by all sessions of the core.
    pub fn tap(&mut self) -> &mut Tap {
        &mut self.tap
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

/// Counts of the statement that is being answered.
#[derive(Debug, Default)]
pub(crate) struct Running {
    pub rows: u64,
    pub bytes: u64,
    pub tally: Tally,
    /// The rules that it began under, if the policy changed since.
    pub rules: Option<Arc<RuleSet>>,
    /// Its place in the record, from the first message of its answer on.
    pub place: Option<Place>,
    /// The journal has it: a part of its answer may have left.
    pub promised: bool,
}

/// Where a statement stands in the record. Given by the order of messages alone, however their bytes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub number: u64,
    pub batch: u64,
}

/// What the session needs to know about the server's settings.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `standard_conforming_strings`.
    pub standard_strings: bool,
    /// Every byte below 128 of a text is that character: not so in some encodings of East Asia.
    pub encoding_is_ascii_safe: bool,
}

/// A client's use of a connection, from login to close.
pub struct Session {
    pub(crate) id: [u8; 16],
    pub(crate) user: String,
    pub(crate) token_id: String,
    pub(crate) policy: Arc<Policy>,
    pub(crate) connection: Arc<ConnectionPolicy>,
    pub(crate) rules: Option<Arc<RuleSet>>,
    pub(crate) origins: Origins,
    pub(crate) refresh: Refresh,
    pub(crate) inspector: Inspector<Rc<Text>>,
    pub(crate) settings: Settings,
    pub(crate) running: Running,
    pub(crate) plan: Option<Rc<Plan>>,
    pub(crate) plans: Vec<Rc<Plan>>,
    pub(crate) copy: Option<Box<pipeline::copy::CopyOut>>,
    /// What a replication connection takes beside SQL.
    pub(crate) replication: Option<Replication>,
    /// Changes that are being streamed, where rules look at them.
    pub(crate) stream: Option<Box<pipeline::stream::Stream>>,
    pub(crate) long_row: Option<Box<pipeline::long::LongRow>>,
    /// Bytes of the frame at hand that leave unseen, by direction.
    pub(crate) passing_up: usize,
    pub(crate) passing_down: usize,
    /// COPY data of the client since the last statement.
    pub(crate) copied_in: u64,
    /// A Flush was sent for the stall that lasts.
    pub(crate) flushed: bool,
    pub(crate) sql_prepared: Vec<Rc<Text>>,
    /// More statements were prepared by SQL than are kept.
    pub(crate) sql_prepared_more: bool,
    /// Reviews of statements.
    pub(crate) holds: Holds,
    /// What SQL prepared may not be run any more.
    pub(crate) execute_refusal: Option<Arc<Refusal>>,
    pub(crate) sequence: u64,
    pub(crate) number: u64,
    /// Messages with statements so far.
    pub(crate) batches: u64,
    /// The one whose answer is under way, or was the last.
    pub(crate) batch: u64,
    pub(crate) recorded: u64,
    /// The result at hand is kept back.
    pub(crate) withheld: Option<pipeline::withhold::Withheld>,
    /// Why the statement at hand is being cancelled: it ran for too long.
    pub(crate) overdue: Option<Arc<Refusal>>,
    /// The request to cancel that statement is under way.
    pub(crate) cancelling: bool,
    /// The owner shall cancel the statement at hand.
    pub(crate) cancel_wanted: bool,
    /// The client was told of an error that the target does not know of: what comes before a Sync goes nowhere.
    pub(crate) skipping_up: bool,
    /// When the last statement was over.
    pub(crate) progress_at: u64,
    bytes_up: u64,
    bytes_down: u64,
    broken: bool,
}

impl Session {
    /// Opens a session that was admitted, and notes it.
    pub fn open(policy: Arc<Policy>, opening: Opening, scratch: &mut Scratch, now: Now) -> Session {
        let mut session = Session {
            id: opening.session_id,
            user: opening.user,
            token_id: opening.token_id,
            connection: opening.connection,
            policy,
            rules: None,
            origins: Origins::of(&opening.columns, opening.relation_oid_max),
            refresh: Refresh::at(now),
            inspector: Inspector::new(),
            settings: Settings {
                standard_strings: true,
                encoding_is_ascii_safe: true,
            },
            running: Running::default(),
            plan: None,
            plans: Vec::new(),
            copy: None,
            replication: opening.replication,
            stream: None,
            long_row: None,
            passing_up: 0,
            passing_down: 0,
            copied_in: 0,
            flushed: false,
            sql_prepared: Vec::new(),
            sql_prepared_more: false,
            holds: Holds::default(),
            execute_refusal: None,
            sequence: 0,
            number: 0,
            batches: 0,
            batch: 0,
            recorded: 0,
            withheld: None,
            overdue: None,
            cancelling: false,
            cancel_wanted: false,
            skipping_up: false,
            progress_at: 0,
            bytes_up: 0,
            bytes_down: 0,
            broken: false,
        };
        for (name, value) in &opening.server_params {
            session.setting(name.as_bytes(), value.as_bytes());
        }
        session.broken = session.take_rules().is_err();
        let user_id = session
            .policy
            .user(&session.user)
            .map_or_else(String::new, |user| user.id.clone());
        let start = SessionStart {
            user: session.user.clone(),
            user_id,
            token_id: session.token_id.clone(),
            connection: session.connection.name.clone(),
            connection_id: session.connection.id.clone(),
            protocol: session.connection.protocol.clone(),
            database: opening.database,
            client_address: opening.client_addr,
            application: opening.application_name,
            generation: session.policy.generation(),
        };
        let head = session.head(now);
        drop(scratch.tap.start(head, start));
        session
    }

    /// Judges, notes and rewrites what travels in `direction`. `input` starts where the last call of that direction
    /// left off; masks of the same length are written into it.
    pub fn feed(&mut self, direction: Direction, input: &mut [u8], scratch: &mut Scratch, now: Now) -> Fed {
        if self.broken {
            return Fed {
                consumed: 0,
                need: 0,
                out: Outgoing::nothing(),
                stalled: false,
                close: Some(Close::revoked("no rule set for the user")),
            };
        }
        let fed = match direction {
            Direction::ToUpstream => pipeline::to_upstream(self, input, scratch, now),
            Direction::ToDownstream => pipeline::to_downstream(self, input, scratch, now),
        };
        match direction {
            Direction::ToUpstream => self.bytes_up += fed.out.len() as u64,
            Direction::ToDownstream => self.bytes_down += fed.out.len() as u64,
        }
        self.broken |= fed.close.is_some();
        fed
    }

    /// Takes a newer policy. Access is checked again at once; rules apply from the next statement on.
    /// A policy that is not newer than the one in force changes nothing.
    pub fn policy_changed(&mut self, policy: Arc<Policy>, scratch: &mut Scratch, now: Now) -> Option<Close> {
        if policy.generation() <= self.policy.generation() {
            return None;
        }
        self.policy = policy;
        let allowed = self.admitted(now);
        if let Err(denied) = allowed.and_then(|connection| {
            let before = std::mem::replace(&mut self.connection, connection);
            self.columns_changed(&before);
            // A stream has no next statement that could begin under the new rules.
            if !self.inspector.is_copy_both() {
                self.keep_rules_of_running();
            }
            self.take_rules()
        }) {
            self.broken = true;
            return Some(Close::revoked(&denied.to_string()));
        }
        if let Some(close) = self.recheck_replication() {
            self.broken = true;
            return Some(close);
        }
        self.judge_sql_prepared(scratch);
        None
    }

    /// When the session is over because its grant is, microseconds since the Unix epoch; `None`: it needs no grant. Call
    /// [`Session::recheck`] then.
    pub fn access_until(&self) -> Option<u64> {
        self.connection.access_review.as_ref()?;
        let user = self.policy.user(&self.user)?;
        Some(self.policy.access_until(user, &self.connection).unwrap_or(0))
    }

    /// Checks access again under the policy in force, because time has passed.
    pub fn recheck(&mut self, now: Now) -> Option<Close> {
        let denied = self.admitted(now).err()?;
        self.broken = true;
        Some(Close::revoked(&denied.to_string()))
    }

    fn admitted(&self, now: Now) -> Result<Arc<ConnectionPolicy>, access::Denied> {
        let user = self.policy.user(&self.user).ok_or(access::Denied::UnknownUser)?;
        let connection = self
            .policy
            .connection(&self.connection.name)
            .ok_or(access::Denied::UnknownConnection)?;
        if connection.id != self.connection.id {
            return Err(access::Denied::UnknownConnection);
        }
        access::recheck(&self.policy, user, connection, &self.token_id, now.wall_micros)?;
        Ok(Arc::clone(connection))
    }

    fn keep_rules_of_running(&mut self) {
        let answering = self.inspector.current().is_some();
        if answering && self.running.rules.is_none() {
            self.running.rules.clone_from(&self.rules);
        }
    }

    fn take_rules(&mut self) -> Result<(), access::Denied> {
        let user = self.policy.user(&self.user).ok_or(access::Denied::UnknownUser)?;
        let rules = self
            .connection
            .rule_set(&user.groups)
            .ok_or(access::Denied::NotAllowed)?;
        self.rules = (!rules.is_empty()).then(|| Arc::clone(rules));
        Ok(())
    }

    /// Notes that the session is over, statements without an answer included. Exactly once, last.
    pub fn end(&mut self, cause: EndCause, scratch: &mut Scratch, now: Now) {
        self.end_hold(scratch, now);
        for missed in self.inspector.drain_unfinished() {
            pipeline::note_missed(self, &missed, Outcome::Unfinished, b"", scratch, now);
        }
        let (cause, message) = cause.words();
        let end = SessionEnd {
            cause: cause.to_owned(),
            message: message.to_owned(),
            bytes_to_upstream: self.bytes_up,
            bytes_to_downstream: self.bytes_down,
            statements: self.number,
        };
        let head = self.head(now);
        drop(scratch.tap.end(head, end));
        self.broken = true;
    }

    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Name of the connection.
    pub fn connection(&self) -> &Arc<ConnectionPolicy> {
        &self.connection
    }

    /// Head of the session's next event.
    pub(crate) fn head(&mut self, now: Now) -> Head {
        let head = self.journal_head(now);
        self.sequence += 1;
        head
    }

    /// Head of what is no event of its own: it carries the sequence of the event that follows.
    pub(crate) fn journal_head(&self, now: Now) -> Head {
        Head {
            session_id: self.id,
            sequence: self.sequence,
            at_micros: now.wall_micros,
        }
    }

    /// The next place in the record, for a statement that is the `index`th of its message.
    pub(crate) fn next_place(&mut self, form: Form, index: usize) -> Place {
        if index == 0 || form != Form::Simple {
            self.batches += 1;
            self.batch = self.batches;
        }
        let number = self.number;
        self.number += 1;
        Place {
            number,
            batch: self.batch,
        }
    }

    /// Whether events of statements are kept.
    pub(crate) fn notes_statements(&self) -> bool {
        self.connection.record != Record::Meta
    }

    /// Remembers a setting that the server reports.
    pub(crate) fn setting(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => self.settings.standard_strings = value != b"off",
            b"client_encoding" => {
                // Encodings whose second bytes may be ASCII (PostgreSQL documentation, "Supported Character Sets").
                const UNSAFE: &[&[u8]] = &[
                    b"BIG5",
                    b"GB18030",
                    b"GBK",
                    b"JOHAB",
                    b"SJIS",
                    b"SHIFT_JIS_2004",
                    b"UHC",
                    b"SHIFTJIS",
                    b"MSKANJI",
                ];
                self.settings.encoding_is_ascii_safe = !UNSAFE.iter().any(|name| value.eq_ignore_ascii_case(name));
            }
            _ => {}
        }
    }
}
