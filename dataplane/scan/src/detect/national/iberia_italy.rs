//! Spain and Italy.

use super::HotWords;
use super::birth_number::luhn_holds;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, any, checked, number, strong, value, weak};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: SpainNifNumber, separators: b"- ", check: nif,
        forms: &[strong("99999999A"), strong("99999999~A"), strong("99.999.999-A"), strong("99.999.999A"), strong("99.999.999 A")] },
    Row { detector: SpainNifNumber, separators: b"-", check: nif, forms: &[checked("9999999A"), checked("9999999~A")] },
    Row { detector: SpainNifNumber, separators: b"-", check: nif_special, forms: &[strong("A9999999A"), strong("A~9999999~A")] },
    Row { detector: SpainNieNumber, separators: b"- ", check: nie, forms: &[
        strong("A9999999A"), strong("A~9999999~A"), strong("A9999999~A"), strong("A~9999999A"), strong("A-9.999.999-A") ] },
    Row { detector: SpainPassport, separators: b"", check: any, forms: &[weak("AAA999999"), weak("AA999999")] },
    Row { detector: ItalyFiscalCode, separators: b" ", check: fiscal_code,
        forms: &[strong("AAAAAAXXAXXAXXXA"), strong("AAA~AAA~XXAXX~AXXXA")] },
    Row { detector: ItalyVatNumber, separators: b" -", check: vat,
        forms: &[checked("99999999999"), strong("it99999999999"), strong("it~99999999999")] },
    Row { detector: ItalyPassport, separators: b"", check: any, forms: &[weak("AA9999999")] },
    Row { detector: ItalyIdentityCard, separators: b" ", check: any,
        forms: &[weak("AA9999999"), weak("AA~9999999"), weak("9999999AA"), weak("AA99999AA")] },
    Row { detector: ItalyDriversLicense, separators: b"", check: any, forms: &[weak("AA9999999A"), weak("u1XXXXXXXA")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (SpainNifNumber, &["nif", "dni", "documento nacional", "identificación fiscal", "identificacion fiscal", "documento de identidad"]),
    (SpainNieNumber, &["nie", "número de extranjero", "numero de extranjero", "identificación de extranjero"]),
    (SpainPassport, &["pasaporte", "passport", "número de pasaporte", "numero de pasaporte", "pasaporte nº"]),
    (ItalyFiscalCode, &["codice fiscale", "cod fisc", "cf", "fiscal code", "tax code"]),
    (ItalyVatNumber, &["partita iva", "p iva", "piva", "iva", "vat", "vat number"]),
    (ItalyPassport, &["passaporto", "passport", "passaporto n", "numero passaporto"]),
    (ItalyIdentityCard, &["carta d'identità", "carta d identità", "carta d identita", "carta d'identita", "carta identità", "carta identita", "carta di identità", "cie",
        "documento", "identity card", "id card", "elettronica"]),
    (ItalyDriversLicense, &["patente", "patente di guida", "driver license", "driving licence", "licenza", "drivers license"]),
];

/// Ministerio del Interior: the number by 23 gives the letter.
const CONTROL_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn control(number: u64) -> u8 {
    CONTROL_LETTERS[(number % 23) as usize]
}

fn nif(characters: &[u8]) -> bool {
    let Some((letter, digits)) = characters.split_last() else {
        return false;
    };
    control(number(digits)) == *letter && number(digits) != 0
}

/// K, L and M: minors, Spaniards abroad, foreigners without another number.
fn nif_special(characters: &[u8]) -> bool {
    matches!(characters[0], b'K' | b'L' | b'M') && nif(&characters[1..])
}

/// Foreigners: X, Y and Z stand for 0, 1 and 2.
fn nie(characters: &[u8]) -> bool {
    let leading = match characters[0] {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        _ => return false,
    };
    control(leading * 10_000_000 + number(&characters[1..8])) == characters[8]
}

/// Decreto Ministeriale 12 marzo 1974 and 13813/1976: six letters, year, month letter, day (plus 40 for women), place, check letter;
/// digits may be letters where two persons would have the same code, the rightmost first, and never all of them.
fn fiscal_code(characters: &[u8]) -> bool {
    let digit = |place: usize| match characters[place] {
        digit @ b'0'..=b'9' => Some(u64::from(digit - b'0')),
        letter => b"LMNPQRSTUV"
            .iter()
            .position(|known| *known == letter)
            .map(|n| n as u64),
    };
    let digits = [6, 7, 9, 10, 12, 13, 14]
        .into_iter()
        .all(|place| digit(place).is_some())
        && [6, 7, 9, 10]
            .into_iter()
            .any(|place| characters[place].is_ascii_digit());
    let month = b"ABCDEHLMPRST".contains(&characters[8]);
    let day = digit(9).unwrap_or(9) * 10 + digit(10).unwrap_or(9);
    let day_known = matches!(day, 1..=31 | 41..=71);
    let sum: u32 = characters[..15]
        .iter()
        .enumerate()
        .map(|(place, character)| {
            if place % 2 == 0 {
                odd_value(*character)
            } else {
                even_value(*character)
            }
        })
        .sum();
    digits && month && day_known && b'A' + (sum % 26) as u8 == characters[15]
}

fn even_value(character: u8) -> u32 {
    match character {
        b'0'..=b'9' => u32::from(character - b'0'),
        letter => u32::from(letter - b'A'),
    }
}

/// Characters in odd places (counted from one) have values of their own.
fn odd_value(character: u8) -> u32 {
    const VALUES: [u8; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
    ];
    u32::from(VALUES[even_value(character) as usize])
}

/// Agenzia delle Entrate, partita IVA: seven digits, three of the office, Luhn's check digit.
fn vat(digits: &[u8]) -> bool {
    let office = number(&digits[7..10]);
    let known = matches!(office, 1..=100 | 120 | 121 | 888 | 999);
    known && luhn_holds(digits) && !all_alike(digits) && value(digits[0]) + number(&digits[1..7]) as u32 != 0
}
