//! Hot words: words near a value, or in its field's name, that turn a weak shape into a finding.
//!
//! A hot word counts when it ends within 30 characters to the left of the value, or when it stands in the name of the field.
//! Words of a phrase may be joined by a blank, an underscore, a dash or nothing (`socialSecurity`). A word must stand
//! alone: next to it is no letter, except where camel case begins a new word, and a plural `s`.

use std::collections::HashMap;

use crate::Detector;
use crate::limits::{CONTEXT_BYTES_MAX, CONTEXT_CHARS};

/// Longest part of a field name that is looked at, in bytes.
const FIELD_NAME_BYTES_MAX: usize = 256;

/// Which detectors may take a weak shape for a value. Cheap to copy; made by [`crate::Scanner::context_of`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context {
    built_in: u128,
    custom: u64,
}

const _: () = assert!(Detector::COUNT <= 128, "one bit per built-in detector");

impl Context {
    /// No hot word at all.
    pub const NONE: Context = Context { built_in: 0, custom: 0 };

    pub(crate) fn of(detector: Detector) -> Context {
        Context {
            built_in: 1 << detector as u32,
            custom: 0,
        }
    }

    pub(crate) fn of_custom(slot: usize) -> Context {
        Context {
            built_in: 0,
            custom: 1 << slot,
        }
    }

    pub(crate) fn has(self, other: Context) -> bool {
        self.built_in & other.built_in != 0 || self.custom & other.custom != 0
    }

    pub(crate) fn union(self, other: Context) -> Context {
        Context {
            built_in: self.built_in | other.built_in,
            custom: self.custom | other.custom,
        }
    }
}

/// All hot words of one scanner.
pub(crate) struct HotWords {
    /// What each of `spellings` enables.
    enables: Vec<Context>,
    spellings: Vec<String>,
    /// The spellings of less than eight bytes by their last two, see [`bucket`].
    by_end: Vec<Vec<Ending>>,
    /// The others by a mix of their last eight bytes, see [`long_bucket`].
    by_long_end: Vec<Vec<Ending>>,
    tails: Tails,
}

/// A spelling, and what rules most of them out without a look at it.
#[derive(Clone, Copy)]
struct Ending {
    word: u16,
    bytes: u8,
    first: u8,
}

/// The last bytes of words: what rules out nearly every place at which no word ends.
struct Tails {
    /// Bits by the last four bytes of the words that have so many.
    long: Vec<u64>,
    /// Bits by the last two bytes of the others.
    short: [u64; BUCKETS / 64],
}

impl Tails {
    const LONG_BITS: u32 = 15;

    fn of(words: &[String]) -> Tails {
        let mut tails = Tails {
            long: vec![0; 1 << (Tails::LONG_BITS - 6)],
            short: [0; BUCKETS / 64],
        };
        for word in words {
            match word.as_bytes() {
                [.., a, b, c, d] => {
                    let place = Tails::place([*a, *b, *c, *d]);
                    tails.long[place / 64] |= 1 << (place % 64);
                }
                [.., before, last] => tails.short[bucket(*before, *last) / 64] |= 1 << (bucket(*before, *last) % 64),
                [last] => (0..32).for_each(|before| {
                    tails.short[bucket(before, *last) / 64] |= 1 << (bucket(before, *last) % 64);
                }),
                [] => {}
            }
        }
        tails
    }

    /// The same for both cases of letters.
    #[inline(always)]
    fn place(four: [u8; 4]) -> usize {
        let folded = u32::from_le_bytes(four) | 0x2020_2020;
        (folded.wrapping_mul(0x9e37_79b1) >> (u32::BITS - Tails::LONG_BITS)) as usize
    }

    /// Whether a word may end at `end`.
    #[inline(always)]
    fn allow(&self, text: &[u8], end: usize) -> bool {
        let four = end.checked_sub(4).and_then(|from| text.get(from..end));
        let long = four.and_then(|four| four.try_into().ok()).is_some_and(|four| {
            let place = Tails::place(four);
            self.long[place / 64] >> (place % 64) & 1 == 1
        });
        long || {
            let at = |back: usize| end.checked_sub(back).and_then(|at| text.get(at)).copied().unwrap_or(0);
            let place = bucket(at(2), at(1));
            self.short[place / 64] >> (place % 64) & 1 == 1
        }
    }
}

