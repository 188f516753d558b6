//! The way to a target: through an agent's link or directly, with the same result.

pub mod direct;
pub mod linked;
pub mod resolve;
pub mod secret;

use crate::core::Core;
use crate::core::sessions::SessionEntry;
use crate::limits::UPSTREAM_OPEN_TIME_MAX;
use crate::link::AgentLink;
use crate::link::driver::Stream;
use crate::transport::Transport;
use codecs::postgres::login::{CancelKey, Replication};
use codecs::postgres::refusal::sqlstate;
use proto::tunnel::Fault;
use session::ResolvedColumn;
use session::policy::ConnectionPolicy;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What is asked of the target.
pub struct Request {
    pub session_id: [u8; 16],
    pub connection: Arc<ConnectionPolicy>,
    pub user: String,
    /// Empty: the connection's default.
    pub database: String,
    /// Start-up parameters of the client.
    pub params: Vec<(String, String)>,
    /// A replication connection.
    pub replication: Option<Replication>,
}

/// A target that has accepted the login.
pub struct Opened {
    pub upstream: Upstream,
    pub params: Vec<(String, String)>,
    pub columns: Vec<ResolvedColumn>,
    pub relation_oid_max: u32,
    pub cancel: CancelTarget,
    /// What the target said beside the login, not looked at yet.
    pub notices: Vec<u8>,
    /// Database on the target.
    pub database: String,
}

/// The target's side of a session.
pub enum Upstream {
    Direct(Transport),
    Linked(Stream),
}

/// Where a cancel request for a session goes.
pub enum CancelTarget {
    /// The target gave no key.
    None,
    Direct {
        address: SocketAddr,
        key: CancelKey,
    },
    Linked {
        link: Rc<AgentLink>,
        session_id: [u8; 16],
        /// Process number of the target's session; 0: an agent of an earlier version did not say.
        pid: u32,
    },
}

impl CancelTarget {
    /// Process number of the target's session, which notifications and `pg_backend_pid()` name as well.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Direct { key, .. } => Some(key.pid),
            Self::Linked { pid, .. } => Some(*pid).filter(|pid| *pid != 0),
        }
    }
}

/// No session, whose fault it is, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    pub fault: Fault,
    pub sqlstate: String,
    pub message: String,
}

impl OpenError {
    pub fn upstream(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Upstream,
            sqlstate: sqlstate::TARGET_UNREACHABLE.into(),
            message: message.into(),
        }
    }

    pub fn ours(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Ours,
            sqlstate: sqlstate::CANNOT_CONNECT_NOW.into(),
            message: message.into(),
        }
    }
}

/// Reaches the target and logs in.
pub async fn open(core: &Rc<Core>, request: Request) -> Result<Opened, OpenError> {
    let opening = async {
        if request.connection.pool.is_empty() {
            direct::open(core, &request).await
        } else {
            linked::open(core, &request).await
        }
    };
    reactor::timeout(UPSTREAM_OPEN_TIME_MAX, opening)
        .await
        .unwrap_or_else(|_| {
            Err(OpenError::upstream(format!(
                "the target did not accept a login within {UPSTREAM_OPEN_TIME_MAX:?}"
            )))
        })
}

/// Passes a cancel request on, if a session of this core has its key, and waits until the target has taken it. False: none
/// has.
pub async fn cancel(core: &Rc<Core>, key: &CancelKey) -> bool {
    // Taken in a statement of its own: the borrow would otherwise last through the wait below.
    let entry = core.sessions.borrow().by_key(key);
    let Some(entry) = entry else { return false };
    if !entry.cancel_hold() {
        cancel_running(&entry).await;
    }
    true
}

/// Asks the target to stop what it does for a session.
pub async fn cancel_running(entry: &SessionEntry) {
    let cancelled = match &entry.cancel {
        CancelTarget::None => Ok(()),
        CancelTarget::Direct { address, key } => direct::cancel(*address, key).await,
        CancelTarget::Linked { link, session_id, .. } => linked::cancel(link, session_id).await,
    };
    if let Err(error) = cancelled {
        tracing::warn!(%error, "a cancel request could not be passed on");
    }
}
