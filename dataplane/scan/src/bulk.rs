//! Candidates in bulk: a back end says at which places something can begin, and the channels of the reference judge them there.

use crate::arch::{BLOCK_BYTES, Found, Search, WORDS_MAX, next_place, next_window, words_with_places};
use crate::class::{LETTER, is};
use crate::detect::{aws, tokens};
use crate::engine::Engine;
use crate::forms::Start;
use crate::plan::{PRINT_BYTES, Plan};
use crate::text::word_start;
use crate::trigger::Triggers;

/// Longest distance between the end of a key and its operator: blanks, a quote with a backslash, a colon.
const KEY_GAP_BYTES_MAX: usize = 16;
/// Digits of a number that only a hot word makes one.
const WEAK_DIGITS_MIN: u32 = 7;
/// A run of dashes longer than this begins no armour.
pub(crate) const DASHES_MAX: usize = 65;

/// A pass over a haystack.
pub(crate) struct Bulk<'e, 's, 't> {
    engine: &'e mut Engine<'s, 't>,
    plan: &'s Plan,
    triggers: &'s Triggers,
    bytes: &'t [u8],
    /// Places from here on are not decided here.
    end: usize,
    /// Places beyond their window that a key gave away: bits from `late_base` on.
    late: u64,
    late_base: usize,
    /// Weak shapes of detectors without a shape may stand anywhere.
    all_near: bool,
}

impl<'e, 's, 't> Bulk<'e, 's, 't> {
    pub fn new(engine: &'e mut Engine<'s, 't>, end: usize) -> Bulk<'e, 's, 't> {
        let scanner = engine.scanner();
        let bytes = engine.text().bytes();
        Bulk {
            engine,
            plan: &scanner.plan,
            triggers: &scanner.triggers,
            bytes,
            end,
            late: 0,
            late_base: 0,
            all_near: scanner.plan.fallback.is_some() || scanner.plan.hot_later,
        }
    }

    /// Judges all candidates from `from` on.
    pub fn run(mut self, from: usize) {
        let scanner = self.engine.scanner();
        let whole;
        let unfiltered = match self.engine.cells() {
            Some(cells) => cells.with_context(),
            None => {
                whole = [(0, self.bytes.len() as u32)];
                if self.engine.field_is_hot() { &whole } else { &[][..] }
            }
        };
        let search = Search {
            plan: self.plan,
            hot_words: &scanner.hot_words,
            bytes: self.bytes,
            unfiltered,
            every: self.plan.fallback.is_some(),
            hot_later: self.plan.hot_later,
        };
        let mut found = Found::default();
        if from == 0 {
            self.key_at_start();
        }
        self.engine.words_apart = self.plan.wanted.words;
        let mut place = from;
        while place < self.end && next_window(scanner.level, &search, place, &mut found) {
            if found.base >= self.end {
                break;
            }
            self.window(&mut found);
            place = found.next;
        }
        self.visit_late(self.end);
        self.engine.words_apart = false;
    }

    fn window(&mut self, found: &mut Found) {
        self.visit_late(found.base);
        if self.late != 0 {
            found.places[0] |= self.late;
            self.late = 0;
        }
        self.late_base = found.next;
        if let Some(fallback) = &self.plan.fallback {
            self.add_fallback(fallback, found);
        }
        if found.any_keys {
            self.add_operators(found);
        }
        if found.any_runs {
            for word in 0..WORDS_MAX {
                self.each(found.base + word * 64, found.runs[word], |bulk, place| {
                    aws::secret(bulk.engine, place);
                });
            }
        }
        if !self.plan.wanted.words {
            self.places(found);
            return;
        }
        for word in 0..WORDS_MAX {
            let near = if found.any_near { found.near[word] } else { 0 };
            let base = found.base + word * 64;
            let mut places = found.places[word];
            let words = if found.any_words { found.words[word] } else { 0 };
            places |= self.words(found, base, words | near, near);
            self.each(base, places, |bulk, place| {
                bulk.engine.near_hot = bulk.all_near || near >> (place - base) & 1 == 1;
                bulk.visit(place);
            });
        }
        self.engine.near_hot = true;
    }

    /// Judges the places of a window when words are not looked for.
    fn places(&mut self, found: &Found) {
        let mut rest = found.places;
        let mut words = words_with_places(&rest);
        while words != 0 {
            let (word, bit) = next_place(&mut rest, &mut words);
            let place = found.base + word * BLOCK_BYTES + bit.trailing_zeros() as usize;
            if place >= self.end || self.engine.is_covered(place) {
                continue;
            }
            self.engine.near_hot = self.all_near || found.any_near && found.near[word] & bit != 0;
            self.visit(place);
        }
        self.engine.near_hot = true;
    }

    #[inline(always)]
    fn each(&mut self, base: usize, mut bits: u64, mut visit: impl FnMut(&mut Self, usize)) {
        while bits != 0 {
            let place = base + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            if place < self.end && !self.engine.is_covered(place) {
                visit(self, place);
            }
        }
    }

    /// Visits what keys gave away before `end`, when no window begins there.
    fn visit_late(&mut self, end: usize) {
        if self.late != 0 && self.late_base < end {
            let bits = std::mem::take(&mut self.late);
            self.each(self.late_base, bits, Bulk::visit);
        }
    }

    /// Marks the places at which detectors without a shape trigger.
    fn add_fallback(&self, fallback: &Triggers, found: &mut Found) {
        let mut place = found.base;
        while let Some(next) = fallback.next(&self.bytes[..found.next.min(self.bytes.len())], place) {
            let offset = next.place - found.base;
            found.places[offset / 64] |= 1 << (offset % 64);
            place = next.place + 1;
        }
    }

    /// Marks the operators and quotes behind keys.
    fn add_operators(&mut self, found: &mut Found) {
        for word in 0..WORDS_MAX {
            let mut bits = found.keys[word];
            while bits != 0 {
                let key = found.base + word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                for place in operators(self.bytes, key + PRINT_BYTES) {
                    self.mark(found, place);
                }
            }
        }
    }

    /// A key of three letters at the start of the text lacks the fourth byte of its fingerprint.
    fn key_at_start(&mut self) {
        if self.plan.key_at_start(self.bytes) {
            for place in operators(self.bytes, PRINT_BYTES - 1) {
                if place < self.end {
                    self.channel(place);
                }
            }
        }
    }

    fn mark(&mut self, found: &mut Found, place: usize) {
        match place.checked_sub(found.next) {
            Some(offset) => self.late |= 1 << offset,
            None => {
                let offset = place - found.base;
                found.places[offset / 64] |= 1 << (offset % 64);
            }
        }
    }

    /// Judges the words that begin at `places` as forms; the result are those of them that may be a number or more by hot words.
    fn words(&mut self, found: &Found, base: usize, places: u64, near: u64) -> u64 {
        let mut rest = places;
        let mut numbers = 0;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest ^= bit;
            let place = base + bit.trailing_zeros() as usize;
            let word = self.word_start(found, place);
            let near = self.all_near || near & bit != 0;
            // A number may be one for the other channels as well, and those know hot words too.
            let weak_number = near && word.digits & 1 == 1 && word.digits.count_ones() >= WEAK_DIGITS_MIN;
            if weak_number || near && self.bytes[place] == b'(' {
                numbers |= bit;
            }
            let possible = self.plan.words.possible(self.bytes, place, word, near);
            if possible && place < self.end && !self.engine.is_covered(place) {
                self.engine.near_hot = near;
                tokens::at_known(self.engine, place, word);
            }
        }
        numbers
    }

