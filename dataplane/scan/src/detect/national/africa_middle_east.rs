//! Turkey, South Africa, Nigeria.

use super::HotWords;
use super::asia_south::verhoeff;
use super::birth_number::{luhn_holds, year_month_day};
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, any, checked, counts_up, number, strong, value, weak};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: TurkeyIdNumber, separators: b" ", check: turkish, forms: &[checked("99999999999"), checked("999~999~999~99")] },
    Row { detector: TurkeyLicensePlate, separators: b" ", check: plate, forms: &[
        weak("99~A~999"), weak("99~A~9999"), weak("99~A~99999"), weak("99~AA~999"), weak("99~AA~9999"), weak("99~AA~99"), weak("99~AAA~99"),
        weak("99~AAA~999"), weak("99~AAA~9999"), weak("99A9999"), weak("99A99999"), weak("99AA999"), weak("99AA9999"), weak("99AAA99"),
        weak("99AAA999"), weak("99AAA9999"), weak("99A999"), weak("99AA99") ] },
    Row { detector: SouthAfricaIdNumber, separators: b" ", check: south_african,
        forms: &[checked("9999999999999"), strong("999999~9999~999"), strong("999999~9999~99~9")] },
    Row { detector: NigeriaNin, separators: b" -", check: verhoeff_nin, forms: &[checked("99999999999")] },
    Row { detector: NigeriaNin, separators: b" -", check: nin, forms: &[weak("99999999999"), weak("9999~999~9999")] },
    Row { detector: NigeriaVehicleRegistration, separators: b"- ", check: any, forms: &[
        strong("AAA-999-AA"), strong("AAA-999AA"), weak("AAA~999~AA"), weak("AAA999AA"), weak("AAA 999AA"), weak("AAA999-AA")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (TurkeyIdNumber, &["tckn", "tc kimlik", "kimlik", "kimlik no", "tc no", "kimlik numarası", "turkish id", "türk kimlik", "tc kimlik no",
        "vatandaşlık"]),
    (TurkeyLicensePlate, &["plaka", "plakası", "plaka numarası", "plaka no", "araç", "license plate", "plate", "plakali", "plakalı"]),
    (SouthAfricaIdNumber, &["id number", "identity number", "rsa id", "sa id", "south african id", "id no", "identity document", "south africa"]),
    (NigeriaNin, &["nin", "nimc", "national identity", "national identification", "nin number", "nigeria"]),
    (NigeriaVehicleRegistration, &["plate", "number plate", "vehicle", "registration", "plate number", "license plate", "frsc", "car"]),
];

/// Nüfus ve Vatandaşlık İşleri: two check digits.
fn turkish(digits: &[u8]) -> bool {
    let odd: u32 = [0, 2, 4, 6, 8].into_iter().map(|place| value(digits[place])).sum();
    let even: u32 = [1, 3, 5, 7].into_iter().map(|place| value(digits[place])).sum();
    let tenth = (odd * 7 + 90 - even) % 10;
    digits[0] != b'0' && tenth == value(digits[9]) && (odd + even + tenth) % 10 == value(digits[10])
}

/// Provinces 01 to 81; the letters Q, W and X are not used.
fn plate(characters: &[u8]) -> bool {
    let letters = characters[2..].iter().all(|c| !b"QWX".contains(c));
    (1..=81).contains(&number(&characters[..2])) && letters
}

/// Department of Home Affairs: birth date, serial, citizenship 0 to 2, formerly race 8 or 9, Luhn.
fn south_african(digits: &[u8]) -> bool {
    year_month_day(digits) && matches!(digits[10], b'0'..=b'2') && luhn_holds(digits)
}

/// National Identity Management Commission: eleven digits. A check digit is not published; numbers in circulation fulfil Verhoeff's.
fn verhoeff_nin(digits: &[u8]) -> bool {
    nin(digits) && verhoeff(digits)
}

fn nin(digits: &[u8]) -> bool {
    digits[0] != b'0' && !all_alike(digits) && !counts_up(digits)
}
