//! What is decided about a statement, ordered by severity.

use std::sync::Arc;

/// A refusal as the user sees it and as the record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE or the protocol's own code.
    pub code: &'static str,
    /// Shown to the user.
    pub message: String,
    /// Shown to the user below the message; may be empty.
    pub hint: String,
    /// Name of the rule, for the record.
    pub rule: String,
}

/// Verdicts are combined with `max`: the most severe one stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Pass,
    /// Refused; the target never sees it, the session goes on.
    Deny(Arc<Refusal>),
}

impl Verdict {
    fn severity(&self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Deny(_) => 1,
        }
    }

    /// The more severe of both; of equals the first.
    #[must_use]
    pub fn max(self, other: Verdict) -> Verdict {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}
