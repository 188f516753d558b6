//! Identifiers with a form of their own: at the start of a word, every form of the policy that the word may have.

use crate::class::{ALNUM, DIGIT, is};
use crate::context::Context;
use crate::detect::pattern::{Form, Row, VALUE_BYTES_MAX, glued, verify};
use crate::detect::{crypto, date, national, uk};
use crate::engine::Engine;
use crate::forms::{Start, Table};
use crate::hit::{Hit, Strength};
use crate::scanner::Enabled;
use crate::text::Text;
use crate::{Detector, Detector::*};

/// The forms of a policy: by the length of the run of letters and digits that they begin with, and by how that run looks.
pub(crate) struct Index {
    /// At place `n` what begins with a run of `n`, by detector.
    by_first_run: Vec<Vec<Group>>,
    /// The same for words of which digits and letters are known as bits; forms of one detector stand together.
    by_look: Table<Way>,
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

/// One way of writing an identifier.
#[derive(Clone, Copy)]
struct Way {
    row: &'static Row,
    form: &'static Form,
    /// The form is one run, and its check sees all of it.
    plain: bool,
}

impl Index {
    pub fn build(enabled: Enabled) -> Index {
        let mut index = Index {
            by_first_run: Vec::new(),
            by_look: Table::new(),
            letters_first: enabled.has_any(&[CryptoAddress, UkNationalInsuranceNumber, Date]),
            digits_first: enabled.has_any(&[CryptoAddress, Date]),
        };
        index.by_first_run.resize_with(VALUE_BYTES_MAX + 1, Vec::new);
        let mut rows: Vec<&Row> = national::rows().filter(|row| enabled.has(row.detector)).collect();
        rows.sort_by_key(|row| row.detector);
        for row in rows {
            for form in row.forms {
                index.add(row, form);
                let plain = form.pattern.bytes().all(|sign| matches!(sign, b'9' | b'A' | b'X'));
                index
                    .by_look
                    .add(form.pattern, row.separators, &Way { row, form, plain }, |_, _| false);
            }
        }
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
    if let Some(word) = engine.text().word_start(start) {
        return at_known(engine, start, word);
    }
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

/// The same for a word of which digits and letters are known: one walk for all forms.
pub(crate) fn at_known(engine: &mut Engine<'_, '_>, start: usize, word: Start) {
    let run = word.run();
    let letter_first = word.digits & 1 == 0;
    let pair_behind = |place: u32| word.digits >> place & 0b11 == 0b11;
    let insurance = letter_first && matches!(run, 2 | 4 | 6 | 8 | 9) && (pair_behind(2) || run == 2 && pair_behind(3));
    if insurance && engine.on(UkNationalInsuranceNumber) {
        engine.consider(UkNationalInsuranceNumber, start, |text| {
            uk::national_insurance(text, start)
        });
    }
    if engine.on(CryptoAddress) && crypto::possible(engine.text().bytes(), start, run) {
        engine.consider(CryptoAddress, start, |text| crypto::verify(text, start));
    }
    if engine.on(Date) && date::possible(engine.text().bytes(), start, word) {
        engine.consider(Date, start, |text| date::verify(text, start));
    }
    let scanner = engine.scanner();
    let mut known = None;
    let mut best: Option<(Detector, Hit)> = None;
    for way in scanner.forms.by_look.fitting(word) {
        let token = known.get_or_insert_with(|| Token::new(engine.text(), start, run));
        let detector = way.row.detector;
        let needs_word = match way.form.strength {
            Strength::Strong => false,
            Strength::Checked => !scanner.checksum_suffices.has(detector),
            Strength::Weak => true,
        };
        // Looking for words costs more than most checks, but only once.
        if needs_word && engine.context_is_known(start) && !engine.hot(Context::of(detector), start) {
            continue;
        }
        let Some(hit) = token.read(engine.text(), way) else {
            continue;
        };
        if needs_word && !engine.hot(Context::of(detector), start) {
            continue;
        }
        best = match best {
            Some((of, known)) if of == detector => Some(if (hit.strength, hit.end) >= (known.strength, known.end) {
                (detector, hit)
            } else {
                (of, known)
            }),
            other => {
                take(engine, start, other);
                Some((detector, hit))
            }
        };
    }
    take(engine, start, best);
}

fn take(engine: &mut Engine<'_, '_>, start: usize, best: Option<(Detector, Hit)>) {
    if let Some((detector, hit)) = best {
        engine.consider(detector, start, |_| Some(hit));
    }
}

/// The first run of a word, read once for all forms that are nothing but a run.
struct Token {
    start: usize,
    run: usize,
    value: [u8; VALUE_BYTES_MAX],
    /// It is a part of something longer, as a number and as a word with letters; known once it was asked for.
    glued: [Option<bool>; 2],
    number: bool,
    /// No underscore is in it.
    sound: bool,
}

impl Token {
    #[inline(always)]
    fn new(text: &Text<'_>, start: usize, run: usize) -> Token {
        let mut value = [0; VALUE_BYTES_MAX];
        let bytes = text.bytes();
        let len = run.min(VALUE_BYTES_MAX);
        if let (Some(value), Some(bytes)) = (value.get_mut(..len), bytes.get(start..start + len)) {
            value.copy_from_slice(bytes);
            value.make_ascii_uppercase();
        }
        Token {
            start,
            run,
            value,
            glued: [None; 2],
            number: value[..len].iter().all(u8::is_ascii_digit),
            sound: value[..len].iter().all(u8::is_ascii_alphanumeric),
        }
    }

    fn read(&mut self, text: &Text<'_>, way: &Way) -> Option<Hit> {
        if !way.plain {
            return verify(text, self.start, way.row, way.form);
        }
        if !self.sound {
            return None;
        }
        let end = self.start + self.run;
        let number = self.number && way.form.all_digits();
        let glued = self.glued[usize::from(number)].get_or_insert_with(|| glued(text, self.start, end, number));
        let value = self.value.get(..self.run).filter(|_| !*glued)?;
        (way.row.check)(value).then(|| way.form.hit(self.start, end))
    }
}