    /// What stands at the start of a word of a window.
    #[inline(always)]
    fn word_start(&self, found: &Found, place: usize) -> Start {
        let offset = place - found.base;
        if offset + BLOCK_BYTES > found.bytes {
            return word_start(self.engine.scanner().level, self.bytes, place);
        }
        let (word, bit) = (offset / BLOCK_BYTES, offset % BLOCK_BYTES);
        let from = |mask: &[u64; WORDS_MAX]| {
            let next = mask.get(word + 1).copied().unwrap_or(0);
            mask[word] >> bit | next << 1 << (BLOCK_BYTES - 1 - bit)
        };
        let words = from(&found.word);
        let behind = self.bytes.get(place + words.trailing_ones() as usize);
        Start {
            digits: from(&found.digit),
            words,
            behind: behind.copied().unwrap_or(0),
        }
    }

    #[inline(always)]
    fn visit(&mut self, place: usize) {
        let byte = self.bytes[place];
        match byte {
            b'0'..=b'9' | b'(' => self.channel(place),
            b'-' => self.dash(place),
            _ if is(byte, LETTER) || byte == b'_' => {
                self.engine.near_hot |= !self.plan.wanted.words;
                self.word(place);
            }
            _ => {
                self.engine.near_hot = true;
                self.channel(place);
            }
        }
    }

    /// Lets the channel of the byte judge the place.
    #[inline(always)]
    fn channel(&mut self, place: usize) {
        if let Some(channel) = self.triggers.channel(self.bytes[place]) {
            self.engine.visit(place, channel);
        }
    }

    /// A word that begins like a literal, like one of the policy's forms, or like an IBAN.
    fn word(&mut self, place: usize) {
        self.channel(place);
        let letters = self.bytes.get(place + 1).is_some_and(|byte| is(*byte, LETTER));
        if letters && self.bytes.get(place + 2).is_some_and(u8::is_ascii_digit) {
            self.channel(place + 2);
        }
    }

    /// A dash before `BEG`, or between two pairs of digits.
    fn dash(&mut self, place: usize) {
        let before = self.bytes[..=place].iter().rev().take(DASHES_MAX);
        let run = before.take_while(|byte| **byte == b'-').count();
        if self.bytes.get(place + 1) == Some(&b'B') && run > 1 {
            self.channel(place + 1 - run);
        }
        self.channel(place);
    }
}

/// Operators and quotes that may belong to a key that ends before `from`.
fn operators(bytes: &[u8], from: usize) -> impl Iterator<Item = usize> + '_ {
    let end = bytes.len().min(from + KEY_GAP_BYTES_MAX);
    let gap = bytes.get(from..end).unwrap_or_default().iter();
    let gap = gap.take_while(|byte| matches!(byte, b' ' | b'"' | b'`' | b']' | b'\\' | b':' | b'=' | b'\''));
    gap.enumerate()
        .filter(|(_, byte)| matches!(byte, b':' | b'=' | b'\''))
        .map(move |(offset, _)| from + offset)
}
