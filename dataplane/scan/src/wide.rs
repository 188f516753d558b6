//! UTF-16LE text, as TDS carries it: scanned as the same text in UTF-8, with findings in bytes of the original.
//!
//! ```text
//! original   41 00 | e9 00 | 3d d8 00 de | 00 d8 | 42 00 | 43         A  é  😀  half a pair  B  half a unit
//! scanned    41    | c3 a9 | f0 9f 98 80 | ef bf bd | 42 | ef bf bd
//! ```
//! Half of a surrogate pair and half of a unit are read as U+FFFD, which is a boundary for every detector, and counted:
//! a codec that must fail closed on text that is none asks [`Wide::malformed`]. A span of the text that was scanned covers
//! every character of which it holds a part.

use std::ops::Range;

use crate::{Context, Finding, Scanner, Scratch, Stream};

/// Bytes of a code unit.
const UNIT_BYTES: usize = 2;
/// Units that are looked at in one go: what a `u64` holds.
const QUICK_BYTES: usize = 8;
const NOT_ASCII: u64 = 0xff80_ff80_ff80_ff80;

/// Where text in UTF-16LE becomes text that can be scanned. Reuse it: it keeps its memory.
#[derive(Debug, Default)]
pub struct Wide {
    text: Vec<u8>,
    malformed: u64,
}

impl Wide {
    /// With no memory yet.
    pub fn new() -> Wide {
        Wide::default()
    }

    /// The same text in UTF-8, for [`crate::Cells::push`] and the like. [`original_span`] leads back from its findings.
    pub fn text(&mut self, bytes: &[u8]) -> &[u8] {
        self.text.clear();
        self.text.reserve(bytes.len() / UNIT_BYTES * 3 + 3);
        let mut rest = bytes;
        while !rest.is_empty() {
            let ascii = self.ascii(rest);
            rest = &rest[ascii..];
            if let Some(piece) = Piece::first(rest) {
                let mut utf8 = [0; 4];
                self.text
                    .extend_from_slice(piece.character.encode_utf8(&mut utf8).as_bytes());
                self.malformed += u64::from(piece.malformed);
                rest = &rest[piece.wide..];
            }
        }
        &self.text
    }

    /// Halves of pairs and units so far.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Takes the ASCII at the start, as far as it goes in whole steps; the result is its length.
    fn ascii(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(step) = bytes[taken..].first_chunk::<QUICK_BYTES>() {
            if u64::from_le_bytes(*step) & NOT_ASCII != 0 {
                break;
            }
            self.text.extend_from_slice(&[step[0], step[2], step[4], step[6]]);
            taken += QUICK_BYTES;
        }
        taken
    }
}

/// A character of the original.
#[derive(Clone, Copy)]
struct Piece {
    character: char,
    /// Bytes of the original.
    wide: usize,
    malformed: bool,
}

impl Piece {
    fn first(bytes: &[u8]) -> Option<Piece> {
        let unit = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let broken = |wide: usize| Piece {
            character: char::REPLACEMENT_CHARACTER,
            wide,
            malformed: true,
        };
        if bytes.is_empty() {
            return None;
        }
        let Some(first) = unit(0) else {
            return Some(broken(bytes.len()));
        };
        let pair = [first, unit(UNIT_BYTES).unwrap_or(0)];
        let character = char::decode_utf16(pair).next()?;
        Some(match character {
            Ok(character) => Piece {
                character,
                wide: character.len_utf16() * UNIT_BYTES,
                malformed: false,
            },
            Err(_) => broken(UNIT_BYTES),
        })
    }

    /// What of the end of a stream's window is no character yet: half a unit, or a pair of which half has arrived.
    fn open_bytes(bytes: &[u8]) -> usize {
        let half = bytes.len() % UNIT_BYTES;
        let whole = &bytes[..bytes.len() - half];
        match whole.last() {
            Some(0xd8..=0xdb) => half + UNIT_BYTES,
            _ => half,
        }
    }
}

