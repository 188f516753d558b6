//! Routes about the control plane itself: who calls, whether it works, what it offers, and the page for people.

pub mod health;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod routes;
pub mod userinfo;
