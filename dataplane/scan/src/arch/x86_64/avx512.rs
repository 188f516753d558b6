//! AVX-512 with VBMI, VBMI2 and GFNI: eight masks of 512 bytes at a time.
//!
//! ```text
//! codes    one table look-up per byte gives its code; two more bits come from the fingerprints
//! turn     a Galois-field product with the codes as the matrix turns eight codes into eight bytes of mask bits
//! gather   a byte permutation and a transposition of eight blocks give one register per mask
//! ```

use std::arch::x86_64::*;

use super::small;
use crate::algebra::{Lanes, Masks};
use crate::arch::{Backend, Found, Hot, Search, WORDS_MAX, hot_marks, search_windows};
use crate::class::Nibbles;
use crate::plan::{CODES, HOT_PRINT_BYTES, KEY, KEY_SETS, LITERAL, LITERAL_SETS, PRINT_BYTES, Plan, Prints};

pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

pub(in crate::arch) fn next_window(search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    // SAFETY: a scanner has this level only if `available` said that the processor has these instructions.
    unsafe {
        match search.bytes.len() {
            0..=64 if from == 0 => small::search(search, found),
            _ => search_avx512(search, from, found),
        }
    }
}

/// 64 bytes from a place on that may lie partly or wholly outside of the text; NULs are there.
#[inline(always)]
pub(super) unsafe fn load_some(text: &[u8], from: isize) -> __m512i {
    let from = from.clamp(-64, text.len() as isize);
    let count = (text.len() as isize - from).min(64) as u32;
    let up_to_end = if count == 0 { 0 } else { u64::MAX >> (64 - count) };
    let present = match from {
        -64 => 0,
        0.. => up_to_end,
        _ => up_to_end & u64::MAX << -from,
    };
    // SAFETY: bytes outside of the mask are not read.
    unsafe { _mm512_maskz_loadu_epi8(present, text.as_ptr().wrapping_offset(from).cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
fn search_avx512(search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    search_windows::<Avx512>(search, from, found)
}

pub(in crate::arch) fn hot_marks_before(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    // SAFETY: as in `next_window`.
    unsafe { hot_marks_avx512(plan, bytes, end) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,lzcnt,popcnt")]
fn hot_marks_avx512(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    hot_marks::<Avx512>(plan, bytes, end)
}

/// See [`crate::arch::class_bits`].
#[inline(always)]
pub(in crate::arch) fn class_bits(text: &[u8], class: &Nibbles) -> u64 {
    // SAFETY: as in `next_window`.
    unsafe { class_bits_avx512(text, class) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi2")]
fn class_bits_avx512(text: &[u8], class: &Nibbles) -> u64 {
    let present = _bzhi_u64(u64::MAX, text.len().min(64) as u32);
    // SAFETY: bytes outside of the mask are not read; the table has sixteen bytes.
    let (bytes, table) = unsafe {
        let bytes = _mm512_maskz_loadu_epi8(present, text.as_ptr().cast());
        (bytes, _mm512_broadcast_i32x4(_mm_load_si128(class.0.as_ptr().cast())))
    };
    let rows = _mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64);
    let low = _mm512_shuffle_epi8(table, _mm512_and_si512(bytes, _mm512_set1_epi8(15)));
    // A shuffle gives zero where the topmost bit of the index is set, that is, beyond ASCII; eight rows repeat.
    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15));
    let high = _mm512_shuffle_epi8(rows, high);
    _mm512_mask_test_epi8_mask(present & !_mm512_movepi8_mask(bytes), low, high)
}

/// See [`crate::arch::classes_bits`].
#[inline(always)]
pub(in crate::arch) fn classes_bits<const N: usize>(text: &[u8], classes: [&Nibbles; N]) -> [u64; N] {
    // SAFETY: as in `next_window`.
    unsafe { classes_bits_avx512(text, classes) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi2")]
fn classes_bits_avx512<const N: usize>(text: &[u8], classes: [&Nibbles; N]) -> [u64; N] {
    let present = _bzhi_u64(u64::MAX, text.len().min(64) as u32);
    // SAFETY: bytes outside of the mask are not read.
    let bytes = unsafe { _mm512_maskz_loadu_epi8(present, text.as_ptr().cast()) };
    let low = _mm512_and_si512(bytes, _mm512_set1_epi8(15));
    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15));
    let high = _mm512_shuffle_epi8(_mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64), high);
    let present = present & !_mm512_movepi8_mask(bytes);
    let mut all = [0; N];
    for (bits, class) in all.iter_mut().zip(classes) {
        // SAFETY: the table has sixteen bytes.
        let table = unsafe { _mm512_broadcast_i32x4(_mm_load_si128(class.0.as_ptr().cast())) };
        *bits = _mm512_mask_test_epi8_mask(present, _mm512_shuffle_epi8(table, low), high);
    }
    all
}

pub(super) struct Avx512;

#[derive(Clone, Copy)]
pub(super) struct V(__m512i);

// SAFETY (all blocks of these two implementations): they are only reached through `next_window`, that is, with the
// instructions present; loads stay inside of slices whose length is asserted.
impl Lanes for V {
    #[inline(always)]
    fn zero() -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_setzero_si512() })
    }

    #[inline(always)]
    fn and(self, other: V) -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: V) -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn without(self, other: V) -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_andnot_si512(other.0, self.0) })
    }

    #[inline(always)]
    fn ahead<const N: i32>(self) -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_shrdi_epi64::<N>(self.0, next_lanes(self.0)) })
    }

    #[inline(always)]
    fn ahead_by(self, distance: u32) -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_shrdv_epi64(self.0, next_lanes(self.0), _mm512_set1_epi64(i64::from(distance))) })
    }

    #[inline(always)]
    fn behind_one(self, first: bool) -> V {
        // SAFETY: see above.
        unsafe {
            let previous = previous_lanes(self.0, u64::from(first) << 63);
            V(_mm512_shldi_epi64::<1>(self.0, previous))
        }
    }

    #[inline(always)]
    fn behind<const N: i32>(self, before: u64) -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_shldi_epi64::<N>(self.0, previous_lanes(self.0, before)) })
    }

    #[inline(always)]
    fn behind_by(self, distance: u32, before: u64) -> V {
        // SAFETY: see above.
        unsafe {
            let distance = _mm512_set1_epi64(i64::from(distance));
            V(_mm512_shldv_epi64(self.0, previous_lanes(self.0, before), distance))
        }
    }

    #[inline(always)]
    fn own() -> V {
        // SAFETY: see above.
        V(unsafe { _mm512_set_epi64(u32::MAX as i64, -1, -1, -1, -1, -1, -1, -1) })
    }

    #[inline(always)]
    fn any(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm512_test_epi64_mask(self.0, self.0) != 0 }
    }

    #[inline(always)]
    fn any_sixteen(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm512_cmpeq_epi16_mask(self.0, _mm512_set1_epi16(-1)) != 0 }
    }
}

