//! Back ends: how masks are made and combined on one kind of processor, and which of them this one has.
//!
//! `all` works everywhere, `x86_64` needs what [`Level::available`] asks for. Each back end instantiates the one algorithm in
//! [`search`] for its own vectors.

use crate::algebra::{AHEAD_BYTES, Lanes, Masks, Shapes, shapes};
use crate::class::{WORD, is};
use crate::limits::CONTEXT_CHARS;
use crate::plan::{PRINT_AHEAD_BYTES, PRINT_BYTES, Plan};

mod all;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector loads and instructions that a processor may lack")]
mod x86_64;

/// Instructions that a scan uses. All levels find the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Byte by byte, written to be read: what the others are tested against.
    Reference,
    /// 64-bit registers, any processor.
    Portable,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 (F, BW, VL, VBMI, VBMI2) and GFNI.
    Avx512,
}

impl Level {
    /// Every level, the plainest first.
    pub const ALL: [Level; 4] = [Level::Reference, Level::Portable, Level::Avx2, Level::Avx512];

    /// The fastest level of this processor.
    pub fn best() -> Level {
        let mut levels = Level::ALL.into_iter().rev();
        levels.find(|level| level.available()).unwrap_or(Level::Portable)
    }

    /// The level of a name: `reference`, `portable`, `avx2`, `avx512`.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Its name in settings and results.
    pub fn name(self) -> &'static str {
        match self {
            Level::Reference => "reference",
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// Whether this processor can do it.
    pub fn available(self) -> bool {
        match self {
            Level::Reference | Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86_64::avx512::available(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        }
    }
}

/// Words of the widest window.
pub(crate) const WORDS_MAX: usize = 8;

/// Places of one window at which something may begin: bit `b` of word `w` is byte `base + 64 * w + b` of the text.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Found {
    pub places: [u64; WORDS_MAX],
    pub keys: [u64; WORDS_MAX],
    pub runs: [u64; WORDS_MAX],
    /// Those of `places` that may have a hot word near them.
    pub near: [u64; WORDS_MAX],
    /// Ends of hot words, the block before the window first.
    hot: [u64; WORDS_MAX + 1],
    pub base: usize,
    /// Place from which the next window decides.
    pub next: usize,
    pub any_keys: bool,
    pub any_runs: bool,
}

/// A text to be searched.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub plan: &'a Plan,
    pub bytes: &'a [u8],
    /// Weak shapes in windows that reach `unfiltered.0..unfiltered.1` are places without a hot word.
    pub unfiltered: (usize, usize),
    /// Every window is reported, also those without a place.
    pub every: bool,
}

/// What a back end does with the bytes of one window.
pub(crate) trait Backend {
    type V: Lanes;
    /// Bytes of a window.
    const BYTES: usize;
    /// Classifies a window; `window` holds [`PRINT_AHEAD_BYTES`] more.
    fn masks(plan: &Plan, window: &[u8]) -> Masks<Self::V>;
    /// Where the last four bytes of a hot word stand in 64 bytes; `block` holds [`HOT_AHEAD_BYTES`] more.
    fn hot(plan: &Plan, block: &[u8]) -> u64;
    fn store(mask: Self::V, words: &mut [u64; WORDS_MAX]);
}

/// Bytes beyond a block that are looked at for hot words: the rest of the four, and what follows.
pub(crate) const HOT_AHEAD_BYTES: usize = PRINT_AHEAD_BYTES + 1;
const BLOCK_BYTES: usize = 64;
const WINDOW_BYTES_MAX: usize = WORDS_MAX * BLOCK_BYTES;
/// Farthest non-ASCII byte that can stretch thirty characters over more than thirty bytes.
const WIDE_BACK_BYTES: usize = 128;
/// More bytes beyond ASCII than these make a reach for which two words of marks do not suffice.
const WIDE_BYTES_MAX: u32 = 28;

/// Finds the next window at or after `from` that has places; `false` when there is none.
pub(crate) fn next_window(level: Level, search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86_64::avx512::next_window(search, from, found),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86_64::avx2::next_window(search, from, found),
        _ => all::next_window(search, from, found),
    }
}

/// The loop over windows, instantiated by each back end.
#[inline(always)]
fn search_windows<B: Backend>(search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    let bytes = search.bytes;
    let mut base = from;
    while base < bytes.len() {
        let word_before = base > 0 && is(bytes[base - 1], WORD);
        let next = base + B::BYTES - AHEAD_BYTES;
        let masks = match bytes.get(base..base + B::BYTES + PRINT_AHEAD_BYTES) {
            Some(window) => B::masks(search.plan, window),
            None => {
                let mut padded = [0; WINDOW_BYTES_MAX + BLOCK_BYTES];
                padded[..bytes.len() - base].copy_from_slice(&bytes[base..]);
                B::masks(search.plan, &padded[..B::BYTES + PRINT_AHEAD_BYTES])
            }
        };
        let shapes = shapes(&masks, search.plan, word_before);
        let any = shapes.sure.or(shapes.weak).or(shapes.keys).or(shapes.runs);
        if any.any() || search.every {
            found.base = base;
            found.next = next;
            if take::<B>(search, &shapes, found) || search.every {
                return true;
            }
        }
        base = next;
    }
    false
}