impl HotWords {
    /// Compiles phrases with what they enable.
    pub fn build(phrases: &[(&str, Context)]) -> HotWords {
        let mut places = HashMap::new();
        let (mut spellings, mut enables): (Vec<String>, Vec<Context>) = Default::default();
        for (phrase, enabled) in phrases {
            for joint in joints(phrase) {
                let text = phrase.to_ascii_lowercase().replace(' ', joint);
                let place = *places.entry(text.clone()).or_insert(spellings.len());
                match enables.get_mut(place) {
                    Some(known) => *known = enabled.union(*known),
                    None => {
                        spellings.push(text);
                        enables.push(*enabled);
                    }
                }
            }
        }
        let (mut by_end, mut by_long_end) = (vec![Vec::new(); BUCKETS], vec![Vec::new(); BUCKETS]);
        for (place, text) in spellings.iter().enumerate() {
            let ending = Ending {
                word: place as u16,
                bytes: text.len() as u8,
                first: text.bytes().next().unwrap_or_default(),
            };
            match text.as_bytes() {
                [.., a, b, c, d, e, f, g, h] => by_long_end[long_bucket([*a, *b, *c, *d, *e, *f, *g, *h])].push(ending),
                [.., before, last] => by_end[bucket(*before, *last)].push(ending),
                [last] => (0..32).for_each(|before| by_end[bucket(before, *last)].push(ending)),
                [] => {}
            }
        }
        HotWords {
            tails: Tails::of(&spellings),
            by_end,
            by_long_end,
            spellings,
            enables,
        }
    }

    /// Every way to write each of the words, in lower case.
    pub fn spellings(&self) -> impl Iterator<Item = &[u8]> {
        self.spellings.iter().map(String::as_bytes)
    }

    /// What the words of a field name enable.
    pub fn of_name(&self, name: &str) -> Context {
        let name = name.as_bytes();
        let name = &name[..name.len().min(FIELD_NAME_BYTES_MAX)];
        (1..=name.len()).fold(Context::NONE, |found, end| found.union(self.ending_at(name, end)))
    }

    /// What the words to the left of `start` enable.
    pub fn left_of(&self, haystack: &[u8], start: usize) -> Context {
        let floor = start.saturating_sub(CONTEXT_BYTES_MAX);
        let mut nearest_end = start;
        let mut chars = 0;
        while nearest_end > floor && chars < CONTEXT_CHARS {
            nearest_end -= 1;
            chars += usize::from(haystack[nearest_end] & 0xc0 != 0x80);
        }
        let mut found = Context::NONE;
        for end in nearest_end.max(1)..=start {
            // Inside of a word no other ends, unless it is a plural or camel case.
            let goes_on = haystack
                .get(end)
                .is_some_and(|next| next.is_ascii_lowercase() && *next != b's');
            if end == start || !goes_on {
                found = found.union(self.ending_at(&haystack[floor..start], end - floor));
            }
        }
        found
    }

    /// What the whole words that end at `end` enable.
    pub fn ending_at(&self, text: &[u8], end: usize) -> Context {
        let mut found = Context::NONE;
        if !self.tails.allow(text, end) {
            return found;
        }
        for ending in self.long_endings(text, end).iter().chain(self.endings(text, end)) {
            if self.stands_at(ending, text, end) {
                found = found.union(self.enables[usize::from(ending.word)]);
            }
        }
        found
    }

    /// Whether a whole word ends at `end`.
    pub fn ends_at(&self, text: &[u8], end: usize) -> bool {
        self.tails.allow(text, end)
            && self
                .long_endings(text, end)
                .iter()
                .chain(self.endings(text, end))
                .any(|ending| self.stands_at(ending, text, end))
    }

    /// The words of eight bytes and more with the same last eight, and a few others.
    #[inline(always)]
    fn long_endings(&self, text: &[u8], end: usize) -> &[Ending] {
        match text[..end].last_chunk::<8>() {
            Some(eight) => &self.by_long_end[long_bucket(*eight)],
            None => &[],
        }
    }

