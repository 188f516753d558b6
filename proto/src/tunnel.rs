//! Messages between a data plane and an agent, on the agent's link.

use crate::policy::SignedGrant;
use prost::{Enumeration, Message, Oneof};

/// First message of the data plane on the `Hello` stream of a link.
#[derive(Clone, PartialEq, Message)]
pub struct HelloRequest {
    #[prost(uint32, tag = "1")]
    pub protocol_version: u32,
    #[prost(string, tag = "2")]
    pub dataplane_id: String,
    /// Cores of the data plane: an agent keeps up to one link per core.
    #[prost(uint32, tag = "3")]
    pub cores: u32,
    /// The core that took this link.
    #[prost(uint32, tag = "4")]
    pub core: u32,
    #[prost(string, tag = "5")]
    pub version: String,
}

/// The agent's answer; the link serves sessions from then on.
#[derive(Clone, PartialEq, Message)]
pub struct HelloReply {
    #[prost(uint32, tag = "1")]
    pub protocol_version: u32,
    /// Name for people; the identity is the certificate's.
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub version: String,
    /// Sessions the agent serves at once over all links; 0: no bound of its own.
    #[prost(uint32, tag = "4")]
    pub sessions_max: u32,
    /// The same for all links of one run of the agent.
    #[prost(bytes = "vec", tag = "5")]
    pub instance: Vec<u8>,
    #[prost(message, repeated, tag = "6")]
    pub metadata: Vec<Param>,
}

/// One gRPC message on a session's stream, in both directions.
#[derive(Clone, PartialEq, Message)]
pub struct SessionFrame {
    #[prost(oneof = "session_frame::Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<session_frame::Kind>,
}

pub mod session_frame {
    //! The kinds of a session frame.
    use super::{Accept, Cancel, End, Open, Put, Refuse};

    #[derive(Clone, PartialEq, super::Oneof)]
    pub enum Kind {
        /// Bytes of the target's protocol, after login. Never decoded as a whole: sliced off the wire.
        #[prost(bytes, tag = "1")]
        Data(Vec<u8>),
        /// Data plane to agent, first message: reach the target and log in.
        #[prost(message, tag = "2")]
        Open(Open),
        /// Agent to data plane: logged in, data may flow.
        #[prost(message, tag = "3")]
        Accept(Accept),
        /// Agent to data plane: no session; the stream ends.
        #[prost(message, tag = "4")]
        Refuse(Refuse),
        /// Either side: the session is over, and why.
        #[prost(message, tag = "5")]
        End(End),
        /// Data plane to agent, instead of `Open`: ask the target to cancel what a session is doing.
        #[prost(message, tag = "6")]
        Cancel(Cancel),
        /// Data plane to agent, between data: write the target's credential here.
        #[prost(message, tag = "7")]
        Put(Put),
    }
}

/// Opens a session at the target.
#[derive(Clone, PartialEq, Message)]
pub struct Open {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub session_id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub grant: Option<SignedGrant>,
    #[prost(string, tag = "3")]
    pub user: String,
    /// Database on the target; empty: the grant's.
    #[prost(string, tag = "4")]
    pub database: String,
    /// Start-up parameters of the client that pass through (`application_name`, `client_encoding`, …).
    #[prost(message, repeated, tag = "5")]
    pub params: Vec<Param>,
    #[prost(message, repeated, tag = "6")]
    pub resolve_columns: Vec<ColumnName>,
    /// Protocols to offer in the TLS handshake with the target (RFC 7301), the best first.
    #[prost(string, repeated, tag = "7")]
    pub alpn: Vec<String>,
    /// `true` or `database`: a replication connection, in the words of PostgreSQL's start-up parameter; empty: an ordinary one.
    #[prost(string, tag = "8")]
    pub replication: String,
}

/// A name and a value.
#[derive(Clone, PartialEq, Message)]
pub struct Param {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A column as policies name it.
#[derive(Clone, PartialEq, Message)]
pub struct ColumnName {
    #[prost(string, tag = "1")]
    pub schema: String,
    #[prost(string, tag = "2")]
    pub table: String,
    #[prost(string, tag = "3")]
    pub column: String,
}

/// Where a named column is on the target.
#[derive(Clone, PartialEq, Message)]
pub struct ResolvedColumn {
    /// Index into `Open.resolve_columns`.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    #[prost(uint32, tag = "2")]
    pub table_oid: u32,
    #[prost(int32, tag = "3")]
    pub attribute: i32,
}

/// The target accepted the login.
#[derive(Clone, PartialEq, Message)]
pub struct Accept {
    /// ParameterStatus of the target.
    #[prost(message, repeated, tag = "1")]
    pub params: Vec<Param>,
    #[prost(message, repeated, tag = "2")]
    pub columns: Vec<ResolvedColumn>,
    /// Highest OID in the target's `pg_class` at login: relations above it are younger than `columns`. 0: not asked.
    #[prost(uint32, tag = "3")]
    pub relation_oid_max: u32,
    /// The target gave a cancel key, kept by the agent.
    #[prost(bool, tag = "4")]
    pub cancelable: bool,
    /// Process number of the target's session, as clients and notifications name it. 0: not known.
    #[prost(uint32, tag = "5")]
    pub backend_pid: u32,
    /// What the target said beside the login: whole NoticeResponse frames, not looked at yet.
    #[prost(bytes = "vec", tag = "6")]
    pub notices: Vec<u8>,
    /// The protocol that the target chose; empty: none.
    #[prost(string, tag = "7")]
    pub alpn: String,
}

/// No session, and whose fault it is.
#[derive(Clone, PartialEq, Message)]
pub struct Refuse {
    #[prost(enumeration = "Fault", tag = "1")]
    pub fault: i32,
    /// Five characters, for the client's error.
    #[prost(string, tag = "2")]
    pub sqlstate: String,
    /// For the client; holds no secret.
    #[prost(string, tag = "3")]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Fault {
    Ours = 0,
    Upstream = 1,
    Downstream = 2,
}

/// End of a session.
#[derive(Clone, PartialEq, Message)]
pub struct End {
    #[prost(enumeration = "EndCause", tag = "1")]
    pub cause: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum EndCause {
    /// The sender's side was closed in order.
    Closed = 0,
    /// The target closed or reset its socket.
    UpstreamLost = 1,
    /// The agent is shutting down.
    AgentDraining = 2,
    /// Anything else; see the message.
    Failed = 3,
}

/// Asks the agent to cancel what the session is running.
#[derive(Clone, PartialEq, Message)]
pub struct Cancel {
    #[prost(bytes = "vec", tag = "1")]
    pub session_id: Vec<u8>,
}

/// Asks the agent to write the target's credential at this place of the bytes to the target, so that it never leaves the agent.
#[derive(Clone, PartialEq, Message)]
pub struct Put {
    #[prost(enumeration = "PutForm", tag = "1")]
    pub form: i32,
    /// Of a field: the stream whose header block it ends.
    #[prost(uint32, tag = "2")]
    pub stream: u32,
    /// Of a field: its name, in lower case.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Of a field: what stands before the credential.
    #[prost(bytes = "vec", tag = "4")]
    pub prefix: Vec<u8>,
}

/// How the credential is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum PutForm {
    /// The secret itself.
    Secret = 0,
    /// `base64(USERNAME:SECRET)`.
    Basic = 1,
    /// The secret in a field of HTTP/2: a CONTINUATION frame that ends a header block, with a literal that is never indexed
    /// (RFC 7541 section 6.2.3).
    FieldSecret = 2,
    /// The same with `base64(USERNAME:SECRET)`.
    FieldBasic = 3,
}
