//! One session: what it remembers between two pieces of bytes, and what its owner may ask of it.

use std::sync::Arc;
use std::time::Duration;

use crate::outgoing::Outgoing;
use crate::policy::{ConnectionPolicy, Policy};
use crate::tap::Tap;
use codecs::codec::Direction;

/// The time, passed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since the Unix epoch.
    pub wall_micros: u64,
    /// Since any fixed moment of the process; never goes back.
    pub mono: Duration,
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
    tap: Tap,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { tap: Tap::new() }
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

/// A client's use of a connection, from login to close.
pub struct Session {
    id: [u8; 16],
}

impl Session {
    /// Opens a session that was admitted, and notes it.
    pub fn open(policy: Arc<Policy>, opening: Opening, scratch: &mut Scratch, now: Now) -> Session {
        let _ = (policy, scratch, now);
        Session { id: opening.session_id }
    }

    /// Judges, notes and rewrites what travels in `direction`. `input` starts where the last call of that direction
    /// left off; masks of the same length are written into it.
    pub fn feed(&mut self, direction: Direction, input: &mut [u8], scratch: &mut Scratch, now: Now) -> Fed {
        let _ = (direction, input, scratch, now);
        Fed { consumed: 0, need: 0, out: Outgoing::nothing(), stalled: false, close: None }
    }

    /// Takes a newer policy. Access is checked again at once; rules apply from the next statement on.
    pub fn policy_changed(&mut self, policy: Arc<Policy>, scratch: &mut Scratch, now: Now) -> Option<Close> {
        let _ = (policy, scratch, now);
        None
    }

    /// Notes that the session is over, statements without an answer included. Exactly once, last.
    pub fn end(&mut self, cause: EndCause, scratch: &mut Scratch, now: Now) {
        let _ = (cause, scratch, now);
    }

    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }
}
