//! Agents and data planes as they come in: tokens, enrol keys, enrolling and renewing.

pub mod bootstrap;
pub mod enrol;
pub mod revoke;
pub mod token;
