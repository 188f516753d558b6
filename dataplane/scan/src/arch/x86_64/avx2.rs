//! AVX2: eight masks of 256 bytes at a time.
//!
//! No closure may hold an instruction here: a closure is compiled without the instructions of the function around it, and each
//! one in it becomes a call.

use std::arch::x86_64::*;

use crate::algebra::{Lanes, Masks};
use crate::arch::{Backend, Found, Search, WORDS_MAX, hot_marks, search_windows};
use crate::class::Nibbles;
use crate::plan::{CODES, HOT_PRINT_BYTES, KEY_SETS, LITERAL_SETS, PRINT_BYTES, Plan, Prints};

pub(in crate::arch) fn next_window(search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    // SAFETY: a scanner has this level only if the processor has these instructions.
    unsafe { search_avx2(search, from, found) }
}

#[target_feature(enable = "avx2")]
fn search_avx2(search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    search_windows::<Avx2>(search, from, found)
}

pub(in crate::arch) fn hot_marks_before(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    // SAFETY: as in `next_window`.
    unsafe { hot_marks_avx2(plan, bytes, end) }
}

#[target_feature(enable = "avx2")]
fn hot_marks_avx2(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    hot_marks::<Avx2>(plan, bytes, end)
}

/// See [`crate::arch::class_bits`].
#[inline(always)]
pub(in crate::arch) fn class_bits(text: &[u8], class: &Nibbles) -> u64 {
    // SAFETY: as in `next_window`.
    unsafe { class_bits_avx2(text, class) }
}

#[target_feature(enable = "avx2")]
fn class_bits_avx2(text: &[u8], class: &Nibbles) -> u64 {
    let mut padded = [0; 64];
    let block = match text.first_chunk::<64>() {
        Some(block) => block,
        None => {
            padded[..text.len()].copy_from_slice(text);
            &padded
        }
    };
    // SAFETY: the block has 64 bytes.
    unsafe {
        let start = block.as_ptr();
        u64::from(class_bits_of_half(start, class)) | u64::from(class_bits_of_half(start.add(32), class)) << 32
    }
}

/// NUL is in no class, so padding needs no mask.
#[inline(always)]
unsafe fn class_bits_of_half(start: *const u8, class: &Nibbles) -> u32 {
    // SAFETY: the caller has 32 bytes there.
    unsafe {
        let bytes = load(start);
        let rows = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
        // A shuffle gives zero where the topmost bit of the index is set, that is, beyond ASCII.
        let low = _mm256_shuffle_epi8(
            table(&class.0),
            _mm256_and_si256(bytes, _mm256_set1_epi8(0x8f_u8 as i8)),
        );
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15));
        let both = _mm256_and_si256(low, _mm256_shuffle_epi8(rows, high));
        !bit(_mm256_cmpeq_epi8(both, _mm256_setzero_si256()))
    }
}

struct Avx2;

#[derive(Clone, Copy)]
struct V(__m256i);

// SAFETY (all blocks of these two implementations): they are only reached through `next_window`, that is, with the
// instructions present; loads stay inside of slices whose length is asserted.
impl Lanes for V {
    #[inline(always)]
    fn zero() -> V {
        // SAFETY: see above.
        V(unsafe { _mm256_setzero_si256() })
    }

