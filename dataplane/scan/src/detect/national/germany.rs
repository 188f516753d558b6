//! Identifiers issued in Germany: tax, identity card, passport, insurance, VAT and the like.

use super::HotWords;
use super::birth_number::day_month_year;
use crate::Detector::*;
use crate::detect::pattern::{
    Row, all_alike, any, checked, icao, iso7064_mod_11_10, number, strong, value, weak, weighted,
};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: GermanyTaxpayerIdentificationNumber, separators: b" /", check: tax_id,
        forms: &[checked("99999999999"), strong("99~999~999~999")] },
    Row { detector: GermanyIdentityCardNumber, separators: b"", check: card_with_check,
        forms: &[strong("AXXXXXXXX9"), strong("AXXXXXXXX9d")] },
    Row { detector: GermanyIdentityCardNumber, separators: b"", check: card_nine_with_check, forms: &[checked("AXXXXXXX9")] },
    Row { detector: GermanyIdentityCardNumber, separators: b"", check: card_serial, forms: &[weak("AXXXXXXXX")] },
    Row { detector: GermanyIdentityCardNumber, separators: b"", check: old_card, forms: &[checked("9999999999"), strong("9999999999d")] },
    Row { detector: GermanyPassport, separators: b"", check: passport_with_check,
        forms: &[strong("AXXXXXXXX9"), strong("AXXXXXXXX9d")] },
    Row { detector: GermanyPassport, separators: b"", check: passport_nine_with_check, forms: &[checked("AXXXXXXX9")] },
    Row { detector: GermanyPassport, separators: b"", check: passport_serial, forms: &[weak("AXXXXXXXX")] },
    Row { detector: GermanySocialSecurityNumber, separators: b" ", check: social_security, forms: &[
        strong("99999999A999"), strong("99~999999~A~999"), strong("99~999999~A~99~9"), strong("99999999~A~999"),
        strong("99~99~99~99~A~999") ] },
    Row { detector: GermanyVatNumber, separators: b" .-", check: vat, forms: &[
        strong("de999999999"), strong("de~999999999"), strong("de~999~999~999"), strong("de999~999~999") ] },
    Row { detector: GermanyVatNumber, separators: b" .-", check: vat_form, forms: &[
        weak("de999999999"), weak("de~999999999"), weak("de~999~999~999"), weak("de999~999~999") ] },
    Row { detector: GermanyHealthInsuranceNumber, separators: b" ", check: health_insurance,
        forms: &[checked("A999999999"), checked("A~999~999~999")] },
    Row { detector: GermanyTaxNumber, separators: b"/", check: any,
        forms: &[strong("99~999~99999"), strong("999~999~99999"), strong("999~9999~9999"), weak("99~999~9999~9")] },
    Row { detector: GermanyTaxNumber, separators: b" ", check: any,
        forms: &[weak("99~999~99999"), weak("999~999~99999"), weak("9999999999"), weak("99999999999")] },
    Row { detector: GermanyTaxNumber, separators: b" ", check: tax_number_federal, forms: &[weak("9999999999999")] },
    Row { detector: GermanyPhysicianNumber, separators: b"", check: physician, forms: &[checked("999999999")] },
    Row { detector: GermanyPracticeNumber, separators: b"", check: practice, forms: &[weak("999999999")] },
    Row { detector: GermanyCommercialRegisterNumber, separators: b" ", check: any, forms: &[
        strong("hra9999"), strong("hra99999"), strong("hra999999"), strong("hrb9999"), strong("hrb99999"), strong("hrb999999"),
        strong("hra~9"), strong("hra~99"), strong("hra~999"), strong("hra~9999"), strong("hra~99999"), strong("hra~999999"),
        strong("hrb~9"), strong("hrb~99"), strong("hrb~999"), strong("hrb~9999"), strong("hrb~99999"), strong("hrb~999999") ] },
    Row { detector: GermanyDriversLicenseNumber, separators: b"", check: driver, forms: &[weak("AXXXXXXXX9X")] },
    Row { detector: GermanyVehicleRegistration, separators: b" -", check: plate, forms: &[
        strong("A-A 9"), strong("A-A 99"), strong("A-A 999"), strong("A-A 9999"), strong("A-AA 9"), strong("A-AA 99"),
        strong("A-AA 999"), strong("A-AA 9999"), strong("AA-A 9"), strong("AA-A 99"), strong("AA-A 999"), strong("AA-A 9999"),
        strong("AA-AA 9"), strong("AA-AA 99"), strong("AA-AA 999"), strong("AA-AA 9999"), strong("AAA-A 9"), strong("AAA-A 99"),
        strong("AAA-A 999"), strong("AAA-A 9999"), strong("AAA-AA 9"), strong("AAA-AA 99"), strong("AAA-AA 999"),
        strong("AAA-AA 9999"), strong("A-AA 9999e"), strong("AA-AA 999e"), strong("AAA-AA 99e"), strong("A-A 9999e"),
        strong("AA-A 9999e"), strong("AAA-A 9999e"), strong("AAA-AA 9999e"), strong("AAA-AA 9999h"), strong("AA-AA 999h"),
        strong("A-AA 9999h"), strong("A-AA 999h"), strong("AA-A 999h"), strong("A-A 9999h"),
        weak("A A 9"), weak("A A 99"), weak("A A 999"), weak("A A 9999"), weak("A AA 9"), weak("A AA 99"), weak("A AA 999"),
        weak("A AA 9999"), weak("AA A 9"), weak("AA A 99"), weak("AA A 999"), weak("AA A 9999"), weak("AA AA 9"), weak("AA AA 99"),
        weak("AA AA 999"), weak("AA AA 9999"), weak("AAA A 9"), weak("AAA A 99"), weak("AAA A 999"), weak("AAA A 9999"),
        weak("AAA AA 9"), weak("AAA AA 99"), weak("AAA AA 999"), weak("AAA AA 9999"), weak("AAA AA 9999e"), weak("AAA AA 999e"),
        weak("AA AA 999e"), weak("A AA 9999e"), weak("A AA 999e"), weak("AA A 999e"), weak("A A 999h"), weak("A AA 999h"),
        weak("AA AA 999h"), weak("A-AA9999"), weak("AA-AA999"), weak("A-A9999"), weak("AA-A9999"), weak("AAA-A999"),
        weak("AAA-AA99"), weak("A-AA999"), weak("AA-A999"), weak("A-A999"), weak("AA-AA9999"), weak("AAA-A9999") ] },
    Row { detector: GermanyPostalCode, separators: b"", check: postal_code, forms: &[weak("99999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (GermanyTaxpayerIdentificationNumber, &["steuer id", "steueridentifikationsnummer", "idnr", "identifikationsnummer", "tin", "tax id",
        "steuerid", "steuer idnr", "steuerliche identifikation", "taxpayer"]),
    (GermanyIdentityCardNumber, &["personalausweis", "ausweis", "ausweisnummer", "personalausweisnummer", "id card", "identity card",
        "identitätskarte", "perso", "personalausweis nr", "id number"]),
    (GermanyPassport, &["reisepass", "pass", "passnummer", "reisepassnummer", "passport", "pass nr", "passport number", "passport no"]),
    (GermanySocialSecurityNumber, &["sozialversicherung", "rentenversicherung", "sozialversicherungsnummer", "svnr", "rvnr"]),
    (GermanyVatNumber, &["ust id", "ust idnr", "umsatzsteuer", "umsatzsteuer id", "vat", "vat id", "vat number", "mwst", "ustid", "ust"]),
    (GermanyHealthInsuranceNumber, &["krankenkasse", "kvnr", "krankenversicherung", "krankenversichertennummer", "versichertennummer",
        "krankenversicherungsnummer", "gesundheitskarte", "health insurance", "egk", "krankenkassennummer"]),
    (GermanyTaxNumber, &["steuernummer", "steuer nr", "st nr", "finanzamt", "tax number", "stnr", "steuernr", "elster"]),
    (GermanyPhysicianNumber, &["lanr", "arztnummer", "lebenslange arztnummer", "arzt nr", "physician", "vertragsarzt"]),
    (GermanyPracticeNumber, &["bsnr", "betriebsstättennummer", "betriebsstaettennummer", "betriebsstätte", "praxis", "practice", "nbsnr"]),
    (GermanyDriversLicenseNumber, &["führerschein", "fuehrerschein", "führerscheinnummer", "fahrerlaubnis", "driver license",
        "driving licence", "fuehrerscheinnummer", "drivers license", "führerschein nr"]),
    (GermanyVehicleRegistration, &["kennzeichen", "kfz", "nummernschild", "kfz kennzeichen", "license plate", "autokennzeichen",
        "number plate", "fahrzeug", "amtliches kennzeichen"]),
    (GermanyPostalCode, &["plz", "postleitzahl", "postal code", "zip", "zip code", "postcode", "ort"]),
];

