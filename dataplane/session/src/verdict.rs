//! What is decided about a statement, ordered by severity.

use std::sync::Arc;

use crate::policy::guardrail::ReviewRule;

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
pub(crate) enum Verdict {
    #[default]
    Pass,
    /// Each of these rules wants a person's decision first.
    Hold(Vec<Arc<ReviewRule>>),
    /// Refused; the target never sees it, the session goes on.
    Deny(Arc<Refusal>),
}

impl Verdict {
    fn severity(&self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Hold(_) => 1,
            Verdict::Deny(_) => 2,
        }
    }

    /// The more severe of both; of two refusals the first, of two lists of reviews all.
    #[must_use]
    pub fn max(mut self, other: Verdict) -> Verdict {
        if let (Verdict::Hold(rules), Verdict::Hold(more)) = (&mut self, &other) {
            for rule in more {
                if !rules.contains(rule) {
                    rules.push(Arc::clone(rule));
                }
            }
            return self;
        }
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}
