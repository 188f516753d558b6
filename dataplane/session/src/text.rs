//! A statement's text with everything that was decided about it once, when it came.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use codecs::postgres::replication::Command;
use codecs::wire::sql::{CopySpec, Effects, TableName};
use proto::audit::Review;
use smallvec::SmallVec;

use crate::judge::tally::Tally;
use crate::policy::RuleSet;
use crate::policy::guardrail::ReviewRule;
use crate::verdict::Refusal;

/// One statement of a text.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub span: Range<usize>,
    pub copy: Option<Rc<CopySpec>>,
    pub tables: Rc<[TableName]>,
}

/// A text that a client sent to be run or prepared.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// As it was sent: judged again when the policy changes.
    pub raw: Box<[u8]>,
    pub parts: SmallVec<[Part; 1]>,
    /// Effects of its statements, under every reading of its quotes.
    pub effects: SmallVec<[Effects; 1]>,
    /// Types of the parameters as the client declared them.
    pub parameter_types: Box<[u32]>,
    /// May ask the client for COPY data.
    pub copy_in: bool,
    /// A command of a replication connection, and no SQL.
    pub command: Option<Command>,
    /// Runs what SQL prepared before.
    pub executes: bool,
    pub judged: RefCell<Judged>,
}

/// What a policy said about a text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Judged {
    pub generation: u64,
    pub refusal: Option<Arc<Refusal>>,
    /// Rules that want a review before it runs.
    pub holds: Vec<Arc<ReviewRule>>,
    /// What the reviewers said the last time.
    pub reviews: Vec<Review>,
    /// As it may be shown, the same length, where that differs from the raw text: masked, and valid UTF-8.
    pub shown: Option<Box<[u8]>>,
    /// What was masked in it, and by which rules.
    pub tally: Tally,
    pub rules: Option<Arc<RuleSet>>,
}

impl Text {
    /// The span of statement `index`; more answers than statements belong to the last one.
    pub(crate) fn span(&self, index: usize) -> Range<usize> {
        match self.part(index) {
            Some(part) => part.span.clone(),
            None => 0..self.raw.len(),
        }
    }

    pub(crate) fn part(&self, index: usize) -> Option<&Part> {
        self.parts.get(index).or(self.parts.last())
    }

    pub(crate) fn refusal(&self) -> Option<Arc<Refusal>> {
        self.judged.borrow().refusal.clone()
    }

    /// The same text, refused this once.
    pub(crate) fn refused(&self, refusal: Arc<Refusal>, reviews: Vec<Review>) -> Text {
        let text = self.clone();
        {
            let mut judged = text.judged.borrow_mut();
            judged.refusal = Some(refusal);
            judged.reviews = reviews;
        }
        text
    }

    /// Bytes kept for it.
    pub(crate) fn weight(&self) -> usize {
        let shown = self.judged.borrow().shown.as_ref().map_or(0, |shown| shown.len());
        self.raw.len() + shown + self.parts.len() * size_of::<Part>()
    }
}

/// Replaces what is not UTF-8 by `?`, byte for byte. True if anything was.
pub(crate) fn make_utf8(bytes: &mut [u8]) -> bool {
    let mut at = 0;
    let mut changed = false;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Err(error) = std::str::from_utf8(rest) else { break };
        let start = at + error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |len| start + len);
        bytes.get_mut(start..end).unwrap_or_default().fill(b'?');
        (at, changed) = (end, true);
    }
    changed
}

/// The longest prefix of valid UTF-8 `bytes` that is not longer than `max` and cuts no character.
pub(crate) fn cut(bytes: &[u8], max: usize) -> &[u8] {
    let mut end = bytes.len().min(max);
    while end < bytes.len() && end > 0 && bytes.get(end).is_some_and(|b| b & 0xC0 == 0x80) {
        end -= 1;
    }
    bytes.get(..end).unwrap_or_default()
}

