//! France and the Netherlands.

use super::HotWords;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, checked, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: FranceNir, separators: b" -.", check: nir, forms: &[
        strong("999999999999999"), strong("999999A99999999"), strong("9~99~99~99~999~999~99"), strong("9~99~99~9A~999~999~99"),
        strong("9999999999999~99"), strong("999999A999999~99"), strong("9 99 99 99 999 999/99"), strong("9~99~99~99~999999~99") ] },
    Row { detector: FranceNir, separators: b" ", check: nir_without_key, forms: &[
        weak("9999999999999"), weak("999999A999999") ] },
    Row { detector: FranceCni, separators: b"", check: cni, forms: &[weak("999999999999"), weak("99XX99999999")] },
    Row { detector: FranceCni, separators: b"", check: cni_2021, forms: &[weak("XXXXXXXXX")] },
    Row { detector: NetherlandsBsnNumber, separators: b". -", check: bsn,
        forms: &[checked("999999999"), strong("9999~99~999"), checked("999~999~999"), checked("99~99~99~999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (FranceNir, &["nir", "insee", "sécurité sociale", "securite sociale", "numéro de sécurité sociale", "sécu", "secu", "n° ss", "nss",
        "numero ss", "social security"]),
    (FranceCni, &["cni", "carte d'identité", "carte d identité", "carte d identite", "carte nationale", "carte d'identite", "carte identite", "carte identité", "identity card",
        "pièce d'identité", "id card"]),
    (NetherlandsBsnNumber, &["bsn", "burgerservicenummer", "sofi", "sofinummer", "burger service nummer", "citizen service number"]),
];

/// INSEE, NIR: sex, year, month, department (2A and 2B in Corsica), commune, order; the key is 97 minus the rest by 97.
fn nir(characters: &[u8]) -> bool {
    let (body, key) = characters.split_at(13);
    let Some(body) = nir_number(body) else {
        return false;
    };
    key.iter().all(u8::is_ascii_digit) && 97 - body % 97 == number(key)
}

fn nir_without_key(characters: &[u8]) -> bool {
    nir_number(characters).is_some()
}

/// The thirteen places as a number, if they can be a NIR.
fn nir_number(body: &[u8]) -> Option<u64> {
    let corsica = match (body[5], body[6]) {
        (b'2', b'A') => 1_000_000,
        (b'2', b'B') => 2_000_000,
        _ if body[6].is_ascii_digit() => 0,
        _ => return None,
    };
    let mut digits = [0; 13];
    digits.copy_from_slice(body);
    if corsica > 0 {
        digits[6] = b'0';
    }
    let month = number(&digits[3..5]);
    let sex = matches!(body[0], b'1'..=b'4' | b'7' | b'8');
    let month_known = matches!(month, 1..=12 | 20 | 30..=42 | 50..=99);
    let order = number(&digits[10..13]) != 0 && number(&digits[5..7]) != 0;
    (sex && month_known && order).then(|| number(&digits) - corsica)
}

/// Identity cards until 2021: year and month of issue, department, centre, order.
fn cni(characters: &[u8]) -> bool {
    let month = number(&characters[2..4]);
    let department = &characters[2..4];
    let dated = department.iter().all(u8::is_ascii_digit) && (1..=12).contains(&month);
    dated && !all_alike(characters)
}

/// Identity cards since 2021: nine characters without the letters that look like digits or make words.
fn cni_2021(characters: &[u8]) -> bool {
    let alphabet = characters.iter().all(|c| c.is_ascii_digit() || !b"AEIOU".contains(c));
    alphabet && characters.iter().any(u8::is_ascii_digit) && characters.iter().any(u8::is_ascii_alphabetic)
}

/// Rijksdienst voor Identiteitsgegevens: the eleven test, weights 9 to 2 and -1.
fn bsn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    !all_alike(digits) && sum > 0 && sum % 11 == value(digits[8])
}
