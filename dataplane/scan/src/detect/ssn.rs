//! US_SOCIAL_SECURITY_NUMBER: `ddd-dd-dddd`, the same with blanks, and nine bare digits where a hot word stands near.
//!
//! Never issued: area 000, 666 and 900-999, group 00, serial 0000 (Social Security Administration, randomization notice
//! of 2011), and the numbers that were printed in advertisements.

use crate::class::DIGIT;
use crate::hit::Hit;
use crate::text::Text;

pub(crate) const HOT_WORDS: &[&str] = &[
    "ssn",
    "social security",
    "ss number",
    "soc sec",
    "social sec",
    "taxpayer id",
    "tin",
];

/// Printed in advertisements or on specimen cards and therefore void.
const VOID: [u32; 3] = [78_051_120, 219_099_999, 457_555_462];

/// Digits of three groups among eleven bytes, as bits.
pub(crate) const GROUPED: u64 = 0b111_1011_0111;
const GROUPED_BYTES: usize = 11;

/// Three groups with one and the same separator.
pub(crate) fn grouped(text: &Text<'_>, start: usize) -> Option<Hit> {
    if text
        .digit_bits(start)
        .is_some_and(|digits| digits & ((1 << GROUPED_BYTES) - 1) != GROUPED)
    {
        return None;
    }
    let separator = text.at(start + 3);
    if !matches!(separator, b'-' | b' ') || text.at(start + 6) != separator {
        return None;
    }
    let mut digits = [0; 9];
    match text.bytes().get(start..).and_then(<[u8]>::first_chunk::<GROUPED_BYTES>) {
        Some([a, b, c, _, d, e, _, f, g, h, i]) => digits = [*a, *b, *c, *d, *e, *f, *g, *h, *i],
        None => _ = text.at(start + GROUPED_BYTES - 1),
    }
    let sound = digits.iter().all(u8::is_ascii_digit) && text.boundary_at(start + 11) && issued(&digits);
    sound.then(|| Hit::new(start, start + 11, if separator == b'-' { 90 } else { 80 }))
}

/// Nine bare digits.
pub(crate) fn compact(text: &Text<'_>, start: usize) -> Option<Hit> {
    let end = text.short_run(start, DIGIT, 10);
    let digits: [u8; 9] = text.bytes()[start..end].try_into().ok()?;
    (text.boundary_at(end) && issued(&digits)).then(|| Hit::new(start, end, 60))
}

fn issued(digits: &[u8; 9]) -> bool {
    let mut number = 0;
    for digit in digits {
        number = number * 10 + u32::from(digit & 15);
    }
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    let reserved = matches!(area, 0 | 666 | 900..);
    !reserved && group != 0 && serial != 0 && !VOID.contains(&number)
}

#[cfg(test)]
mod tests {
    use crate::Detector::UsSocialSecurityNumber;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn grouped_numbers_need_no_context() {
        assert_spans(
            UsSocialSecurityNumber,
            &[
                "«536-22-1234»",
                "x «536 22 1234».",
                "号«536-22-1234»号",
                "(«123-45-6789»)",
            ],
        );
    }

    #[test]
    fn bare_digits_need_a_hot_word() {
        assert_spans(
            UsSocialSecurityNumber,
            &[
                "ssn «536221234»",
                "social security number: «536221234»",
                "{\"userSsn\":\"«536221234»\"}",
            ],
        );
        assert_misses(
            UsSocialSecurityNumber,
            &["536221234", "order 536221234", "lessness 536221234"],
        );
    }

    #[test]
    fn numbers_never_issued_and_other_shapes_are_not_taken() {
        assert_misses(
            UsSocialSecurityNumber,
            &[
                "000-12-3456",
                "666-12-3456",
                "900-12-3456",
                "123-00-4567",
                "123-45-0000",
                "078-05-1120",
                "123-45 6789",
                "123.45.6789",
                "1123-45-6789",
                "123-45-67890",
                "a123-45-6789",
                "123-45-6789a",
                "123-456-789",
                "ssn 000123456",
                "ssn 1536221234",
            ],
        );
    }
}
