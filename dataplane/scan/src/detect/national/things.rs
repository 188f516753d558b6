//! Devices, vehicles and banks.

use super::HotWords;
use super::birth_number::luhn_holds;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, checked, strong, value, weak};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: ImeiHardwareId, separators: b"- ", check: imei,
        forms: &[checked("999999999999999"), strong("99~999999~999999~9"), strong("999999~99~999999~9")] },
    Row { detector: ImeiHardwareId, separators: b"- ", check: software_version, forms: &[weak("9999999999999999"), weak("99~999999~999999~99")] },
    Row { detector: SwiftCode, separators: b"", check: business_identifier, forms: &[weak("AAAAAAXX"), weak("AAAAAAXXXXX")] },
    Row { detector: VehicleIdentificationNumber, separators: b"", check: vin, forms: &[strong("XXXXXXXXXXXXXXXXX")] },
    Row { detector: VehicleIdentificationNumber, separators: b"", check: vin_form, forms: &[weak("XXXXXXXXXXXXXXXXX")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (ImeiHardwareId, &["imei", "imeisv", "device id", "handset", "imei number"]),
    (SwiftCode, &["swift", "bic", "swift code", "bic code", "business identifier code", "swift bic", "bank identifier"]),
    (VehicleIdentificationNumber, &["vin", "chassis", "vehicle identification", "fahrgestellnummer", "fin", "vin number", "chassis number", "fgst"]),
];

/// 3GPP TS 23.003 annex B: Luhn.
fn imei(digits: &[u8]) -> bool {
    luhn_holds(digits) && !all_alike(digits)
}

fn software_version(digits: &[u8]) -> bool {
    !all_alike(digits)
}

/// ISO 3779: no I, O, Q; and the last characters are digits.
fn vin_form(characters: &[u8]) -> bool {
    let alphabet = characters.iter().all(|c| !b"IOQ".contains(c));
    let letters = characters.iter().filter(|c| c.is_ascii_alphabetic()).count();
    alphabet && letters >= 2 && characters[14..].iter().all(u8::is_ascii_digit)
}

/// 49 CFR 565.15: letters have values, places have weights, the ninth place is the sum by 11 (`X` for ten).
fn vin(characters: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let sum: u32 = characters
        .iter()
        .zip(WEIGHTS)
        .map(|(c, weight)| vin_value(*c) * weight)
        .sum();
    let check = match characters[8] {
        b'X' => 10,
        digit @ b'0'..=b'9' => u32::from(digit - b'0'),
        _ => return false,
    };
    vin_form(characters) && sum % 11 == check
}

fn vin_value(character: u8) -> u32 {
    const LETTERS: [u32; 26] = [
        1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 0, 7, 0, 9, 2, 3, 4, 5, 6, 7, 8, 9,
    ];
    match character {
        b'A'..=b'Z' => LETTERS[usize::from(character - b'A')],
        digit => value(digit),
    }
}

/// ISO 3166-1 alpha-2 codes, and XK, which banks of Kosovo use.
const COUNTRIES: &str = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZ\
DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZ\
LALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURW\
SASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

/// ISO 9362: institution, country, location, perhaps branch.
fn business_identifier(characters: &[u8]) -> bool {
    let letter = |place: usize| usize::from(characters[place].wrapping_sub(b'A'));
    SECOND_LETTERS.get(letter(4)).copied().unwrap_or(0) >> letter(5).min(31) & 1 == 1
}

/// By the first letter of a country's code the second ones that there are, as bits.
static SECOND_LETTERS: [u32; 26] = {
    let countries = COUNTRIES.as_bytes();
    let mut letters = [0; 26];
    let mut place = 0;
    while place < countries.len() {
        letters[(countries[place] - b'A') as usize] |= 1 << (countries[place + 1] - b'A');
        place += 2;
    }
    letters
};
