//! The haystack as verifiers see it: reading past its end is allowed, yields a boundary and is remembered.
//!
//! In a stream the end of the haystack is not the end of the text. A verifier's verdict is final if and only if it did
//! not look at the end; that single rule is what makes results independent of how the input was cut.

use std::cell::Cell;

use crate::arch::{BLOCK_BYTES, Level, class_bits, class_bits_before, classes_bits, classes_bits_before};
use crate::class::{Class, DIGITS, Nibbles, VALUE, WORD, WORDS, is, table_of};
use crate::forms::Start;

/// The 64 bytes from the start of a word on.
#[inline(always)]
pub(crate) fn word_start(level: Level, bytes: &[u8], place: usize) -> Start {
    let [digits, words] = classes_bits(level, bytes, place, [&DIGITS, &WORDS]);
    let behind = bytes.get(place + words.trailing_ones() as usize);
    Start {
        digits,
        words,
        behind: behind.copied().unwrap_or(0),
    }
}

/// Runs of at most so many bytes are measured one by one.
const SHORT_RUN_BYTES: usize = 8;

/// A haystack with a mark that tells whether its end has been looked at.
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    /// Nothing follows this haystack, so its end may be looked at without consequence.
    last: bool,
    level: Level,
    edge: Cell<bool>,
    run: Cell<KnownRun>,
    /// The place whose digits were asked for last, and the answer.
    digits: Cell<(usize, u64)>,
    #[cfg(test)]
    steps: Cell<u64>,
}

/// The run that was measured last, so that many candidates inside one long run measure it once.
#[derive(Clone, Copy, Default)]
struct KnownRun {
    class: Class,
    start: usize,
    end: usize,
    /// The byte at `end` is not part of the run (as opposed to: measuring stopped there).
    ended: bool,
}

