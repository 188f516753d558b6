//! PostgreSQL's login seen from both faces: [`Downstream`] towards the client, [`Upstream`] towards the target.
//!
//! Both are fed bytes and polled for steps; they do no IO, read no clock and are given their randomness. The calling
//! order is the same for both:
//!
//! ```text
//! loop {
//!     taken = login.feed(bytes)            // takes at most one frame; the rest stays with the caller
//!     drop `taken` bytes from the front
//!     loop { match login.poll() { Need => break, step => do it } }
//!     only when `bytes` is empty: read more from the socket
//! }
//! ```
//! After `Need`, `feed` takes at least one byte of what it is shown. Because it never takes bytes beyond the login, what is
//! left with the caller afterwards belongs to the session.

mod catalog;
mod downstream;
mod inbox;
mod startup;
#[cfg(test)]
mod tests;
mod upstream;

use zeroize::{Zeroize, Zeroizing};

use crate::malformed::Malformed;
pub use crate::postgres::replication::Replication;
use crate::wire::scram::ScramError;
pub use crate::wire::scram::{KeyCache, ScramVerifier};
pub use catalog::{Answer as CatalogAnswer, query as catalog_query};
pub use downstream::Downstream;
pub use upstream::Upstream;

/// Random bytes that an exchange needs, passed in.
pub type Nonce = [u8; crate::wire::scram::NONCE_RANDOM_BYTES];

/// Whether a client can or must use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsOffer {
    No,
    Yes,
    Required,
}

/// How to speak to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownstreamConfig {
    pub tls: TlsOffer,
}

/// What the caller has to do next for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownstreamStep {
    /// Nothing until more bytes came, or until [`Downstream::verifiers`], [`Downstream::tls_started`] was called, whatever
    /// the last step asked for.
    Need,
    Send(Vec<u8>),
    /// Send the reply, run the TLS handshake, then call [`Downstream::tls_started`] and feed decrypted bytes.
    StartTls {
        reply: Vec<u8>,
    },
    /// The client began a TLS handshake without asking (PostgreSQL 17, `sslnegotiation=direct`). Hand everything that was read to
    /// the handshake; only one that agrees on the ALPN protocol `postgresql` may go on, with [`Downstream::tls_started`].
    StartTlsAtOnce,
    /// Look the user up and call [`Downstream::verifiers`].
    Identify(Startup),
    /// The secret behind this verifier (index into what was given) is known to the client. It knows nothing of that yet: finish with
    /// [`Downstream::welcome`] or [`Downstream::refuse`].
    Authenticated {
        verifier: usize,
    },
    /// This socket only asks to cancel the statement of another; close it without an answer.
    Cancel(CancelKey),
    /// Send the reply (it may be empty) and close.
    Refused {
        reply: Vec<u8>,
        reason: LoginRefusal,
    },
}

/// What a client wants, before it has proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// Not empty.
    pub user: String,
    /// As PostgreSQL: the user's name if the client named none.
    pub database: String,
    /// Everything else in the client's order, without `user`, `database`, `replication` and `_pq_.` options.
    pub params: Vec<(String, String)>,
    /// The minor version of protocol 3 that this session speaks: what the client asked for or what we have, the lower.
    pub minor: u16,
    /// The socket is encrypted.
    pub tls: bool,
    /// A replication connection is asked for.
    pub replication: Option<Replication>,
}

/// Names a session towards whoever wants to cancel its statement.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancelKey {
    pub pid: u32,
    /// Four bytes in protocol 3.0, up to 256 in 3.2.
    pub secret: Vec<u8>,
}

/// Leaves the secret out.
impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({}, {} bytes)", self.pid, self.secret.len())
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Why a client was turned away, for logs and metrics: the client was told in the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginRefusal {
    #[error("TLS is required")]
    TlsRequired,
    #[error("bytes came before the TLS handshake")]
    BytesBeforeTls,
    #[error("TLS or encryption was negotiated twice")]
    NegotiatedTwice,
    #[error("a TLS handshake came where none is offered")]
    DirectTls,
    #[error("protocol {major}.{minor} is not supported")]
    Version { major: u16, minor: u16 },
    #[error("no user name")]
    NoUser,
    #[error("invalid value for parameter \"replication\"")]
    Replication,
    #[error("unknown SASL mechanism")]
    Mechanism,
    #[error("{0}")]
    Scram(ScramError),
    #[error("{0}")]
    Malformed(Malformed),
    /// [`Downstream::refuse`] was called.
    #[error("refused")]
    Refused,
}

