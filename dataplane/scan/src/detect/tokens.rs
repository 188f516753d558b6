//! Identifiers with a form of their own: at the start of a word, every form of the policy that begins with a run of this length.

use crate::class::{ALNUM, DIGIT, is};
use crate::context::Context;
use crate::detect::pattern::{Form, Row, VALUE_BYTES_MAX, verify};
use crate::detect::{crypto, date, national, uk};
use crate::engine::Engine;
use crate::hit::{Hit, Strength};
use crate::scanner::Enabled;
use crate::text::Text;
use crate::{Detector, Detector::*};

/// The forms of a policy, by the length of the run of letters and digits that they begin with.
#[derive(Default)]
pub(crate) struct Index {
    /// At place `n` what begins with a run of `n`, by detector.
    by_first_run: Vec<Vec<Group>>,
    /// Some form begins with a letter.
    pub letters_first: bool,
    /// Some form begins with a digit.
    pub digits_first: bool,
}

/// Forms of one detector that begin with a run of the same length.
struct Group {
    detector: Detector,
    /// Some form needs a digit, or accepts a run without one.
    with_digit: bool,
    without_digit: bool,
    /// Some form counts without a hot word.
    strong: bool,
    forms: Vec<(&'static Row, &'static Form)>,
}

impl Index {
    pub fn build(enabled: Enabled) -> Index {
        let mut index = Index::default();
        index.by_first_run.resize_with(VALUE_BYTES_MAX + 1, Vec::new);
        for row in national::rows().filter(|row| enabled.has(row.detector)) {
            for form in row.forms {
                index.add(row, form);
            }
        }
        index.digits_first |= enabled.has_any(&[CryptoAddress, Date]);
        index.letters_first |= enabled.has_any(&[CryptoAddress, UkNationalInsuranceNumber, Date]);
        index
    }

    fn add(&mut self, row: &'static Row, form: &'static Form) {
        let run = form.first_run();
        self.letters_first |= !form.pattern.starts_with('9');
        self.digits_first |= form.pattern.starts_with(['9', 'X']);
        let Some(groups) = self.by_first_run.get_mut(run.len) else {
            return;
        };
        if !groups.iter().any(|group| group.detector == row.detector) {
            groups.push(Group {
                detector: row.detector,
                with_digit: false,
                without_digit: false,
                strong: false,
                forms: Vec::new(),
            });
        }
        if let Some(group) = groups.iter_mut().find(|group| group.detector == row.detector) {
            group.with_digit |= run.maybe_digit;
            group.without_digit |= !run.digit;
            group.strong |= form.strength == Strength::Strong;
            group.forms.push((row, form));
        }
    }
}

/// Judges the word that begins at `start`. No letter, digit or underscore stands before it.
pub(crate) fn at(engine: &mut Engine<'_, '_>, start: usize) {
    let text = engine.text();
    let end = text.short_run(start, ALNUM, VALUE_BYTES_MAX + 1);
    let len = end - start;
    let has_digit = text
        .bytes()
        .get(start..end)
        .is_some_and(|run| run.iter().any(u8::is_ascii_digit));
    let first = text.bytes().get(start).copied().unwrap_or(0);
    if engine.on(UkNationalInsuranceNumber)
        && (len == 2 && !has_digit || has_digit && (4..=9).contains(&len))
        && !is(first, DIGIT)
    {
        engine.consider(UkNationalInsuranceNumber, start, |text| {
            uk::national_insurance(text, start)
        });
    }
    if engine.on(CryptoAddress) && len >= 12 && matches!(first, b'0' | b'1' | b'3' | b'b' | b'B') {
        engine.consider(CryptoAddress, start, |text| crypto::verify(text, start));
    }
    if engine.on(Date) && len <= 9 {
        engine.consider(Date, start, |text| date::verify(text, start));
    }
    let scanner = engine.scanner();
    let Some(groups) = scanner.forms.by_first_run.get(len) else {
        return;
    };
    if groups.is_empty() {
        return;
    }
    let context = engine.context_at(start);
    for group in groups {
        // What only a hot word makes a value is not even read without one.
        let counts =
            group.strong || scanner.checksum_suffices.has(group.detector) || context.has(Context::of(group.detector));
        if counts
            && if has_digit {
                group.with_digit
            } else {
                group.without_digit
            }
        {
            engine.consider(group.detector, start, |text| best(text, start, &group.forms));
        }
    }
}

/// The strongest reading, and of equal ones the longest.
fn best(text: &Text<'_>, start: usize, forms: &[(&'static Row, &'static Form)]) -> Option<Hit> {
    let hits = forms.iter().filter_map(|(row, form)| verify(text, start, row, form));
    hits.max_by_key(|hit| (hit.strength, hit.end))
}
