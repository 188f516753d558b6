//! Audit events: what a session did, as facts for search. Values are masked before they come here.

use prost::{Enumeration, Message, Oneof};

/// One event of a session, or an entry of the spool's journal (`promise`, `recording`).
///
/// Start, statements and end are numbered by `sequence`, from 0 and without gaps. What depends on how bytes arrived takes no
/// number of its own: a promise and a piece of a recording carry the `sequence` of the event that follows them.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub session_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// Microseconds since the Unix epoch.
    #[prost(uint64, tag = "3")]
    pub at_micros: u64,
    #[prost(oneof = "event::Kind", tags = "4, 5, 6, 7, 8")]
    pub kind: Option<event::Kind>,
}

pub mod event {
    //! The kinds of an audit event.
    use super::{Recording, SessionEnd, SessionStart, Statement};

    #[derive(Clone, PartialEq, super::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "4")]
        Start(SessionStart),
        #[prost(message, tag = "5")]
        Statement(Statement),
        #[prost(message, tag = "6")]
        Recording(Recording),
        #[prost(message, tag = "7")]
        End(SessionEnd),
        /// Not an event but a journal entry: "this statement is being answered". It is written before the first bytes of
        /// an answer that leaves in parts, says what was asked and nothing of the answer, and is superseded by the
        /// statement event of the same number. Where none comes, the process was killed: the statement is unfinished.
        #[prost(message, tag = "8")]
        Promise(Statement),
    }
}

/// A session was opened.
#[derive(Clone, PartialEq, Message)]
pub struct SessionStart {
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(string, tag = "2")]
    pub user_id: String,
    #[prost(string, tag = "3")]
    pub token_id: String,
    #[prost(string, tag = "4")]
    pub connection: String,
    #[prost(string, tag = "5")]
    pub connection_id: String,
    #[prost(string, tag = "6")]
    pub protocol: String,
    #[prost(string, tag = "7")]
    pub database: String,
    #[prost(string, tag = "8")]
    pub client_address: String,
    #[prost(string, tag = "9")]
    pub application: String,
    /// Generation of the policy that let it in.
    #[prost(uint64, tag = "10")]
    pub generation: u64,
}

/// A statement, command or request.
#[derive(Clone, PartialEq, Message)]
pub struct Statement {
    /// Masked by the same rules as results; cut at a stated length.
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(bool, tag = "2")]
    pub text_cut: bool,
    #[prost(message, repeated, tag = "3")]
    pub parameters: Vec<Parameter>,
    /// Microseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub started_at_micros: u64,
    #[prost(uint64, tag = "5")]
    pub duration_micros: u64,
    #[prost(uint64, tag = "6")]
    pub rows: u64,
    /// Result bytes on the wire.
    #[prost(uint64, tag = "7")]
    pub bytes: u64,
    #[prost(enumeration = "Outcome", tag = "8")]
    pub outcome: i32,
    /// Command tag, SQLSTATE or name of the rule, by outcome.
    #[prost(string, tag = "9")]
    pub outcome_detail: String,
    #[prost(message, repeated, tag = "10")]
    pub findings: Vec<Finding>,
    /// Statements that came in one message share it.
    #[prost(uint64, tag = "11")]
    pub batch: u64,
    /// Prepared statement's name, or empty.
    #[prost(string, tag = "12")]
    pub prepared: String,
    /// How it came: "simple", "extended", "prepare", "function".
    #[prost(string, tag = "13")]
    pub form: String,
    /// Counts the session's statements from 0, in the order in which their answers began; a refused one is counted when it
    /// is refused. A promise and the event that supersedes it share the number.
    #[prost(uint64, tag = "14")]
    pub number: u64,
    /// What people said about it before it ran or was refused.
    #[prost(message, repeated, tag = "20")]
    pub reviews: Vec<Review>,
}

/// A person's decision that a statement waited for.
#[derive(Clone, PartialEq, Message)]
pub struct Review {
    /// 16 bytes: a UUID.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// "approved", "rejected", "timeout", "cancelled", "withdrawn" or "unavailable".
    #[prost(string, tag = "2")]
    pub outcome: String,
    /// Who decided, as the control plane said; empty: nobody did.
    #[prost(string, tag = "3")]
    pub by: String,
    /// How long the statement waited, microseconds.
    #[prost(uint64, tag = "4")]
    pub waited_micros: u64,
}

/// A bound parameter, masked.
#[derive(Clone, PartialEq, Message)]
pub struct Parameter {
    #[prost(bool, tag = "1")]
    pub null: bool,
    /// Text form, or hexadecimal of a binary value that has none here.
    #[prost(string, tag = "2")]
    pub text: String,
    #[prost(bool, tag = "3")]
    pub cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Outcome {
    Ok = 0,
    /// The target answered with an error.
    Error = 1,
    /// A guardrail refused it; the target never saw it.
    Denied = 2,
    /// The session ended before an answer came.
    Unfinished = 3,
    /// Not executed because an earlier statement of its batch failed.
    Skipped = 4,
}

/// How often a detector or column rule was found. Never a value.
#[derive(Clone, PartialEq, Message)]
pub struct Finding {
    /// Detector's name, or `COLUMN` for a column rule.
    #[prost(string, tag = "1")]
    pub detector: String,
    /// Name of the result column or place (`statement`, `parameter`, `error`, `notice`, `copy`).
    #[prost(string, tag = "2")]
    pub place: String,
    #[prost(uint64, tag = "3")]
    pub count: u64,
    /// "masked", "found" (analyse mode) or "blanked".
    #[prost(string, tag = "4")]
    pub action: String,
}

/// A piece of the recording for replay: what the client saw, after masking.
#[derive(Clone, PartialEq, Message)]
pub struct Recording {
    /// Batch of the statement that it belongs to.
    #[prost(uint64, tag = "1")]
    pub batch: u64,
    /// Position in the session's recording, in bytes. Pieces follow each other without gap or overlap; how many there are
    /// depends on what left at once, what stands at each position, and in which batch, does not.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// Wire bytes towards the client, in the session's protocol; a frame may go on in the next piece.
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
}

/// A session is over.
#[derive(Clone, PartialEq, Message)]
pub struct SessionEnd {
    /// "client", "target", "policy", "error", "shutdown", …
    #[prost(string, tag = "1")]
    pub cause: String,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(uint64, tag = "3")]
    pub bytes_to_upstream: u64,
    #[prost(uint64, tag = "4")]
    pub bytes_to_downstream: u64,
    #[prost(uint64, tag = "5")]
    pub statements: u64,
}
