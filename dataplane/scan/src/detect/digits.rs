//! National numbers and the like that are digits with a checksum: one row per scheme, one verifier for all.
//!
//! A checksum alone passes too many random numbers (one in ten for a check digit), so a bare run of digits needs a hot word; the
//! usual grouping of a scheme that has one counts by itself.

use crate::Detector::{self, *};
use crate::class::DIGIT;
use crate::detect::card::luhn;
use crate::engine::Engine;
use crate::hit::Hit;
use crate::text::Text;

const DIGITS_MAX: usize = 15;

/// One kind of number.
pub(crate) struct Scheme {
    pub detector: Detector,
    digit_count: usize,
    /// Usual groups with the separators between them; empty when it is written without.
    groups: &'static [usize],
    separators: &'static [u8],
    check: fn(&[u8]) -> bool,
    /// Grouped numbers count without a hot word.
    groups_suffice: bool,
    hot_words: &'static [&'static str],
}

#[rustfmt::skip]
pub(crate) const SCHEMES: &[Scheme] = &[
    Scheme { detector: UkNationalHealthServiceNumber, digit_count: 10, groups: &[3, 3, 4], separators: b"  ", check: nhs,
        groups_suffice: true, hot_words: &["nhs", "national health service", "health number"] },
    Scheme { detector: UsBankRoutingMicr, digit_count: 9, groups: &[], separators: b"", check: routing,
        groups_suffice: false, hot_words: &["routing", "aba", "rtn", "routing number", "micr"] },
    Scheme { detector: UsHealthcareNpi, digit_count: 10, groups: &[], separators: b"", check: npi,
        groups_suffice: false, hot_words: &["npi", "national provider", "provider id"] },
    Scheme { detector: UsIndividualTaxpayerIdentificationNumber, digit_count: 9, groups: &[3, 2, 4], separators: b"--", check: itin,
        groups_suffice: true, hot_words: &["itin", "taxpayer", "tin", "tax id"] },
    Scheme { detector: CanadaSocialInsuranceNumber, digit_count: 9, groups: &[3, 3, 3], separators: b"- ", check: sin,
        groups_suffice: true, hot_words: &["sin", "social insurance", "nas", "assurance sociale"] },
    Scheme { detector: AustraliaTaxFileNumber, digit_count: 9, groups: &[3, 3, 3], separators: b"  ", check: tfn,
        groups_suffice: false, hot_words: &["tfn", "tax file number", "tax file"] },
    Scheme { detector: AustraliaBusinessNumber, digit_count: 11, groups: &[2, 3, 3, 3], separators: b"  ", check: abn,
        groups_suffice: true, hot_words: &["abn", "business number"] },
    Scheme { detector: AustraliaCompanyNumber, digit_count: 9, groups: &[3, 3, 3], separators: b"  ", check: acn,
        groups_suffice: false, hot_words: &["acn", "company number"] },
    Scheme { detector: IndiaAadhaarIndividual, digit_count: 12, groups: &[4, 4, 4], separators: b" -", check: aadhaar,
        groups_suffice: true, hot_words: &["aadhaar", "aadhar", "uidai", "uid"] },
    Scheme { detector: GermanyTaxpayerIdentificationNumber, digit_count: 11, groups: &[2, 3, 3, 3], separators: b"  ", check: german_tax,
        groups_suffice: true, hot_words: &["steuer id", "steueridentifikationsnummer", "idnr", "identifikationsnummer", "tin", "tax id", "steuerid"] },
    Scheme { detector: PolandPeselNumber, digit_count: 11, groups: &[], separators: b"", check: pesel,
        groups_suffice: false, hot_words: &["pesel"] },
    Scheme { detector: NetherlandsBsnNumber, digit_count: 9, groups: &[4, 2, 3], separators: b". ", check: bsn,
        groups_suffice: true, hot_words: &["bsn", "burgerservicenummer", "sofi", "sofinummer"] },
    Scheme { detector: BrazilCpfNumber, digit_count: 11, groups: &[3, 3, 3, 2], separators: b".-", check: cpf,
        groups_suffice: true, hot_words: &["cpf", "cadastro de pessoas"] },
    Scheme { detector: ThailandNationalIdNumber, digit_count: 13, groups: &[1, 4, 5, 2, 1], separators: b"- ", check: thai,
        groups_suffice: true, hot_words: &["tnin", "thai id", "citizen id", "national id"] },
    Scheme { detector: TurkeyIdNumber, digit_count: 11, groups: &[], separators: b"", check: turkish,
        groups_suffice: false, hot_words: &["tckn", "tc kimlik", "kimlik", "kimlik no", "tc no"] },
    Scheme { detector: SouthAfricaIdNumber, digit_count: 13, groups: &[6, 4, 3], separators: b"  ", check: south_african,
        groups_suffice: true, hot_words: &["id number", "identity number", "rsa id", "sa id"] },
    Scheme { detector: ImeiHardwareId, digit_count: 15, groups: &[2, 6, 6, 1], separators: b"- ", check: imei,
        groups_suffice: true, hot_words: &["imei"] },
];