/// Writes the places of a window down; `false` when none is left.
#[inline(always)]
fn take<B: Backend>(search: &Search<'_>, shapes: &Shapes<B::V>, found: &mut Found) -> bool {
    let (base, end) = (found.base, found.base + B::BYTES);
    found.any_runs = shapes.runs.any();
    found.any_keys = shapes.keys.any();
    B::store(shapes.sure, &mut found.places);
    B::store(shapes.weak, &mut found.near);
    if found.any_runs {
        B::store(shapes.runs, &mut found.runs);
    }
    if found.any_keys {
        B::store(shapes.keys, &mut found.keys);
    }
    own(found, B::BYTES);
    let all_near = search.unfiltered.0 < end && base < search.unfiltered.1;
    let weak = found.any_runs || found.near.iter().any(|word| *word != 0);
    if weak && !all_near {
        if let Some(reach) = hot_ends::<B>(search, found) {
            keep_hot(&mut found.near, &found.hot, reach);
            keep_hot(&mut found.runs, &found.hot, reach);
        }
    }
    let mut any = u64::from(found.any_keys);
    for word in 0..WORDS_MAX {
        found.places[word] |= found.near[word];
        any |= found.places[word] | if found.any_runs { found.runs[word] } else { 0 };
    }
    any != 0
}

/// Clears what belongs to the next window.
#[inline(always)]
fn own(found: &mut Found, window_bytes: usize) {
    let last = window_bytes / BLOCK_BYTES - 1;
    let own = u64::MAX >> AHEAD_BYTES;
    found.places[last] &= own;
    found.near[last] &= own;
    found.runs[last] &= own;
    found.keys[last] &= own;
}

/// Notes where hot words end in a window and shortly before it. The result is how many bytes thirty characters may have;
/// nothing when there are too many.
#[inline(always)]
fn hot_ends<B: Backend>(search: &Search<'_>, found: &mut Found) -> Option<u32> {
    let bytes = search.bytes;
    let base = found.base;
    let end = bytes.len().min(base + B::BYTES);
    let wide = wide_bytes(&bytes[base.saturating_sub(WIDE_BACK_BYTES)..end]);
    if wide > WIDE_BYTES_MAX {
        return None;
    }
    for block in 0..=B::BYTES / BLOCK_BYTES {
        let start = (base + block * BLOCK_BYTES).wrapping_sub(BLOCK_BYTES);
        found.hot[block] = match bytes.get(start..start.wrapping_add(BLOCK_BYTES + HOT_AHEAD_BYTES)) {
            Some(block) => B::hot(search.plan, block),
            None => hot_edge::<B>(search, base + block * BLOCK_BYTES),
        };
    }
    Some(CONTEXT_CHARS as u32 + wide)
}

/// Bytes beyond ASCII.
#[inline(always)]
fn wide_bytes(text: &[u8]) -> u32 {
    text.iter().map(|byte| u32::from(byte >> 7)).sum()
}

/// Like [`Backend::hot`] for the block that ends at `end`, which lies partly outside of the text.
#[inline(always)]
fn hot_edge<B: Backend>(search: &Search<'_>, end: usize) -> u64 {
    let mut padded = [0; BLOCK_BYTES + HOT_AHEAD_BYTES];
    let skipped = BLOCK_BYTES.saturating_sub(end);
    let start = end.saturating_sub(BLOCK_BYTES).min(search.bytes.len());
    let text = &search.bytes[start..search.bytes.len().min(end + HOT_AHEAD_BYTES).max(start)];
    let len = text.len().min(padded.len() - skipped);
    padded[skipped..skipped + len].copy_from_slice(&text[..len]);
    B::hot(search.plan, &padded)
}

/// Keeps the places that begin at most `reach` bytes behind the end of a hot word.
#[inline(always)]
fn keep_hot(places: &mut [u64; WORDS_MAX], hot: &[u64; WORDS_MAX + 1], reach: u32) {
    for (word, places) in places.iter_mut().enumerate() {
        let ends = hot[word] | hot[word + 1];
        if *places == 0 || ends == 0 {
            *places = 0;
            continue;
        }
        // A mark stands four bytes before the end of its word.
        let mut near = (u128::from(hot[word + 1]) << 64 | u128::from(hot[word])) << PRINT_BYTES;
        near |= near << 1;
        near |= near << 2;
        near |= near << 4;
        near |= near << 8;
        near |= near << 15;
        near |= near << (reach - CONTEXT_CHARS as u32);
        *places &= (near >> 64) as u64;
    }
}
