//! What the agent's tests need around it: an authority, a control plane, a data plane and a target.

pub mod authority;
pub mod control;
pub mod gateway;
pub mod postgres;
