//! Wire contracts of our own: policy snapshots, tunnel and control messages, audit events and segments.
//!
//! The `.proto` files beside the sources are the published contract; the types here are written to match them and a
//! test compares both. Everything is pure: bytes in, values out, no IO and no clock.

pub mod audit;
pub mod control;
pub mod limits;
pub mod policy;
pub mod segment;
pub mod sign;
pub mod tunnel;

pub use prost::Message;

/// Version of the contracts, exchanged in every hello. A peer with another major version is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Paths of the gRPC methods, as they stand in the `:path` pseudo-header.
pub mod path {
    /// Data plane to agent, first stream of a link: who is who.
    pub const AGENT_HELLO: &str = "/sluice.tunnel.v1.Agent/Hello";
    /// Data plane to agent, one stream per session.
    pub const AGENT_SESSION: &str = "/sluice.tunnel.v1.Agent/Session";
    /// Data plane to control plane: snapshots down, acknowledgements up.
    pub const CONTROL_SYNC: &str = "/sluice.control.v1.DataPlane/Sync";
    /// Data plane to control plane: audit records up, acknowledgements down.
    pub const CONTROL_AUDIT: &str = "/sluice.control.v1.DataPlane/Audit";
    /// Agents and data planes, once, with a one-time token and without a client certificate.
    pub const ENROL: &str = "/sluice.control.v1.Enrolment/Enroll";
    /// Agents and data planes, before their certificate runs out, with it.
    pub const RENEW: &str = "/sluice.control.v1.Enrolment/Renew";
}

#[cfg(test)]
mod tests;
