//! Back ends: how masks are made and combined on one kind of processor, and which of them this one has.
//!
//! `all` works everywhere, `x86_64` needs what [`Level::available`] asks for. Each back end instantiates the one algorithm in
//! [`search`] for its own vectors.

use std::sync::OnceLock;

use crate::algebra::{AHEAD_BYTES, Lanes, Masks, Shapes, shapes};
use crate::class::{Nibbles, WORD, is};
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

    /// The level of new scanners: the one that [`Level::force`] names, else the fastest of this processor. On a processor without AVX2
    /// that is the reference: 64-bit registers gain nothing on it (docs/redaction.md).
    pub fn best() -> Level {
        let fastest = || {
            let vectors = [Level::Avx512, Level::Avx2];
            vectors
                .into_iter()
                .find(|level| level.available())
                .unwrap_or(Level::Reference)
        };
        FORCED.get().copied().unwrap_or_else(fastest)
    }

    /// Makes this the level of all scanners that this process builds from now on. To be called once, before the first is built.
    ///
    /// # Errors
    /// Gives the level back when this processor cannot do it, or another one is already forced.
    pub fn force(self) -> Result<(), Level> {
        match self.available() && *FORCED.get_or_init(|| self) == self {
            true => Ok(()),
            false => Err(self),
        }
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

/// What the setting of the process says.
static FORCED: OnceLock<Level> = OnceLock::new();

/// Words of the widest window.
pub(crate) const WORDS_MAX: usize = 8;

/// Places of one window at which something may begin: bit `b` of word `w` is byte `base + 64 * w + b` of the text.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Found {
    pub places: [u64; WORDS_MAX],
    pub keys: [u64; WORDS_MAX],
    pub runs: [u64; WORDS_MAX],
    pub words: [u64; WORDS_MAX],
    /// Those of `places` that may have a hot word near them.
    pub near: [u64; WORDS_MAX],
    /// Ends of hot words, the block before the window first.
    hot: [u64; WORDS_MAX + 1],
    pub base: usize,
    /// Place from which the next window decides.
    pub next: usize,
    pub any_keys: bool,
    pub any_runs: bool,
    pub any_near: bool,
    pub any_words: bool,
    /// The first of the unfiltered ranges that may matter for later windows.
    unfiltered: usize,
}

/// A text to be searched.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub plan: &'a Plan,
    pub bytes: &'a [u8],
    /// Parts of the text, in order, in which weak shapes are places without a hot word.
    pub unfiltered: &'a [(u32, u32)],
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
pub(crate) const BLOCK_BYTES: usize = 64;
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

/// Which of 64 bytes from `from` on belong to a class, as bits; what is beyond the text does not.
#[inline(always)]
pub(crate) fn class_bits(level: Level, text: &[u8], from: usize, class: &Nibbles) -> u64 {
    let text = text.get(from..).unwrap_or_default();
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86_64::avx512::class_bits(text, class),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86_64::avx2::class_bits(text, class),
        _ => all::class_bits(text, class),
    }
}

