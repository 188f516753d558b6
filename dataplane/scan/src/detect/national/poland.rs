//! Identifiers issued in Poland: PESEL, identity card, passport and tax numbers.

use super::HotWords;
use crate::Detector::*;
use crate::detect::pattern::{Row, checked, date, number, value, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: PolandPeselNumber, separators: b"", check: pesel, forms: &[checked("99999999999")] },
    Row { detector: PolandNationalIdNumber, separators: b" ", check: identity_card, forms: &[checked("AAA999999"), checked("AAA~999999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (PolandPeselNumber, &["pesel", "numer pesel", "nr pesel", "identyfikacyjny"]),
    (PolandNationalIdNumber, &["dowód", "dowod", "dowód osobisty", "dowod osobisty", "dowodu osobistego", "seria i numer", "nr dowodu",
        "identity card", "id card"]),
];

/// Ministerstwo Cyfryzacji, PESEL: birth date whose month tells the century, weights 1-3-7-9.
fn pesel(digits: &[u8]) -> bool {
    let (year, month, day) = (number(&digits[..2]), number(&digits[2..4]), number(&digits[4..6]));
    let century = match month / 20 {
        0 => 1900,
        1 => 2000,
        2 => 2100,
        3 => 2200,
        _ => 1800,
    };
    let check = (10 - weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10;
    date(century + year, month % 20, day) && check == value(digits[10])
}

/// Identity card: letters from 10, weights 7-3-1 around a check digit behind the letters.
fn identity_card(characters: &[u8]) -> bool {
    let sum = weighted(characters, &[7, 3, 1, 9, 7, 3, 1, 7, 3]);
    sum.is_multiple_of(10) && number(&characters[3..]) != 0
}
