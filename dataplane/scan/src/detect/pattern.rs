//! A small language for the forms of identifiers, and the one verifier that reads it.
//!
//! ```text
//! 9   a digit                       a..z  this letter, in either case; not part of what the check sees
//! A   a letter                      ~     one of the row's separators, the same one in every place
//! X   a letter or a digit           else  this very byte
//! ```
//! `999~999~9999` with the separators blank and dash is `943 476 5919` or `943-476-5919`, and nothing mixed. What the digits,
//! letters and alphanumerics stand for is collected in upper case and handed to the row's check.

use crate::Detector;
use crate::class::{ALNUM, DIGIT, LETTER, is};
use crate::hit::{Hit, Strength};
use crate::text::Text;

/// Most characters that a form hands to its check.
pub(crate) const VALUE_BYTES_MAX: usize = 34;

/// One kind of identifier: how it is written and what must hold for its characters.
pub(crate) struct Row {
    pub detector: Detector,
    pub forms: &'static [Form],
    /// What `~` stands for.
    pub separators: &'static [u8],
    pub check: fn(&[u8]) -> bool,
}

/// One way of writing an identifier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub pattern: &'static str,
    pub strength: Strength,
}

/// Counts by itself.
pub(crate) const fn strong(pattern: &'static str) -> Form {
    Form {
        pattern,
        strength: Strength::Strong,
    }
}

/// Counts with a hot word, or where the policy says that a right checksum suffices.
pub(crate) const fn checked(pattern: &'static str) -> Form {
    Form {
        pattern,
        strength: Strength::Checked,
    }
}

/// Counts with a hot word only.
pub(crate) const fn weak(pattern: &'static str) -> Form {
    Form {
        pattern,
        strength: Strength::Weak,
    }
}

/// What a form begins with: the run of letters and digits up to its first other sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstRun {
    pub len: usize,
    /// A digit certainly stands in it.
    pub digit: bool,
    /// A digit may stand in it.
    pub maybe_digit: bool,
}

impl Form {
    pub fn first_run(&self) -> FirstRun {
        let run = self.pattern.bytes().take_while(u8::is_ascii_alphanumeric);
        let (mut len, mut digit, mut maybe_digit) = (0, false, false);
        for sign in run {
            len += 1;
            digit |= sign == b'9';
            maybe_digit |= matches!(sign, b'9' | b'X');
        }
        FirstRun {
            len,
            digit,
            maybe_digit,
        }
    }

    /// A match of this form.
    pub fn hit(&self, start: usize, end: usize) -> Hit {
        let confidence = match self.strength {
            Strength::Strong => 88,
            Strength::Checked => 50,
            Strength::Weak => 20,
        };
        Hit::new(start, end, confidence).of(self.strength)
    }

    pub fn all_digits(&self) -> bool {
        !self.pattern.bytes().any(|sign| sign.is_ascii_alphabetic())
    }
}

/// Judges whether an identifier of this row, in this form, stands at `start`.
pub(crate) fn verify(text: &Text<'_>, start: usize, row: &Row, form: &Form) -> Option<Hit> {
    let mut value = [0; VALUE_BYTES_MAX];
    let (end, len) = read(text, start, row, form, &mut value)?;
    if !text.boundary_at(end) || !text.boundary_before(start) || glued(text, start, end, form.all_digits()) {
        return None;
    }
    (row.check)(value.get(..len)?).then(|| form.hit(start, end))
}

fn read(
    text: &Text<'_>,
    start: usize,
    row: &Row,
    form: &Form,
    value: &mut [u8; VALUE_BYTES_MAX],
) -> Option<(usize, usize)> {
    let (mut place, mut len, mut separator) = (start, 0, None);
    for sign in form.pattern.bytes() {
        let byte = text.at(place);
        let class = match sign {
            b'9' => DIGIT,
            b'A' => LETTER,
            b'X' => ALNUM,
            _ => 0,
        };
        let fits = match sign {
            _ if class != 0 => is(byte, class),
            b'~' => row.separators.contains(&byte) && *separator.get_or_insert(byte) == byte,
            b'a'..=b'z' => byte.to_ascii_lowercase() == sign,
            _ => byte == sign,
        };
        if !fits {
            return None;
        }
        if class != 0 {
            *value.get_mut(len)? = byte.to_ascii_uppercase();
            len += 1;
        }
        place += 1;
    }
    Some((place, len))
}

