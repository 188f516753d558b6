//! Places of single bytes, 32 or 64 at a time.

use std::arch::x86_64::*;

use crate::arch::places_from;

/// As [`crate::places_of`]. Needs AVX-512.
pub(in crate::arch) fn avx512(text: &[u8], wanted: [u8; 3], out: &mut Vec<u32>) {
    // SAFETY: only called at a level that `available` said this processor has.
    unsafe { places_avx512(text, wanted, out) }
}

/// As [`crate::places_of`]. Needs AVX2.
pub(in crate::arch) fn avx2(text: &[u8], wanted: [u8; 3], out: &mut Vec<u32>) {
    // SAFETY: only called at a level that `available` said this processor has.
    unsafe { places_avx2(text, wanted, out) }
}

#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2")]
fn places_avx512(text: &[u8], wanted: [u8; 3], out: &mut Vec<u32>) {
    let [a, b, c] = wanted.map(|byte| _mm512_set1_epi8(byte as i8));
    for (number, block) in text.chunks(64).enumerate() {
        let present = _bzhi_u64(u64::MAX, block.len() as u32);
        // SAFETY: bytes outside of the mask are not read.
        let bytes = unsafe { _mm512_maskz_loadu_epi8(present, block.as_ptr().cast()) };
        let found =
            _mm512_cmpeq_epi8_mask(bytes, a) | _mm512_cmpeq_epi8_mask(bytes, b) | _mm512_cmpeq_epi8_mask(bytes, c);
        note(found & present, number * 64, out);
    }
}

#[target_feature(enable = "avx2,bmi1")]
fn places_avx2(text: &[u8], wanted: [u8; 3], out: &mut Vec<u32>) {
    let [a, b, c] = wanted.map(|byte| _mm256_set1_epi8(byte as i8));
    let (blocks, rest) = text.as_chunks::<32>();
    for (number, block) in blocks.iter().enumerate() {
        // SAFETY: a block has as many bytes as are read.
        let bytes = unsafe { _mm256_loadu_si256(block.as_ptr().cast()) };
        let found = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, a), _mm256_cmpeq_epi8(bytes, b));
        let found = _mm256_or_si256(found, _mm256_cmpeq_epi8(bytes, c));
        note(u64::from(_mm256_movemask_epi8(found) as u32), number * 32, out);
    }
    places_from(text, text.len() - rest.len(), wanted, out);
}

/// Writes the set bits down as places.
#[inline(always)]
fn note(mut found: u64, base: usize, out: &mut Vec<u32>) {
    while found != 0 {
        out.push(base as u32 + found.trailing_zeros());
        found &= found - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    #[test]
    fn the_same_places_at_every_length() {
        let text: Vec<u8> = (0..400u32)
            .map(|n| b"\tab\\\n\xe9 "[(n * n % 83 % 7) as usize])
            .collect();
        for len in 0..text.len() {
            let (text, wanted) = (&text[..len], *b"\t\\\n");
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            places_from(text, 0, wanted, &mut expected);
            if Level::Avx512.available() {
                avx512(text, wanted, &mut found);
                assert_eq!(found, expected, "AVX-512, {len} bytes");
            }
            found.clear();
            if Level::Avx2.available() {
                avx2(text, wanted, &mut found);
                assert_eq!(found, expected, "AVX2, {len} bytes");
            }
        }
    }
}
