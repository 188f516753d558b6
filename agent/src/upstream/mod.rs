//! The leg to the target: reach it, encrypt as the connection says, log in, and hand over a socket that is ready for statements.

mod cancel;
mod credential;
mod dial;
mod login;
mod tls;

pub use cancel::CancelHandle;
pub use credential::Credential;
pub use dial::{Place, TargetSocket, dial};
pub use login::{Established, encrypt, establish};
pub use tls::{TargetTls, TlsError};

use proto::tunnel::{Fault, Refuse};

use crate::secrets::SecretError;

/// Why there is no session at the target. Texts are for the client: whose fault, no secret, no user name of the target.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// A secret reference of the connection gave no value.
    #[error("the connection's {what} cannot be resolved by the agent: {error}")]
    Secret {
        /// `user name`, `password` or `certificate authority`.
        what: &'static str,
        /// Why.
        error: SecretError,
    },
    /// A secret was found and cannot be used.
    #[error("the connection's credential cannot be used: {0}")]
    Unfit(&'static str),
    /// The target is not there.
    #[error("the target {place} is not reachable from the agent: {what}")]
    NotReachable {
        /// `host:port`.
        place: String,
        /// What the operating system said.
        what: String,
    },
    /// TLS could not be had as the connection demands it.
    #[error("TLS to the target failed: {0}")]
    Tls(String),
    /// The target took too long.
    #[error("the target did not finish the login within {0} s")]
    TimedOut(u64),
    /// The target ended the connection during the login.
    #[error("the target closed the connection during the login")]
    Closed,
    /// The target said no.
    #[error("{message}")]
    Refused {
        /// SQLSTATE of the target.
        sqlstate: String,
        /// What the client may know.
        message: String,
    },
    /// The target does not behave like PostgreSQL.
    #[error("the target broke the protocol during the login: {0}")]
    Protocol(String),
}

impl UpstreamError {
    /// The answer to the gateway: fault, SQLSTATE for the client's error, text.
    #[must_use]
    pub fn refusal(&self) -> Refuse {
        let (fault, sqlstate) = match self {
            // 08001: unable to establish the connection; 08004: it was rejected; 08P01: protocol violation (appendix A).
            Self::Secret { .. } | Self::Unfit(_) => (Fault::Ours, "08004"),
            Self::NotReachable { .. } | Self::Tls(_) | Self::TimedOut(_) | Self::Closed => (Fault::Upstream, "08001"),
            Self::Refused { sqlstate, .. } => (Fault::Upstream, sqlstate.as_str()),
            Self::Protocol(_) => (Fault::Upstream, "08P01"),
        };
        Refuse {
            fault: fault as i32,
            sqlstate: sqlstate.to_owned(),
            message: self.to_string(),
        }
    }
}