/// The same for the 64 bytes before `end`: the topmost bit is the byte before it.
#[inline(always)]
pub(crate) fn class_bits_before(level: Level, text: &[u8], end: usize, class: &Nibbles) -> u64 {
    match end.checked_sub(BLOCK_BYTES) {
        Some(from) => class_bits(level, &text[..end], from, class),
        None if end == 0 => 0,
        None => class_bits(level, &text[..end], 0, class) << (BLOCK_BYTES - end),
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
        let shapes = shapes(&masks, search.plan, word_before).own();
        let any = shapes
            .sure
            .or(shapes.weak)
            .or(shapes.keys)
            .or(shapes.runs)
            .or(shapes.words);
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

/// A text of at most one block, whose masks are single words.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn search_block<B: Backend>(search: &Search<'_>, masks: &Masks<B::V>, found: &mut Found) -> bool {
    let given_away = masks.digit.or(masks.special).or(masks.literal).or(masks.key);
    let long = masks.word.or(masks.op).any_sixteen() || search.plan.wanted.words;
    let colon = masks.op.and(masks.gap);
    if !(given_away.or(colon).any() || long || search.every) {
        return false;
    }
    found.base = 0;
    found.next = B::BYTES;
    take::<B>(search, &shapes(masks, search.plan, false), found) || search.every
}

/// Writes the places of a window down; `false` when none is left.
#[inline(always)]
fn take<B: Backend>(search: &Search<'_>, shapes: &Shapes<B::V>, found: &mut Found) -> bool {
    found.any_runs = shapes.runs.any();
    found.any_keys = shapes.keys.any();
    found.any_near = shapes.weak.any();
    found.any_words = shapes.words.any();
    B::store(shapes.sure, &mut found.places);
    if found.any_words {
        B::store(shapes.words, &mut found.words);
    }
    if found.any_keys {
        B::store(shapes.keys, &mut found.keys);
    }
    if found.any_runs {
        B::store(shapes.runs, &mut found.runs);
    }
    if found.any_near {
        B::store(shapes.weak, &mut found.near);
    }
    if found.any_near || found.any_runs {
        weigh::<B>(search, found);
    }
    found.any_keys || found.any_runs || found.any_near || found.any_words || shapes.sure.any()
}

/// Leaves those of the weak places at which a hot word may be near, and adds them to the others.
#[inline(always)]
fn weigh<B: Backend>(search: &Search<'_>, found: &mut Found) {
    let (base, end) = (found.base, found.base + B::BYTES);
    while search
        .unfiltered
        .get(found.unfiltered)
        .is_some_and(|range| range.1 as usize <= base)
    {
        found.unfiltered += 1;
    }
    let open = search
        .unfiltered
        .get(found.unfiltered)
        .is_some_and(|range| (range.0 as usize) < end);
    let reach = if open { None } else { hot_ends::<B>(search, found) };
    if found.any_runs
        && let Some(reach) = reach
    {
        found.any_runs = keep_hot(&mut found.runs, &found.hot, reach);
    }
    if found.any_near
        && let Some(reach) = reach
    {
        found.any_near = keep_hot(&mut found.near, &found.hot, reach);
    }
    // Words are looked at again before they are places.
    if found.any_near && !search.plan.wanted.words {
        found
            .places
            .iter_mut()
            .zip(found.near)
            .for_each(|(place, near)| *place |= near);
    }
}

/// Notes where hot words end in a window and shortly before it, as far as its weak places need to know. The result is how many
/// bytes thirty characters may have; nothing when there are too many.
#[inline(always)]
fn hot_ends<B: Backend>(search: &Search<'_>, found: &mut Found) -> Option<u32> {
    let bytes = search.bytes;
    let base = found.base;
    let end = bytes.len().min(base + B::BYTES);
    let wide = wide_bytes(&bytes[base.saturating_sub(WIDE_BACK_BYTES)..end]);
    if wide > WIDE_BYTES_MAX {
        return None;
    }
    let mut before = false;
    for block in 0..=B::BYTES / BLOCK_BYTES {
        let near = found.any_near && found.near.get(block).is_some_and(|places| *places != 0);
        let run = found.any_runs && found.runs.get(block).is_some_and(|places| *places != 0);
        let asked = block * BLOCK_BYTES < B::BYTES && (near || run);
        found.hot[block] = match before || asked {
            true => hot_marks::<B>(search.plan, bytes, base + block * BLOCK_BYTES),
            false => 0,
        };
        before = asked;
    }
    Some(CONTEXT_CHARS as u32 + wide)
}

/// Bytes beyond ASCII.
#[inline(always)]
fn wide_bytes(text: &[u8]) -> u32 {
    if text.iter().fold(0, |all, byte| all | byte) < 0x80 {
        return 0;
    }
    let chunks = text.chunks(BLOCK_BYTES);
    chunks
        .map(|chunk| u32::from(chunk.iter().map(|byte| byte >> 7).sum::<u8>()))
        .sum()
}

/// Marks of the hot words in the 64 bytes before `end`: a bit where the last four bytes of one begin. Words count that end before
/// `end` or shortly behind it.
#[inline(always)]
fn hot_marks<B: Backend>(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    let start = end.wrapping_sub(BLOCK_BYTES);
    match bytes.get(start..start.wrapping_add(BLOCK_BYTES + HOT_AHEAD_BYTES)) {
        Some(block) => B::hot(plan, block),
        None => hot_edge::<B>(plan, bytes, end),
    }
}

/// The same with the instructions of a level.
pub(crate) fn hot_marks_before(level: Level, plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86_64::avx512::hot_marks_before(plan, bytes, end),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86_64::avx2::hot_marks_before(plan, bytes, end),
        _ => all::hot_marks_before(plan, bytes, end),
    }
}

/// Like [`Backend::hot`] for the block that ends at `end`, which lies partly outside of the text.
#[inline(always)]
fn hot_edge<B: Backend>(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    let mut padded = [0; BLOCK_BYTES + HOT_AHEAD_BYTES];
    let skipped = BLOCK_BYTES.saturating_sub(end);
    let start = end.saturating_sub(BLOCK_BYTES).min(bytes.len());
    let text = &bytes[start..bytes.len().min(end + HOT_AHEAD_BYTES).max(start)];
    let len = text.len().min(padded.len() - skipped);
    padded[skipped..skipped + len].copy_from_slice(&text[..len]);
    B::hot(plan, &padded)
}

/// Keeps the places that begin at most `reach` bytes behind the end of a hot word; `false` when none is left.
#[inline(always)]
fn keep_hot(places: &mut [u64; WORDS_MAX], hot: &[u64; WORDS_MAX + 1], reach: u32) -> bool {
    let mut any = 0;
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
        any |= *places;
    }
    any != 0
}
