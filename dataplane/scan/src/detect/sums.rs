//! Hash functions that checksums of addresses are cut from: SHA-256 and Keccak-256, for short inputs. Nothing here protects anything.

/// Longest input of one call, in bytes.
pub(crate) const INPUT_BYTES_MAX: usize = 55;

/// SHA-256 (FIPS 180-4 section 6.2) of at most [`INPUT_BYTES_MAX`] bytes: one block.
pub(crate) fn sha256(input: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    let len = input.len().min(INPUT_BYTES_MAX);
    block[..len].copy_from_slice(&input[..len]);
    block[len] = 0x80;
    block[56..].copy_from_slice(&(len as u64 * 8).to_be_bytes());
    let mut schedule = [0u32; 64];
    for (word, bytes) in schedule.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for place in 16..64 {
        let (early, late) = (schedule[place - 15], schedule[place - 2]);
        let small_0 = early.rotate_right(7) ^ early.rotate_right(18) ^ early >> 3;
        let small_1 = late.rotate_right(17) ^ late.rotate_right(19) ^ late >> 10;
        schedule[place] = schedule[place - 16]
            .wrapping_add(small_0)
            .wrapping_add(schedule[place - 7])
            .wrapping_add(small_1);
    }
    let mut state = INITIAL;
    for (word, constant) in schedule.iter().zip(ROUND_CONSTANTS) {
        state = round(state, word.wrapping_add(constant));
    }
    let mut digest = [0; 32];
    for ((bytes, word), initial) in digest.chunks_exact_mut(4).zip(state).zip(INITIAL) {
        bytes.copy_from_slice(&word.wrapping_add(initial).to_be_bytes());
    }
    digest
}

fn round(state: [u32; 8], added: u32) -> [u32; 8] {
    let [a, b, c, d, e, f, g, h] = state;
    let big_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = (e & f) ^ (!e & g);
    let first = h.wrapping_add(big_1).wrapping_add(choice).wrapping_add(added);
    let big_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    let second = big_0.wrapping_add(majority);
    [first.wrapping_add(second), a, b, c, d.wrapping_add(first), e, f, g]
}

const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

#[rustfmt::skip]
const ROUND_CONSTANTS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// Keccak-256 as Ethereum uses it: FIPS 202's permutation with rate 136 and the original padding byte 1.
pub(crate) fn keccak256(input: &[u8]) -> [u8; 32] {
    const RATE: usize = 136;
    let mut block = [0u8; RATE];
    let len = input.len().min(INPUT_BYTES_MAX);
    block[..len].copy_from_slice(&input[..len]);
    block[len] = 1;
    block[RATE - 1] |= 0x80;
    let mut lanes = [0u64; 25];
    for (lane, bytes) in lanes.iter_mut().zip(block.chunks_exact(8)) {
        *lane = bytes.iter().rev().fold(0, |lane, byte| lane << 8 | u64::from(*byte));
    }
    for constant in keccak_constants() {
        permute(&mut lanes, constant);
    }
    let mut digest = [0; 32];
    for (bytes, lane) in digest.chunks_exact_mut(8).zip(lanes) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
    digest
}

/// One round: FIPS 202 sections 3.2.1 to 3.2.5.
fn permute(lanes: &mut [u64; 25], constant: u64) {
    let parity: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |sum, y| sum ^ lanes[x + 5 * y]));
    for (place, lane) in lanes.iter_mut().enumerate() {
        let x = place % 5;
        *lane ^= parity[(x + 4) % 5] ^ parity[(x + 1) % 5].rotate_left(1);
    }
    let mut turned = [0u64; 25];
    turned[0] = lanes[0];
    let (mut x, mut y) = (1, 0);
    for step in 0..24u32 {
        let moved = lanes[x + 5 * y].rotate_left((step + 1) * (step + 2) / 2 % 64);
        (x, y) = (y, (2 * x + 3 * y) % 5);
        turned[x + 5 * y] = moved;
    }
    for (place, lane) in lanes.iter_mut().enumerate() {
        let (x, row) = (place % 5, place / 5 * 5);
        *lane = turned[place] ^ (!turned[row + (x + 1) % 5] & turned[row + (x + 2) % 5]);
    }
    lanes[0] ^= constant;
}

/// FIPS 202 section 3.2.5: a shift register gives the bits of the 24 constants.
fn keccak_constants() -> [u64; 24] {
    let mut register = 1u8;
    let mut next = || {
        let bit = register & 1;
        register = register << 1 ^ if register & 0x80 != 0 { 0x71 } else { 0 };
        bit
    };
    std::array::from_fn(|_| {
        (0..7).fold(0, |constant, power| {
            constant | u64::from(next()) << ((1u32 << power) - 1)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn published_digests_come_out() {
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&sha256(b"")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(&keccak256(b"")),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
        assert_eq!(
            hex(&keccak256(b"abc")),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
        );
    }
}
