//! Forms of identifiers as masks over the start of a word, in lists by what the word's first run of letters and digits looks like.
//!
//! ```text
//! word       5 2 9 . 9 8 2 . 2 4 7 - 2 5        form 999.999.999~99
//! digits     1 1 1 0 1 1 1 0 1 1 1 0 1 1        9 and X demand, A forbids
//! words      1 1 1 0 1 1 1 0 1 1 1 0 1 1        9, A and X demand, everything else forbids
//! ```
//! A word is compared only with the forms that begin with a run of its length, with a digit or a letter at the same ends of it,
//! and that go on behind the run if the word does.

use crate::detect::pattern::VALUE_BYTES_MAX;

/// Which of the first 64 bytes of a form are what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    digits: u64,
    letters: u64,
    words: u64,
    blanks: u64,
}

impl Mask {
    /// From signs: `9` a digit (as other digits are), `A` or a lower-case letter a letter, `X` either; all others are no part of a
    /// word. An underscore passes for a letter.
    pub fn of(pattern: &str) -> Mask {
        let bits = |wanted: fn(u8) -> bool| {
            let places = pattern
                .bytes()
                .enumerate()
                .filter(|(place, byte)| *place < 64 && wanted(*byte));
            places.fold(0, |bits, (place, _)| bits | 1 << place)
        };
        Mask {
            digits: bits(|sign| sign.is_ascii_digit()),
            letters: bits(|sign| sign == b'A' || sign.is_ascii_lowercase()),
            words: bits(|sign| sign.is_ascii_alphanumeric()),
            blanks: bits(|sign| !sign.is_ascii_alphanumeric()),
        }
    }

    /// Whether a text fits.
    #[inline(always)]
    pub fn fits(&self, start: Start) -> bool {
        start.digits & self.digits == self.digits
            && start.digits & self.letters == 0
            && start.words & self.words == self.words
            && start.words & self.blanks == 0
    }
}

/// The first 64 bytes from the start of a word on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub digits: u64,
    pub words: u64,
    /// The byte behind the first run; NUL at the end of the text.
    pub behind: u8,
}

impl Start {
    /// Length of the run of letters, digits and underscores.
    #[inline(always)]
    pub fn run(&self) -> usize {
        self.words.trailing_ones() as usize
    }

    /// The first run is digits only.
    #[inline(always)]
    pub fn number(&self) -> bool {
        self.digits.trailing_ones() >= self.words.trailing_ones()
    }

    /// A single byte stands between the first run and another one.
    #[inline(always)]
    fn goes_on(&self) -> bool {
        self.run() < 63 && self.words >> (self.run() + 1) & 1 == 1
    }
}

/// Things that belong to forms, by the words that may have these.
pub(crate) struct Table<T> {
    /// See [`slot`]; first for words that end with their first run, then for all words.
    lists: [Vec<Vec<(Mask, T)>>; 2],
    /// Bytes with which forms go on behind their first run.
    joints: u128,
    none: bool,
}

/// What is known of a first run: digits only, or whether its first, second and last byte are digits.
const KINDS: usize = 9;
const NUMBER: usize = KINDS - 1;

/// Place of the list for first runs like this one.
#[inline(always)]
fn slot(run: usize, digits: u64) -> usize {
    let kind = if digits.trailing_ones() as usize >= run {
        NUMBER
    } else {
        let second = if run > 1 { digits >> 1 & 1 } else { 0 };
        (digits & 1 | second << 1 | (digits >> (run - 1) & 1) << 2) as usize
    };
    run * KINDS + kind
}

