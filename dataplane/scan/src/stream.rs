//! Text that arrives in parts: decides as much as can be decided, keeps back little, and never depends on the cuts.

use crate::engine::Engine;
use crate::hit::Tail;
use crate::limits::{HAYSTACK_BYTES_MAX, STREAM_TAIL_BYTES, TRIGGER_BACK_BYTES};
use crate::text::Text;
use crate::{Context, DetectorId, Finding, Scanner, Scratch};

/// State of one stream between calls. What is not decided stays with the caller.
///
/// Call [`Stream::advance`] with the bytes the caller still holds followed by the new ones; mask and release as many as it
/// says; repeat. With `last` everything is decided.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The original bytes released last: boundaries and hot words may lie there.
    tail: [u8; STREAM_TAIL_BYTES],
    tail_len: u8,
    inside: Option<Inside>,
}

const _: () = assert!(STREAM_TAIL_BYTES <= u8::MAX as usize, "its length is a byte");

/// A match longer than one piece, of which the stream has reported a part.
#[derive(Clone, Copy, Debug)]
struct Inside {
    detector: DetectorId,
    confidence: u8,
    tail: Tail,
    offset: u64,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream::new()
    }
}

impl Stream {
    /// A stream at its start.
    pub fn new() -> Stream {
        Stream {
            tail: [0; STREAM_TAIL_BYTES],
            tail_len: 0,
            inside: None,
        }
    }

    /// Decides a prefix of `window`: the bytes that the previous call left undecided, unchanged, followed by new ones.
    ///
    /// Returns how many leading bytes are decided; the findings appended to `out` lie wholly inside them and count from
    /// the start of the window. The rest never exceeds the scanner's `hold_back_bytes_max`. `last` says that nothing follows.
    /// All calls of one stream use the same scanner and context.
    ///
    /// # Panics
    /// When the window has 4 GiB or more.
    pub fn advance(
        &mut self,
        scanner: &Scanner,
        ctx: Context,
        scratch: &mut Scratch,
        window: &[u8],
        last: bool,
        out: &mut Vec<Finding>,
    ) -> usize {
        assert!(
            window.len() < HAYSTACK_BYTES_MAX - STREAM_TAIL_BYTES,
            "a window is smaller than 4 GiB"
        );
        let count_before = out.len();
        let followed = self.follow(window, last, out);
        let mut decided = followed;
        if self.inside.is_none() && followed < window.len() {
            decided = self.scan(scanner, ctx, scratch, window, followed, last, out);
        }
        scratch.counters.findings += out[count_before..].iter().filter(|f| f.offset == 0).count() as u64;
        decided
    }

    /// Reports the next piece of the match that the stream is inside of, if any; the result is its end.
    fn follow(&mut self, window: &[u8], last: bool, out: &mut Vec<Finding>) -> usize {
        let Some(inside) = self.inside.as_mut() else {
            return 0;
        };
        let (end, ended) = inside.tail.extend(&Text::new(window, last), 0);
        if end > 0 {
            out.push(Finding {
                detector: inside.detector,
                start: 0,
                end: end as u32,
                confidence: inside.confidence,
                offset: inside.offset,
                open: !ended,
            });
            inside.offset += end as u64;
        }
        if ended {
            self.inside = None;
        }
        self.remember(&window[..end]);
        end
    }

    #[expect(clippy::too_many_arguments, reason = "the caller's arguments and one position")]
    fn scan(
        &mut self,
        scanner: &Scanner,
        ctx: Context,
        scratch: &mut Scratch,
        window: &[u8],
        from: usize,
        last: bool,
        out: &mut Vec<Finding>,
    ) -> usize {
        let first_new = out.len();
        let mut joined = std::mem::take(&mut scratch.joined);
        joined.clear();
        let base = usize::from(self.tail_len);
        joined.extend_from_slice(&self.tail[..base]);
        joined.extend_from_slice(&window[from..]);
        let engine = Engine::new(scanner, &joined, last, ctx);
        let resolved = engine.decide(base.saturating_sub(TRIGGER_BACK_BYTES), base, scratch, out);
        scratch.joined = joined;
        for finding in &mut out[first_new..] {
            finding.start += from as u32;
            finding.end += from as u32;
        }
        self.inside = resolved.inside.map(|(raw, offset)| Inside {
            detector: raw.detector,
            confidence: raw.confidence,
            tail: raw.tail,
            offset,
        });
        let decided = from + resolved.decided - base;
        self.remember(&window[from..decided]);
        debug_assert!(self.inside.is_none_or(|inside| inside.tail != Tail::Closed));
        decided
    }

    /// Keeps the last bytes of what was released.
    fn remember(&mut self, released: &[u8]) {
        let known = usize::from(self.tail_len);
        let keep_new = released.len().min(STREAM_TAIL_BYTES);
        let keep_old = known.min(STREAM_TAIL_BYTES - keep_new);
        self.tail.copy_within(known - keep_old..known, 0);
        self.tail[keep_old..keep_old + keep_new].copy_from_slice(&released[released.len() - keep_new..]);
        self.tail_len = (keep_old + keep_new) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_takes_at_most_256_bytes() {
        assert!(size_of::<Stream>() <= 256, "{}", size_of::<Stream>());
    }
}
