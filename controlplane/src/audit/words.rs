//! The words by which stored events are found: those of statements' texts, and marks for what else is searched for.
//!
//! A word is a run of letters, digits and `_`, in small letters. A mark begins with a digit and a letter and stands for a
//! user, a connection, an outcome, a detector or a verb. What is found by words is looked at again before it is shown, so a
//! word that looks like a mark makes a search slower and never wrong.

use std::collections::BTreeSet;

use proto::audit::{Event, Outcome, Statement, event};

/// Longest word that is kept, in characters; of a longer one the beginning is.
const WORD_CHARS_MAX: usize = 64;
/// Most bytes of words kept for one chunk of events.
const WORDS_BYTES_MAX: usize = 256 * 1024;
/// Stands for all words of a chunk that has too many.
pub const EVERYTHING: &str = "0everything";

/// What statements are searched by; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Words that must all be in the text, in any order; one that ends in `*` is a beginning.
    pub text: Option<String>,
    pub outcome: Option<String>,
    pub detector: Option<String>,
    pub verb: Option<String>,
}

impl Wanted {
    /// Whether nothing is asked of statements.
    pub fn is_empty(&self) -> bool {
        *self == Wanted::default()
    }

    /// Words that a chunk must have to hold such a statement; one that ends in `*` is a beginning.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.text_words();
        words.extend(self.outcome.as_deref().map(|name| mark('o', name)));
        words.extend(self.detector.as_deref().map(|name| mark('d', name)));
        words.extend(self.verb.as_deref().map(|name| mark('v', name)));
        words
    }

    /// Whether a statement is one of these.
    pub fn matches(&self, statement: &Statement) -> bool {
        let same = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w.eq_ignore_ascii_case(has));
        let found = |wanted: &str| {
            let mut findings = statement.findings.iter();
            findings.any(|finding| finding.detector.eq_ignore_ascii_case(wanted))
        };
        same(&self.outcome, outcome_name(statement.outcome()))
            && self.detector.as_deref().is_none_or(found)
            && same(&self.verb, &verb(&statement.text))
            && self.text_matches(&statement.text)
    }

    fn text_matches(&self, text: &str) -> bool {
        let wanted = self.text_words();
        if wanted.is_empty() {
            return true;
        }
        let has: BTreeSet<String> = words_of_text(text).collect();
        wanted.iter().all(|word| match word.strip_suffix('*') {
            Some(beginning) => has
                .range(beginning.to_owned()..)
                .next()
                .is_some_and(|w| w.starts_with(beginning)),
            None => has.contains(word),
        })
    }

    fn text_words(&self) -> Vec<String> {
        let text = self.text.as_deref().unwrap_or_default();
        let mut words = Vec::new();
        for piece in text.split_whitespace() {
            let mut found: Vec<String> = words_of_text(piece).collect();
            if let Some(last) = found.last_mut().filter(|_| piece.ends_with('*')) {
                last.push('*');
            }
            words.append(&mut found);
        }
        words
    }
}

/// Words of the events of one chunk, without repetition.
pub fn words_of<'e>(events: impl Iterator<Item = &'e Event>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut bytes = 0;
    for event in events {
        let Some(event::Kind::Statement(statement)) = &event.kind else {
            continue;
        };
        let findings = statement.findings.iter().map(|finding| mark('d', &finding.detector));
        let marks = [
            mark('o', outcome_name(statement.outcome())),
            mark('v', &verb(&statement.text)),
        ];
        for word in marks.into_iter().chain(findings).chain(words_of_text(&statement.text)) {
            let length = word.len();
            if words.insert(word) {
                bytes += length;
            }
            if bytes > WORDS_BYTES_MAX {
                return BTreeSet::from([EVERYTHING.to_owned()]);
            }
        }
    }
    words
}

/// The outcome's name, as people see it.
pub fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Error => "error",
        Outcome::Denied => "denied",
        Outcome::Unfinished => "unfinished",
        Outcome::Skipped => "skipped",
    }
}

/// The first word of a statement in capitals.
pub fn verb(text: &str) -> String {
    let word = text
        .trim_start()
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    word.chars().take(20).collect::<String>().to_ascii_uppercase()
}

fn mark(kind: char, name: &str) -> String {
    let name: String = name
        .chars()
        .take(WORD_CHARS_MAX)
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    format!("0{kind}_{}", name.to_lowercase())
}

fn words_of_text(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_CHARS_MAX).collect::<String>().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::audit::Finding;

    fn statement(text: &str) -> Statement {
        Statement {
            text: text.to_owned(),
            outcome: Outcome::Denied.into(),
            findings: vec![Finding {
                detector: "EMAIL_ADDRESS".to_owned(),
                ..Finding::default()
            }],
            ..Statement::default()
        }
    }

    fn event(text: &str) -> Event {
        Event {
            kind: Some(event::Kind::Statement(statement(text))),
            ..Event::default()
        }
    }

    fn wanted(text: &str) -> Wanted {
        Wanted {
            text: Some(text.to_owned()),
            ..Wanted::default()
        }
    }

    #[test]
    fn statements_are_found_by_words_and_marks() {
        let told = statement("SELECT Name FROM public.customers WHERE id=7");
        for good in ["customers", "name CUSTOMERS", "public.customers", "cust*", "id=7", ""] {
            assert!(wanted(good).matches(&told), "{good}");
        }
        for bad in ["cust", "orders", "customers orders", "ustomers*"] {
            assert!(!wanted(bad).matches(&told), "{bad}");
        }
        let denied = Wanted {
            outcome: Some("denied".to_owned()),
            detector: Some("email_address".to_owned()),
            verb: Some("select".to_owned()),
            ..wanted("customers")
        };
        assert!(denied.matches(&told) && !denied.is_empty());
        assert_eq!(
            denied.words(),
            ["customers", "0o_denied", "0d_email_address", "0v_select"]
        );
        let words = words_of([event("SELECT Name FROM public.customers")].iter());
        assert!(denied.words().iter().all(|word| words.contains(word)), "{words:?}");
        let none = Wanted {
            outcome: Some("ok".to_owned()),
            ..Wanted::default()
        };
        assert!(!none.matches(&told));
    }

    #[test]
    fn too_many_words_are_everything() {
        let text: String = (0..60_000).map(|n| format!("w{n} ")).collect();
        assert_eq!(words_of([event(&text)].iter()), BTreeSet::from([EVERYTHING.to_owned()]));
    }

    proptest! {
        /// The words are a sieve that lets every match through.
        #[test]
        fn no_match_is_without_its_words(text in ".{0,60}", from in 0usize..60, length in 1usize..20, star in any::<bool>()) {
            let mut piece: String = text.chars().skip(from).take(length).collect();
            if star {
                piece.push('*');
            }
            let wanted = wanted(&piece);
            if wanted.matches(&statement(&text)) {
                let words = words_of([event(&text)].iter());
                for word in wanted.words() {
                    let there = match word.strip_suffix('*') {
                        Some(beginning) => words.iter().any(|w| w.starts_with(beginning)),
                        None => words.contains(&word),
                    };
                    prop_assert!(there, "{word} of {piece:?} in {words:?}");
                }
            }
        }
    }
}
