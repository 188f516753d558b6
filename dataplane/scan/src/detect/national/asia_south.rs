//! India, Singapore, Thailand, Philippines.

use super::HotWords;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, any, checked, counts_up, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: IndiaAadhaarIndividual, separators: b" -:", check: aadhaar,
        forms: &[checked("999999999999"), strong("9999~9999~9999")] },
    Row { detector: IndiaPanIndividual, separators: b"", check: pan, forms: &[strong("AAAAA9999A")] },
    Row { detector: IndiaPanIndividual, separators: b"", check: any, forms: &[weak("AAAAA9999A")] },
    Row { detector: IndiaGstIndividual, separators: b"", check: gst, forms: &[strong("99AAAAA9999AXXX")] },
    Row { detector: IndiaGstIndividual, separators: b"", check: gst_form, forms: &[strong("99AAAAA9999AXXX")] },
    Row { detector: IndiaPassport, separators: b" ", check: indian_passport, forms: &[weak("A9999999"), weak("A99~99999")] },
    Row { detector: IndiaVoterId, separators: b"", check: any, forms: &[weak("AAA9999999")] },
    Row { detector: IndiaVehicleRegistration, separators: b" -", check: plate, forms: &[
        strong("AA99A9999"), strong("AA99AA9999"), strong("AA99AAA9999"), strong("AA9AA9999"), strong("AA9AAA9999"),
        strong("AA99~A~9999"), strong("AA99~AA~9999"), strong("AA~99~A~9999"), strong("AA~99~AA~9999"), strong("AA99~AAA~9999"),
        strong("AA~9~AA~9999"), weak("AA999999"), weak("AA99A999"), weak("AA9A9999"), weak("AA999AA9999") ] },
    Row { detector: IndiaVehicleRegistration, separators: b" -", check: bharat, forms: &[strong("99bh9999AA"), strong("99bh9999A"),
        strong("99~bh~9999~AA"), strong("99~bh~9999~A")] },
    Row { detector: SingaporeNationalRegistrationIdNumber, separators: b"", check: nric, forms: &[strong("A9999999A")] },
    Row { detector: SingaporeNationalRegistrationIdNumber, separators: b"", check: nric_form, forms: &[weak("A9999999A")] },
    Row { detector: SingaporeUen, separators: b"", check: uen_business, forms: &[checked("99999999A")] },
    Row { detector: SingaporeUen, separators: b"", check: uen_company, forms: &[strong("999999999A")] },
    Row { detector: SingaporeUen, separators: b"", check: uen_other, forms: &[strong("A99AA9999A")] },
    Row { detector: ThailandNationalIdNumber, separators: b"- ", check: thai,
        forms: &[checked("9999999999999"), strong("9~9999~99999~99~9")] },
    Row { detector: PhilippinesTin, separators: b"-", check: philippine_tin, forms: &[
        weak("999999999"), checked("999~999~999"), weak("999999999999"), checked("999~999~999~999"), checked("999~999~999~99999"),
        weak("99999999999999") ] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (IndiaAadhaarIndividual, &["aadhaar", "aadhar", "uidai", "uid", "आधार", "adhar", "aadhaar number"]),
    (IndiaPanIndividual, &["pan", "permanent account", "income tax", "pan card", "pan number", "pan no"]),
    (IndiaGstIndividual, &["gst", "gstin", "gst number", "goods and services", "gst no"]),
    (IndiaPassport, &["passport", "passport number", "passport no", "travel document", "indian passport"]),
    (IndiaVoterId, &["voter", "voter id", "epic", "election", "elector", "voter card", "electoral"]),
    (IndiaVehicleRegistration, &["vehicle", "registration", "rto", "number plate", "plate", "vehicle number", "registration number", "car"]),
    (SingaporeNationalRegistrationIdNumber, &["nric", "fin", "singapore id", "identity card", "ic no", "nric no", "fin number"]),
    (SingaporeUen, &["uen", "unique entity", "acra", "business registration", "entity number"]),
    (ThailandNationalIdNumber, &["tnin", "thai id", "citizen id", "national id", "thai national", "ประชาชน", "thai citizen"]),
    (PhilippinesTin, &["tin", "bir", "taxpayer", "tax identification", "tax id", "tin number"]),
];

/// Unique Identification Authority of India: Verhoeff; 0 and 1 do not begin a number, and palindromes are not issued.
fn aadhaar(digits: &[u8]) -> bool {
    digits[0] >= b'2' && verhoeff(digits) && !digits.iter().eq(digits.iter().rev())
}

/// Verhoeff's check over the dihedral group of order ten.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    const SHIFTED: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let state = digits.iter().rev().enumerate().fold(0, |state, (place, digit)| {
        let permuted = (0..place % 8).fold(value(*digit), |value, _| SHIFTED[value as usize]);
        product(state, permuted)
    });
    state == 0
}

/// Income Tax Department: the fourth letter is the kind of holder.
fn pan(characters: &[u8]) -> bool {
    b"ABCFGHJLPTKE".contains(&characters[3]) && number(&characters[5..9]) != 0
}

