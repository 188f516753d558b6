//! DATE: days of the calendar as people and programs write them (ISO 8601-1 section 5.2.2, numeric orders of CLDR, month names).

use crate::class::{DIGIT, LETTER};
use crate::detect::pattern::date;
use crate::forms::Start;
use crate::hit::Hit;
use crate::text::Text;

/// Letters by which months are told apart, and those of the longest one.
const MONTH_HEAD_BYTES: usize = 3;
const MONTH_BYTES_MAX: usize = 9;

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];

/// A cheap necessary condition on the word that begins at `start`.
#[inline(always)]
pub(crate) fn possible(bytes: &[u8], start: usize, word: Start) -> bool {
    let run = word.run();
    if word.digits & 1 == 1 {
        let joined = matches!(word.behind, b'-' | b'/' | b'.' | b' ');
        return run <= 4 && word.number() && joined && day_goes_on(bytes, start + run, word, run);
    }
    let head = bytes.get(start..start + MONTH_HEAD_BYTES).unwrap_or_default();
    (MONTH_HEAD_BYTES..=MONTH_BYTES_MAX).contains(&run)
        && word.digits & 0xffff != 0
        && MONTHS
            .iter()
            .any(|month| month[..MONTH_HEAD_BYTES].eq_ignore_ascii_case(head))
}

/// Behind the first number and its separator stand another number or a month's name, then the same separator and a digit.
#[inline(always)]
fn day_goes_on(bytes: &[u8], first_end: usize, word: Start, run: usize) -> bool {
    let (digits, words) = (word.digits >> (run + 1), word.words >> (run + 1));
    let second = words.trailing_ones() as usize;
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let behind = first_end + 1 + second;
    let comma = usize::from(at(behind) == b',');
    let sized = match digits & 1 {
        1 => second <= 2 && digits.trailing_ones() as usize == second,
        _ => (MONTH_HEAD_BYTES..=MONTH_BYTES_MAX).contains(&second),
    };
    sized && at(behind + comma) == word.behind && at(behind + comma + 1).is_ascii_digit()
}

/// Judges the word that begins at `start`.
pub(crate) fn verify(text: &Text<'_>, start: usize) -> Option<Hit> {
    if !text.boundary_before(start)
        || matches!(text.before(start, 1), b'-' | b'/' | b'.' | b'+') && text.before(start, 2).is_ascii_digit()
    {
        return None;
    }
    let end = match text.is(start, DIGIT) {
        true => numeric(text, start).or_else(|| day_first_name(text, start))?,
        false => month_first_name(text, start)?,
    };
    let more = matches!(text.at(end), b'-' | b'/' | b'.') && text.is(end + 1, DIGIT);
    (text.boundary_at(end) && !more).then(|| Hit::new(start, end, 80))
}

/// Three numbers with the same separator: year, month, day, or day, month, year, or month, day, year.
fn numeric(text: &Text<'_>, start: usize) -> Option<usize> {
    let (first, first_end) = small(text, start)?;
    let separator = text.at(first_end);
    if !matches!(separator, b'-' | b'/' | b'.') {
        return None;
    }
    let (second, second_end) = small(text, first_end + 1)?;
    if text.at(second_end) != separator || second_end - first_end > 3 {
        return None;
    }
    let (third, third_end) = small(text, second_end + 1)?;
    let third_len = third_end - second_end - 1;
    match (first_end - start, third_len) {
        (4, 1 | 2) if known_year(first) && date(first, second, third) => Some(time(text, third_end)),
        (1 | 2, 4) if known_year(third) && (date(third, second, first) || date(third, first, second)) => {
            Some(third_end)
        }
        // Two digits of the year: a version number looks the same, so the separators are those of dates, and both orders must be days.
        (1 | 2, 2) if separator != b'.' || first_end - start == 2 || second_end - first_end == 3 => {
            (date(2000 + third, second, first) || date(2000 + third, first, second)).then_some(third_end)
        }
        (1 | 2, 2) => date(2000 + third, second, first).then_some(third_end),
        _ => None,
    }
}