/// How to reach encryption with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never ask for it. The operator trusts the network: a target that asks for the password in clear gets it.
    Disable,
    /// Ask, and go on without it if the target has none; then a password is never sent in clear.
    Prefer,
    /// Encrypted or not at all; the certificate is not checked.
    Require,
    /// Encrypted, with a certificate for the target's name.
    VerifyFull,
}

/// A column named in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnName {
    pub schema: String,
    pub table: String,
    pub column: String,
}

/// How to log in to a target.
#[derive(Clone)]
pub struct UpstreamConfig {
    pub user: String,
    pub password: Zeroizing<Vec<u8>>,
    pub database: String,
    /// Start-up parameters that the client sent; `user`, `database`, `replication` and `_pq_.` options are left out.
    pub params: Vec<(String, String)>,
    pub tls: TlsMode,
    /// Ask for a replication connection. With [`Replication::Physical`] no columns can be looked up.
    pub replication: Option<Replication>,
    /// Columns to find in the target's catalogue.
    pub resolve_columns: Vec<ColumnName>,
}

/// Leaves the password out.
impl std::fmt::Debug for UpstreamConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamConfig")
            .field("user", &self.user)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// What the caller has to do next for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamStep {
    /// Nothing until more bytes came.
    Need,
    Send(Vec<u8>),
    /// Run the TLS handshake, then call [`Upstream::tls_started`], or [`Upstream::tls_refused`] if it failed.
    StartTls,
    /// Logged in, and idle.
    Ready(Established),
    /// Close the socket.
    Failed {
        error: UpstreamError,
    },
}

/// A session with a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The server's ParameterStatus values in order of arrival, each name once with its last value.
    pub params: Vec<(String, String)>,
    pub cancel: Option<CancelKey>,
    /// NoticeResponses of the login, as they came. What they say was not looked at.
    pub notices: Vec<u8>,
    /// The minor version of protocol 3 that is spoken with the target.
    pub minor: u16,
    /// For each named column that exists: one entry for its table and one for each partition and inheriting table.
    pub columns: Vec<ResolvedColumn>,
    /// The highest OID in `pg_class` at login; 0 if nothing was looked up. Tables with a higher OID are newer than the look-up.
    pub relation_oid_max: u32,
}

/// Where a column named in a policy comes from in this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResolvedColumn {
    /// Index into [`UpstreamConfig::resolve_columns`].
    pub index: usize,
    pub table_oid: u32,
    /// The column's number in that table, from 1.
    pub attribute: i16,
}

/// Why there is no session with a target: the target said no, or it cannot be spoken with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    #[error("{0}")]
    Server(ServerError),
    #[error("{0}")]
    Protocol(UpstreamFault),
}

/// The server's own ErrorResponse, texts bounded and made valid UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{severity} {sqlstate}: {message}")]
pub struct ServerError {
    pub severity: String,
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// What went wrong between us and a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamFault {
    #[error("the target does not offer TLS, which this connection requires")]
    TlsNotOffered,
    #[error("the TLS handshake with the target failed")]
    TlsFailed,
    /// Not authenticated and not encrypted, so its text is not shown (CVE-2024-10977).
    #[error("the target answered the TLS request with an error")]
    TlsRequestFailed,
    #[error("the target sent bytes before the TLS handshake")]
    BytesBeforeTls,
    #[error("the target answered the TLS request with byte 0x{0:02x}")]
    TlsAnswer(u8),
    #[error(
        "the target asks for the password in clear text over an unencrypted link; use tls = \"require\", or \"disable\" to allow it"
    )]
    CleartextWithoutTls,
    #[error("the target asks for {0} authentication, which is not supported")]
    Method(&'static str),
    #[error("the target offers no SASL mechanism that is supported (SCRAM-SHA-256)")]
    Mechanism,
    #[error("the target says that login is complete without having proved that it knows the password")]
    UnprovenServer,
    #[error("the target wants protocol 3.{0}")]
    Version(u32),
    #[error("login with the target: {0}")]
    Scram(ScramError),
    #[error("login with the target: {0}")]
    Malformed(Malformed),
    #[error("the target sent more than is allowed before it was ready")]
    TooMuch,
    #[error("a login value contains a NUL byte or is too long")]
    Unwritable,
    #[error("more columns are named than can be looked up")]
    TooManyColumns,
    #[error("the target's answer to the catalogue look-up cannot be read")]
    Catalog,
}

/// The packet that asks a server to cancel the statement of the session with this key (its own socket, no answer).
pub fn cancel_request(key: &CancelKey) -> Vec<u8> {
    startup::cancel_request(key)
}