fn gst_state(characters: &[u8]) -> bool {
    matches!(number(&characters[..2]), 1..=38 | 97 | 99)
}

/// Goods and Services Tax Network: state, PAN, entity, Z, check character in base 36.
fn gst(characters: &[u8]) -> bool {
    let sum: u32 = characters[..14]
        .iter()
        .enumerate()
        .map(|(place, character)| {
            let product = value(*character) * if place % 2 == 0 { 1 } else { 2 };
            product / 36 + product % 36
        })
        .sum();
    gst_state(characters) && (36 - sum % 36) % 36 == value(characters[14])
}

/// The form alone, a state that exists and the fixed `Z`: nothing else looks like that, so that mistyped numbers count too.
fn gst_form(characters: &[u8]) -> bool {
    gst_state(characters) && characters[13] == b'Z' && characters[12] != b'0'
}

/// Passport Seva: Q, X and Z are not used and neither first nor last digit is zero.
fn indian_passport(characters: &[u8]) -> bool {
    !b"QXZ".contains(&characters[0]) && characters[1] != b'0' && characters[7] != b'0'
}

/// Ministry of Road Transport and Highways: codes of states and territories.
const PLATE_STATES: &str = "ANAPARASBRCHCGDDDLDNGAGJHPHRJHJKKAKLLALDMHMLMNMPMZNLODORPBPYRJSKTGTNTRTSUAUKUPWB";

fn plate(characters: &[u8]) -> bool {
    let state = &characters[..2];
    let last = &characters[characters.len() - 3..];
    PLATE_STATES.as_bytes().chunks(2).any(|known| known == state) && number(last) != 0
}

/// Bharat series: year of registration, `BH`, number, letters without I and O. The pattern's literal `bh` is not among the characters.
fn bharat(characters: &[u8]) -> bool {
    let letters = characters[6..].iter().all(|c| !b"IO".contains(c));
    number(&characters[..2]) >= 21 && letters
}

/// Immigration & Checkpoints Authority: weights 2-7-6-5-4-3-2, an offset and an alphabet by the first letter.
fn nric(characters: &[u8]) -> bool {
    let sum = weighted(&characters[1..8], &[2, 7, 6, 5, 4, 3, 2]);
    let letter = match characters[0] {
        b'S' => b"JZIHGFEDCBA"[(sum % 11) as usize],
        b'T' => b"JZIHGFEDCBA"[((sum + 4) % 11) as usize],
        b'F' => b"XWUTRQPNMLK"[(sum % 11) as usize],
        b'G' => b"XWUTRQPNMLK"[((sum + 4) % 11) as usize],
        b'M' => b"XWUTRQPNJLK"[((sum + 3) % 11) as usize],
        _ => return false,
    };
    letter == characters[8]
}

fn nric_form(characters: &[u8]) -> bool {
    b"STFGM".contains(&characters[0])
}

/// Accounting and Corporate Regulatory Authority, UEN of businesses: eight digits and a letter.
fn uen_business(characters: &[u8]) -> bool {
    let sum = weighted(characters, &[10, 4, 9, 3, 8, 2, 7, 1]);
    b"XMKECAWLJDB"[(sum % 11) as usize] == characters[8]
}

/// UEN of local companies: year, five digits, letter.
fn uen_company(characters: &[u8]) -> bool {
    let sum = weighted(&characters[..9], &[10, 8, 6, 4, 9, 7, 5, 3, 1]);
    (1800..2100).contains(&number(&characters[..4])) && b"ZKCMDNERGWH"[(sum % 11) as usize] == characters[9]
}

/// Kinds of other entities.
const UEN_KINDS: &str = "LPLLFCPFRFMQMMNBCCCSMBFMGSGAGBDPCPNRCMCDMDHSVHCHMHCLXLCXRPTUTCFBFNPAPBSSMCSM";

/// UEN of other entities: century, year, kind, four digits, letter.
fn uen_other(characters: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWX0123456789";
    let place = |character: &u8| ALPHABET.iter().position(|known| known == character).unwrap_or(0) as u32;
    let weights = [4, 3, 5, 3, 10, 2, 2, 5, 7];
    let sum: u32 = characters[..9]
        .iter()
        .zip(weights)
        .map(|(c, weight)| place(c) * weight)
        .sum();
    let kind = UEN_KINDS.as_bytes().chunks(2).any(|known| known == &characters[3..5]);
    matches!(characters[0], b'R' | b'S' | b'T') && kind && place(&characters[9]) == (sum + 11 * 8 - 5) % 11
}

/// Department of Provincial Administration: kind 1 to 8, province, modulus 11.
fn thai(digits: &[u8]) -> bool {
    let check = (11 - weighted(digits, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    let province = matches!(number(&digits[1..3]), 10..=27 | 30..=58 | 60..=67 | 70..=77 | 80..=86 | 90..=96);
    matches!(digits[0], b'1'..=b'8') && province && check == value(digits[12])
}

/// Bureau of Internal Revenue: weights 9 to 2, modulus 11; then perhaps a branch.
fn philippine_tin(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum % 11 == value(digits[8]) && !all_alike(&digits[..9]) && !counts_up(&digits[..9])
}
