//! CRYPTO_ADDRESS: Bitcoin addresses in Base58Check, Bech32 and Bech32m (BIP 13, 173, 350), Ethereum addresses with EIP-55.

use crate::class::{ALNUM, HEX};
use crate::detect::sums::{keccak256, sha256};
use crate::hit::{Hit, Strength};
use crate::text::Text;

const BASE58_BYTES_MIN: usize = 26;
const BASE58_BYTES_MAX: usize = 35;
/// BIP 173: at most ninety characters.
const BECH32_BYTES_MAX: usize = 90;
/// The shortest program, its version and checksum behind `bc1`.
const BECH32_BYTES_MIN: usize = 14;
const ETHEREUM_BYTES: usize = 42;

/// A cheap necessary condition on a word whose first `run` bytes are word characters; runs beyond 64 bytes count as 64.
#[inline(always)]
pub(crate) fn possible(bytes: &[u8], start: usize, run: usize) -> bool {
    match bytes.get(start) {
        Some(b'1' | b'3') => (BASE58_BYTES_MIN..=BASE58_BYTES_MAX).contains(&run),
        Some(b'0') => run == ETHEREUM_BYTES,
        Some(b'b' | b'B') => run >= BECH32_BYTES_MIN && bytes.get(start + 2) == Some(&b'1'),
        _ => false,
    }
}

/// Judges the word that begins at `start`.
pub(crate) fn verify(text: &Text<'_>, start: usize) -> Option<Hit> {
    let end = text.short_run(start, ALNUM, BECH32_BYTES_MAX + 1);
    if !text.boundary_before(start) || !text.boundary_at(end) {
        return None;
    }
    let word = text.bytes().get(start..end)?;
    let strength = match word {
        [b'0', b'x' | b'X', ..] if word.len() == ETHEREUM_BYTES => ethereum(text, start)?,
        [b'1' | b'3', ..] if (BASE58_BYTES_MIN..=BASE58_BYTES_MAX).contains(&word.len()) && base58check(word) => {
            Strength::Strong
        }
        [b'b' | b'B', b'c' | b'C', b'1', ..] if word.len() <= BECH32_BYTES_MAX && bech32(word) => Strength::Strong,
        _ => return None,
    };
    Some(Hit::new(start, end, 95).of(strength))
}

/// BIP 13: version, twenty bytes, the first four bytes of a double SHA-256.
fn base58check(word: &[u8]) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0u8; 25];
    for character in word {
        let Some(digit) = ALPHABET.iter().position(|known| known == character) else {
            return false;
        };
        let mut carry = digit as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return false;
        }
    }
    let ones = word.iter().take_while(|c| **c == b'1').count();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let version = matches!(bytes[0], 0 | 5);
    version && ones == zeros && sha256(&sha256(&bytes[..21]))[..4] == bytes[21..]
}

/// BIP 173 and 350: five bits a character, a checksum of thirty bits, one case.
fn bech32(word: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const BECH32M: u32 = 0x2bc8_30a3;
    let mixed = word.iter().any(u8::is_ascii_lowercase) && word.iter().any(u8::is_ascii_uppercase);
    if mixed || word.len() < BECH32_BYTES_MIN {
        return false;
    }
    let mut state = [b'b', b'c']
        .iter()
        .fold(1, |state, c| polymod(state, u32::from(c >> 5)));
    state = polymod(state, 0);
    state = [b'b', b'c']
        .iter()
        .fold(state, |state, c| polymod(state, u32::from(c & 31)));
    let mut version = None;
    for character in &word[3..] {
        let Some(digit) = ALPHABET
            .iter()
            .position(|known| *known == character.to_ascii_lowercase())
        else {
            return false;
        };
        version.get_or_insert(digit);
        state = polymod(state, digit as u32);
    }
    state == if version == Some(0) { 1 } else { BECH32M }
}

fn polymod(state: u32, digit: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = state >> 25;
    let shifted = (state & 0x01ff_ffff) << 5 ^ digit;
    (0..5)
        .filter(|bit| top >> bit & 1 == 1)
        .fold(shifted, |state, bit| state ^ GENERATOR[bit])
}

/// EIP-55: mixed case is a checksum. One case only is an address without one, which a hash or a key may be as well.
fn ethereum(text: &Text<'_>, start: usize) -> Option<Strength> {
    let end = text.short_run(start + 2, HEX, ETHEREUM_BYTES);
    if end != start + ETHEREUM_BYTES {
        return None;
    }
    let digits = text.bytes().get(start + 2..end)?;
    let lower = digits.iter().any(u8::is_ascii_lowercase);
    let upper = digits.iter().any(u8::is_ascii_uppercase);
    if !(lower && upper) {
        return Some(Strength::Weak);
    }
    let mut lowered = [0; ETHEREUM_BYTES - 2];
    lowered.copy_from_slice(digits);
    lowered.make_ascii_lowercase();
    let digest = keccak256(&lowered);
    let fits = digits.iter().enumerate().all(|(place, digit)| {
        let nibble = digest[place / 2] >> (4 * (1 - place % 2)) & 15;
        !digit.is_ascii_alphabetic() || digit.is_ascii_uppercase() == (nibble >= 8)
    });
    fits.then_some(Strength::Strong)
}

pub(crate) const HOT_WORDS: &[&str] = &[
    "ethereum", "eth", "wallet", "address", "crypto", "erc20", "token", "bitcoin", "btc", "contract",
];

#[cfg(test)]
mod tests {
    use crate::Detector::CryptoAddress;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn addresses_of_the_proposals_are_found() {
        assert_spans(
            CryptoAddress,
            &[
                "«1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa»",
                "pay to «3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy».",
                "«bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»",
                "«BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4»",
                "«bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0»",
                "\"«0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed»\"",
                "«0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359»",
                "wallet «0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed»",
            ],
        );
        assert_misses(
            CryptoAddress,
            &[
                "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
                "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfN",
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
                "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
                "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                "x1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            ],
        );
    }
}