impl<T: Clone> Table<T> {
    pub fn new() -> Table<T> {
        let lists = || vec![Vec::new(); (VALUE_BYTES_MAX + 1) * KINDS];
        Table {
            lists: [lists(), lists()],
            joints: 0,
            none: true,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.none
    }

    /// Adds a thing; `merge` may unite it with one of the same form instead.
    pub fn add(&mut self, pattern: &str, separators: &[u8], thing: &T, merge: impl Fn(&mut T, &T) -> bool) {
        let signs = pattern.as_bytes();
        let run = signs.iter().take_while(|sign| sign.is_ascii_alphanumeric()).count();
        if run == 0 || run > VALUE_BYTES_MAX {
            return;
        }
        self.none = false;
        let goes_on = signs.len() > run;
        if goes_on {
            let own = [signs[run]];
            let joints = if signs[run] == b'~' { separators } else { &own };
            self.joints |= joints.iter().fold(0, |set, byte| set | 1u128 << (byte & 0x7f));
        }
        let mask = Mask::of(pattern);
        for kind in (0..KINDS).filter(|kind| allows(&signs[..run], *kind)) {
            for lists in &mut self.lists[usize::from(goes_on)..] {
                let list = &mut lists[run * KINDS + kind];
                let known = list.iter_mut().find(|(known, _)| *known == mask);
                if !known.is_some_and(|(_, known)| merge(known, thing)) {
                    list.push((mask, thing.clone()));
                }
            }
        }
    }

    /// The things whose form the word has.
    #[inline(always)]
    pub fn fitting(&self, start: Start) -> impl Iterator<Item = &T> {
        self.list(start)
            .iter()
            .filter(move |(mask, _)| mask.fits(start))
            .map(|(_, thing)| thing)
    }

    #[inline(always)]
    fn list(&self, start: Start) -> &[(Mask, T)] {
        let run = start.run();
        let joint = start.behind < 0x80 && self.joints >> start.behind & 1 == 1 && start.goes_on();
        let list = self.lists[usize::from(joint)].get(slot(run.max(1), start.digits));
        list.map_or(&[], Vec::as_slice)
    }
}

/// Whether a first run of this kind may be one with these signs.
fn allows(run: &[u8], kind: usize) -> bool {
    let may = |place: usize, digit: bool| match run.get(place) {
        Some(b'X') => true,
        Some(sign) => sign.is_ascii_digit() == digit,
        None => !digit,
    };
    let number = run.iter().all(u8::is_ascii_digit);
    match kind {
        NUMBER => run.iter().all(|sign| *sign == b'X' || sign.is_ascii_digit()),
        _ => !number && may(0, kind & 1 == 1) && may(1, kind >> 1 & 1 == 1) && may(run.len() - 1, kind >> 2 & 1 == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{WORD, is};

    fn start(text: &str) -> Start {
        let bits = |wanted: fn(&u8) -> bool| {
            let places = text.bytes().enumerate().filter(|(_, byte)| wanted(byte));
            places.fold(0, |bits, (place, _)| bits | 1 << place)
        };
        let words: u64 = bits(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let behind = text.as_bytes().get(words.trailing_ones() as usize);
        Start {
            digits: bits(u8::is_ascii_digit),
            words,
            behind: behind.copied().unwrap_or(0),
        }
    }

    #[test]
    fn words_meet_the_forms_that_they_have() {
        const FORMS: &[&str] = &[
            "9", "99", "A9", "AX", "XX", "999~99", "AA 99", "AAA-A 9", "99A", "A99AA", "XXXXX~9", "9X9", "u1XA",
            "de999", "99999",
        ];
        let mut table = Table::new();
        FORMS.iter().for_each(|form| table.add(form, b"-.", form, |_, _| false));
        let words = [
            "1", "a", "12", "a1", "1a", "ab", "123-45", "123 45", "123.45", "123--45", "ab 12", "ab-12", "abc-d 1",
            "12a", "a12bc", "12345-1", "abcde.1", "1a1", "111", "de123", "DE123.", "U12a", "ux2a", "12345", "12_",
            "abc-d", "999-99_", "",
        ];
        for word in words {
            let fitting: Vec<&str> = table.fitting(start(word)).copied().collect();
            let wanted: Vec<&str> = FORMS.iter().copied().filter(|form| fits(form, word)).collect();
            assert_eq!(fitting, wanted, "{word:?}");
        }
    }

    /// The same sign by sign; a byte with which any form goes on counts for all of them.
    fn fits(form: &str, word: &str) -> bool {
        let mut rest = word.bytes();
        let all = form.bytes().all(|sign| {
            let byte = rest.next().unwrap_or(0);
            match sign {
                b'9' => byte.is_ascii_digit(),
                b'0'..=b'8' => byte.is_ascii_digit(),
                b'A' | b'a'..=b'z' => byte.is_ascii_alphabetic() || byte == b'_',
                b'X' => byte.is_ascii_alphanumeric() || byte == b'_',
                _ => b"-. ".contains(&byte),
            }
        });
        let run = |text: &str| text.bytes().take_while(|byte| is(*byte, WORD)).count();
        all && run(form) == run(word)
    }

    #[test]
    fn merged_things_stand_once() {
        let mut table = Table::new();
        for strong in [false, true, false] {
            table.add("99A", b"", &strong, |known, new| {
                *known |= new;
                true
            });
        }
        assert_eq!(table.fitting(start("12b")).collect::<Vec<_>>(), [&true]);
    }
}
