//! Messages between the control plane and its data planes and agents.

use crate::policy::SignedSnapshot;
use prost::{Enumeration, Message, Oneof};

/// Data plane to control plane on `DataPlane/Sync`.
#[derive(Clone, PartialEq, Message)]
pub struct SyncRequest {
    #[prost(oneof = "sync_request::Kind", tags = "1, 2, 3, 4, 10, 11, 12, 13, 20, 21")]
    pub kind: Option<sync_request::Kind>,
}

pub mod sync_request {
    //! The kinds of a sync request.
    use super::{
        AccessWanted, Ack, CancelLooked, CancelWanted, Hello, HoldClosed, HoldOpened, HoldsOpen, Nack, Presence,
    };

    #[derive(Clone, PartialEq, super::Oneof)]
    pub enum Kind {
        /// First message.
        #[prost(message, tag = "1")]
        Hello(Hello),
        #[prost(message, tag = "2")]
        Ack(Ack),
        #[prost(message, tag = "3")]
        Nack(Nack),
        #[prost(message, tag = "4")]
        Presence(Presence),
        /// Once per stream, behind the ends that were not noted yet and before any other news of holds.
        #[prost(message, tag = "10")]
        HoldsOpen(HoldsOpen),
        #[prost(message, boxed, tag = "11")]
        HoldOpened(Box<HoldOpened>),
        #[prost(message, tag = "12")]
        HoldClosed(HoldClosed),
        #[prost(message, tag = "13")]
        AccessWanted(AccessWanted),
        #[prost(message, tag = "20")]
        CancelWanted(CancelWanted),
        #[prost(message, tag = "21")]
        CancelLooked(CancelLooked),
    }
}

/// Who the data plane is and what it has.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    #[prost(uint32, tag = "1")]
    pub protocol_version: u32,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(uint32, tag = "3")]
    pub cores: u32,
    /// Generation in force; 0: none.
    #[prost(uint64, tag = "4")]
    pub generation: u64,
    #[prost(string, tag = "5")]
    pub backend: String,
}

/// The snapshot is enforced on every core.
#[derive(Clone, PartialEq, Message)]
pub struct Ack {
    #[prost(uint64, tag = "1")]
    pub generation: u64,
    /// Generation in force per core.
    #[prost(uint64, repeated, tag = "2")]
    pub cores: Vec<u64>,
}

/// The snapshot was refused.
#[derive(Clone, PartialEq, Message)]
pub struct Nack {
    /// Generation that was refused; 0 when it could not be read.
    #[prost(uint64, tag = "1")]
    pub generation: u64,
    /// Generation that stays in force.
    #[prost(uint64, tag = "2")]
    pub in_force: u64,
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// Agents linked to this data plane, sent on change.
#[derive(Clone, PartialEq, Message)]
pub struct Presence {
    #[prost(message, repeated, tag = "1")]
    pub agents: Vec<AgentPresence>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AgentPresence {
    /// Identity from the certificate.
    #[prost(string, tag = "1")]
    pub agent_id: String,
    #[prost(string, tag = "2")]
    pub pool: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub version: String,
    #[prost(uint32, tag = "5")]
    pub links: u32,
}

/// Control plane to data plane on `DataPlane/Sync`.
#[derive(Clone, PartialEq, Message)]
pub struct SyncReply {
    #[prost(oneof = "sync_reply::Kind", tags = "1, 2, 10, 11, 20, 21")]
    pub kind: Option<sync_reply::Kind>,
}

pub mod sync_reply {
    //! The kinds of a sync reply.
    use super::{CancelOver, CancelSession, HoldAnswer, HoldNoted, KillSession, SignedSnapshot};

    #[derive(Clone, PartialEq, super::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "1")]
        Snapshot(SignedSnapshot),
        #[prost(message, tag = "2")]
        Kill(KillSession),
        #[prost(message, tag = "10")]
        HoldAnswer(HoldAnswer),
        #[prost(message, tag = "11")]
        HoldNoted(HoldNoted),
        #[prost(message, tag = "20")]
        CancelSession(CancelSession),
        #[prost(message, tag = "21")]
        CancelOver(CancelOver),
    }
}

/// Every statement that waits for a review here. Others of this data plane that the control plane knows are over.
#[derive(Clone, PartialEq, Message)]
pub struct HoldsOpen {
    #[prost(message, repeated, tag = "1")]
    pub holds: Vec<HoldOpened>,
}

/// A statement waits for a review. Said again after every reconnect; the id makes it one and the same.
#[derive(Clone, PartialEq, Message)]
pub struct HoldOpened {
    /// 16 bytes: a UUID, the review's id.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub session_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub user_id: String,
    #[prost(string, tag = "4")]
    pub user: String,
    #[prost(string, tag = "5")]
    pub connection_id: String,
    #[prost(string, tag = "6")]
    pub connection: String,
    /// As it is recorded: masked, and cut at a stated length.
    #[prost(string, tag = "7")]
    pub statement: String,
    #[prost(bool, tag = "8")]
    pub statement_cut: bool,
    #[prost(message, repeated, tag = "9")]
    pub parameters: Vec<crate::audit::Parameter>,
    #[prost(string, tag = "10")]
    pub guardrail: String,
    /// Groups whose members answer; empty: administrators alone.
    #[prost(string, repeated, tag = "11")]
    pub reviewers: Vec<String>,
    /// Approvals needed, at least 1.
    #[prost(uint32, tag = "12")]
    pub approvals: u32,
    /// The rule's message.
    #[prost(string, tag = "13")]
    pub message: String,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "14")]
    pub opened_at_ms: i64,
    /// The statement is refused then.
    #[prost(int64, tag = "15")]
    pub expires_at_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum HoldEnd {
    /// Approved, and on its way to the target.
    Released = 0,
    /// Refused, as the reviewers said.
    Refused = 1,
    /// Nobody answered in time.
    Timeout = 2,
    /// The client cancelled it or went away, the session ended, or the policy asks for no review any more.
    Withdrawn = 3,
}