/// Each lane's right neighbour; zeros behind the last.
#[inline(always)]
unsafe fn next_lanes(lanes: __m512i) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe { _mm512_alignr_epi64::<1>(_mm512_setzero_si512(), lanes) }
}

/// Each lane's left neighbour; `before` before the first.
#[inline(always)]
unsafe fn previous_lanes(lanes: __m512i, before: u64) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe { _mm512_alignr_epi64::<7>(lanes, _mm512_set1_epi64(before as i64)) }
}

impl Backend for Avx512 {
    type V = V;
    const BYTES: usize = 512;

    #[inline(always)]
    fn masks(plan: &Plan, window: &[u8]) -> Masks<V> {
        assert!(window.len() >= Avx512::BYTES + 3);
        // SAFETY: see above; the last load begins at 448 + 3 and ends at 515.
        unsafe {
            let start = window.as_ptr();
            transpose([
                block_masks(&plan.prints, start),
                block_masks(&plan.prints, start.add(64)),
                block_masks(&plan.prints, start.add(128)),
                block_masks(&plan.prints, start.add(192)),
                block_masks(&plan.prints, start.add(256)),
                block_masks(&plan.prints, start.add(320)),
                block_masks(&plan.prints, start.add(384)),
                block_masks(&plan.prints, start.add(448)),
            ])
        }
    }