    #[inline(always)]
    fn and(self, other: V) -> V {
        // SAFETY: see above.
        V(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: V) -> V {
        // SAFETY: see above.
        V(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn without(self, other: V) -> V {
        // SAFETY: see above.
        V(unsafe { _mm256_andnot_si256(other.0, self.0) })
    }

    #[inline(always)]
    fn ahead<const N: i32>(self) -> V {
        self.ahead_by(N as u32)
    }

    #[inline(always)]
    fn ahead_by(self, distance: u32) -> V {
        // SAFETY: see above.
        unsafe {
            let own = _mm256_srl_epi64(self.0, _mm_cvtsi64_si128(i64::from(distance)));
            let next = _mm256_permute4x64_epi64::<0b11_11_10_01>(self.0);
            let next = _mm256_blend_epi32::<0b1100_0000>(next, _mm256_setzero_si256());
            let next = _mm256_sll_epi64(next, _mm_cvtsi64_si128(i64::from(64 - distance)));
            V(_mm256_or_si256(own, next))
        }
    }

    #[inline(always)]
    fn behind_one(self, first: bool) -> V {
        // SAFETY: see above.
        unsafe {
            let carry = _mm256_set1_epi64x(if first { i64::MIN } else { 0 });
            let previous = _mm256_permute4x64_epi64::<0b10_01_00_00>(self.0);
            let previous = _mm256_blend_epi32::<0b0000_0011>(previous, carry);
            V(_mm256_or_si256(
                _mm256_add_epi64(self.0, self.0),
                _mm256_srli_epi64::<63>(previous),
            ))
        }
    }

    #[inline(always)]
    fn behind<const N: i32>(self, before: u64) -> V {
        self.behind_by(N as u32, before)
    }

    #[inline(always)]
    fn behind_by(self, distance: u32, before: u64) -> V {
        // SAFETY: see above.
        unsafe {
            let own = _mm256_sll_epi64(self.0, _mm_cvtsi64_si128(i64::from(distance)));
            let previous = _mm256_permute4x64_epi64::<0b10_01_00_00>(self.0);
            let previous = _mm256_blend_epi32::<0b0000_0011>(previous, _mm256_set1_epi64x(before as i64));
            let previous = _mm256_srl_epi64(previous, _mm_cvtsi64_si128(i64::from(64 - distance)));
            V(_mm256_or_si256(own, previous))
        }
    }

    #[inline(always)]
    fn own() -> V {
        // SAFETY: see above.
        V(unsafe { _mm256_set_epi64x(u32::MAX as i64, -1, -1, -1) })
    }

    #[inline(always)]
    fn any(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm256_testz_si256(self.0, self.0) == 0 }
    }

    #[inline(always)]
    fn any_sixteen(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm256_movemask_epi8(_mm256_cmpeq_epi16(self.0, _mm256_set1_epi16(-1))) != 0 }
    }
}

impl Backend for Avx2 {
    type V = V;
    const BYTES: usize = 256;

    #[inline(always)]
    fn masks(plan: &Plan, window: &[u8]) -> Masks<V> {
        assert!(window.len() >= Avx2::BYTES + 3);
        let mut words = [[0u32; 8]; 8];
        for half in 0..8 {
            // SAFETY: see above; the last load begins at 224 + 3 and ends at 259.
            let bits = unsafe { half_masks(&plan.prints, window.as_ptr().add(half * 32)) };
            for (mask, bits) in words.iter_mut().zip(bits) {
                mask[half] = bits;
            }
        }
        Masks {
            digit: joined(&words[0]),
            word: joined(&words[1]),
            sep: joined(&words[2]),
            gap: joined(&words[3]),
            op: joined(&words[4]),
            special: joined(&words[5]),
            literal: joined(&words[6]),
            key: joined(&words[7]),
        }
    }

    #[inline(always)]
    fn hot(plan: &Plan, block: &[u8]) -> u64 {
        assert!(block.len() >= 64 + HOT_PRINT_BYTES);
        // SAFETY: see above; the last load begins at 32 + 5 and ends at 69.
        unsafe {
            let start = block.as_ptr();
            u64::from(hot_half(&plan.hot, start)) | u64::from(hot_half(&plan.hot, start.add(32))) << 32
        }
    }

    #[inline(always)]
    fn wide_bytes(text: &[u8]) -> u32 {
        let (blocks, rest) = text.as_chunks::<32>();
        let mut count = rest.iter().fold(0, |count, byte| count + u32::from(byte >> 7));
        for block in blocks {
            // SAFETY: see above; each block has 32 bytes.
            count += unsafe { bit(load(block.as_ptr())) }.count_ones();
        }
        count
    }

