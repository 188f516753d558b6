//! The gRPC methods of our links.

/// One stream per session, data plane to agent.
pub const SESSION_PATH: &str = "/sluice.tunnel.v1.Agent/Session";
/// The first stream of a link, data plane to agent.
pub const HELLO_PATH: &str = "/sluice.tunnel.v1.Agent/Hello";
/// Snapshots down, acknowledgements up, data plane to control plane.
pub const SYNC_PATH: &str = "/sluice.control.v1.DataPlane/Sync";
/// Audit batches up, acknowledgements down, data plane to control plane.
pub const AUDIT_PATH: &str = "/sluice.control.v1.DataPlane/Audit";
/// Unary: one-time token and CSR for a certificate.
pub const ENROLL_PATH: &str = "/sluice.control.v1.Enrolment/Enroll";
/// Unary: a new certificate for an old one.
pub const RENEW_PATH: &str = "/sluice.control.v1.Enrolment/Renew";