    #[inline(always)]
    fn masks_of_rest(plan: &Plan, rest: &[u8]) -> Masks<V> {
        // SAFETY: see above; what is not there counts as NUL.
        unsafe {
            let mut blocks = [_mm512_setzero_si512(); WORDS_MAX];
            for (number, block) in blocks.iter_mut().enumerate().take(rest.len().div_ceil(64)) {
                *block = match rest.get(number * 64..number * 64 + 67) {
                    Some(there) => block_masks(&plan.prints, there.as_ptr()),
                    None => block_masks_of_some(&plan.prints, rest, (number * 64) as isize),
                };
            }
            transpose(blocks)
        }
    }

    #[inline(always)]
    fn hot_edge(plan: &Plan, text: &[u8], from: isize) -> u64 {
        // SAFETY: see above.
        unsafe { hot_some(&plan.hot, text, from) }
    }

    #[inline(always)]
    fn hot_before(plan: &Plan, text: &[u8], end: usize) -> (u64, u64) {
        // SAFETY: see above; the last load begins 59 bytes before `end` and ends 5 behind it.
        unsafe {
            match end.checked_sub(64) {
                Some(start) if end + HOT_PRINT_BYTES <= text.len() => {
                    let start = text.as_ptr().add(start);
                    (hot_block(&plan.hot, start), _mm512_movepi8_mask(load(start)))
                }
                _ => {
                    let start = end as isize - 64;
                    let wide = _mm512_movepi8_mask(load_some(text, start));
                    (hot_some(&plan.hot, text, start), wide)
                }
            }
        }
    }

    #[inline(always)]
    fn hot(plan: &Plan, block: &[u8]) -> u64 {
        assert!(block.len() >= 64 + HOT_PRINT_BYTES);
        // SAFETY: see above; the last load begins at 5.
        unsafe { hot_block(&plan.hot, block.as_ptr()) }
    }

    #[inline(always)]
    fn hot_window(plan: &Plan, before_and_window: &[u8], hot: &mut Hot) {
        assert!(before_and_window.len() >= 64 + Avx512::BYTES + HOT_PRINT_BYTES);
        // SAFETY: see above; the last load begins at 512 + 5 and ends at 581.
        unsafe {
            let start = before_and_window.as_ptr();
            let mut all = load(start);
            hot.before = hot_block(&plan.hot, start);
            for (block, marks) in hot.window.iter_mut().enumerate() {
                let start = start.add((block + 1) * 64);
                all = _mm512_or_si512(all, load(start));
                *marks = hot_block(&plan.hot, start);
            }
            hot.plain = _mm512_movepi8_mask(all) == 0;
        }
    }

    #[inline(always)]
    fn wide_bytes(text: &[u8]) -> u32 {
        // SAFETY: see above; what is not there counts as NUL.
        unsafe {
            let blocks = text.len().div_ceil(64);
            let mut all = _mm512_setzero_si512();
            for block in 0..blocks {
                all = _mm512_or_si512(all, load_some(text, (block * 64) as isize));
            }
            if _mm512_movepi8_mask(all) == 0 {
                return 0;
            }
            let mut count = 0;
            for block in 0..blocks {
                count += _mm512_movepi8_mask(load_some(text, (block * 64) as isize)).count_ones();
            }
            count
        }
    }

