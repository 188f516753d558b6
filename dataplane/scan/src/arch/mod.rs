//! Back ends: how masks are made and combined on one kind of processor, and which of them this one has.
//!
//! `all` works everywhere, `x86_64` needs what [`Level::available`] asks for. Each back end instantiates the one algorithm in
//! [`search`] for its own vectors.

use std::sync::OnceLock;

use crate::algebra::{AHEAD_BYTES, Lanes, Masks, Shapes, shapes};
use crate::class::{Nibbles, WORD, is};
use crate::context::HotWords;
use crate::limits::CONTEXT_CHARS;
use crate::plan::{HOT_PRINT_BYTES, PRINT_AHEAD_BYTES, Plan};

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
    /// Digits and bytes of words of the whole window, where words are looked for.
    pub digit: [u64; WORDS_MAX],
    pub word: [u64; WORDS_MAX],
    /// Those of `places` that may have a hot word near them.
    pub near: [u64; WORDS_MAX],
    pub base: usize,
    /// Bytes of the window, those that are left to the next one too.
    pub bytes: usize,
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
    pub hot_words: &'a HotWords,
    pub bytes: &'a [u8],
    /// Parts of the text, in order, in which weak shapes are places without a hot word.
    pub unfiltered: &'a [(u32, u32)],
    /// Every window is reported, also those without a place.
    pub every: bool,
    /// Hot words are looked for at single places, not here.
    pub hot_later: bool,
}

/// What a back end does with the bytes of one window.
pub(crate) trait Backend: Sized {
    type V: Lanes;
    /// Bytes of a window.
    const BYTES: usize;
    /// Classifies a window; `window` holds [`PRINT_AHEAD_BYTES`] more.
    fn masks(plan: &Plan, window: &[u8]) -> Masks<Self::V>;
    /// The same for the end of a text; what is not there counts as NUL.
    #[inline(always)]
    fn masks_of_rest(plan: &Plan, rest: &[u8]) -> Masks<Self::V> {
        let mut padded = [0; WINDOW_BYTES_MAX + BLOCK_BYTES];
        let len = rest.len().min(padded.len());
        padded[..len].copy_from_slice(&rest[..len]);
        Self::masks(plan, &padded[..Self::BYTES + PRINT_AHEAD_BYTES])
    }
    /// Where the last [`HOT_PRINT_BYTES`] bytes of a hot word stand in 64 bytes; `block` holds [`HOT_AHEAD_BYTES`] more.
    fn hot(plan: &Plan, block: &[u8]) -> u64;
    /// The same for 64 bytes of a text that may lie partly outside of it.
    #[inline(always)]
    fn hot_edge(plan: &Plan, text: &[u8], from: isize) -> u64 {
        let mut padded = [0; BLOCK_BYTES + HOT_AHEAD_BYTES];
        for (place, slot) in (from..).zip(&mut padded) {
            *slot = usize::try_from(place)
                .ok()
                .and_then(|at| text.get(at))
                .copied()
                .unwrap_or(0);
        }
        Self::hot(plan, &padded)
    }
    /// The same for the block before a window and for the window, which holds [`HOT_AHEAD_BYTES`] more.
    #[inline(always)]
    fn hot_window(plan: &Plan, before_and_window: &[u8], hot: &mut Hot) {
        let (before, window) = before_and_window.split_at(BLOCK_BYTES);
        hot.before = Self::hot(plan, before_and_window);
        for (block, marks) in hot.window[..Self::BYTES / BLOCK_BYTES].iter_mut().enumerate() {
            *marks = Self::hot(plan, &window[block * BLOCK_BYTES..]);
        }
        hot.plain = Self::wide_bytes(before) + Self::wide_bytes(&window[..Self::BYTES]) == 0;
    }
    /// Marks of the hot words in the 64 bytes before `end`, and which of these bytes are beyond ASCII.
    #[inline(always)]
    fn hot_before(plan: &Plan, text: &[u8], end: usize) -> (u64, u64) {
        let mut wide = 0;
        for byte in &text[end.saturating_sub(CONTEXT_CHARS)..end] {
            wide |= u64::from(byte >> 7) << (BLOCK_BYTES - 1);
        }
        (hot_marks::<Self>(plan, text, end), wide)
    }
    /// Bytes beyond ASCII.
    fn wide_bytes(text: &[u8]) -> u32;
    fn load(words: &[u64; WORDS_MAX]) -> Self::V;
    fn store(mask: Self::V, words: &mut [u64; WORDS_MAX]);
}

