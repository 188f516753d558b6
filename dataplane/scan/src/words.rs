//! Which words a policy looks for: what back ends ask before a word is judged.

use crate::Detector;
use crate::detect::{crypto, date, national};
use crate::forms::{Start, Table};
use crate::hit::Strength;
use crate::scanner::Enabled;

/// Lengths of words that may be business identifiers: the only forms that need no digit.
#[cfg(test)]
const LETTER_RUNS: [usize; 2] = [8, 11];

/// Compiled from the forms of the enabled detectors.
pub(crate) struct Words {
    /// By form, whether it counts without a hot word.
    forms: Table<bool>,
    crypto: bool,
    dates: bool,
    /// Words of letters alone count too.
    pub letters: bool,
}

impl Words {
    pub fn build(enabled: Enabled, checksum_suffices: Enabled) -> Words {
        let mut words = Words {
            forms: Table::new(),
            crypto: enabled.has(Detector::CryptoAddress),
            dates: enabled.has(Detector::Date),
            letters: enabled.has(Detector::SwiftCode),
        };
        for row in national::rows().filter(|row| enabled.has(row.detector)) {
            for form in row.forms {
                let strong = match form.strength {
                    Strength::Strong => true,
                    Strength::Checked => checksum_suffices.has(row.detector),
                    Strength::Weak => false,
                };
                words.add(form.pattern, row.separators, strong);
            }
        }
        if enabled.has(Detector::UkNationalInsuranceNumber) {
            for pattern in ["AA 99", "AA99 99", "AA9999 99", "AA999999 A", "AA999999A"] {
                words.add(pattern, b"", true);
            }
        }
        words
    }

    fn add(&mut self, pattern: &str, separators: &[u8], strong: bool) {
        self.forms.add(pattern, separators, &strong, |known, strong| {
            *known |= strong;
            true
        });
    }

    pub fn is_empty(&self) -> bool {
        !self.crypto && !self.dates && self.forms.is_empty()
    }

    /// Whether the word at `place` can be something. `near` says that a hot word may be near it.
    #[inline(always)]
    pub fn possible(&self, bytes: &[u8], place: usize, word: Start, near: bool) -> bool {
        self.forms.fitting(word).any(|strong| *strong || near)
            || (self.crypto && crypto::possible(bytes, place, word.run()))
            || (self.dates && date::possible(bytes, place, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_business_identifiers_need_no_digit() {
        let forms = national::rows().flat_map(|row| row.forms.iter().map(move |form| (row, form)));
        let lettered = forms.filter(|(_, form)| !form.pattern.bytes().any(|sign| sign.is_ascii_digit()));
        for (row, form) in lettered {
            if row.detector == Detector::SwiftCode {
                assert!(LETTER_RUNS.contains(&form.pattern.len()), "{}", form.pattern);
                continue;
            }
            // A digit stands where back ends look for one, or the word is long; of letters alone no check accepts anything.
            let soon = form.pattern.find('X').is_some_and(|place| place < 16);
            assert!(soon, "{}", form.pattern);
            let len = form.pattern.bytes().filter(|sign| matches!(sign, b'A' | b'X')).count();
            let mut state = 1u32;
            for _ in 0..20_000 {
                let mut letter = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b'A' + (state >> 24) as u8 % 26
                };
                let value: Vec<u8> = (0..len).map(|_| letter()).collect();
                assert!(!(row.check)(&value), "{}", String::from_utf8_lossy(&value));
            }
        }
    }
}