/// `T10:22:33.5Z` or ` 10:22:33` behind a day, as far as it is there.
fn time(text: &Text<'_>, end: usize) -> usize {
    let clock = |at: usize| {
        let pair = |at: usize| text.is(at, DIGIT) && text.is(at + 1, DIGIT);
        pair(at) && text.at(at + 2) == b':' && pair(at + 3)
    };
    if text.at(end) != b'T' || !clock(end + 1) {
        return end;
    }
    let mut place = end + 6;
    if text.at(place) == b':' && text.is(place + 1, DIGIT) && text.is(place + 2, DIGIT) {
        place += 3;
        if text.at(place) == b'.' {
            place = text.short_run(place + 1, DIGIT, 9);
        }
    }
    match text.at(place) {
        b'Z' => place + 1,
        b'+' | b'-' if clock(place + 1) => place + 6,
        _ => place,
    }
}

/// `5-MAY-2021`, `5 May 2021`, `05May2021` is not written.
fn day_first_name(text: &Text<'_>, start: usize) -> Option<usize> {
    let (day, day_end) = small(text, start)?;
    let separator = text.at(day_end);
    if !(matches!(separator, b'-' | b' ' | b'/' | b'.') && (1..=31).contains(&day)) {
        return None;
    }
    let (month, month_end) = month_name(text, day_end + 1)?;
    let gap = usize::from(text.at(month_end) == b',') + 1;
    if text.at(month_end + gap - 1) != separator {
        return None;
    }
    let (year, year_end) = small(text, month_end + gap)?;
    day_of(year, year_end - month_end - gap, month, day).then_some(year_end)
}

/// `May 5, 2021`, `May-2021`.
fn month_first_name(text: &Text<'_>, start: usize) -> Option<usize> {
    let (month, month_end) = month_name(text, start)?;
    let separator = text.at(month_end);
    if !matches!(separator, b' ' | b'-') {
        return None;
    }
    let (first, first_end) = small(text, month_end + 1)?;
    if first_end - month_end == 5 && separator == b'-' {
        return known_year(first).then_some(first_end);
    }
    let comma = usize::from(text.at(first_end) == b',');
    if text.at(first_end + comma) != separator && comma == 0 {
        return None;
    }
    let year_start = first_end + comma + 1;
    let (year, year_end) = small(text, year_start)?;
    (year_end - year_start == 4 && day_of(year, 4, month, first)).then_some(year_end)
}

fn day_of(year: u64, year_len: usize, month: u64, day: u64) -> bool {
    match year_len {
        4 => known_year(year) && date(year, month, day),
        2 => date(2000 + year, month, day),
        _ => false,
    }
}

/// Month by its English name or its first three letters, and where the word ends.
fn month_name(text: &Text<'_>, start: usize) -> Option<(u64, usize)> {
    let end = text.short_run(start, LETTER, 10);
    let word = text.bytes().get(start..end)?.to_ascii_lowercase();
    let long_enough = word.len() >= 3;
    let found = MONTHS
        .iter()
        .position(|name| long_enough && (word == *name || (word.len() <= 4 && name.starts_with(&word))))?;
    Some((found as u64 + 1, end))
}

/// A number of at most four digits and where it ends.
fn small(text: &Text<'_>, start: usize) -> Option<(u64, usize)> {
    let end = text.short_run(start, DIGIT, 5);
    let digits = text.bytes().get(start..end)?;
    let value = digits
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (1..=4).contains(&digits.len()).then_some((value, end))
}

fn known_year(year: u64) -> bool {
    (1800..=2199).contains(&year)
}

#[cfg(test)]
mod tests {
    use crate::Detector::Date;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn days_are_found_in_many_orders() {
        assert_spans(
            Date,
            &[
                "Today is «21.5.21»",
                "Today is «5-MAY-2021»",
                "«2024-02-29», «2024/02/28»",
                "«31/12/1999» and «12/31/1999»",
                "«2024-01-15T10:22:33.123Z»",
                "«2024-01-15T10:22+02:00»",
                "«2024-01-15» 10:22:33",
                "on «May 5, 2021».",
                "«5 May 2021»",
                "«May-2021»",
            ],
        );
        assert_misses(
            Date,
            &[
                "2023-02-29",
                "32.1.2021",
                "1.2.3",
                "10.0.0.1",
                "2024-13-01",
                "1.22.333",
                "May 2021x",
                "v1.2.2021x",
                "maybe 5, 2021",
            ],
        );
    }
}
