//! One scan: finds candidates by their trigger bytes, has them verified, and puts the matches in order.

use crate::arch::{BLOCK_BYTES, Level, hot_marks_before};
use crate::bulk::{Bulk, DASHES_MAX};
use crate::cells::Cells;
use crate::context::Context;
use crate::detect::{self, Channel};
use crate::hit::{Hit, Raw, Strength, Tail};
use crate::limits::{BULK_TAIL_BYTES, CONTEXT_CHARS, LATE_TRIGGER_BYTES, LEAD_BYTES};
use crate::order::{self, Resolved};
use crate::plan::HOT_PRINT_BYTES;
use crate::scanner::Scanner;
use crate::text::Text;
use crate::{Detector, DetectorId, Finding, Scratch, class, custom, nested};

/// Least confidence of a match that a hot word confirms.
const HOT_CONFIDENCE: u8 = 75;

/// A scan in progress over one haystack.
pub(crate) struct Engine<'s, 't> {
    scanner: &'s Scanner,
    text: Text<'t>,
    field: Context,
    /// Cells that the haystack is packed from, and the one that was looked at last.
    cells: Option<&'t Cells>,
    cell: usize,
    /// Matches that start before this place belong to what is already decided.
    base: usize,
    raws: Vec<Raw>,
    /// Smallest start among the candidates whose verdict needs more bytes.
    waiting_from: usize,
    /// Part of a long match in which nothing else can count: no need to look there.
    covered: (usize, usize),
    /// A hot word may be near the place that is looked at: a back end has not ruled it out.
    pub near_hot: bool,
    /// Words that may be identifiers are judged apart from the channels.
    pub words_apart: bool,
    /// Hot words to the left of a place, for the candidates that share it.
    left: Option<(usize, Context)>,
    candidates: u64,
    waiting: u64,
    /// Levels of encoding that may still be undone.
    depth: usize,
}

impl<'s, 't> Engine<'s, 't> {
    pub fn new(scanner: &'s Scanner, haystack: &'t [u8], last: bool, field: Context) -> Engine<'s, 't> {
        Engine {
            scanner,
            text: Text::new(haystack, last).on(scanner.level),
            field,
            cells: None,
            cell: 0,
            base: 0,
            raws: Vec::new(),
            waiting_from: usize::MAX,
            covered: (0, 0),
            near_hot: true,
            words_apart: false,
            left: None,
            candidates: 0,
            waiting: 0,
            depth: scanner.decode_depth,
        }
    }

    /// A scan over all packed cells at once.
    pub fn packed(scanner: &'s Scanner, cells: &'t Cells) -> Engine<'s, 't> {
        let mut engine = Engine::new(scanner, cells.area(), true, Context::NONE);
        engine.cells = Some(cells);
        engine
    }

    /// Decides the whole haystack.
    pub fn complete(self, scratch: &mut Scratch, out: &mut Vec<Finding>) {
        self.decide(0, 0, scratch, out);
    }

    /// Decides as much as possible. Triggers are looked for at `from` and beyond, matches count that start at `base` or
    /// beyond; findings are reported relative to `base`, the decided place relative to the haystack.
    pub fn decide(mut self, from: usize, base: usize, scratch: &mut Scratch, out: &mut Vec<Finding>) -> Resolved {
        self.base = base;
        self.raws = std::mem::take(&mut scratch.raws);
        self.raws.clear();
        self.find(self.before_dashes(from));
        custom::scan(&mut self);
        nested::scan(&mut self, scratch);
        let horizon = self.horizon();
        let resolved = order::resolve(&mut self.raws, &mut scratch.accepted, &self.text, horizon, base, out);
        let counters = &mut scratch.counters;
        counters.scanned_bytes += (self.text.len() - base) as u64;
        counters.candidates += self.candidates;
        counters.waiting += self.waiting;
        counters.verified += self.raws.len() as u64;
        #[cfg(test)]
        {
            counters.steps += self.text.steps();
        }
        scratch.raws = self.raws;
        resolved
    }

    /// The same scan, with this many levels of encoding undone.
    pub fn at_depth(self, depth: usize) -> Engine<'s, 't> {
        Engine { depth, ..self }
    }

    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What the field's name enables.
    pub fn field(&self) -> Context {
        self.field
    }