    /// The shorter words with the same last two letters.
    #[inline(always)]
    fn endings(&self, text: &[u8], end: usize) -> &[Ending] {
        match text[..end] {
            [.., before, last] => &self.by_end[bucket(before, last)],
            [last] => &self.by_end[bucket(0, last)],
            [] => &[],
        }
    }

    /// Whether the whole word ends at `end`.
    #[inline(always)]
    fn stands_at(&self, ending: &Ending, text: &[u8], end: usize) -> bool {
        let Some(start) = end.checked_sub(usize::from(ending.bytes)) else {
            return false;
        };
        text[start].eq_ignore_ascii_case(&ending.first) && self.is_spelled(ending, text, start, end)
    }

    #[inline(never)]
    fn is_spelled(&self, ending: &Ending, text: &[u8], start: usize, end: usize) -> bool {
        let word = self.spellings[usize::from(ending.word)].as_bytes();
        text[start..end].eq_ignore_ascii_case(word) && stands_alone(text, start, end)
    }

    pub fn memory_bytes(&self) -> usize {
        let texts: usize = self.spellings.iter().map(String::len).sum();
        let lists = size_of_val(self.by_end.as_slice()) + size_of_val(self.by_long_end.as_slice());
        texts + size_of_val(self.enables.as_slice()) + lists
    }
}

const BUCKETS: usize = 1024;

/// The same for both cases of a letter.
fn bucket(before: u8, last: u8) -> usize {
    usize::from(before & 31) * 32 + usize::from(last & 31)
}

/// The same for both cases of letters.
#[inline(always)]
fn long_bucket(eight: [u8; 8]) -> usize {
    let folded = u64::from_le_bytes(eight) | 0x2020_2020_2020_2020;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - BUCKETS.trailing_zeros())) as usize
}

fn joints(phrase: &str) -> &'static [&'static str] {
    if phrase.contains(' ') {
        &[" ", "_", "-", ""]
    } else {
        &[""]
    }
}

/// The word at `start..end` is not part of a longer word.
fn stands_alone(window: &[u8], start: usize, end: usize) -> bool {
    let letter = |at: usize| window.get(at).is_some_and(u8::is_ascii_alphabetic);
    let upper = |at: usize| window.get(at).is_some_and(u8::is_ascii_uppercase);
    let lower = |at: usize| window.get(at).is_some_and(u8::is_ascii_lowercase);
    let begins = start == 0 || !letter(start - 1) || (lower(start - 1) && upper(start));
    let plural = window.get(end).is_some_and(|b| b.eq_ignore_ascii_case(&b's')) && !letter(end + 1);
    let ends = !letter(end) || plural || (lower(end - 1) && upper(end));
    begins && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> HotWords {
        let ssn = Context::of(Detector::UsSocialSecurityNumber);
        let phone = Context::of(Detector::PhoneNumber);
        HotWords::build(&[("ssn", ssn), ("social security", ssn), ("phone", phone)])
    }

    #[test]
    fn field_names_are_split_into_words() {
        let words = words();
        let ssn = Context::of(Detector::UsSocialSecurityNumber);
        for name in [
            "ssn",
            "SSN",
            "user_ssn",
            "customerSsn",
            "ssn2",
            "ssns",
            "SocialSecurity",
            "social-security-number",
        ] {
            assert!(words.of_name(name).has(ssn), "{name}");
        }
        for name in ["lessness", "ssnx", "assn", "", "social_insurance", "phone"] {
            assert!(!words.of_name(name).has(ssn), "{name}");
        }
    }

    #[test]
    fn a_word_counts_up_to_thirty_characters_away() {
        let words = words();
        let phone = Context::of(Detector::PhoneNumber);
        for (gap, counts) in [(1, true), (30, true), (31, false)] {
            let text = format!("phone{}", "-".repeat(gap));
            assert_eq!(words.left_of(text.as_bytes(), text.len()).has(phone), counts, "{gap}");
            let wide = format!("phone{}", "é".repeat(gap));
            assert_eq!(
                words.left_of(wide.as_bytes(), wide.len()).has(phone),
                counts,
                "{gap} wide"
            );
        }
    }

    #[test]
    fn words_to_the_right_do_not_count() {
        let text = b"x 123 phone";
        assert_eq!(words().left_of(text, 2), Context::NONE);
    }
}