impl<'a> Text<'a> {
    pub fn new(bytes: &'a [u8], last: bool) -> Text<'a> {
        Text {
            bytes,
            last,
            level: Level::Reference,
            edge: Cell::new(false),
            run: Cell::new(KnownRun::default()),
            digits: Cell::new((usize::MAX, 0)),
            #[cfg(test)]
            steps: Cell::new(0),
        }
    }

    /// The same haystack, read with the instructions of a level.
    pub fn on(self, level: Level) -> Text<'a> {
        Text { level, ..self }
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn last(&self) -> bool {
        self.last
    }

    /// Starts a new verdict.
    pub fn forget_edge(&self) {
        self.edge.set(false);
    }

    /// Whether the verdict depends on bytes that have not arrived.
    pub fn needs_more(&self) -> bool {
        self.edge.get() && !self.last
    }

    /// The byte at `place`, or NUL (a boundary for every detector) beyond the end.
    #[inline(always)]
    pub fn at(&self, place: usize) -> u8 {
        self.step(1);
        match self.bytes.get(place) {
            Some(byte) => *byte,
            None => {
                self.edge.set(true);
                0
            }
        }
    }

    /// The byte `back` places before `place`, or NUL before the start.
    #[inline(always)]
    pub fn before(&self, place: usize, back: usize) -> u8 {
        place
            .checked_sub(back)
            .and_then(|at| self.bytes.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// No letter, digit or underscore stands before `place`.
    #[inline(always)]
    pub fn boundary_before(&self, place: usize) -> bool {
        !is(self.before(place, 1), WORD)
    }

    /// No letter, digit or underscore stands at `place`.
    #[inline(always)]
    pub fn boundary_at(&self, place: usize) -> bool {
        !is(self.at(place), WORD)
    }

    #[inline(always)]
    pub fn is(&self, place: usize, class: Class) -> bool {
        is(self.at(place), class)
    }

    /// End of the run of a class that begins at `from`, measured over at most `bytes_max` bytes.
    pub fn run(&self, from: usize, class: Class, bytes_max: usize) -> usize {
        let known = self.run.get();
        let limit = from.saturating_add(bytes_max);
        let reuse = known.class == class && known.start <= from && from <= known.end;
        let begin = if reuse { known.end } else { from };
        if (reuse && known.ended) || begin >= limit {
            return begin.min(limit);
        }
        let end = self.measure(begin, class, limit);
        let start = if reuse { known.start } else { from };
        let ended = end < limit && end < self.bytes.len();
        self.run.set(KnownRun {
            class,
            start,
            end,
            ended,
        });
        end
    }

    /// Like [`Text::run`] for short runs: not remembered, for classes that are measured once.
    #[inline(always)]
    pub fn short_run(&self, from: usize, class: Class, bytes_max: usize) -> usize {
        self.measure(from, class, from.saturating_add(bytes_max))
    }

    /// Start of the run of a class that ends at `end`, over at most `bytes_max` bytes.
    #[inline(always)]
    pub fn run_back(&self, end: usize, class: Class, bytes_max: usize) -> usize {
        let floor = end.saturating_sub(bytes_max);
        if self.in_blocks(class, bytes_max) {
            let table = table_of(class);
            let mut start = end;
            loop {
                let run = class_bits_before(self.level, self.bytes, start, &table).leading_ones() as usize;
                start -= run;
                if run < BLOCK_BYTES || start <= floor {
                    self.step(end - start);
                    return start.max(floor);
                }
            }
        }
        let mut start = end;
        while start > floor && is(self.bytes[start - 1], class) {
            start -= 1;
        }
        self.step(end - start);
        start
    }

    /// Whether `literal` stands at `place`.
    #[inline(always)]
    pub fn has(&self, place: usize, literal: &[u8]) -> bool {
        literal.iter().enumerate().all(|(k, byte)| self.at(place + k) == *byte)
    }

    /// Whether `literal` (given in lower case) stands at `place` in any case.
    pub fn has_any_case(&self, place: usize, literal: &[u8]) -> bool {
        literal
            .iter()
            .enumerate()
            .all(|(k, byte)| self.at(place + k).eq_ignore_ascii_case(byte))
    }

    /// Which of the 64 bytes from `place` on are digits; nothing where the reference has to look by itself.
    #[inline(always)]
    pub fn digit_bits(&self, place: usize) -> Option<u64> {
        let seen = self.level != Level::Reference && (self.last || place + BLOCK_BYTES <= self.bytes.len());
        if !seen {
            return None;
        }
        // Several detectors look at the same number.
        let (known, bits) = self.digits.get();
        if known == place {
            return Some(bits);
        }
        let bits = class_bits(self.level, self.bytes, place, &DIGITS);
        self.digits.set((place, bits));
        Some(bits)
    }

    /// Which of the 64 bytes from `place` on belong to each of the classes; nothing where the reference has to look by itself.
    #[inline(always)]
    pub fn bits_at<const N: usize>(&self, place: usize, classes: [&Nibbles; N]) -> Option<[u64; N]> {
        let seen = self.level != Level::Reference && (self.last || place + BLOCK_BYTES <= self.bytes.len());
        seen.then(|| classes_bits(self.level, self.bytes, place, classes))
    }

    /// The same for the 64 bytes before `end`, the last one in the topmost bit.
    #[inline(always)]
    pub fn bits_before<const N: usize>(&self, end: usize, classes: [&Nibbles; N]) -> Option<[u64; N]> {
        (self.level != Level::Reference).then(|| classes_bits_before(self.level, self.bytes, end, classes))
    }

    /// What stands at the start of a word; nothing where the reference has to look by itself.
    #[inline(always)]
    pub fn word_start(&self, place: usize) -> Option<Start> {
        let seen = self.level != Level::Reference && (self.last || place + BLOCK_BYTES <= self.bytes.len());
        seen.then(|| word_start(self.level, self.bytes, place))
    }

    /// Whether a run is measured 64 bytes at a time.
    #[inline(always)]
    fn in_blocks(&self, class: Class, bytes_max: usize) -> bool {
        self.level > Level::Portable && class & VALUE == 0 && bytes_max > SHORT_RUN_BYTES
    }

    fn measure_blocks(&self, from: usize, class: Class, limit: usize) -> usize {
        let table = table_of(class);
        let mut end = from;
        loop {
            let run = class_bits(self.level, self.bytes, end, &table).trailing_ones() as usize;
            end += run;
            if end >= limit {
                end = limit;
                break;
            }
            if run < BLOCK_BYTES {
                if end >= self.bytes.len() {
                    self.edge.set(true);
                }
                break;
            }
        }
        self.step(end.saturating_sub(from));
        end
    }

    #[inline(always)]
    fn measure(&self, from: usize, class: Class, limit: usize) -> usize {
        if self.in_blocks(class, limit - from) {
            return self.measure_blocks(from, class, limit);
        }
        let mut end = from;
        while end < limit {
            match self.bytes.get(end) {
                Some(byte) if is(*byte, class) => end += 1,
                Some(_) => break,
                None => {
                    self.edge.set(true);
                    break;
                }
            }
        }
        self.step(end.saturating_sub(from));
        end
    }

    #[cfg(test)]
    fn step(&self, count: usize) {
        self.steps.set(self.steps.get() + count as u64);
    }

    #[cfg(not(test))]
    #[inline(always)]
    fn step(&self, _count: usize) {}

    /// Bytes that verifiers have looked at: the measure of work in tests.
    #[cfg(test)]
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }
}