/// A statement waits no longer.
#[derive(Clone, PartialEq, Message)]
pub struct HoldClosed {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(enumeration = "HoldEnd", tag = "2")]
    pub end: i32,
}

/// The end of a hold is stored: it needs no repeating.
#[derive(Clone, PartialEq, Message)]
pub struct HoldNoted {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
}

/// What the reviewers say.
#[derive(Clone, PartialEq, Message)]
pub struct HoldAnswer {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub session_id: Vec<u8>,
    #[prost(bool, tag = "3")]
    pub approved: bool,
    /// Who, for the client and the record.
    #[prost(string, tag = "4")]
    pub by: String,
    #[prost(string, tag = "5")]
    pub comment: String,
}

/// Somebody who may ask for access tried to connect without a grant.
#[derive(Clone, PartialEq, Message)]
pub struct AccessWanted {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(string, tag = "2")]
    pub connection_id: String,
}

/// A client wants a statement cancelled whose session is not on this data plane.
#[derive(Clone, PartialEq, Message)]
pub struct CancelWanted {
    /// Names the request on this data plane.
    #[prost(uint64, tag = "1")]
    pub ticket: u64,
    #[prost(uint32, tag = "2")]
    pub pid: u32,
    /// 4 to 256 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub secret: Vec<u8>,
}

/// Another data plane has got such a request: cancel what the session with this key does, and answer.
#[derive(Clone, PartialEq, Message)]
pub struct CancelSession {
    /// Names the request at the control plane.
    #[prost(uint64, tag = "1")]
    pub ticket: u64,
    #[prost(uint32, tag = "2")]
    pub pid: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub secret: Vec<u8>,
}

/// The answer to [`CancelSession`]: the target has taken the request, or no session here has the key.
#[derive(Clone, PartialEq, Message)]
pub struct CancelLooked {
    #[prost(uint64, tag = "1")]
    pub ticket: u64,
    #[prost(bool, tag = "2")]
    pub found: bool,
}

/// The answer to [`CancelWanted`]: a target has taken the request, or no data plane has such a session.
#[derive(Clone, PartialEq, Message)]
pub struct CancelOver {
    #[prost(uint64, tag = "1")]
    pub ticket: u64,
}

/// End one session now.
#[derive(Clone, PartialEq, Message)]
pub struct KillSession {
    #[prost(bytes = "vec", tag = "1")]
    pub session_id: Vec<u8>,
    /// Why, for the client and the record; may be empty.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Who wants it, for the client and the record.
    #[prost(string, tag = "3")]
    pub by: String,
}

/// Data plane to control plane on `DataPlane/Audit`: consecutive records of one segment.
#[derive(Clone, PartialEq, Message)]
pub struct AuditBatch {
    /// Encoded segment header ([`crate::segment::Header`]), which names data plane, core and segment.
    #[prost(bytes = "vec", tag = "1")]
    pub header: Vec<u8>,
    /// Sequence of the first record.
    #[prost(uint64, tag = "2")]
    pub first_sequence: u64,
    /// Whole records exactly as they stand in the segment.
    #[prost(bytes = "vec", tag = "3")]
    pub records: Vec<u8>,
}

/// Control plane to data plane on `DataPlane/Audit`: these records are stored for good.
#[derive(Clone, PartialEq, Message)]
pub struct AuditAck {
    #[prost(uint32, tag = "1")]
    pub core: u32,
    #[prost(uint64, tag = "2")]
    pub segment: u64,
    /// All records below this sequence are stored.
    #[prost(uint64, tag = "3")]
    pub next_sequence: u64,
}

/// What a new agent or data plane asks for.
#[derive(Clone, PartialEq, Message)]
pub struct EnrolRequest {
    #[prost(uint32, tag = "1")]
    pub protocol_version: u32,
    /// One-time token of the credentials file.
    #[prost(string, tag = "2")]
    pub token: String,
    /// PKCS #10 request, DER, signed by the new key.
    #[prost(bytes = "vec", tag = "3")]
    pub csr_der: Vec<u8>,
    /// Name for people.
    #[prost(string, tag = "4")]
    pub name: String,
    #[prost(string, tag = "5")]
    pub version: String,
    /// Data planes: Ed25519 public key that seals audit segments (32 bytes).
    #[prost(bytes = "vec", tag = "6")]
    pub audit_public_key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Role {
    Agent = 0,
    Dataplane = 1,
}

/// The identity that was issued.
#[derive(Clone, PartialEq, Message)]
pub struct EnrolReply {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(enumeration = "Role", tag = "2")]
    pub role: i32,
    /// Agents: the pool they belong to.
    #[prost(string, tag = "3")]
    pub pool: String,
    /// Leaf certificate, DER.
    #[prost(bytes = "vec", tag = "4")]
    pub certificate_der: Vec<u8>,
    /// Certificate of the authority, DER.
    #[prost(bytes = "vec", tag = "5")]
    pub ca_der: Vec<u8>,
    /// Ed25519 public key that signs snapshots and grants (32 bytes).
    #[prost(bytes = "vec", tag = "6")]
    pub policy_public_key: Vec<u8>,
    /// End of the certificate's validity (milliseconds since the Unix epoch).
    #[prost(int64, tag = "7")]
    pub expires_at_ms: i64,
}

/// Asks for the next certificate of the identity that the connection was authenticated with.
#[derive(Clone, PartialEq, Message)]
pub struct RenewRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub csr_der: Vec<u8>,
}