/// Marks of hot words, see [`Backend::hot`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Hot {
    /// Those of the 64 bytes before a window.
    before: u64,
    window: [u64; WORDS_MAX],
    /// All these bytes are ASCII.
    plain: bool,
}

impl Hot {
    fn any(&self) -> bool {
        self.window.iter().fold(self.before, |any, marks| any | marks) != 0
    }
}

/// Bytes beyond a block that are looked at for hot words: the rest of the fingerprint, and what follows.
pub(crate) const HOT_AHEAD_BYTES: usize = HOT_PRINT_BYTES;
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

/// Whether nothing can begin in a text that no field name and no hot word of another text stands for: one look for short texts.
/// `false` when that takes more.
#[inline(always)]
pub(crate) fn is_quiet(level: Level, plan: &Plan, text: &[u8]) -> bool {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => text.len() <= BLOCK_BYTES && plan.fallback.is_none() && x86_64::small::is_quiet(plan, text),
        _ => false,
    }
}

/// Appends the places in `text` at which one of the wanted bytes stands, in order. For bytes that are frequent, such as those that part
/// fields: it costs little for each.
///
/// Texts are below 4 GiB.
pub fn places_of(text: &[u8], wanted: [u8; 3], out: &mut Vec<u32>) {
    match Level::best() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86_64::places::avx512(text, wanted, out),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => x86_64::places::avx2(text, wanted, out),
        _ => places_from(text, 0, wanted, out),
    }
}

/// The same byte by byte, for places from `from` on.
fn places_from(text: &[u8], from: usize, wanted: [u8; 3], out: &mut Vec<u32>) {
    let places = text
        .iter()
        .enumerate()
        .skip(from)
        .filter(|(_, byte)| wanted.contains(byte));
    out.extend(places.map(|(at, _)| at as u32));
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

/// The same for several classes at once.
#[inline(always)]
pub(crate) fn classes_bits<const N: usize>(level: Level, text: &[u8], from: usize, classes: [&Nibbles; N]) -> [u64; N] {
    let rest = text.get(from..).unwrap_or_default();
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => x86_64::avx512::classes_bits(rest, classes),
        _ => classes.map(|class| class_bits(level, text, from, class)),
    }
}

