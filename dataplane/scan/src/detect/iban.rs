//! IBAN_CODE: the countries' lengths and structures of the SWIFT IBAN registry, and ISO 7064 mod 97-10.
//!
//! Written without separators, or in groups of four joined by one blank or dash (the paper form of ISO 13616-1 section 5).

use crate::class::{ALNUM, ALNUMS, DIGITS, WORDS};
use crate::hit::Hit;
use crate::text::Text;

const LENGTH_MAX: usize = 34;

/// Country, then the structure of the account part: counts of digits (`n`), letters (`a`) and either (`c`).
/// The second part of the list are countries whose IBANs are in use without an entry in the registry.
#[rustfmt::skip]
const COUNTRIES: &[(&[u8; 2], &str)] = &[
    (b"AD", "8n12c"), (b"AE", "19n"), (b"AL", "8n16c"), (b"AT", "16n"), (b"AZ", "4a20c"), (b"BA", "16n"), (b"BE", "12n"),
    (b"BG", "4a6n8c"), (b"BH", "4a14c"), (b"BI", "23n"), (b"BR", "23n1a1c"), (b"BY", "4c4n16c"), (b"CH", "5n12c"),
    (b"CR", "18n"), (b"CY", "8n16c"), (b"CZ", "20n"), (b"DE", "18n"), (b"DJ", "23n"), (b"DK", "14n"), (b"DO", "4c20n"),
    (b"EE", "16n"), (b"EG", "25n"), (b"ES", "20n"), (b"FI", "14n"), (b"FK", "2a12n"), (b"FO", "14n"), (b"FR", "10n11c2n"),
    (b"GB", "4a14n"), (b"GE", "2a16n"), (b"GI", "4a15c"), (b"GL", "14n"), (b"GR", "7n16c"), (b"GT", "24c"),
    (b"HN", "4a20n"), (b"HR", "17n"), (b"HU", "24n"), (b"IE", "4a14n"), (b"IL", "19n"), (b"IQ", "4a15n"), (b"IS", "22n"),
    (b"IT", "1a10n12c"), (b"JO", "4a4n18c"), (b"KW", "4a22c"), (b"KZ", "3n13c"), (b"LB", "4n20c"), (b"LC", "4a24c"),
    (b"LI", "5n12c"), (b"LT", "16n"), (b"LU", "3n13c"), (b"LV", "4a13c"), (b"LY", "21n"), (b"MC", "10n11c2n"),
    (b"MD", "20c"), (b"ME", "18n"), (b"MK", "3n10c2n"), (b"MN", "16n"), (b"MR", "23n"), (b"MT", "4a5n18c"),
    (b"MU", "4a19n3a"), (b"NI", "4a20n"), (b"NL", "4a10n"), (b"NO", "11n"), (b"OM", "3n16c"), (b"PK", "4a16c"),
    (b"PL", "24n"), (b"PS", "4a21c"), (b"PT", "21n"), (b"QA", "4a21c"), (b"RO", "4a16c"), (b"RS", "18n"),
    (b"RU", "14n15c"), (b"SA", "2n18c"), (b"SC", "4a20n3a"), (b"SD", "14n"), (b"SE", "20n"), (b"SI", "15n"),
    (b"SK", "20n"), (b"SM", "1a10n12c"), (b"SO", "19n"), (b"ST", "21n"), (b"SV", "4a20n"), (b"TL", "19n"),
    (b"TN", "20n"), (b"TR", "6n16c"), (b"UA", "6n19c"), (b"VA", "18n"), (b"VG", "4a16n"), (b"XK", "16n"),
    (b"YE", "4a4n18c"),
    (b"AO", "21n"), (b"BF", "24c"), (b"BJ", "24c"), (b"CF", "23n"), (b"CG", "23n"), (b"CI", "24c"), (b"CM", "23n"),
    (b"CV", "21n"), (b"DZ", "22n"), (b"GA", "23n"), (b"GQ", "23n"), (b"GW", "21c"), (b"IR", "22n"), (b"KM", "23n"),
    (b"MA", "24n"), (b"MG", "23n"), (b"ML", "24c"), (b"MZ", "21n"), (b"NE", "24c"), (b"SN", "24c"), (b"TD", "23n"),
    (b"TG", "24c"),
];

/// One country's IBANs: how many characters, and what each one behind the first four may be.
#[derive(Clone, Copy)]
struct Country {
    length: u8,
    kinds: [u8; LENGTH_MAX],
    /// Places of digits and of letters, as bits.
    numbers: u64,
    capitals: u64,
}

