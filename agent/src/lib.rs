//! The agent: sits in a private network, dials out only, resolves secrets, reaches the targets.
//!
//! Nothing listens here but an optional liveness port. Each link is one mTLS connection that the agent dials to a
//! gateway (a data plane); on it the gateway opens one stream per session. What a session may reach is decided by
//! the control plane and arrives as a signed, expiring grant that [`admit`] checks before anything else happens.

pub mod admit;
pub mod agent;
pub mod config;
pub mod health;
pub mod identity;
pub mod limits;
pub mod link;
pub mod relay;
pub mod run;
pub mod secrets;
pub mod sessions;
pub mod upstream;

/// The host's name, as the kernel knows it.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}