/// The span is only a part of a longer number, path or address: `12-123456789`, `3.123456789`, `123456789@example.com`.
pub(crate) fn glued(text: &Text<'_>, start: usize, end: usize, all_digits: bool) -> bool {
    let (left, beyond) = (text.before(start, 1), text.before(start, 2));
    let left_glued = match left {
        b'-' | b'.' | b'/' => is(beyond, DIGIT) || (left == b'.' && beyond == b'.' && all_digits),
        b'+' => all_digits || is(beyond, ALNUM),
        _ => false,
    };
    let right = text.at(end);
    let right_glued = match right {
        b'@' => true,
        b'-' | b'.' | b'/' => is(text.at(end + 1), DIGIT),
        b'+' | b'=' => !all_digits && is(text.at(end + 1), ALNUM),
        _ => false,
    };
    left_glued || right_glued
}

/// Value of a digit character, or of a letter as 10 to 35.
#[inline]
pub(crate) fn value(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        _ => 0,
    }
}

/// Sum of the first characters' values times the weights.
#[inline]
pub(crate) fn weighted(characters: &[u8], weights: &[u32]) -> u32 {
    let pairs = characters.iter().zip(weights);
    pairs.map(|(character, weight)| value(*character) * weight).sum()
}

/// The number that a short run of digits is.
#[inline]
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(value(*digit)))
}

/// Every character is the same.
pub(crate) fn all_alike(characters: &[u8]) -> bool {
    characters.windows(2).all(|pair| pair[0] == pair[1])
}

/// Digits that count up or down by one: what people type when they need a number.
pub(crate) fn counts_up(digits: &[u8]) -> bool {
    digits
        .windows(2)
        .all(|pair| (value(pair[0]) + 1) % 10 == value(pair[1]))
}

/// A day that exists, for a year of four digits.
pub(crate) fn date(year: u64, month: u64, day: u64) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// A day that exists in some century.
pub(crate) fn date_of_two_digit_year(year: u64, month: u64, day: u64) -> bool {
    date(2000 + year, month, day) || (year == 0 && date(1900, month, day))
}

/// ISO/IEC 7064 MOD 11,10 over digits, check digit last.
pub(crate) fn iso7064_mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    let state = body.iter().fold(10, |state, digit| {
        let sum = (value(*digit) + state) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - state) % 10 == value(*check)
}

/// ICAO Doc 9303 part 3 section 4.9: weights 7-3-1, letters from 10, check digit last.
pub(crate) fn icao(characters: &[u8]) -> bool {
    let Some((check, body)) = characters.split_last() else {
        return false;
    };
    let weights = [7, 3, 1].into_iter().cycle();
    let sum: u32 = body
        .iter()
        .zip(weights)
        .map(|(character, weight)| value(*character) * weight)
        .sum();
    check.is_ascii_digit() && sum % 10 == value(*check)
}

/// Nothing but the form itself.
pub(crate) fn any(_: &[u8]) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_runs_are_read_from_the_pattern() {
        let run = |pattern| strong(pattern).first_run();
        assert_eq!(
            run("999~99"),
            FirstRun {
                len: 3,
                digit: true,
                maybe_digit: true
            }
        );
        assert_eq!(
            run("AAA 999"),
            FirstRun {
                len: 3,
                digit: false,
                maybe_digit: false
            }
        );
        assert_eq!(
            run("AXX"),
            FirstRun {
                len: 3,
                digit: false,
                maybe_digit: true
            }
        );
    }

    #[test]
    fn days_exist_or_not() {
        assert!(date(2024, 2, 29) && !date(2023, 2, 29) && !date(1900, 2, 29) && date(2000, 2, 29));
        assert!(!date(2024, 13, 1) && !date(2024, 0, 1) && !date(2024, 4, 31) && !date(2024, 1, 0));
        assert!(date_of_two_digit_year(0, 2, 29) && !date_of_two_digit_year(1, 2, 29));
    }

    #[test]
    fn icao_check_digits_follow_the_published_example() {
        // ICAO Doc 9303 part 4, appendix B: L898902C with check digit 3 and D23145890 with 7.
        assert!(icao(b"L898902C<3") || icao(b"L898902C3"));
        assert!(icao(b"D231458907") && !icao(b"D231458908"));
    }
}
