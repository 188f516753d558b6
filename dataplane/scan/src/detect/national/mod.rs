//! Identifiers of persons, companies, accounts and things, by the part of the world that issues them: one row each.

use crate::Detector;
use crate::detect::pattern::Row;

mod africa_middle_east;
mod asia_east;
mod asia_south;
mod benelux_france;
mod birth_number;
mod germany;
mod iberia_italy;
mod latin_america;
mod nordic;
mod north_america;
mod oceania;
mod poland;
mod things;
mod united_kingdom;

pub(crate) use asia_south::verhoeff;

/// All tables.
pub(crate) const TABLES: &[&[Row]] = &[
    north_america::ROWS,
    united_kingdom::ROWS,
    germany::ROWS,
    benelux_france::ROWS,
    iberia_italy::ROWS,
    nordic::ROWS,
    poland::ROWS,
    asia_south::ROWS,
    asia_east::ROWS,
    oceania::ROWS,
    latin_america::ROWS,
    africa_middle_east::ROWS,
    things::ROWS,
];

/// All rows.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().copied().flatten()
}

/// Hot words of one detector.
pub(crate) type HotWords = (Detector, &'static [&'static str]);

/// The words that confirm a weak form of the detector.
pub(crate) fn hot_words(detector: Detector) -> &'static [&'static str] {
    let tables: [&[HotWords]; 13] = [
        north_america::HOT_WORDS,
        united_kingdom::HOT_WORDS,
        germany::HOT_WORDS,
        benelux_france::HOT_WORDS,
        iberia_italy::HOT_WORDS,
        nordic::HOT_WORDS,
        poland::HOT_WORDS,
        asia_south::HOT_WORDS,
        asia_east::HOT_WORDS,
        oceania::HOT_WORDS,
        latin_america::HOT_WORDS,
        africa_middle_east::HOT_WORDS,
        things::HOT_WORDS,
    ];
    let found = tables.iter().copied().flatten().find(|(named, _)| *named == detector);
    found.map_or(&[], |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{ALNUM, is};
    use crate::detect::pattern::VALUE_BYTES_MAX;
    use crate::limits::HOT_WORD_BYTES_MAX;

    #[test]
    fn hot_words_are_short_and_end_in_a_letter_or_digit() {
        for detector in Detector::all() {
            for word in crate::detect::hot_words(detector) {
                assert!(word.len() <= HOT_WORD_BYTES_MAX, "{word}");
                let last = word.bytes().last().unwrap_or(0);
                assert!(is(last, ALNUM) || last >= 0x80, "{word}");
                assert_eq!(*word, word.to_lowercase(), "{word}");
            }
        }
    }

    #[test]
    fn forms_fit_and_weak_ones_have_hot_words() {
        for row in rows() {
            for form in row.forms {
                let characters = form
                    .pattern
                    .bytes()
                    .filter(|sign| matches!(sign, b'9' | b'A' | b'X'))
                    .count();
                assert!(characters <= VALUE_BYTES_MAX, "{}", form.pattern);
                let called = form.strength == crate::hit::Strength::Strong || !hot_words(row.detector).is_empty();
                assert!(called, "{} of {:?}", form.pattern, row.detector);
            }
        }
    }
}
