//! Which statements are refused, and which wait for a review.

use std::sync::Arc;

use codecs::wire::sql::Effects;
use regex_automata::Input;

use crate::policy::guardrail::{Action, Guard, Trigger};
use crate::verdict::{Refusal, Verdict};

/// Judges a text with these statements' effects. A batch is refused as a whole: the server would run it as one.
pub(crate) fn judge(guard: &Guard, text: &[u8], effects: impl Iterator<Item = Effects> + Clone) -> Verdict {
    let mut verdict = Verdict::Pass;
    for rule in &guard.rules {
        let hit = match &rule.trigger {
            Trigger::Effects(denied) => effects.clone().any(|effects| effects.intersects(*denied)),
            Trigger::Pattern(regex) => regex.is_match(Input::new(text)),
        };
        if hit {
            verdict = verdict.max(match &rule.action {
                Action::Deny(refusal) => Verdict::Deny(Arc::clone(refusal)),
                Action::Review(review) => Verdict::Hold(vec![Arc::clone(review)]),
            });
        }
    }
    let judges_effects = guard
        .rules
        .iter()
        .any(|rule| matches!(rule.trigger, Trigger::Effects(_)) && !rule.unparsed_allowed);
    if judges_effects && effects.clone().any(|effects| effects.intersects(Effects::UNKNOWN)) {
        verdict = verdict.max(Verdict::Deny(not_understood()));
    }
    verdict
}

/// What cannot be read cannot be judged: where effects are guarded it is refused, whatever it would have done.
fn not_understood() -> Arc<Refusal> {
    Arc::new(Refusal {
        code: "42501",
        message: "refused by Sluice: what this statement does cannot be told from its text, and this connection guards what statements do"
            .to_owned(),
        hint: "write it without dynamic SQL, or as single statements".to_owned(),
        rule: "not-understood".to_owned(),
    })
}

/// A refusal that no guardrail made: the session's own bounds.
pub(crate) fn over_limit(what: &str) -> Arc<Refusal> {
    Arc::new(Refusal {
        code: "54000",
        message: format!("refused by Sluice: {what}"),
        hint: String::new(),
        rule: "limits".to_owned(),
    })
}