/// The same for the 64 bytes before `end`: the topmost bit is the byte before it.
#[inline(always)]
pub(crate) fn classes_bits_before<const N: usize>(
    level: Level,
    text: &[u8],
    end: usize,
    classes: [&Nibbles; N],
) -> [u64; N] {
    match end.checked_sub(BLOCK_BYTES) {
        Some(from) => classes_bits(level, &text[..end], from, classes),
        None if end == 0 => [0; N],
        None => classes_bits(level, &text[..end], 0, classes).map(|bits| bits << (BLOCK_BYTES - end)),
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
            None => B::masks_of_rest(search.plan, &bytes[base..]),
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
            found.bytes = B::BYTES;
            if take::<B>(search, &shapes, found) || search.every {
                if search.plan.wanted.words {
                    B::store(masks.digit, &mut found.digit);
                    B::store(masks.word, &mut found.word);
                }
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
    let (mut weak, mut runs) = (shapes.weak, shapes.runs);
    let hot_only = weak.or(runs);
    if hot_only.any() && !search.hot_later && !unfiltered::<B>(search, found) {
        let near = near_hot::<B>(search, found.base, hot_only);
        (weak, runs) = (weak.and(near), runs.and(near));
    }
    found.any_runs = runs.any();
    found.any_keys = shapes.keys.any();
    found.any_near = weak.any();
    found.any_words = shapes.words.any();
    // Where words are looked for, numbers are looked at again before they are places.
    let places = match search.plan.wanted.words {
        true => shapes.sure,
        false => shapes.sure.or(weak),
    };
    B::store(places, &mut found.places);
    if found.any_words {
        B::store(shapes.words, &mut found.words);
    }
    if found.any_keys {
        B::store(shapes.keys, &mut found.keys);
    }
    if found.any_runs {
        B::store(runs, &mut found.runs);
    }
    if found.any_near {
        B::store(weak, &mut found.near);
    }
    found.any_keys || found.any_runs || found.any_words || places.or(weak).any()
}

/// Whether weak shapes are places anywhere in the window.
#[inline(always)]
fn unfiltered<B: Backend>(search: &Search<'_>, found: &mut Found) -> bool {
    let (base, end) = (found.base, found.base + B::BYTES);
    while search
        .unfiltered
        .get(found.unfiltered)
        .is_some_and(|range| range.1 as usize <= base)
    {
        found.unfiltered += 1;
    }
    search
        .unfiltered
        .get(found.unfiltered)
        .is_some_and(|range| (range.0 as usize) < end)
}

/// Those of the places of a window that begin at most [`CONTEXT_CHARS`] characters behind the end of a hot word; all of them when so
/// many bytes are beyond ASCII that this is not known here.
#[inline(always)]
fn near_hot<B: Backend>(search: &Search<'_>, base: usize, places: B::V) -> B::V {
    let mut single = [0u64; WORDS_MAX];
    B::store(places, &mut single);
    let mut count = 0;
    for word in &single {
        count += word.count_ones();
    }
    if count <= SINGLE_PLACES_MAX {
        return keep_near::<B>(search, base, single);
    }
    let mut hot = Hot::default();
    look_for_hot::<B>(search, base, &mut hot);
    let mut wide = 0;
    if !hot.plain {
        let bytes = search.bytes;
        let end = bytes.len().min(base + B::BYTES);
        wide = B::wide_bytes(&bytes[base.saturating_sub(WIDE_BACK_BYTES)..end]);
        if wide > WIDE_BYTES_MAX {
            return places;
        }
    }
    // No farther mark of the block before reaches the window.
    let near_bits = HOT_PRINT_BYTES + CONTEXT_CHARS + wide as usize;
    hot.before &= u64::MAX << (BLOCK_BYTES - near_bits);
    if !hot.any() || !keep_hot(search, base, &mut hot) {
        return B::V::zero();
    }
    places.and(reach(B::load(&hot.window), hot.before, wide))
}

/// Which words have places, as bits: a loop over places has one end then and not one for each word.
#[inline(always)]
pub(crate) fn words_with_places(places: &[u64; WORDS_MAX]) -> u32 {
    let mut words = 0;
    for (number, word) in places.iter().enumerate() {
        words |= u32::from(*word != 0) << number;
    }
    words
}

/// Takes the first place: its word and its bit there. `words` are those with places.
#[inline(always)]
pub(crate) fn next_place(places: &mut [u64; WORDS_MAX], words: &mut u32) -> (usize, u64) {
    let word = words.trailing_zeros() as usize % WORDS_MAX;
    let bit = places[word] & places[word].wrapping_neg();
    places[word] ^= bit;
    *words &= !(u32::from(places[word] == 0) << word);
    (word, bit)
}

/// So many places of a window are looked at one by one for hot words.
const SINGLE_PLACES_MAX: u32 = 6;

/// Leaves the places that may have a hot word near them.
#[inline(always)]
fn keep_near<B: Backend>(search: &Search<'_>, base: usize, mut places: [u64; WORDS_MAX]) -> B::V {
    let mut rest = places;
    let mut words = words_with_places(&places);
    while words != 0 {
        let (word, bit) = next_place(&mut rest, &mut words);
        let place = base + word * BLOCK_BYTES + bit.trailing_zeros() as usize;
        let (marks, wide) = B::hot_before(search.plan, search.bytes, place);
        let marks = marks & u64::MAX << (BLOCK_BYTES - HOT_PRINT_BYTES - CONTEXT_CHARS);
        let narrow = wide >> (BLOCK_BYTES - CONTEXT_CHARS) == 0;
        if narrow && (marks == 0 || !any_ends(search, place, marks)) {
            places[word] ^= bit;
        }
    }
    B::load(&places)
}

/// Whether one of the marks in the 64 bytes before `end` is that of a hot word that ends before it.
#[inline(never)]
fn any_ends(search: &Search<'_>, end: usize, mut marks: u64) -> bool {
    while marks != 0 {
        let word_end = (end + marks.trailing_zeros() as usize + HOT_PRINT_BYTES).wrapping_sub(BLOCK_BYTES);
        marks &= marks - 1;
        if word_end <= end && search.hot_words.ends_at(search.bytes, word_end) {
            return true;
        }
    }
    false
}

/// Marks what looks like a hot word in a window and in the block before it.
#[inline(always)]
fn look_for_hot<B: Backend>(search: &Search<'_>, base: usize, hot: &mut Hot) {
    let bytes = search.bytes;
    let start = base.wrapping_sub(BLOCK_BYTES);
    if let Some(bytes) = bytes.get(start..base + B::BYTES + HOT_AHEAD_BYTES) {
        return B::hot_window(search.plan, bytes, hot);
    }
    hot.before = hot_marks::<B>(search.plan, bytes, base);
    for (block, marks) in hot.window[..B::BYTES / BLOCK_BYTES].iter_mut().enumerate() {
        *marks = hot_marks::<B>(search.plan, bytes, base + (block + 1) * BLOCK_BYTES);
    }
}

/// Leaves the marks at which a hot word ends, most only look like it; `false` when none is left.
#[inline(never)]
fn keep_hot(search: &Search<'_>, base: usize, hot: &mut Hot) -> bool {
    let mut any = false;
    for (number, block) in std::iter::once(&mut hot.before).chain(&mut hot.window).enumerate() {
        let mut rest = *block;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest ^= bit;
            let mark = base + number * BLOCK_BYTES + bit.trailing_zeros() as usize;
            // A mark stands some bytes before the end of its word, that of a short word perhaps before the text.
            let end = (mark + HOT_PRINT_BYTES).wrapping_sub(BLOCK_BYTES);
            match end <= search.bytes.len() && search.hot_words.ends_at(search.bytes, end) {
                true => any = true,
                false => *block ^= bit,
            }
        }
    }
    any
}

/// What is at most [`CONTEXT_CHARS`] characters behind the ends of words that `marks` and those in the block before stand for; `wide`
/// bytes are beyond ASCII.
#[inline(always)]
fn reach<V: Lanes>(marks: V, before: u64, wide: u32) -> V {
    // A mark stands some bytes before the end of its word.
    let near = Reach(
        marks.behind::<{ HOT_PRINT_BYTES as i32 }>(before),
        before << HOT_PRINT_BYTES,
    );
    let near = near.and_behind::<1>().and_behind::<2>().and_behind::<4>();
    let Reach(near, before) = near.and_behind::<8>().and_behind::<15>();
    match wide {
        0 => near,
        _ => near.or(near.behind_by(wide, before)),
    }
}

/// A mask, and the 64 places before its window.
#[derive(Clone, Copy)]
struct Reach<V>(V, u64);

impl<V: Lanes> Reach<V> {
    /// The places of the mask and those that are `N` bytes behind them.
    #[inline(always)]
    fn and_behind<const N: i32>(self) -> Reach<V> {
        let Reach(mask, before) = self;
        Reach(mask.or(mask.behind::<N>(before)), before | before << N)
    }
}

/// Marks of the hot words in the 64 bytes before `end`: a bit where the last [`HOT_PRINT_BYTES`] bytes of one begin. Words count that end before
/// `end` or shortly behind it.
#[inline(always)]
fn hot_marks<B: Backend>(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    let start = end.wrapping_sub(BLOCK_BYTES);
    match bytes.get(start..start.wrapping_add(BLOCK_BYTES + HOT_AHEAD_BYTES)) {
        Some(block) => B::hot(plan, block),
        None if start as isize >= bytes.len() as isize => 0,
        None => B::hot_edge(plan, bytes, start as isize),
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