/// Bundeszentralamt für Steuern: ISO 7064 mod 11,10; among the first ten digits one comes twice or three times, the others once at most.
fn tax_id(digits: &[u8]) -> bool {
    let mut counts = [0; 10];
    digits[..10]
        .iter()
        .for_each(|digit| counts[value(*digit) as usize] += 1);
    let repeated = counts.iter().filter(|count| **count > 1).count() == 1 && counts.iter().all(|count| *count <= 3);
    let three_in_row = digits[..10]
        .windows(3)
        .any(|three| three[0] == three[1] && three[1] == three[2]);
    digits[0] != b'0' && repeated && !three_in_row && iso7064_mod_11_10(digits)
}

/// Letters and digits of serial numbers, BSI TR-03105: no vowels, no letters that look like digits.
fn serial_alphabet(characters: &[u8]) -> bool {
    characters.iter().all(|c| b"CFGHJKLMNPRTVWXYZ0123456789".contains(c))
}

fn has_digit_and_letter(characters: &[u8]) -> bool {
    characters.iter().any(u8::is_ascii_digit)
}

/// Personalausweisverordnung § 2: serial of nine characters that begins with the authority's letter, then the check digit of ICAO 9303.
fn card_with_check(characters: &[u8]) -> bool {
    b"LMNPRTVWXY".contains(&characters[0]) && serial_alphabet(&characters[..9]) && icao(characters)
}

