//! Decisions: who may enter, what may be run, what may be seen.

pub mod access;
pub(crate) mod guard;
pub(crate) mod redact;
mod startup;
pub(crate) mod tally;