pub(crate) fn hot_words(detector: Detector) -> &'static [&'static str] {
    SCHEMES
        .iter()
        .find(|scheme| scheme.detector == detector)
        .map_or(&[], |scheme| scheme.hot_words)
}

/// Judges the number at `place`, whose first group has `len` digits, under every scheme of the policy.
pub(crate) fn schemes(engine: &mut Engine<'_, '_>, place: usize, len: usize) {
    for scheme in &engine.scanner().schemes {
        if !wanted(scheme, len) {
            continue;
        }
        if len == scheme.digit_count {
            engine.consider_weak(scheme.detector, place, |text| compact(text, place, scheme));
        } else if scheme.groups_suffice {
            engine.consider(scheme.detector, place, |text| grouped(text, place, scheme));
        } else {
            engine.consider_weak(scheme.detector, place, |text| grouped(text, place, scheme));
        }
    }
}

fn wanted(scheme: &Scheme, len: usize) -> bool {
    len == scheme.digit_count || scheme.groups.first() == Some(&len)
}

fn compact(text: &Text<'_>, start: usize, scheme: &Scheme) -> Option<Hit> {
    let end = text.short_run(start, DIGIT, DIGITS_MAX + 1);
    let digits = &text.bytes()[start..end];
    let sound = digits.len() == scheme.digit_count && text.boundary_at(end) && (scheme.check)(digits);
    sound.then(|| Hit::new(start, end, 70))
}

fn grouped(text: &Text<'_>, start: usize, scheme: &Scheme) -> Option<Hit> {
    let mut digits = [0; DIGITS_MAX];
    let mut filled = 0;
    let mut place = start;
    for (number, len) in scheme.groups.iter().enumerate() {
        if number > 0 {
            scheme.separators.contains(&text.at(place)).then_some(())?;
            place += 1;
        }
        let end = text.short_run(place, DIGIT, len + 1);
        (end - place == *len).then_some(())?;
        digits
            .get_mut(filled..filled + len)?
            .copy_from_slice(&text.bytes()[place..end]);
        filled += len;
        place = end;
    }
    (text.boundary_at(place) && (scheme.check)(&digits[..filled])).then(|| Hit::new(start, place, 85))
}

fn value(digits: &[u8], place: usize) -> u32 {
    u32::from(digits[place] - b'0')
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    weights
        .iter()
        .enumerate()
        .map(|(place, weight)| value(digits, place) * weight)
        .sum()
}