/// Kinds of characters as bits.
const NUMBER: u8 = 1;
const CAPITAL: u8 = 2;

const COUNTRY_COUNT: usize = COUNTRIES.len();

/// The structures, parsed.
static PARSED: [Country; COUNTRY_COUNT] = {
    let mut parsed = [Country {
        length: 0,
        kinds: [0; LENGTH_MAX],
        numbers: 0,
        capitals: 0,
    }; COUNTRY_COUNT];
    let mut number = 0;
    while number < COUNTRY_COUNT {
        parsed[number] = parse(COUNTRIES[number].1.as_bytes());
        number += 1;
    }
    parsed
};

/// One more than the place in [`PARSED`] by the two letters; 0 for letters that name no country.
static BY_LETTERS: [u8; 26 * 26] = {
    let mut table = [0; 26 * 26];
    let mut number = 0;
    while number < COUNTRY_COUNT {
        let letters = COUNTRIES[number].0;
        table[(letters[0] - b'A') as usize * 26 + (letters[1] - b'A') as usize] = number as u8 + 1;
        number += 1;
    }
    table
};

const fn parse(structure: &[u8]) -> Country {
    let mut kinds = [0; LENGTH_MAX];
    let (mut numbers, mut capitals) = (0b1100, 0);
    let mut length = 4;
    let mut count = 0;
    let mut place = 0;
    while place < structure.len() {
        let kind = match structure[place] {
            b'n' => NUMBER,
            b'a' => CAPITAL,
            b'c' => NUMBER | CAPITAL,
            digit => {
                count = count * 10 + (digit - b'0');
                0
            }
        };
        while kind != 0 && count > 0 {
            kinds[length as usize] = kind;
            numbers |= ((kind == NUMBER) as u64) << length;
            capitals |= ((kind == CAPITAL) as u64) << length;
            length += 1;
            count -= 1;
        }
        place += 1;
    }
    Country {
        length,
        kinds,
        numbers,
        capitals,
    }
}

/// Whether a country with IBANs is named at `start`, in either case. The two bytes are there.
#[inline(always)]
pub(crate) fn country_known(text: &Text<'_>, start: usize) -> bool {
    country(text.at(start), text.at(start + 1)).is_some()
}

/// Judges the number that starts with a country at `start`.
pub(crate) fn verify(text: &Text<'_>, start: usize) -> Option<Hit> {
    let country = country(text.at(start), text.at(start + 1))?;
    let len = usize::from(country.length);
    let mut code = [0; LENGTH_MAX];
    if let Some([alnum, digit, word]) = text.bits_at(start, [&ALNUMS, &DIGITS, &WORDS])
        && alnum.trailing_ones() >= u32::from(country.length)
    {
        let sound = word >> len & 1 == 0 && digit & country.numbers == country.numbers && digit & country.capitals == 0;
        let code = bare(text, start, len, &mut code).filter(|_| sound)?;
        return (mod_97(code) == 1).then(|| Hit::new(start, start + len, 97));
    }
    let code = &mut code[..len];
    let (end, grouped) = read(text, start, code)?;
    let digits = code[2].is_ascii_digit() && code[3].is_ascii_digit();
    let sound = digits && fits(country, code) && mod_97(code) == 1;
    sound.then(|| Hit::new(start, end, if grouped { 99 } else { 97 }))
}

/// The characters from `start` in upper case.
#[inline(always)]
fn bare<'c>(text: &Text<'_>, start: usize, len: usize, code: &'c mut [u8; LENGTH_MAX]) -> Option<&'c [u8]> {
    let bytes = text.bytes().get(start..)?;
    match bytes.first_chunk::<LENGTH_MAX>() {
        Some(bytes) => *code = *bytes,
        None => code[..len].copy_from_slice(bytes.get(..len)?),
    }
    code.make_ascii_uppercase();
    code.get(..len)
}

#[inline(always)]
fn country(first: u8, second: u8) -> Option<&'static Country> {
    let letter = |byte: u8| usize::from(byte.to_ascii_uppercase().wrapping_sub(b'A'));
    let (first, second) = (letter(first), letter(second));
    if first >= 26 || second >= 26 {
        return None;
    }
    PARSED.get(usize::from(BY_LETTERS[first * 26 + second]).wrapping_sub(1))
}

