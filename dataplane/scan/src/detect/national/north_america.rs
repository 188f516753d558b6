//! United States and Canada.

use super::HotWords;
use super::birth_number::luhn_holds;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, any, checked, counts_up, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: UsBankRoutingMicr, separators: b"-", check: routing,
        forms: &[checked("999999999"), strong("9999~9999~9")] },
    Row { detector: UsHealthcareNpi, separators: b"- ", check: npi,
        forms: &[checked("9999999999"), strong("9999~999~999")] },
    Row { detector: UsIndividualTaxpayerIdentificationNumber, separators: b"- ", check: itin,
        forms: &[weak("999999999"), strong("999~99~9999"), weak("999~999999"), weak("99999~9999")] },
    Row { detector: UsEmployerIdentificationNumber, separators: b"-", check: ein,
        forms: &[weak("99~9999999"), weak("999999999")] },
    Row { detector: UsDeaNumber, separators: b"", check: dea, forms: &[checked("AX9999999")] },
    Row { detector: UsMedicareBeneficiaryIdNumber, separators: b"- ", check: mbi,
        forms: &[strong("9AX9AX9AA99"), strong("9AX9~AX9~AA99")] },
    Row { detector: UsPassport, separators: b"", check: passport, forms: &[weak("999999999"), weak("A99999999")] },
    Row { detector: UsDriversLicenseNumber, separators: b"", check: any, forms: &[
        weak("999999"), weak("9999999"), weak("99999999"), weak("999999999"), weak("9999999999"),
        weak("999999999999"), weak("99999999999999"),
        weak("A999999"), weak("A9999999"), weak("A99999999"), weak("A999999999"), weak("A99999999999"),
        weak("A999999999999"), weak("A9999999999999"), weak("A99999999999999"),
        weak("AA999999"), weak("AA9999999"), weak("AA99999A"), weak("AAA999999"), weak("AAA99AA9999"),
        weak("A99A99999"), weak("999AA9999"), weak("9999999A"), weak("99999999A"), weak("99AAA99999"),
        weak("A999-9999-9999"), weak("A999-999-99-999-9"), weak("A9999-99999-99999"), weak("999-999-999"),
        weak("99-999-9999"), weak("99 999 999"), weak("A999-999-999-999"), weak("A99-99-9999") ] },
    Row { detector: UsDriversLicenseNumber, separators: b"", check: washington, forms: &[weak("AAAAAXX999XX"), weak("AAAAXXX999XX")] },
    Row { detector: UsBankAccountNumber, separators: b"", check: account, forms: &[
        weak("99999999"), weak("999999999"), weak("9999999999"), weak("99999999999"), weak("999999999999"),
        weak("9999999999999"), weak("99999999999999"), weak("999999999999999"), weak("9999999999999999"),
        weak("99999999999999999") ] },
    Row { detector: CanadaSocialInsuranceNumber, separators: b"- ", check: sin,
        forms: &[checked("999999999"), strong("999~999~999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (UsBankRoutingMicr, &["routing", "aba", "rtn", "routing number", "micr", "transit number", "bank code"]),
    (UsHealthcareNpi, &["npi", "national provider", "provider id", "prescriber", "provider number"]),
    (UsIndividualTaxpayerIdentificationNumber, &["itin", "taxpayer", "tin", "tax id", "tax identification"]),
    (UsEmployerIdentificationNumber, &["ein", "fein", "employer id", "employer identification", "federal tax id", "tax id", "irs number"]),
    (UsDeaNumber, &["dea", "medical license", "prescriber", "drug enforcement", "controlled substance"]),
    (UsPassport, &["passport", "passport number", "travel document", "passport no", "passport id", "passport card"]),
    (UsDriversLicenseNumber, &["driver license", "drivers license", "driver's license", "driving license", "driver licence",
        "drivers lic", "driver lic", "dl", "dln", "dl number", "license number", "licence number", "license no", "lic", "permit number", "license"]),
    (UsBankAccountNumber, &["bank account", "account number", "account no", "acct number", "acct no", "acct", "checking account",
        "savings account", "debit account", "deposit account", "bank acct"]),
    (CanadaSocialInsuranceNumber, &["sin", "social insurance", "nas", "assurance sociale", "sin number", "ca sin", "canada sin"]),
];

/// American Bankers Association, Routing Number Policy: 3-7-1, and the ranges of the first two digits that are in use.
fn routing(digits: &[u8]) -> bool {
    let used = matches!(number(&digits[..2]), 1..=12 | 21..=32 | 61..=72 | 80);
    used && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// 45 CFR 162.406: Luhn over the number behind the prefix 80840; persons begin with 1, organisations with 2.
fn npi(digits: &[u8]) -> bool {
    let mut prefixed = *b"808400000000000";
    prefixed[5..].copy_from_slice(digits);
    matches!(digits[0], b'1' | b'2') && luhn_holds(&prefixed) && !all_alike(&digits[1..])
}

/// Internal Revenue Service, Internal Revenue Manual 3.21.263: 9xx with groups 50-65, 70-88, 90-92, 94-99.
fn itin(digits: &[u8]) -> bool {
    let group = number(&digits[3..5]);
    digits[0] == b'9' && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Internal Revenue Service, "How EINs are assigned": prefixes of campuses and of the internet.
fn ein(digits: &[u8]) -> bool {
    let prefix = number(&digits[..2]);
    let void = matches!(prefix, 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97);
    !void && !all_alike(digits)
}

/// Drug Enforcement Administration, registration number: first and third and fifth digit, twice the others, last digit of the sum.
fn dea(characters: &[u8]) -> bool {
    let digits = &characters[2..];
    let kind = b"ABCDEFGHJKLMPRSTUX".contains(&characters[0]);
    let name = characters[1].is_ascii_alphabetic() || characters[1] == b'9';
    kind && name && weighted(digits, &[1, 2, 1, 2, 1, 2]) % 10 == value(digits[6]) && number(digits) != 0
}

/// Centers for Medicare & Medicaid Services, "Understanding the MBI": places 1 to 11, letters without S, L, O, I, B, Z.
fn mbi(characters: &[u8]) -> bool {
    let letters = characters.iter().all(|c| !b"SLOIBZ".contains(c));
    letters && characters[0] != b'0'
}

/// Department of State: nine digits, or since 2021 a letter and eight digits.
fn passport(characters: &[u8]) -> bool {
    !all_alike(&characters[1..])
}

/// Twelve characters of a name, initials and a coded date.
fn washington(characters: &[u8]) -> bool {
    characters[5..7].iter().all(|c| c.is_ascii_alphabetic())
}

fn account(digits: &[u8]) -> bool {
    !all_alike(digits)
}

/// Canada Revenue Agency: Luhn; 0 is not issued and 8 belongs to businesses.
fn sin(digits: &[u8]) -> bool {
    !matches!(digits[0], b'0' | b'8') && luhn_holds(digits) && !all_alike(digits) && !counts_up(digits)
}