    #[inline(always)]
    fn load(words: &[u64; WORDS_MAX]) -> V {
        // SAFETY: see above; the array has 64 bytes.
        V(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(mask: V, words: &mut [u64; WORDS_MAX]) {
        // SAFETY: see above; the array has 64 bytes.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), mask.0) }
    }
}

#[inline(always)]
pub(super) unsafe fn load(from: *const u8) -> __m512i {
    // SAFETY: the caller has 64 bytes there.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

/// The bytes with NUL for those beyond ASCII.
#[inline(always)]
pub(super) unsafe fn ascii(bytes: __m512i) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe { _mm512_max_epi8(bytes, _mm512_setzero_si512()) }
}

/// Looks bytes up in a table of 128; the topmost bit is ignored.
#[inline(always)]
pub(super) unsafe fn look_up(table: &[u8; 128], bytes: __m512i) -> __m512i {
    // SAFETY: the table has two registers full of bytes.
    unsafe { _mm512_permutex2var_epi8(load(table.as_ptr()), bytes, load(table.as_ptr().add(64))) }
}

/// Sets of the fingerprints that match at each of 64 places; `bytes` are those at each place, and those one to three behind.
#[inline(always)]
unsafe fn sets_of(prints: &Prints<PRINT_BYTES>, bytes: [__m512i; 4]) -> __m512i {
    // Bytes beyond ASCII pass for those 128 below: that marks a place too many now and then, which costs less than to tell.
    // SAFETY: the caller has the instructions.
    unsafe {
        let first = look_up(&prints.allow[0], bytes[0]);
        let second = look_up(&prints.allow[1], bytes[1]);
        let third = look_up(&prints.allow[2], bytes[2]);
        let fourth = look_up(&prints.allow[3], bytes[3]);
        _mm512_and_si512(_mm512_and_si512(first, second), _mm512_and_si512(third, fourth))
    }
}

/// Where the last bytes of a hot word stand in 64 bytes.
#[inline(always)]
unsafe fn hot_block(prints: &Prints<HOT_PRINT_BYTES>, start: *const u8) -> u64 {
    // SAFETY: the caller has 69 bytes there.
    unsafe {
        let sets = hot_sets(prints, start);
        _mm512_test_epi8_mask(sets, sets)
    }
}

/// Sets of the hot words that match at each of 64 places.
#[inline(always)]
unsafe fn hot_sets(prints: &Prints<HOT_PRINT_BYTES>, start: *const u8) -> __m512i {
    // SAFETY: the caller has 69 bytes there.
    unsafe {
        hot_sets_of(
            prints,
            [
                load(start),
                load(start.add(1)),
                load(start.add(2)),
                load(start.add(3)),
                load(start.add(4)),
                load(start.add(5)),
            ],
        )
    }
}

/// The same, from a place on that may lie partly outside of the text, as marks.
#[inline(always)]
pub(super) unsafe fn hot_some(prints: &Prints<HOT_PRINT_BYTES>, text: &[u8], from: isize) -> u64 {
    // SAFETY: the caller has the instructions.
    unsafe {
        let sets = hot_sets_of(
            prints,
            [
                load_some(text, from),
                load_some(text, from + 1),
                load_some(text, from + 2),
                load_some(text, from + 3),
                load_some(text, from + 4),
                load_some(text, from + 5),
            ],
        );
        _mm512_test_epi8_mask(sets, sets)
    }
}

/// The same for bytes that are loaded: those at each place, and those one to five behind.
#[inline(always)]
unsafe fn hot_sets_of(prints: &Prints<HOT_PRINT_BYTES>, bytes: [__m512i; HOT_PRINT_BYTES + 1]) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe {
        let first = look_up(&prints.allow[0], ascii(bytes[0]));
        let second = look_up(&prints.allow[1], ascii(bytes[1]));
        let third = look_up(&prints.allow[2], ascii(bytes[2]));
        let fourth = look_up(&prints.allow[3], ascii(bytes[3]));
        let fifth = look_up(&prints.allow[4], ascii(bytes[4]));
        let behind = look_up(&prints.behind, ascii(bytes[5]));
        let head = _mm512_and_si512(_mm512_and_si512(first, second), third);
        let tail = _mm512_and_si512(_mm512_and_si512(fourth, fifth), behind);
        _mm512_and_si512(head, tail)
    }
}

/// The eight masks of 64 bytes, one per lane.
#[inline(always)]
unsafe fn block_masks(prints: &Prints<PRINT_BYTES>, start: *const u8) -> __m512i {
    // SAFETY: the caller has 67 bytes there.
    unsafe {
        let ahead = [load(start), load(start.add(1)), load(start.add(2)), load(start.add(3))];
        turn(codes_of(prints, load(start), ahead))
    }
}

/// The same for 64 bytes that are not all there.
#[inline(always)]
pub(super) unsafe fn block_masks_of_some(prints: &Prints<PRINT_BYTES>, text: &[u8], from: isize) -> __m512i {
    // SAFETY: the caller has the instructions; masked loads touch only bytes of the text.
    unsafe {
        let bytes = load_some(text, from);
        let ahead = [
            bytes,
            load_some(text, from + 1),
            load_some(text, from + 2),
            load_some(text, from + 3),
        ];
        turn(codes_of(prints, bytes, ahead))
    }
}

/// Codes of bytes; `ahead` are those at each place, and those one to three behind.
#[inline(always)]
pub(super) unsafe fn codes_of(prints: &Prints<PRINT_BYTES>, bytes: __m512i, ahead: [__m512i; 4]) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe {
        let codes = look_up(&CODES, ascii(bytes));
        let sets = sets_of(prints, ahead);
        let literal = _mm512_test_epi8_mask(sets, _mm512_set1_epi8(LITERAL_SETS as i8));
        let key = _mm512_test_epi8_mask(sets, _mm512_set1_epi8(KEY_SETS as i8));
        let codes = _mm512_mask_add_epi8(codes, literal, codes, _mm512_set1_epi8(LITERAL as i8));
        _mm512_mask_add_epi8(codes, key, codes, _mm512_set1_epi8(KEY as i8))
    }
}