fn fits(country: &Country, code: &[u8]) -> bool {
    code.iter()
        .zip(&country.kinds)
        .skip(4)
        .fold(true, |sound, (byte, kind)| {
            let is = u8::from(byte.is_ascii_digit()) * NUMBER + u8::from(byte.is_ascii_uppercase()) * CAPITAL;
            sound & (is & kind != 0)
        })
}

/// Fills `code` with the characters from `start`, raised to upper case: bare, or in groups of four with one separator.
/// The result is where it ends and whether it was grouped.
fn read(text: &Text<'_>, start: usize, code: &mut [u8]) -> Option<(usize, bool)> {
    if let Some(bare) = text.bytes().get(start..start + code.len())
        && bare.iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
    {
        let end = start + code.len();
        code.iter_mut()
            .zip(bare)
            .for_each(|(slot, byte)| *slot = byte.to_ascii_uppercase());
        return text.boundary_at(end).then_some((end, false));
    }
    let separator = Some(text.at(start + 4)).filter(|byte| matches!(byte, b' ' | b'-'));
    let mut place = start;
    for (k, slot) in code.iter_mut().enumerate() {
        if k > 0 && k % 4 == 0 && separator.is_some_and(|wanted| text.at(place) == wanted) {
            place += 1;
        } else if k > 0 && k % 4 == 0 && separator.is_some() {
            return None;
        }
        let byte = text.at(place);
        if !crate::class::is(byte, ALNUM) {
            return None;
        }
        *slot = byte.to_ascii_uppercase();
        place += 1;
    }
    text.boundary_at(place).then_some((place, separator.is_some()))
}

/// The remainder of the number with its first four characters moved to the end. Divided only when eight more characters could
/// overflow.
fn mod_97(code: &[u8]) -> u64 {
    let (head, account) = code.split_at(4);
    let mut rest = 0u64;
    for part in account.chunks(8).chain([head]) {
        match <&[u8; 8]>::try_from(part) {
            Ok(eight) if eight.iter().fold(true, |all, byte| all & byte.is_ascii_digit()) => {
                rest = rest * 100_000_000 + number(*eight);
            }
            _ => {
                for byte in part {
                    rest = match byte {
                        b'0'..=b'9' => rest * 10 + u64::from(byte - b'0'),
                        _ => rest * 100 + u64::from(byte - b'A') + 10,
                    };
                }
            }
        }
        rest %= 97;
    }
    rest
}

/// The value of eight digits: pairs, then fours, then all of them are joined.
#[inline(always)]
fn number(digits: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let twos = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detector::IbanCode;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn lengths_agree_with_the_registry() {
        let total = |letters: &[u8; 2]| usize::from(country(letters[0], letters[1]).unwrap().length);
        for (country, bytes) in [
            (b"NO", 15),
            (b"BE", 16),
            (b"NL", 18),
            (b"DE", 22),
            (b"GB", 22),
            (b"FR", 27),
            (b"MT", 31),
            (b"RU", 33),
        ] {
            assert_eq!(total(country), bytes, "{}", String::from_utf8_lossy(country));
        }
        assert!(COUNTRIES.iter().all(|(country, _)| total(country) <= LENGTH_MAX));
    }

    #[test]
    fn ibans_are_found_bare_and_grouped() {
        assert_spans(
            IbanCode,
            &[
                "«DE89370400440532013000»",
                "IBAN: «GB82 WEST 1234 5698 7654 32», thanks",
                "«NL91ABNA0417164300».",
                "«FR14 2004 1010 0505 0001 3M02 606» next",
                "«gb82west12345698765432»",
                "«NO93-8601-1117-947»",
                "号«DE89370400440532013000»号",
                "a:«DE89370400440532013000»;b",
                "«MT84MALT011000012345MTLCAST001S»",
            ],
        );
    }

    #[test]
    fn near_misses_are_not_taken() {
        assert_misses(
            IbanCode,
            &[
                "DE89370400440532013001",
                // The check digits are right, but a bank code of the Netherlands has letters only.
                "NL50AB1C0417164300",
                "DE8937040044053201300",
                "DE893704004405320130001",
                "XX89370400440532013000",
                "GB82 WEST 1234 5698 7654 3",
                "GB82 WEST 1234  5698 7654 32",
                "NL91 1BNA 0417 1643 00",
                "ADE89370400440532013000",
                "DE89 3704-0044 0532 0130 00",
                "DE89370400440532013000x",
            ],
        );
    }
}