    pub fn scanner(&self) -> &'s Scanner {
        self.scanner
    }

    pub fn text(&self) -> &Text<'t> {
        &self.text
    }

    /// Matches that start before this place are not looked for.
    pub fn base(&self) -> usize {
        self.base
    }

    #[inline(always)]
    pub fn on(&self, detector: Detector) -> bool {
        self.scanner.enabled.has(detector)
    }

    /// Judges one candidate. No match that `verify` can report starts before `earliest`.
    #[inline(always)]
    pub fn consider(&mut self, detector: Detector, earliest: usize, verify: impl FnOnce(&Text<'t>) -> Option<Hit>) {
        self.text.forget_edge();
        let hit = verify(&self.text);
        let hit = hit.and_then(|hit| self.weighed(detector, hit));
        self.judged(detector.into(), self.scanner.rank(detector), earliest, hit);
    }

    /// Whether a match counts: by itself, or through what stands near it.
    #[inline(always)]
    fn weighed(&mut self, detector: Detector, hit: Hit) -> Option<Hit> {
        match hit.strength {
            Strength::Strong => Some(hit),
            Strength::Checked if self.scanner.checksum_suffices.has(detector) => Some(hit),
            _ if self.hot(Context::of(detector), hit.start) => Some(Hit {
                confidence: hit.confidence.max(HOT_CONFIDENCE),
                ..hit
            }),
            _ => None,
        }
    }

    /// Like [`Engine::consider`] for a weak shape: it counts only with a hot word.
    #[inline(always)]
    pub fn consider_weak(
        &mut self,
        detector: Detector,
        earliest: usize,
        verify: impl FnOnce(&Text<'t>) -> Option<Hit>,
    ) {
        self.consider(detector, earliest, |text| {
            verify(text).map(|hit| hit.of(hit.strength.min(Strength::Weak)))
        });
    }

    /// Whether a weak shape at the place that is looked at may count.
    #[inline(always)]
    pub fn maybe_hot(&self) -> bool {
        self.near_hot
    }

    /// Whether the field's name or the text to the left of `start` has a hot word.
    pub fn hot(&mut self, wanted: Context, start: usize) -> bool {
        if self.cells.is_none() && self.field.has(wanted) {
            return true;
        }
        self.context_at(start).has(wanted)
    }

    /// Whether [`Engine::hot`] costs little.
    #[inline(always)]
    pub fn context_is_known(&self, start: usize) -> bool {
        !self.near_hot || self.left.is_some_and(|(place, _)| place == start)
    }

    /// What the field's name and the text to the left of `start` enable.
    pub fn context_at(&mut self, start: usize) -> Context {
        if !self.near_hot && self.cells.is_some_and(|cells| cells.with_context().is_empty()) {
            return Context::NONE;
        }
        let (field, floor) = match self.cells {
            None => (self.field, 0),
            Some(cells) => {
                self.cell = cells.at(start, self.cell);
                (cells.context(self.cell), cells.start(self.cell))
            }
        };
        if !self.near_hot {
            return field;
        }
        let known = self.left.filter(|(place, _)| *place == start);
        let left = match known {
            Some((_, context)) => context,
            None => self.hot_words_before(floor, start),
        };
        self.left = Some((start, left));
        field.union(left)
    }

    /// What the words in the haystack from `floor` to `start` enable.
    fn hot_words_before(&self, floor: usize, start: usize) -> Context {
        let scanner = self.scanner;
        let bytes = self.text.bytes();
        let narrow = bytes[start.saturating_sub(CONTEXT_CHARS).max(floor)..start].is_ascii();
        if scanner.level == Level::Reference {
            return scanner.hot_words.left_of(&bytes[floor..], start - floor);
        }
        let marks_before = |end: usize| hot_marks_before(scanner.level, &scanner.plan, bytes, end);
        if !narrow {
            // Thirty characters of up to four bytes, looked at closely only if anything there looks like a hot word.
            let blocks = [
                start,
                start.saturating_sub(BLOCK_BYTES),
                start.saturating_sub(2 * BLOCK_BYTES),
            ];
            let any = blocks.into_iter().any(|end| marks_before(end) != 0);
            return match any {
                true => scanner.hot_words.left_of(&bytes[floor..], start - floor),
                false => Context::NONE,
            };
        }
        // A mark stands some bytes before the end of a word, at a bit that counts from 64 bytes before `start`.
        let marks = marks_before(start);
        let mut near =
            marks >> (BLOCK_BYTES - HOT_PRINT_BYTES - CONTEXT_CHARS) << (BLOCK_BYTES - HOT_PRINT_BYTES - CONTEXT_CHARS);
        let mut found = Context::NONE;
        while near != 0 {
            let end = (start + near.trailing_zeros() as usize + HOT_PRINT_BYTES).wrapping_sub(BLOCK_BYTES);
            near &= near - 1;
            if end > floor && end <= start {
                found = found.union(scanner.hot_words.ending_at(&bytes[floor..start], end - floor));
            }
        }
        found
    }

    /// Takes a verdict. The text knows whether it needs more bytes.
    #[inline(always)]
    pub fn judged(&mut self, detector: DetectorId, rank: u16, earliest: usize, hit: Option<Hit>) {
        self.candidates += 1;
        if self.text.needs_more() {
            self.waiting += 1;
            self.waiting_from = self.waiting_from.min(earliest);
        } else if let Some(hit) = hit {
            self.found(detector, rank, hit);
        }
    }

    /// Matches that start here or later are not all known.
    pub fn wait_from(&mut self, start: usize) {
        self.waiting_from = self.waiting_from.min(start);
    }

    pub fn found(&mut self, detector: DetectorId, rank: u16, hit: Hit) {
        let in_long = hit.start > self.covered.0 && hit.start < self.covered.1;
        if hit.start < self.base || in_long {
            return;
        }
        if hit.tail == Tail::Closed && self.scanner.allowed(detector, &self.text.bytes()[hit.start..hit.end]) {
            return;
        }
        if hit.tail != Tail::Closed {
            let (end, _) = hit.tail.extend(&self.text, hit.end);
            self.covered = (hit.start, end);
        }
        let Hit {
            start,
            end,
            confidence,
            tail,
            ..
        } = hit;
        self.raws.push(Raw {
            start,
            end,
            rank,
            detector,
            confidence,
            tail,
        });
    }

    /// Looks for candidates from `from` on.
    fn find(&mut self, from: usize) {
        let len = self.text.len();
        let bulk_end = match self.scanner.level {
            Level::Reference => from,
            // What bytes to come may complete is left to the reference.
            _ if !self.text.last() => self.bulk_end(from),
            _ => len,
        };
        if bulk_end > from {
            Bulk::new(self, bulk_end).run(from);
        }
        if bulk_end < len {
            self.walk(bulk_end);
            detect::runs(self, bulk_end.saturating_sub(BULK_TAIL_BYTES).max(from));
        }
    }

    /// The dashes that begin armour trigger where their run begins, which a match with only the last five of them leaves behind.
    fn before_dashes(&self, from: usize) -> usize {
        let before = self.text.bytes()[..from].iter().rev().take(DASHES_MAX);
        from - before.take_while(|byte| **byte == b'-').count()
    }

    /// Where bulk ends in a piece of a stream: not inside of dashes, which trigger where they begin.
    fn bulk_end(&self, from: usize) -> usize {
        let end = self.text.len().saturating_sub(BULK_TAIL_BYTES).max(from);
        let dashes = self.text.bytes()[from..end]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'-');
        end - dashes.take(BULK_TAIL_BYTES + 1).count()
    }

    /// Walks over the haystack from trigger to trigger.
    fn walk(&mut self, from: usize) {
        let bytes = self.text.bytes();
        let triggers = &self.scanner.triggers;
        let mut place = from;
        while let Some(next) = triggers.next(bytes, place) {
            let (_, long_end) = self.covered;
            if self.is_covered(next.place) {
                place = long_end;
                continue;
            }
            place = self.visit(next.place, next.channel);
        }
    }

    /// Whether the place lies inside a long match, where nothing else can count.
    #[inline(always)]
    pub fn is_covered(&self, place: usize) -> bool {
        place > self.covered.0 && place < self.covered.1
    }

    /// Looks closer at a place that triggers a channel; the result is where to go on.
    #[inline(always)]
    pub fn visit(&mut self, place: usize, channel: Channel) -> usize {
        match channel {
            Channel::Digits => detect::digits(self, place),
            Channel::Word => detect::word(self, place),
            Channel::At => detect::at_sign(self, place),
            Channel::Plus => detect::plus(self, place),
            Channel::Parenthesis => detect::parenthesis(self, place),
            Channel::Colon => detect::colon(self, place),
            Channel::Equals => detect::equals(self, place),
            Channel::Dash => detect::dash(self, place),
            Channel::Quote => detect::quote(self, place),
            Channel::Dot => detect::dot(self, place),
        }
    }

    /// Whether the field's name enables weak shapes.
    pub fn field_is_hot(&self) -> bool {
        self.field != Context::NONE
    }

    /// The cells whose area this scan is about.
    pub fn cells(&self) -> Option<&'t Cells> {
        self.cells
    }

    /// Place before which all matches are known.
    fn horizon(&self) -> usize {
        let len = self.text.len();
        if self.text.last() {
            return len;
        }
        let late_max = LATE_TRIGGER_BYTES.min(len - self.base);
        let late = self.text.run_back(len, class::LATE, late_max);
        // Short words may be the beginning of a number that is only noticed at its digits: `AB 12 34 56 C`.
        let late = self.text.run_back(late, class::LEAD, LEAD_BYTES.min(late - self.base));
        self.waiting_from.min(late).max(self.base)
    }
}
