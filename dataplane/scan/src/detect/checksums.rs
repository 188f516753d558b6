//! Checksums that a custom detector may ask for by name.

use crate::detect::card::luhn;
use crate::detect::national::verhoeff;
use crate::detect::pattern::{icao, iso7064_mod_11_10, value};
use crate::limits::CUSTOM_MATCH_BYTES_MAX;
use crate::spec::Checksum;

/// Fewest characters of which the last can be a check.
const CHARACTERS_MIN: usize = 3;

/// Whether the digits and letters of a match fulfil the checksum.
pub(crate) fn holds(checksum: Checksum, matched: &[u8]) -> bool {
    let mut buffer = [0; CUSTOM_MATCH_BYTES_MAX];
    let mut len = 0;
    for byte in matched.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        let Some(slot) = buffer.get_mut(len) else {
            return false;
        };
        *slot = byte.to_ascii_uppercase();
        len += 1;
    }
    let characters = &buffer[..len];
    let digits = characters.iter().all(u8::is_ascii_digit);
    if len < CHARACTERS_MIN {
        return false;
    }
    match checksum {
        Checksum::Luhn => digits && luhn(characters),
        Checksum::Verhoeff => digits && verhoeff(characters),
        Checksum::Iso7064Mod11_10 => digits && iso7064_mod_11_10(characters),
        Checksum::Iso7064Mod97_10 => remainder_97(characters.iter()) == 1,
        Checksum::Iban => len > 4 && remainder_97(characters[4..].iter().chain(&characters[..4])) == 1,
        Checksum::Icao => icao(characters),
        Checksum::Mod11 => mod_11(characters),
    }
}

/// The characters as one number, letters as 10 to 35, by 97.
fn remainder_97<'a>(characters: impl Iterator<Item = &'a u8>) -> u32 {
    characters.fold(0, |rest, character| match value(*character) {
        digit @ 0..10 => (rest * 10 + digit) % 97,
        letter => (rest * 100 + letter) % 97,
    })
}

fn mod_11(characters: &[u8]) -> bool {
    let Some((check, body)) = characters.split_last() else {
        return false;
    };
    let check = match check {
        b'X' => 10,
        digit @ b'0'..=b'9' => u64::from(digit - b'0'),
        _ => return false,
    };
    let sum: u64 = body
        .iter()
        .rev()
        .zip(2u64..)
        .map(|(digit, weight)| u64::from(value(*digit)) * weight)
        .sum();
    body.iter().all(u8::is_ascii_digit) && (11 - sum % 11) % 11 == check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_hold_and_a_changed_digit_does_not() {
        let examples = [
            (Checksum::Luhn, "7992-7398-713"),
            (Checksum::Verhoeff, "2363"),
            (Checksum::Iso7064Mod11_10, "0794 5"),
            (Checksum::Iso7064Mod97_10, "79444"),
            (Checksum::Iban, "GB82 WEST 1234 5698 7654 32"),
            (Checksum::Icao, "L898902C3"),
            (Checksum::Mod11, "0-306-40615-2"),
        ];
        for (checksum, text) in examples {
            assert!(holds(checksum, text.as_bytes()), "{checksum:?} {text}");
            let mut wrong = text.as_bytes().to_vec();
            let last = wrong.len() - 1;
            wrong[last] = b'0' + (wrong[last] - b'0' + 1) % 10;
            assert!(!holds(checksum, &wrong), "{checksum:?} {text}");
        }
        assert!(!holds(Checksum::Luhn, b"0") && !holds(Checksum::Luhn, b""));
    }

    #[test]
    fn every_name_is_known() {
        for name in Checksum::names() {
            assert!(Checksum::from_name(name).is_some(), "{name}");
        }
    }
}
