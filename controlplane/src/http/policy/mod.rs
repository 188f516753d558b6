//! `/api/apply`, `/api/diff`, `/api/export`, `/api/policy`: the policy as a whole.

pub mod apply;
pub mod export;
pub mod republish;
pub mod show;
