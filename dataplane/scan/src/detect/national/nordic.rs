//! Sweden, Norway, Denmark, Finland.

use super::HotWords;
use super::birth_number::{day_month_year, long_year_month_day, luhn_holds};
use crate::Detector::*;
use crate::detect::pattern::{Row, checked, date_of_two_digit_year, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: SwedenNationalIdNumber, separators: b"-+", check: personal, forms: &[strong("999999~9999"), checked("9999999999")] },
    Row { detector: SwedenNationalIdNumber, separators: b"-+", check: long_personal,
        forms: &[strong("99999999~9999"), checked("999999999999")] },
    Row { detector: SwedenOrganisationNumber, separators: b"-", check: organisation,
        forms: &[strong("999999~9999"), checked("9999999999")] },
    Row { detector: SwedenOrganisationNumber, separators: b"-", check: long_organisation,
        forms: &[strong("99999999~9999"), checked("999999999999")] },
    Row { detector: NorwayNiNumber, separators: b" -", check: norwegian,
        forms: &[checked("99999999999"), strong("999999~99999"), strong("999999~999~99")] },
    Row { detector: DenmarkCprNumber, separators: b"- ", check: danish_checked, forms: &[strong("999999~9999"), checked("9999999999")] },
    Row { detector: DenmarkCprNumber, separators: b"- ", check: danish, forms: &[weak("999999~9999"), weak("9999999999")] },
    Row { detector: FinlandNationalIdNumber, separators: b"-+", check: finnish, forms: &[strong("999999~999X")] },
    Row { detector: FinlandNationalIdNumber, separators: b"", check: finnish_with_letter, forms: &[strong("999999A999X")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (SwedenNationalIdNumber, &["personnummer", "samordningsnummer", "pnr", "personnr", "svenskt personnummer", "personal identity", "swedish id",
        "swedish id code", "person nr", "id nummer"]),
    (SwedenOrganisationNumber, &["organisationsnummer", "orgnr", "org nr", "organisationsnr", "company number", "bolag", "org number"]),
    (NorwayNiNumber, &["fødselsnummer", "fodselsnummer", "personnummer", "fnr", "d nummer", "fødselsnr", "norwegian id", "d number"]),
    (DenmarkCprNumber, &["cpr", "cpr nummer", "cpr nr", "personnummer", "cpr number"]),
    (FinlandNationalIdNumber, &["hetu", "henkilötunnus", "henkilotunnus", "personbeteckning", "sotu", "henkilötunnuksen"]),
];

/// Skatteverket, SKV 704: birth date (day plus 60 for coordination numbers), serial, Luhn.
fn personal(digits: &[u8]) -> bool {
    born_or_coordinated(digits) && luhn_holds(digits) && number(&digits[6..9]) != 0
}

fn long_personal(digits: &[u8]) -> bool {
    let mut plain = [0; 12];
    plain.copy_from_slice(digits);
    if number(&plain[6..8]) > 60 {
        plain[6] -= 6;
    }
    matches!(&digits[..2], b"18" | b"19" | b"20") && long_year_month_day(&plain) && personal(&digits[2..])
}

fn born_or_coordinated(digits: &[u8]) -> bool {
    let day = number(&digits[4..6]);
    let day = if day > 60 { day - 60 } else { day };
    date_of_two_digit_year(number(&digits[..2]), number(&digits[2..4]), day)
}

/// Skatteverket, SKV 709: group 1, 2, 5 to 9, third digit at least 2, Luhn.
fn organisation(digits: &[u8]) -> bool {
    matches!(digits[0], b'1' | b'2' | b'5'..=b'9') && digits[2] >= b'2' && luhn_holds(digits)
}

fn long_organisation(digits: &[u8]) -> bool {
    &digits[..2] == b"16" && organisation(&digits[2..])
}

/// Skatteetaten, fødselsnummer: birth date (day plus 40: D number; month plus 40 or 80: synthetic or auxiliary), two check digits.
fn norwegian(digits: &[u8]) -> bool {
    let day = number(&digits[..2]);
    let day = if day > 40 { day - 40 } else { day };
    let month = number(&digits[2..4]);
    let month = match month {
        81.. => month - 80,
        41..=52 => month - 40,
        plain => plain,
    };
    let check = |weights: &[u32]| (11 - weighted(digits, weights) % 11) % 11;
    date_of_two_digit_year(number(&digits[4..6]), month, day)
        && check(&[3, 7, 6, 1, 8, 9, 4, 5, 2]) == value(digits[9])
        && check(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) == value(digits[10])
}

/// CPR-kontoret: a birth date and a serial; numbers given out since 2007 need not fulfil modulus 11.
fn danish(digits: &[u8]) -> bool {
    day_month_year(digits) && number(&digits[6..10]) != 0
}

fn danish_checked(digits: &[u8]) -> bool {
    danish(digits) && weighted(digits, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Digital and Population Data Services Agency: birth date, century sign, serial from 002 on, check character by 31.
fn finnish(characters: &[u8]) -> bool {
    let serial = &characters[6..9];
    let all = number(&characters[..6]) * 1000 + number(serial);
    let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY"[(all % 31) as usize];
    day_month_year(characters) && number(serial) >= 2 && characters[9] == check
}

/// Centuries have had several signs since 2023: A to F for the 2000s, U to Y for the 1900s.
fn finnish_with_letter(characters: &[u8]) -> bool {
    let mut without_sign = [0; 10];
    without_sign[..6].copy_from_slice(&characters[..6]);
    without_sign[6..].copy_from_slice(&characters[7..]);
    matches!(characters[6], b'A'..=b'F' | b'U'..=b'Y') && finnish(&without_sign)
}