    #[inline(always)]
    fn load(words: &[u64; WORDS_MAX]) -> V {
        // SAFETY: see above; the array has 64 bytes.
        V(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(mask: V, words: &mut [u64; WORDS_MAX]) {
        // SAFETY: see above; the array has 64 bytes.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), mask.0) }
    }
}

/// A mask from its 32-bit parts.
#[inline(always)]
fn joined(parts: &[u32; 8]) -> V {
    // SAFETY: see above; the array has 32 bytes.
    V(unsafe { _mm256_loadu_si256(parts.as_ptr().cast()) })
}

#[inline(always)]
unsafe fn load(from: *const u8) -> __m256i {
    // SAFETY: the caller has 32 bytes there.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

/// A table of sixteen bytes in both halves.
#[inline(always)]
unsafe fn table(bytes: &[u8]) -> __m256i {
    assert!(bytes.len() >= 16);
    // SAFETY: just asserted.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) }
}

/// Looks bytes up in a table of 128: one shuffle per row of sixteen. Bytes beyond are in no row and give zero.
#[inline(always)]
unsafe fn look_up(rows: &[u8; 128], first_row: usize, bytes: __m256i) -> __m256i {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut found = _mm256_setzero_si256();
        for row in first_row..8 {
            // Bytes of this row become 0x70 to 0x7f, all others have their topmost bit set, which gives zero.
            let own = _mm256_xor_si256(bytes, _mm256_set1_epi8((row << 4) as i8));
            let index = _mm256_adds_epu8(own, _mm256_set1_epi8(0x70));
            found = _mm256_or_si256(found, _mm256_shuffle_epi8(table(&rows[row * 16..]), index));
        }
        found
    }
}

/// Sets of the fingerprints that match at each of 32 places.
#[inline(always)]
unsafe fn print_sets<const N: usize>(prints: &Prints<N>, start: *const u8) -> __m256i {
    // SAFETY: the caller has 31 + N bytes there.
    unsafe {
        let mut all = print_sets_at(prints, 0, start);
        for place in 1..N {
            all = _mm256_and_si256(all, print_sets_at(prints, place, start));
        }
        all
    }
}

/// Sets that allow the byte at one place of the fingerprint.
#[inline(always)]
unsafe fn print_sets_at<const N: usize>(prints: &Prints<N>, place: usize, start: *const u8) -> __m256i {
    // SAFETY: the caller has 32 bytes behind that place.
    unsafe {
        let bytes = _mm256_max_epi8(load(start.add(place)), _mm256_setzero_si256());
        let low = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15));
        let low = _mm256_shuffle_epi8(table(&prints.low[place]), low);
        let high = _mm256_shuffle_epi8(table(&prints.high[place]), high);
        _mm256_and_si256(low, high)
    }
}

/// Where the last bytes of a hot word stand in 32 bytes.
#[inline(always)]
unsafe fn hot_half(prints: &Prints<HOT_PRINT_BYTES>, start: *const u8) -> u32 {
    // SAFETY: the caller has 37 bytes there.
    unsafe {
        let sets = print_sets(prints, start);
        let next = load(start.add(HOT_PRINT_BYTES));
        let low = _mm256_cmpgt_epi8(next, _mm256_set1_epi8(b'a' as i8 - 1));
        let high = _mm256_cmpgt_epi8(_mm256_set1_epi8(b'z' as i8 + 1), next);
        let plural = _mm256_cmpeq_epi8(next, _mm256_set1_epi8(b's' as i8));
        let goes_on = _mm256_andnot_si256(plural, _mm256_and_si256(low, high));
        let none = _mm256_cmpeq_epi8(sets, _mm256_setzero_si256());
        !_mm256_movemask_epi8(_mm256_or_si256(none, goes_on)) as u32
    }
}

/// The eight masks of 32 bytes.
#[inline(always)]
unsafe fn half_masks(prints: &Prints<PRINT_BYTES>, start: *const u8) -> [u32; 8] {
    // SAFETY: the caller has 35 bytes there.
    unsafe {
        let codes = look_up(&CODES, 2, load(start));
        let sets = print_sets(prints, start);
        let zero = _mm256_setzero_si256();
        let literal = _mm256_and_si256(sets, _mm256_set1_epi8(LITERAL_SETS as i8));
        let literal = !bit(_mm256_cmpeq_epi8(literal, zero));
        let key = _mm256_and_si256(sets, _mm256_set1_epi8(KEY_SETS as i8));
        let key = !bit(_mm256_cmpeq_epi8(key, zero));
        [
            bit(_mm256_slli_epi16::<7>(codes)),
            bit(_mm256_slli_epi16::<6>(codes)),
            bit(_mm256_slli_epi16::<5>(codes)),
            bit(_mm256_slli_epi16::<4>(codes)),
            bit(_mm256_slli_epi16::<3>(codes)),
            bit(_mm256_slli_epi16::<2>(codes)),
            literal,
            key,
        ]
    }
}

/// The topmost bit of each byte.
#[inline(always)]
unsafe fn bit(bytes: __m256i) -> u32 {
    // SAFETY: the caller has the instructions.
    unsafe { _mm256_movemask_epi8(bytes) as u32 }
}
