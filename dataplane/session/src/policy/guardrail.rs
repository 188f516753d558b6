//! Guardrails, compiled: effects and patterns that refuse a statement or ask for a review of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use codecs::wire::sql::Effects;
use proto::policy as wire;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::compile::Errors;
use crate::limits::{APPROVALS_MAX, HOLD_WAIT_MAX, PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX};
use crate::verdict::Refusal;

/// SQLSTATE of a refusal: insufficient_privilege.
const REFUSED: &str = "42501";

/// SQLSTATE of a refusal on a read-only connection: read_only_sql_transaction.
const READ_ONLY: &str = "25006";

/// All guardrails of a connection, flattened.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    pub rules: Vec<GuardRule>,
}

#[derive(Debug, Clone)]
pub(crate) struct GuardRule {
    pub trigger: Trigger,
    pub action: Action,
    /// Of a rule on effects: statements whose effects cannot be told pass it.
    pub unparsed_allowed: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Message and hint; made complete once, here.
    Deny(Arc<Refusal>),
    Review(Arc<ReviewRule>),
}

/// Who is asked before a statement runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRule {
    pub guardrail: String,
    /// Groups; empty: administrators.
    pub reviewers: Vec<String>,
    /// At least 1.
    pub approvals: u32,
    /// `None`: the default.
    pub wait: Option<Duration>,
    /// What is reviewed, and the rule's own words.
    pub message: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Trigger {
    Effects(Effects),
    Pattern(Regex),
}

impl Guard {
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Checks one guardrail on its own.
pub(super) fn rules(guardrail: &wire::Guardrail, errors: &mut Errors) -> Vec<GuardRule> {
    let mut compiled = Vec::with_capacity(guardrail.rules.len());
    for (index, rule) in guardrail.rules.iter().enumerate() {
        let place = format!("guardrail {:?}, rule {}", guardrail.name, index + 1);
        let given = [
            !rule.deny.is_empty(),
            !rule.deny_pattern.is_empty(),
            !rule.review.is_empty(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            errors.add(
                place,
                "exactly one of deny, deny_pattern and review must be given".to_owned(),
            );
            continue;
        }
        let trigger = match given {
            [true, _, _] => effects(&rule.deny, &place, errors),
            [_, true, _] => pattern(&rule.deny_pattern, &place, errors),
            _ => effects(&rule.review, &place, errors),
        };
        let Some(trigger) = trigger else { continue };
        let place_of_rule = place;
        compiled.push(GuardRule {
            trigger,
            action: if rule.review.is_empty() {
                Action::Deny(Arc::new(refusal(guardrail, rule)))
            } else {
                Action::Review(Arc::new(review(guardrail, rule, &place_of_rule, errors)))
            },
            unparsed_allowed: guardrail.unparsed_allowed,
        });
    }
    compiled
}

fn effects(names: &[String], place: &str, errors: &mut Errors) -> Option<Trigger> {
    let mut all = Effects::NONE;
    for name in names {
        match Effects::from_rule_name(name) {
            Some(effects) => all |= effects,
            None => errors.add(place.to_owned(), format!("there is no effect {name:?}")),
        }
    }
    (!all.is_empty()).then_some(Trigger::Effects(all))
}

fn pattern(text: &str, place: &str, errors: &mut Errors) -> Option<Trigger> {
    if text.len() > PATTERN_BYTES_MAX {
        errors.add(
            place.to_owned(),
            format!("deny_pattern is longer than {PATTERN_BYTES_MAX} bytes"),
        );
        return None;
    }
    let config = Regex::config()
        .nfa_size_limit(Some(PATTERN_COMPILED_BYTES_MAX))
        .utf8_empty(false);
    // Statements may be in any encoding, so a match is looked for in bytes.
    let built = Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .build(text);
    match built {
        Ok(regex) => Some(Trigger::Pattern(regex)),
        Err(error) => {
            errors.add(place.to_owned(), format!("deny_pattern: {error}"));
            None
        }
    }
}

fn refusal(guardrail: &wire::Guardrail, rule: &wire::GuardrailRule) -> Refusal {
    let what = if !rule.deny.is_empty() {
        format!("{} not allowed here", rule.deny.join(", "))
    } else {
        "the statement matches a pattern that is not allowed here".to_owned()
    };
    let own = if rule.message.is_empty() {
        String::new()
    } else {
        format!(": {}", rule.message)
    };
    Refusal {
        code: REFUSED,
        message: format!("refused by guardrail \"{}\": {what}{own}", guardrail.name),
        hint: String::new(),
        rule: guardrail.name.clone(),
    }
}

fn review(guardrail: &wire::Guardrail, rule: &wire::GuardrailRule, place: &str, errors: &mut Errors) -> ReviewRule {
    if rule.approvals > APPROVALS_MAX {
        errors.add(
            place.to_owned(),
            format!("at most {APPROVALS_MAX} approvals can be asked for"),
        );
    }
    let wait = Duration::from_secs(u64::from(rule.wait_seconds));
    if wait > HOLD_WAIT_MAX {
        let max = HOLD_WAIT_MAX.as_secs();
        errors.add(place.to_owned(), format!("a statement waits at most {max} seconds"));
    }
    let own = if rule.message.is_empty() {
        String::new()
    } else {
        format!(": {}", rule.message)
    };
    ReviewRule {
        guardrail: guardrail.name.clone(),
        reviewers: rule.reviewers.clone(),
        approvals: rule.approvals.max(1),
        wait: (rule.wait_seconds > 0).then_some(wait),
        message: format!("{}{own}", rule.review.join(", ")),
    }
}

/// Effects that change something, or that would lift the ban on it.
const WRITING: &[Effects] = &[
    Effects::INSERT,
    Effects::UPDATE,
    Effects::DELETE,
    Effects::MERGE,
    Effects::TRUNCATE,
    Effects::DROP,
    Effects::ALTER,
    Effects::CREATE,
    Effects::GRANT,
    Effects::REVOKE,
    Effects::REASSIGN,
    Effects::COMMENT,
    Effects::COPY_IN,
    Effects::COPY_PROGRAM,
    Effects::COPY_FILE,
    Effects::SERVER_FILE,
    Effects::REMOTE,
    Effects::SET_READ_WRITE,
];

/// The rule of a read-only connection. The target's own transactions are read-only as well: what a function writes is
/// refused there.
fn read_only(connection: &str) -> GuardRule {
    GuardRule {
        trigger: Trigger::Effects(WRITING.iter().fold(Effects::NONE, |all, one| all | *one)),
        action: Action::Deny(Arc::new(Refusal {
            code: READ_ONLY,
            message: format!("refused by Sluice: the connection \"{connection}\" is read-only"),
            hint: String::new(),
            rule: "read-only".to_owned(),
        })),
        unparsed_allowed: false,
    }
}

/// Joins the guardrails that a connection names.
pub(super) fn of_connection(
    connection: &wire::Connection,
    guardrails: &HashMap<String, Vec<GuardRule>>,
    errors: &mut Errors,
) -> Guard {
    let mut guard = Guard::default();
    if connection.postgres.as_ref().is_some_and(|postgres| postgres.read_only) {
        guard.rules.push(read_only(&connection.name));
    }
    for name in &connection.guardrails {
        match guardrails.get(name) {
            Some(rules) => guard.rules.extend(rules.iter().cloned()),
            None => errors.add(
                format!("connection {:?}, guardrails", connection.name),
                format!("there is no guardrail {name:?}"),
            ),
        }
    }
    guard
}