/// Hides the literal of `PASSWORD '…'`, which no detector can know. `raw` is the text, `shown` its copy.
pub(crate) fn hide_passwords(raw: &[u8], shown: &mut [u8]) -> bool {
    const WORD: &[u8] = b"password";
    let mut hidden = false;
    let mut at = 0;
    while let Some(found) = find_ignoring_case(raw.get(at..).unwrap_or_default(), WORD) {
        at += found + WORD.len();
        let rest = raw.get(at..).unwrap_or_default();
        let skip = rest
            .iter()
            .take_while(|b| b.is_ascii_whitespace() || **b == b'=')
            .count();
        let quote = match rest.get(skip) {
            Some(b'E' | b'e') => skip + 1,
            _ => skip,
        };
        if rest.get(quote) != Some(&b'\'') {
            continue;
        }
        let start = at + quote + 1;
        let end = start + quoted_len(raw.get(start..).unwrap_or_default());
        shown.get_mut(start..end).unwrap_or_default().fill(b'*');
        (at, hidden) = (end, true);
    }
    hidden
}

fn find_ignoring_case(haystack: &[u8], word: &[u8]) -> Option<usize> {
    haystack
        .windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word))
}

/// Bytes up to the quote that ends the literal; a doubled or escaped one does not.
fn quoted_len(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        match (byte, rest.get(at + 1)) {
            (b'\'', Some(b'\'')) | (b'\\', Some(_)) => at += 2,
            (b'\'', _) => return at,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The name that `PREPARE name` or `DEALLOCATE [PREPARE] name` is about, folded as the server does it. `None` if it
/// cannot be told, or means all.
pub(crate) fn named(statement: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(statement).ok()?;
    let mut words = text.trim_start().split_ascii_whitespace();
    let verb = words.next()?;
    let mut rest = text.trim_start().get(verb.len()..)?.trim_start();
    if verb.eq_ignore_ascii_case("deallocate")
        && let Some(word) = words.next().filter(|word| word.eq_ignore_ascii_case("prepare"))
    {
        rest = rest.get(word.len()..)?.trim_start();
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let name = quoted.get(..quoted.find('"')?)?;
        // A doubled quote inside the name: not told here.
        let after = quoted.as_bytes().get(name.len() + 1);
        return (after != Some(&b'"')).then(|| name.as_bytes().to_vec());
    }
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(rest.len());
    let name = rest.get(..end)?;
    let plain = !name.is_empty() && name.is_ascii() && !name.eq_ignore_ascii_case("all");
    plain.then(|| name.to_ascii_lowercase().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_roles_are_hidden() {
        let hide = |text: &str| {
            let mut shown = text.as_bytes().to_vec();
            hide_passwords(text.as_bytes(), &mut shown);
            String::from_utf8(shown).unwrap()
        };
        assert_eq!(
            hide("ALTER ROLE a PASSWORD 'se''cret' LOGIN"),
            "ALTER ROLE a PASSWORD '********' LOGIN"
        );
        assert_eq!(
            hide("create user x password E'a\\'b'"),
            "create user x password E'****'"
        );
        assert_eq!(
            hide("select password from t where a = 'b'"),
            "select password from t where a = 'b'"
        );
        assert_eq!(hide("PASSWORD 'open"), "PASSWORD '****");
    }

    #[test]
    fn names_are_folded_like_identifiers() {
        assert_eq!(named(b"PREPARE Foo(int) AS select 1"), Some(b"foo".to_vec()));
        assert_eq!(named(b"deallocate prepare \"Foo\""), Some(b"Foo".to_vec()));
        assert_eq!(named(b"DEALLOCATE ALL"), None);
        assert_eq!(named(b"PREPARE \"a\"\"b\" AS select 1"), None);
        assert_eq!(named(b"PREPARE"), None);
    }

    #[test]
    fn text_for_the_record_is_utf8_and_cut_between_characters() {
        let mut bytes = b"a\xffb\xe4\xb8".to_vec();
        assert!(make_utf8(&mut bytes));
        assert_eq!(bytes, b"a?b??");
        assert_eq!(cut("aä".as_bytes(), 2), b"a");
        assert_eq!(cut(b"abc", 8), b"abc");
    }
}