/// The same with a serial of eight and the check digit as the ninth.
fn card_nine_with_check(characters: &[u8]) -> bool {
    b"CFGHJKLMNPRTVWXYZ".contains(&characters[0]) && serial_alphabet(characters) && icao(characters)
}

fn card_serial(characters: &[u8]) -> bool {
    b"LMNPRTVWXY".contains(&characters[0]) && serial_alphabet(characters) && has_digit_and_letter(characters)
}

/// Identity cards until October 2010: four digits of the authority, five of the card, check digit.
fn old_card(digits: &[u8]) -> bool {
    icao(digits) && !all_alike(digits)
}

/// Passverordnung: as the identity card, with the letters of passport authorities.
fn passport_with_check(characters: &[u8]) -> bool {
    b"CFGHJK".contains(&characters[0]) && serial_alphabet(&characters[..9]) && icao(characters)
}

fn passport_nine_with_check(characters: &[u8]) -> bool {
    b"CFGHJK".contains(&characters[0]) && serial_alphabet(characters) && icao(characters)
}

fn passport_serial(characters: &[u8]) -> bool {
    b"CFGHJK".contains(&characters[0]) && serial_alphabet(characters) && has_digit_and_letter(characters)
}

/// Versicherungsnummern-Verordnung § 2: area, birth date, first letter of the name, serial, check digit over cross sums.
fn social_security(characters: &[u8]) -> bool {
    let area = number(&characters[..2]);
    let day = number(&characters[2..4]);
    let month = number(&characters[4..6]);
    // A day over 31 marks a second number of the same birth date; unknown parts are zeros.
    let date =
        (day_month_year(&characters[2..8])) || ((31..=62).contains(&day) && month <= 12) || (day == 0 && month <= 12);
    let letter = u32::from(characters[8] - b'A') + 1;
    let mut expanded = [0; 12];
    for (slot, digit) in expanded.iter_mut().zip(&characters[..8]) {
        *slot = value(*digit);
    }
    expanded[8..].copy_from_slice(&[letter / 10, letter % 10, value(characters[9]), value(characters[10])]);
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let sum: u32 = expanded
        .iter()
        .zip(weights)
        .map(|(digit, weight)| cross_sum(digit * weight))
        .sum();
    area >= 2 && date && sum % 10 == value(characters[11])
}

fn cross_sum(number: u32) -> u32 {
    number / 10 + number % 10
}

/// Bundeszentralamt für Steuern, USt-IdNr.: nine digits, ISO 7064 mod 11,10.
fn vat(digits: &[u8]) -> bool {
    digits[0] != b'0' && iso7064_mod_11_10(digits)
}

fn vat_form(digits: &[u8]) -> bool {
    digits[0] != b'0' && !all_alike(digits)
}

/// Richtlinie § 290 SGB V: the letter as two digits, weights 1-2, cross sums.
fn health_insurance(characters: &[u8]) -> bool {
    let letter = u32::from(characters[0] - b'A') + 1;
    let mut sum = cross_sum(letter / 10) + cross_sum(letter % 10 * 2);
    for (place, digit) in characters[1..9].iter().enumerate() {
        sum += cross_sum(value(*digit) * if place % 2 == 0 { 1 } else { 2 });
    }
    sum % 10 == value(characters[9])
}

/// ELSTER's uniform format: two digits of the office, `0` in the fifth place.
fn tax_number_federal(digits: &[u8]) -> bool {
    let state = matches!(number(&digits[..2]), 10 | 11 | 21..=24 | 26..=28 | 30..=32 | 40 | 41 | 51..=57 | 91 | 92);
    digits[4] == b'0' && state
}

/// KBV, Arztnummer: six digits, check digit with weights 4 and 9, two digits of the specialty.
fn physician(digits: &[u8]) -> bool {
    let check = (10 - weighted(digits, &[4, 9, 4, 9, 4, 9]) % 10) % 10;
    check == value(digits[6]) && number(&digits[..6]) != 0
}

/// KBV, Betriebsstättennummer: the first two digits name the association, from 01 on.
fn practice(digits: &[u8]) -> bool {
    number(&digits[..2]) != 0 && !all_alike(digits)
}

/// Fahrerlaubnis-Verordnung, appendix 8: authority (letter and three characters), serial, check digit, edition.
fn driver(characters: &[u8]) -> bool {
    characters[1].is_ascii_digit() && characters[2].is_ascii_digit() && characters[10] != b'0'
}

/// Fahrzeug-Zulassungsverordnung § 9: the recognition number does not begin with a zero, the whole has at most eight signs.
fn plate(characters: &[u8]) -> bool {
    let digits = characters.iter().position(u8::is_ascii_digit).unwrap_or(0);
    characters[digits] != b'0' && characters.len() <= 9
}

/// Postal codes run from 01067 to 99998.
fn postal_code(digits: &[u8]) -> bool {
    (1067..=99998).contains(&number(digits))
}