/// From one code per byte to one mask per lane.
#[inline(always)]
pub(super) unsafe fn turn(codes: __m512i) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe {
        // In each group of eight: byte `i` of the product has bit `j` of byte `7 - j`, so the bytes are reversed before.
        let reversed = _mm512_shuffle_epi8(codes, repeat16(0x08090a0b0c0d0e0f, 0x0001020304050607));
        let units = _mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64);
        let turned = _mm512_gf2p8affine_epi64_epi8::<0>(units, reversed);
        _mm512_permutexvar_epi8(gather_index(), turned)
    }
}

#[inline(always)]
unsafe fn repeat16(high: i64, low: i64) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe { _mm512_set_epi64(high, low, high, low, high, low, high, low) }
}

/// Byte `8 * k + q` comes from byte `8 * q + k`.
#[inline(always)]
unsafe fn gather_index() -> __m512i {
    const INDEX: [u8; 64] = {
        let mut index = [0; 64];
        let mut place = 0;
        while place < 64 {
            index[place] = ((place % 8) * 8 + place / 8) as u8;
            place += 1;
        }
        index
    };
    // SAFETY: the array has 64 bytes.
    unsafe { load(INDEX.as_ptr()) }
}

/// From one register per block to one register per mask.
#[inline(always)]
unsafe fn transpose(b: [__m512i; 8]) -> Masks<V> {
    // SAFETY: the caller has the instructions.
    unsafe {
        // Each of the first holds masks 0 2 4 6 of two blocks, each of the second masks 1 3 5 7.
        let (digit, sep, op, literal) = quarters([
            _mm512_unpacklo_epi64(b[0], b[1]),
            _mm512_unpacklo_epi64(b[2], b[3]),
            _mm512_unpacklo_epi64(b[4], b[5]),
            _mm512_unpacklo_epi64(b[6], b[7]),
        ]);
        let (word, gap, special, key) = quarters([
            _mm512_unpackhi_epi64(b[0], b[1]),
            _mm512_unpackhi_epi64(b[2], b[3]),
            _mm512_unpackhi_epi64(b[4], b[5]),
            _mm512_unpackhi_epi64(b[6], b[7]),
        ]);
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

/// Transposes a square of four quarters.
#[inline(always)]
unsafe fn quarters([a, b, c, d]: [__m512i; 4]) -> (V, V, V, V) {
    // SAFETY: the caller has the instructions.
    unsafe {
        let ab_low = _mm512_shuffle_i64x2::<0x44>(a, b);
        let ab_high = _mm512_shuffle_i64x2::<0xee>(a, b);
        let cd_low = _mm512_shuffle_i64x2::<0x44>(c, d);
        let cd_high = _mm512_shuffle_i64x2::<0xee>(c, d);
        (
            V(_mm512_shuffle_i64x2::<0x88>(ab_low, cd_low)),
            V(_mm512_shuffle_i64x2::<0xdd>(ab_low, cd_low)),
            V(_mm512_shuffle_i64x2::<0x88>(ab_high, cd_high)),
            V(_mm512_shuffle_i64x2::<0xdd>(ab_high, cd_high)),
        )
    }
}