fn all_alike(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// NHS Data Dictionary, NHS number: modulus 11.
fn nhs(digits: &[u8]) -> bool {
    let check = (11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    check == value(digits, 9) && !all_alike(digits)
}

/// American Bankers Association routing number: 3-7-1, and the ranges that are in use.
fn routing(digits: &[u8]) -> bool {
    let range = value(digits, 0) * 10 + value(digits, 1);
    let used = matches!(range, 1..=12 | 21..=32 | 61..=72 | 80);
    used && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// National Provider Identifier (45 CFR 162.406): Luhn with the prefix 80840.
fn npi(digits: &[u8]) -> bool {
    let mut prefixed = *b"808400000000000";
    prefixed[5..].copy_from_slice(digits);
    matches!(digits[0], b'1' | b'2') && luhn(&prefixed)
}

/// Internal Revenue Service: 9xx with groups 50-65, 70-88, 90-92, 94-99.
fn itin(digits: &[u8]) -> bool {
    let group = value(digits, 3) * 10 + value(digits, 4);
    digits[0] == b'9' && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Social Insurance Number: Luhn; 0 and 8 are not issued.
fn sin(digits: &[u8]) -> bool {
    !matches!(digits[0], b'0' | b'8') && luhn(digits) && !all_alike(digits)
}

/// Australian Taxation Office: modulus 11.
fn tfn(digits: &[u8]) -> bool {
    weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && !all_alike(digits)
}

/// Australian Business Register: one less in the first digit, modulus 89.
fn abn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    digits[0] != b'0' && (sum - 10).is_multiple_of(89)
}

/// Australian Securities and Investments Commission: modulus 10.
fn acn(digits: &[u8]) -> bool {
    let check = (10 - weighted(digits, &[8, 7, 6, 5, 4, 3, 2, 1]) % 10) % 10;
    check == value(digits, 8) && !all_alike(digits)
}

/// Unique Identification Authority of India: Verhoeff; 0 and 1 do not begin a number.
fn aadhaar(digits: &[u8]) -> bool {
    digits[0] >= b'2' && verhoeff(digits) && !digits.iter().eq(digits.iter().rev())
}

/// Verhoeff's check over the dihedral group of order ten.
fn verhoeff(digits: &[u8]) -> bool {
    const SHIFTED: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let state = digits.iter().rev().enumerate().fold(0, |state, (place, digit)| {
        let permuted = (0..place % 8).fold(u32::from(digit - b'0'), |value, _| SHIFTED[value as usize]);
        product(state, permuted)
    });
    state == 0
}

/// Bundeszentralamt für Steuern: ISO 7064 mod 11,10; among the first ten digits one comes twice or three times.
fn german_tax(digits: &[u8]) -> bool {
    let mut counts = [0; 10];
    digits[..10]
        .iter()
        .for_each(|digit| counts[usize::from(digit - b'0')] += 1);
    let repeated = counts.iter().filter(|count| **count > 1).count() == 1 && counts.iter().all(|count| *count <= 3);
    let state = digits[..10].iter().fold(10, |state, digit| {
        let sum = (u32::from(digit - b'0') + state) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits[0] != b'0' && repeated && (11 - state) % 10 == value(digits, 10)
}

/// Polish PESEL: weights 1-3-7-9, and a birth date whose month tells the century.
fn pesel(digits: &[u8]) -> bool {
    let month = (value(digits, 2) * 10 + value(digits, 3)) % 20;
    let day = value(digits, 4) * 10 + value(digits, 5);
    let check = (10 - weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10;
    (1..=12).contains(&month) && (1..=31).contains(&day) && check == value(digits, 10)
}

/// Dutch citizen service number: the eleven test.
fn bsn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    !all_alike(digits) && sum % 11 == value(digits, 8) % 11 && sum > 0
}

/// Receita Federal: two check digits, modulus 11.
fn cpf(digits: &[u8]) -> bool {
    let check = |count: usize| {
        let sum: u32 = (0..count)
            .map(|place| value(digits, place) * (count + 1 - place) as u32)
            .sum();
        sum * 10 % 11 % 10
    };
    !all_alike(digits) && check(9) == value(digits, 9) && check(10) == value(digits, 10)
}

/// Thai citizen number: modulus 11; the first digit is 1 to 8.
fn thai(digits: &[u8]) -> bool {
    let check = (11 - weighted(digits, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    matches!(digits[0], b'1'..=b'8') && check == value(digits, 12)
}

/// T.C. kimlik numarası: two check digits.
fn turkish(digits: &[u8]) -> bool {
    let odd: u32 = [0, 2, 4, 6, 8].into_iter().map(|place| value(digits, place)).sum();
    let even: u32 = [1, 3, 5, 7].into_iter().map(|place| value(digits, place)).sum();
    let tenth = (odd * 7 + 90 - even) % 10;
    digits[0] != b'0' && tenth == value(digits, 9) && (odd + even + tenth) % 10 == value(digits, 10)
}

/// South African identity number: birth date, citizenship 0 to 2, Luhn.
fn south_african(digits: &[u8]) -> bool {
    let month = value(digits, 2) * 10 + value(digits, 3);
    let day = value(digits, 4) * 10 + value(digits, 5);
    let date = (1..=12).contains(&month) && (1..=31).contains(&day);
    date && matches!(digits[10], b'0'..=b'2') && luhn(digits)
}

/// 3GPP TS 23.003 annex B: Luhn.
fn imei(digits: &[u8]) -> bool {
    luhn(digits) && !all_alike(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn published_examples_pass_with_a_hot_word_and_fail_without() {
        let examples: [(Detector, &str, &str); 16] = [
            (UkNationalHealthServiceNumber, "nhs", "9434765919"),
            (UsBankRoutingMicr, "routing", "021000021"),
            (UsHealthcareNpi, "npi", "1234567893"),
            (UsIndividualTaxpayerIdentificationNumber, "itin", "912701234"),
            (CanadaSocialInsuranceNumber, "sin", "130692544"),
            (AustraliaTaxFileNumber, "tfn", "876543210"),
            (AustraliaBusinessNumber, "abn", "51824753556"),
            (AustraliaCompanyNumber, "acn", "004085616"),
            (IndiaAadhaarIndividual, "aadhaar", "234123412346"),
            (GermanyTaxpayerIdentificationNumber, "idnr", "86095742719"),
            (PolandPeselNumber, "pesel", "44051401458"),
            (NetherlandsBsnNumber, "bsn", "111222333"),
            (BrazilCpfNumber, "cpf", "52998224725"),
            (ThailandNationalIdNumber, "thai id", "1580000000004"),
            (TurkeyIdNumber, "kimlik", "10000000146"),
            (ImeiHardwareId, "imei", "490154203237518"),
        ];
        for (detector, word, number) in examples {
            assert_spans(
                detector,
                &[&format!("{word}: «{number}»"), &format!("{word}=«{number}»,")],
            );
            assert_misses(
                detector,
                &[number, &format!("{word}: {number}1"), &format!("{word} x{number}")],
            );
            let mut wrong = number.as_bytes().to_vec();
            let last = wrong.len() - 1;
            wrong[last] = b'0' + (wrong[last] - b'0' + 1) % 10;
            if detector != UsIndividualTaxpayerIdentificationNumber {
                assert_misses(detector, &[&format!("{word}: {}", String::from_utf8(wrong).unwrap())]);
            }
        }
    }

    #[test]
    fn usual_groups_count_by_themselves() {
        assert_spans(UkNationalHealthServiceNumber, &["«943 476 5919»"]);
        assert_spans(CanadaSocialInsuranceNumber, &["my «130-692-544»"]);
        assert_spans(BrazilCpfNumber, &["«529.982.247-25»"]);
        assert_spans(IndiaAadhaarIndividual, &["«2341 2341 2346»"]);
        assert_spans(SouthAfricaIdNumber, &["identity number «8001015009087»"]);
        assert_misses(
            BrazilCpfNumber,
            &["529.982.247-26", "111.111.111-11", "529.982.247.25x"],
        );
    }
}
