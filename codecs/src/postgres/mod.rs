//! PostgreSQL's frontend/backend protocol 3.0 and 3.2; one module for each chapter.

pub mod framer;
pub mod functions;
pub mod inspector;
pub mod limits;
pub mod login;
pub mod message;
pub mod refusal;
pub mod replication;
pub mod rewriter;

use crate::spec::{Capabilities, Spec};

/// PostgreSQL, for the registry.
pub const SPEC: Spec = Spec {
    name: "postgres",
    aliases: &["postgresql"],
    port_default: 5432,
    listen_port_default: 15432,
    credential_keys: &["username", "password"],
    login_frame_bytes_max: limits::LOGIN_FRONTEND_BYTES_MAX,
    frame_bytes_max: limits::LARGE_FRAME_BYTES_MAX,
    capabilities: Capabilities {
        redact: true,
        redact_columns: true,
        guard: true,
        login_by_verifier: true,
        cancel: true,
    },
};
