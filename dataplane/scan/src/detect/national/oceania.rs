//! Identifiers issued in Australia: tax file, business, company and Medicare numbers.

use super::HotWords;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, checked, counts_up, strong, value, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: AustraliaTaxFileNumber, separators: b" -", check: tfn, forms: &[checked("999999999"), checked("999~999~999")] },
    Row { detector: AustraliaTaxFileNumber, separators: b" ", check: short_tfn, forms: &[checked("99999999"), checked("99~999~999")] },
    Row { detector: AustraliaMedicareNumber, separators: b" -", check: medicare, forms: &[
        checked("9999999999"), strong("9999~99999~9"), checked("99999999999"), strong("9999~99999~9~9"), strong("9999 99999 9/9") ] },
    Row { detector: AustraliaBusinessNumber, separators: b" -", check: abn, forms: &[checked("99999999999"), strong("99~999~999~999")] },
    Row { detector: AustraliaCompanyNumber, separators: b" -", check: acn, forms: &[checked("999999999"), checked("999~999~999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (AustraliaTaxFileNumber, &["tfn", "tax file number", "tax file", "au tfn"]),
    (AustraliaMedicareNumber, &["medicare", "medicare number", "medicare card", "medicare no"]),
    (AustraliaBusinessNumber, &["abn", "business number", "australian business"]),
    (AustraliaCompanyNumber, &["acn", "company number", "australian company"]),
];

/// Australian Taxation Office: nine digits, modulus 11.
fn tfn(digits: &[u8]) -> bool {
    weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && !all_alike(digits) && !counts_up(digits)
}

/// Eight digits: the older tax file numbers.
fn short_tfn(digits: &[u8]) -> bool {
    weighted(digits, &[10, 7, 8, 4, 6, 3, 5, 1]).is_multiple_of(11) && !all_alike(digits) && !counts_up(digits)
}

/// Department of Health, Medicare card: first digit 2 to 6, the ninth checks the first eight, then issue and perhaps person.
fn medicare(digits: &[u8]) -> bool {
    let check = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    matches!(digits[0], b'2'..=b'6') && check == value(digits[8]) && digits[9] != b'0' && !all_alike(&digits[..8])
}

/// Australian Business Register: one less in the first digit, modulus 89.
fn abn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    digits[0] != b'0' && (sum - 10).is_multiple_of(89)
}

/// Australian Securities and Investments Commission: modulus 10.
fn acn(digits: &[u8]) -> bool {
    let check = (10 - weighted(digits, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10;
    check == value(digits[8]) && !all_alike(digits)
}
