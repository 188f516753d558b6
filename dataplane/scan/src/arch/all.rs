//! Any processor: masks of 256 bytes in four 64-bit registers, made byte by byte from tables.

use crate::algebra::{Lanes, Masks};
use crate::arch::{Backend, Found, Search, WORDS_MAX, hot_marks, search_windows};
use crate::class::Nibbles;
use crate::plan::{CODES, HOT_PRINT_BYTES, KEY, KEY_SETS, LITERAL, LITERAL_SETS, PRINT_BYTES, Plan, Prints};

pub(super) fn next_window(search: &Search<'_>, from: usize, found: &mut Found) -> bool {
    search_windows::<Portable>(search, from, found)
}

pub(super) fn hot_marks_before(plan: &Plan, bytes: &[u8], end: usize) -> u64 {
    hot_marks::<Portable>(plan, bytes, end)
}

pub(super) fn class_bits(text: &[u8], class: &Nibbles) -> u64 {
    let has = |byte: &u8| *byte < 0x80 && class.0[usize::from(byte & 15)] >> (byte >> 4) & 1 == 1;
    let places = text.iter().take(64).enumerate();
    places.fold(0, |bits, (place, byte)| bits | u64::from(has(byte)) << place)
}

struct Portable;

const WORDS: usize = 4;

#[derive(Clone, Copy)]
struct V([u64; WORDS]);

impl V {
    #[inline(always)]
    fn map(self, other: V, op: impl Fn(u64, u64) -> u64) -> V {
        let (a, b) = (self.0, other.0);
        V([op(a[0], b[0]), op(a[1], b[1]), op(a[2], b[2]), op(a[3], b[3])])
    }

    #[inline(always)]
    fn next_lanes(self) -> V {
        V([self.0[1], self.0[2], self.0[3], 0])
    }
}

impl Lanes for V {
    #[inline(always)]
    fn zero() -> V {
        V([0; WORDS])
    }

    #[inline(always)]
    fn and(self, other: V) -> V {
        self.map(other, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, other: V) -> V {
        self.map(other, |a, b| a | b)
    }

    #[inline(always)]
    fn without(self, other: V) -> V {
        self.map(other, |a, b| a & !b)
    }

    #[inline(always)]
    fn ahead<const N: i32>(self) -> V {
        self.ahead_by(N as u32)
    }

    #[inline(always)]
    fn ahead_by(self, distance: u32) -> V {
        self.map(self.next_lanes(), |own, next| own >> distance | next << (64 - distance))
    }

    #[inline(always)]
    fn behind_one(self, first: bool) -> V {
        let [a, b, c, _] = self.0;
        self.map(V([u64::from(first) << 63, a, b, c]), |own, previous| {
            own << 1 | previous >> 63
        })
    }

    #[inline(always)]
    fn behind<const N: i32>(self, before: u64) -> V {
        self.behind_by(N as u32, before)
    }

    #[inline(always)]
    fn behind_by(self, distance: u32, before: u64) -> V {
        let [a, b, c, _] = self.0;
        self.map(V([before, a, b, c]), |own, previous| {
            own << distance | previous >> (64 - distance)
        })
    }

    #[inline(always)]
    fn own() -> V {
        V([u64::MAX, u64::MAX, u64::MAX, u64::from(u32::MAX)])
    }

    #[inline(always)]
    fn any(self) -> bool {
        self.0.iter().any(|word| *word != 0)
    }

    #[inline(always)]
    fn any_sixteen(self) -> bool {
        self.0
            .iter()
            .any(|word| (0..4).any(|quarter| word >> (quarter * 16) & 0xffff == 0xffff))
    }
}

impl Backend for Portable {
    type V = V;
    const BYTES: usize = WORDS * 64;

    #[inline(always)]
    fn masks(plan: &Plan, window: &[u8]) -> Masks<V> {
        let mut turned = [[0u64; WORDS]; 8];
        for (word, block) in window[..Portable::BYTES].chunks_exact(64).enumerate() {
            for (group, eight) in block.chunks_exact(8).enumerate() {
                let mut codes = [0; 8];
                for (place, (byte, code)) in eight.iter().zip(&mut codes).enumerate() {
                    let at = word * 64 + group * 8 + place;
                    let plain = if *byte < 0x80 { CODES[usize::from(*byte)] } else { 0 };
                    *code = plain | given_away(&plan.prints, &window[at..]);
                }
                let bits = turn(u64::from_le_bytes(codes)).to_le_bytes();
                for (mask, byte) in turned.iter_mut().zip(bits) {
                    mask[word] |= u64::from(byte) << (group * 8);
                }
            }
        }
        let [digit, word, sep, gap, op, special, literal, key] = turned.map(V);
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

    #[inline(always)]
    fn hot(plan: &Plan, block: &[u8]) -> u64 {
        (0..64).fold(0, |bits, place| {
            let next = block[place + HOT_PRINT_BYTES];
            let ends = !next.is_ascii_lowercase() || next == b's';
            let print = std::array::from_fn(|k| block[place + k]);
            let hit = ends && plan.hot.sets(print) != 0;
            bits | u64::from(hit) << place
        })
    }

    #[inline(always)]
    fn wide_bytes(text: &[u8]) -> u32 {
        text.iter().map(|byte| u32::from(byte >> 7)).sum()
    }

    #[inline(always)]
    fn load(words: &[u64; WORDS_MAX]) -> V {
        V([words[0], words[1], words[2], words[3]])
    }

    #[inline(always)]
    fn store(mask: V, words: &mut [u64; WORDS_MAX]) {
        words[..WORDS].copy_from_slice(&mask.0);
    }
}

#[inline(always)]
fn four(text: &[u8]) -> [u8; 4] {
    [text[0], text[1], text[2], text[3]]
}

/// The bits of a code that come from the fingerprints.
#[inline(always)]
fn given_away(prints: &Prints<PRINT_BYTES>, text: &[u8]) -> u8 {
    let sets = prints.sets(four(text));
    let literal = if sets & LITERAL_SETS != 0 { LITERAL } else { 0 };
    let key = if sets & KEY_SETS != 0 { KEY } else { 0 };
    literal | key
}

/// Transposes eight bytes of eight bits: bit `j` of byte `i` becomes bit `i` of byte `j`.
#[inline(always)]
fn turn(codes: u64) -> u64 {
    let swap = |x: u64, mask: u64, by: u32| {
        let t = (x ^ (x >> by)) & mask;
        x ^ t ^ (t << by)
    };
    let x = swap(codes, 0x00aa_00aa_00aa_00aa, 7);
    let x = swap(x, 0x0000_cccc_0000_cccc, 14);
    swap(x, 0x0000_0000_f0f0_f0f0, 28)
}
