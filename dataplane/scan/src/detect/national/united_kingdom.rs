//! United Kingdom (its National Insurance number has a file of its own).

use super::HotWords;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, any, checked, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: UkNationalHealthServiceNumber, separators: b" ", check: nhs,
        forms: &[checked("9999999999"), strong("999~999~9999")] },
    Row { detector: UkNationalHealthServiceNumber, separators: b"-", check: nhs_not_phone, forms: &[strong("999~999~9999")] },
    Row { detector: UkNationalHealthServiceNumber, separators: b"-", check: nhs, forms: &[checked("999~999~9999")] },
    Row { detector: UkTaxpayerReference, separators: b" ", check: utr,
        forms: &[checked("9999999999"), checked("99999~99999"), checked("9999999999k")] },
    Row { detector: UkPassport, separators: b"", check: not_alike, forms: &[weak("999999999"), weak("AA9999999")] },
    Row { detector: UkDriversLicenseNumber, separators: b" ", check: driver,
        forms: &[strong("XXXXX999999XXXAA"), strong("XXXXX~999999~XXXAA")] },
    Row { detector: UkPostcode, separators: b"", check: postcode, forms: &[
        strong("A9 9AA"), strong("A99 9AA"), strong("AA9 9AA"), strong("AA99 9AA"), strong("A9A 9AA"), strong("AA9A 9AA"),
        weak("A99AA"), weak("A999AA"), weak("AA99AA"), weak("AA999AA"), weak("A9A9AA"), weak("AA9A9AA") ] },
    Row { detector: UkVehicleRegistration, separators: b"", check: plate_2001,
        forms: &[strong("AA99 AAA"), checked("AA99AAA")] },
    Row { detector: UkVehicleRegistration, separators: b" ", check: any, forms: &[
        weak("A9~AAA"), weak("A99~AAA"), weak("A999~AAA"), weak("A99AAA"), weak("A999AAA"),
        weak("AAA~9A"), weak("AAA~99A"), weak("AAA~999A"), weak("AAA99A"), weak("AAA999A") ] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (UkNationalHealthServiceNumber, &["nhs", "national health service", "health number", "nhs number", "nhs no", "health service number"]),
    (UkTaxpayerReference, &["utr", "unique taxpayer", "taxpayer reference", "tax reference", "self assessment", "utr number"]),
    (UkPassport, &["passport", "passport number", "passport no", "travel document"]),
    (UkPostcode, &["postcode", "post code", "postal code", "zip", "address", "zip code"]),
    (UkVehicleRegistration, &["registration", "vehicle", "number plate", "licence plate", "license plate", "reg", "vrn", "car", "plate", "vrm"]),
];

/// NHS Data Dictionary, "NHS NUMBER": modulus 11.
fn nhs(digits: &[u8]) -> bool {
    let check = (11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    check == value(digits[9]) && !all_alike(digits)
}

/// Written with dashes it looks like a North American phone number; this one cannot be one.
fn nhs_not_phone(digits: &[u8]) -> bool {
    let area = digits[0] >= b'2' && digits[1] != b'9';
    let exchange = digits[3] >= b'2' && !(digits[4] == b'1' && digits[5] == b'1');
    nhs(digits) && !(area && exchange)
}

/// HM Revenue & Customs, Unique Taxpayer Reference: the first digit checks the other nine.
fn utr(digits: &[u8]) -> bool {
    const CHECKS: &[u8; 11] = b"21987654321";
    let sum = weighted(&digits[1..], &[6, 7, 8, 9, 10, 5, 4, 3, 2]);
    CHECKS[(sum % 11) as usize] == digits[0] && !all_alike(digits)
}

fn not_alike(characters: &[u8]) -> bool {
    !all_alike(&characters[2..])
}

/// Driver and Vehicle Licensing Agency, INF1D: name, decade, month (plus 50 for women), day, year, initials, two check letters.
fn driver(characters: &[u8]) -> bool {
    let name = &characters[..5];
    let letters = name.iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let padded = name[letters..].iter().all(|c| *c == b'9');
    let month = number(&characters[6..8]) % 50;
    let day = number(&characters[8..10]);
    let initials = characters[11].is_ascii_alphabetic()
        && (characters[12].is_ascii_alphabetic() || characters[12] == b'9')
        && characters[6] <= b'6'
        && !matches!(characters[6], b'2'..=b'4');
    letters > 0 && padded && (1..=12).contains(&month) && (1..=31).contains(&day) && initials
}

/// Royal Mail's postcode areas of one letter, and of two.
const AREAS_1: &[u8] = b"BEGLMNSW";
const AREAS_2: &str = "ABALBABBBDBHBLBNBRBSBTCACBCFCHCMCOCRCTCVCWDADDDEDGDHDLDNDTDYECEHENEXFKFYGLGUGYHAHDHGHPHRHSHUHXIGIMIPIVJEKAKTKWKYLALDLELLLNLSLUMEMKMLNENGNNNPNROLOXPAPEPHPLPORGRHRMSASESGSKSLSMSNSOSPSRSSSTSWSYTATDTFTNTQTRTSTWUBWAWCWDWFWNWRWSWVYOZE";

/// Royal Mail, Programmers' Guide (PAF): area, district, sector, unit; the unit's letters are not C, I, K, M, O, V.
fn postcode(characters: &[u8]) -> bool {
    let unit = &characters[characters.len() - 2..];
    let letters = characters.iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let area = &characters[..letters];
    let known = match area {
        [one] => AREAS_1.contains(one),
        [_, _] => AREAS_2.as_bytes().chunks(2).any(|known| known == area),
        _ => false,
    };
    known && unit.iter().all(|c| !b"CIKMOV".contains(c))
}

/// Driver and Vehicle Licensing Agency, INF104: two letters, age identifier, three letters; I, Q, Z are not in the first two.
fn plate_2001(characters: &[u8]) -> bool {
    let age = number(&characters[2..4]);
    let letters =
        characters[..2].iter().all(|c| !b"IQZ".contains(c)) && characters[4..].iter().all(|c| !b"IQ".contains(c));
    letters && (matches!(age, 2..=29) || matches!(age, 51..=79))
}