/// A walk over the original that follows places in the text.
struct Walk<'a> {
    rest: &'a [u8],
    text: usize,
    wide: usize,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Walk<'a> {
        Walk {
            rest: bytes,
            text: 0,
            wide: 0,
        }
    }

    /// Start and end of the character that holds the byte at `place` of the text; both are the place itself between characters.
    /// Places are asked for in order.
    fn to(&mut self, place: usize) -> Range<usize> {
        loop {
            let quick = self.rest.first_chunk::<QUICK_BYTES>();
            let ascii = quick.is_some_and(|step| u64::from_le_bytes(*step) & NOT_ASCII == 0);
            if ascii && self.text + QUICK_BYTES / UNIT_BYTES <= place {
                self.text += QUICK_BYTES / UNIT_BYTES;
                self.wide += QUICK_BYTES;
                self.rest = &self.rest[QUICK_BYTES..];
                continue;
            }
            let Some(piece) = Piece::first(self.rest) else {
                return self.wide..self.wide;
            };
            let text = self.text + piece.character.len_utf8();
            if text > place {
                let end = if self.text == place {
                    self.wide
                } else {
                    self.wide + piece.wide
                };
                return self.wide..end;
            }
            (self.text, self.wide) = (text, self.wide + piece.wide);
            self.rest = &self.rest[piece.wide..];
        }
    }
}

/// The bytes of an original that a span of its text stands for.
pub fn original_span(bytes: &[u8], span: Range<u32>) -> Range<u32> {
    let mut walk = Walk::new(bytes);
    let start = walk.to(span.start as usize).start;
    start as u32..walk.to(span.end as usize).end as u32
}

impl Scanner {
    /// [`Scanner::scan`] for text in UTF-16LE: the findings count in bytes of `haystack`.
    ///
    /// # Panics
    /// When the text has 4 GiB or more in UTF-8.
    pub fn scan_wide(
        &self,
        haystack: &[u8],
        ctx: Context,
        wide: &mut Wide,
        scratch: &mut Scratch,
        out: &mut Vec<Finding>,
    ) {
        let first = out.len();
        self.scan(wide.text(haystack), ctx, scratch, out);
        let mut walk = Walk::new(haystack);
        let mut before = 0;
        for finding in &mut out[first..] {
            finding.start = (walk.to(finding.start as usize).start as u32).max(before);
            finding.end = walk.to(finding.end as usize).end as u32;
            before = finding.end;
        }
    }
}

/// A [`Stream`] of text in UTF-16LE: it may be cut anywhere, also inside of a unit.
#[derive(Clone, Debug, Default)]
pub struct WideStream {
    inner: Stream,
    /// Bytes of the first character's text that are decided, though not the character.
    ahead: usize,
    /// Bytes of the long match that the stream is inside of that were reported.
    reported: u64,
}

impl WideStream {
    /// A stream at its start.
    pub fn new() -> WideStream {
        WideStream::default()
    }

    /// As [`Stream::advance`]: decides a prefix of `window`, of which findings and the result count the bytes. What is left undecided
    /// never exceeds twice the scanner's `hold_back_bytes_max` and four bytes.
    ///
    /// # Panics
    /// When the text of the window has 4 GiB or more in UTF-8.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of a stream, and where its text is made"
    )]
    pub fn advance(
        &mut self,
        scanner: &Scanner,
        ctx: Context,
        wide: &mut Wide,
        scratch: &mut Scratch,
        window: &[u8],
        last: bool,
        out: &mut Vec<Finding>,
    ) -> usize {
        let open = if last { 0 } else { Piece::open_bytes(window) };
        let whole = &window[..window.len() - open];
        let first = out.len();
        let counted = wide.malformed;
        let text = wide.text(whole).get(self.ahead..).unwrap_or_default();
        let decided = self.ahead + self.inner.advance(scanner, ctx, scratch, text, last, out);
        let mut walk = Walk::new(whole);
        let mut before = 0;
        for finding in &mut out[first..] {
            let start = walk.to(self.ahead + finding.start as usize).start.max(before);
            let end = walk.to(self.ahead + finding.end as usize);
            let end = if finding.open { end.start } else { end.end };
            self.map(finding, start, end.max(start));
            before = end.max(start);
        }
        let floor = walk.to(decided).start;
        // A pattern over bytes may end inside of a character: all of it is part of the match.
        self.ahead = if before > floor { 0 } else { decided - walk.text };
        let decided = floor.max(before);
        if wide.malformed > counted {
            // What stays is read again.
            wide.malformed = counted + malformed_in(&whole[..decided]);
        }
        decided
    }

    /// Turns the span of a finding into bytes of the original, and its offset too.
    fn map(&mut self, finding: &mut Finding, start: usize, end: usize) {
        if finding.offset == 0 {
            self.reported = 0;
        }
        finding.offset = self.reported;
        self.reported += (end - start) as u64;
        (finding.start, finding.end) = (start as u32, end as u32);
    }
}

fn malformed_in(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut count = 0;
    while let Some(piece) = Piece::first(rest) {
        count += u64::from(piece.malformed);
        rest = &rest[piece.wide..];
    }
    count
}
