//! AVX-512 for a text of at most 64 bytes, as most cells are: the same algebra on single words, and no place is written down.

use std::arch::x86_64::*;

use super::avx512::{Avx512, block_masks_of_some, hot_some};
use crate::algebra::{Lanes, Masks, Shapes, shapes};
use crate::arch::{Backend, Found, Search, WORDS_MAX, take};
use crate::plan::{HOT_PRINT_BYTES, Plan};

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn search(search: &Search<'_>, found: &mut Found) -> bool {
    found.base = 0;
    found.next = Small::BYTES;
    found.bytes = Small::BYTES;
    let any = match candidates(search.plan, search.bytes) {
        Some((masks, shapes)) => {
            if search.plan.wanted.words {
                Small::store(masks.digit, &mut found.digit);
                Small::store(masks.word, &mut found.word);
            }
            take::<Small>(search, &shapes, found)
        }
        None => false,
    };
    any || search.every
}

/// Whether nothing can begin in the text, hot words aside.
pub(in crate::arch) fn is_quiet(plan: &Plan, text: &[u8]) -> bool {
    // SAFETY: a scanner has this level only if `available` said that the processor has these instructions.
    unsafe { is_quiet_avx512(plan, text) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
fn is_quiet_avx512(plan: &Plan, text: &[u8]) -> bool {
    let Some((_, shapes)) = candidates(plan, text) else {
        return true;
    };
    if shapes.sure.or(shapes.keys).or(shapes.words).any() {
        return false;
    }
    if !shapes.weak.or(shapes.runs).any() {
        return true;
    }
    // A short word at the start of the text lacks the first bytes of its fingerprint.
    let first = 1 - HOT_PRINT_BYTES as isize;
    let places_max = Small::BYTES - HOT_PRINT_BYTES;
    if text.len() > places_max {
        return false;
    }
    // SAFETY: the instructions are there.
    unsafe { hot_some(&plan.hot, text, first) == 0 }
}

/// What can begin in the text; nothing if one look at the classes of its bytes says so.
#[inline(always)]
fn candidates(plan: &Plan, text: &[u8]) -> Option<(Masks<Word>, Shapes<Word>)> {
    // SAFETY: the callers have the instructions.
    let masks = unsafe { masks(plan, text) };
    let given_away = masks.digit.or(masks.special).or(masks.literal).or(masks.key);
    let colon = masks.op.and(masks.gap);
    let long = masks.word.or(masks.op).any_sixteen() || plan.wanted.words;
    match given_away.or(colon).any() || long {
        true => Some((masks, shapes(&masks, plan, false))),
        false => None,
    }
}

/// A window that is a single block.
pub(super) struct Small;

#[derive(Clone, Copy)]
pub(super) struct Word(u64);

impl Lanes for Word {
    #[inline(always)]
    fn zero() -> Word {
        Word(0)
    }

    #[inline(always)]
    fn and(self, other: Word) -> Word {
        Word(self.0 & other.0)
    }

    #[inline(always)]
    fn or(self, other: Word) -> Word {
        Word(self.0 | other.0)
    }

    #[inline(always)]
    fn without(self, other: Word) -> Word {
        Word(self.0 & !other.0)
    }

    #[inline(always)]
    fn ahead<const N: i32>(self) -> Word {
        Word(self.0 >> N)
    }

    #[inline(always)]
    fn ahead_by(self, distance: u32) -> Word {
        Word(self.0 >> distance)
    }

    #[inline(always)]
    fn behind_one(self, first: bool) -> Word {
        Word(self.0 << 1 | u64::from(first))
    }

    #[inline(always)]
    fn behind<const N: i32>(self, before: u64) -> Word {
        self.behind_by(N as u32, before)
    }

    #[inline(always)]
    fn behind_by(self, distance: u32, before: u64) -> Word {
        Word(self.0 << distance | before >> (64 - distance))
    }

    #[inline(always)]
    fn own() -> Word {
        Word(u64::MAX)
    }

    #[inline(always)]
    fn any(self) -> bool {
        self.0 != 0
    }

    #[inline(always)]
    fn any_sixteen(self) -> bool {
        let quarter = |of: u64| of & 0xffff == 0xffff;
        quarter(self.0) | quarter(self.0 >> 16) | quarter(self.0 >> 32) | quarter(self.0 >> 48)
    }
}

impl Backend for Small {
    type V = Word;
    const BYTES: usize = 64;

    #[inline(always)]
    fn masks(plan: &Plan, window: &[u8]) -> Masks<Word> {
        // SAFETY: as for the larger windows.
        unsafe { masks(plan, &window[..Small::BYTES]) }
    }

    #[inline(always)]
    fn masks_of_rest(plan: &Plan, rest: &[u8]) -> Masks<Word> {
        // SAFETY: as for the larger windows.
        unsafe { masks(plan, rest) }
    }

    #[inline(always)]
    fn hot(plan: &Plan, block: &[u8]) -> u64 {
        Avx512::hot(plan, block)
    }

    #[inline(always)]
    fn hot_edge(plan: &Plan, text: &[u8], from: isize) -> u64 {
        Avx512::hot_edge(plan, text, from)
    }

    #[inline(always)]
    fn hot_before(plan: &Plan, text: &[u8], end: usize) -> (u64, u64) {
        Avx512::hot_before(plan, text, end)
    }

    #[inline(always)]
    fn wide_bytes(text: &[u8]) -> u32 {
        Avx512::wide_bytes(text)
    }

    #[inline(always)]
    fn load(words: &[u64; WORDS_MAX]) -> Word {
        Word(words[0])
    }

    #[inline(always)]
    fn store(mask: Word, words: &mut [u64; WORDS_MAX]) {
        words[0] = mask.0;
    }
}

/// The masks of at most 64 bytes; what is not there counts as NUL.
#[inline(always)]
unsafe fn masks(plan: &Plan, text: &[u8]) -> Masks<Word> {
    // SAFETY: the caller has the instructions; the array has 64 bytes.
    unsafe {
        let mut masks = [0u64; 8];
        _mm512_storeu_si512(masks.as_mut_ptr().cast(), block_masks_of_some(&plan.prints, text, 0));
        let [digit, word, sep, gap, op, special, literal, key] = masks.map(Word);
        Masks {
            digit,
            word,
            sep,
            gap,
            op,
            special,
            literal,
            key,
        }
    }
}
