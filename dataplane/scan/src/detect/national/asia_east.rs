//! Korea and Japan.

use super::HotWords;
use super::birth_number::year_month_day;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, any, checked, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: KoreaRrn, separators: b"-", check: resident, forms: &[strong("999999~9999999")] },
    Row { detector: KoreaRrn, separators: b"", check: resident, forms: &[checked("9999999999999")] },
    Row { detector: KoreaFrn, separators: b"-", check: foreigner, forms: &[strong("999999~9999999")] },
    Row { detector: KoreaFrn, separators: b"", check: foreigner, forms: &[checked("9999999999999")] },
    Row { detector: KoreaBusinessNumber, separators: b"-", check: business, forms: &[strong("999~99~99999"), checked("9999999999")] },
    Row { detector: KoreaDriversLicense, separators: b"-", check: driver, forms: &[strong("99~99~999999~99"), weak("999999999999")] },
    Row { detector: KoreaPassport, separators: b"", check: passport, forms: &[weak("A99999999"), weak("A999A9999")] },
    Row { detector: JapanIndividualNumber, separators: b"- ", check: my_number,
        forms: &[checked("999999999999"), checked("9999~9999~9999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (KoreaRrn, &["rrn", "resident registration", "주민등록번호", "주민번호", "korean rrn", "jumin"]),
    (KoreaFrn, &["frn", "arn", "alien registration", "foreigner registration", "외국인등록번호", "foreign registration", "korean frn"]),
    (KoreaBusinessNumber, &["brn", "business registration", "사업자등록번호", "사업자번호", "사업자"]),
    (KoreaDriversLicense, &["driver license", "drivers license", "driver's license", "운전면허", "운전면허번호", "면허번호", "driving license"]),
    (KoreaPassport, &["passport", "여권", "여권번호", "passport number", "passport no"]),
    (JapanIndividualNumber, &["my number", "mynumber", "マイナンバー", "個人番号", "individual number"]),
];

/// Ministry of the Interior and Safety: birth date, then sex and century. Since October 2020 the rest is random, so that old check
/// digits say nothing about new numbers.
fn resident(digits: &[u8]) -> bool {
    year_month_day(digits)
        && matches!(digits[6], b'1'..=b'4' | b'9' | b'0')
        && !all_alike(&digits[7..])
        && known_century(digits)
}

/// 9 and 0 are births of the 1800s.
fn known_century(digits: &[u8]) -> bool {
    matches!(digits[6], b'1'..=b'4') || number(&digits[..2]) >= 80
}

fn foreigner(digits: &[u8]) -> bool {
    year_month_day(digits) && matches!(digits[6], b'5'..=b'8') && !all_alike(&digits[7..])
}

/// National Tax Service: weights 1-3-7 with the ninth digit's product spread.
fn business(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + value(digits[8]) * 5 / 10;
    (10 - sum % 10) % 10 == value(digits[9]) && number(&digits[..3]) >= 101 && number(&digits[3..5]) != 0
}

/// Korean National Police Agency: the region comes first, 11 (Seoul) to 28.
fn driver(digits: &[u8]) -> bool {
    (11..=28).contains(&number(&digits[..2]))
}

/// Ministry of Foreign Affairs: kind of passport, eight digits, or since 2021 a letter among seven.
fn passport(characters: &[u8]) -> bool {
    b"MSROD".contains(&characters[0]) && any(characters)
}

/// Order of the Ministry of Internal Affairs and Communications no. 85 of 2014: weights by place, modulus 11.
fn my_number(digits: &[u8]) -> bool {
    let rest = weighted(digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest <= 1 { 0 } else { 11 - rest };
    check == value(digits[11]) && !all_alike(digits)
}
