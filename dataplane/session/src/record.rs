//! Statements as audit events, written straight into the tap.

use codecs::fact::Form;
use codecs::postgres::message::{Bind, Format};
use codecs::postgres::rewriter::{self, Kind};
use proto::Message;
use proto::audit::Outcome;
use scan::Context;

use crate::judge::redact::Redactor;
use crate::judge::tally::{Finder, Place, Tally};
use crate::limits::{EVENT_PARAMETER_BYTES_MAX, EVENT_PARAMETERS_BYTES_MAX, EVENT_TEXT_BYTES_MAX, RECORDING_BYTES_MAX};
use crate::policy::RuleSet;
use crate::tap::{EVENT_PROMISE, EVENT_RECORDING, EVENT_STATEMENT, Head, Noted, Tap, wire};
use crate::text::{Text, cut};

// Field numbers of `proto::audit::Statement`.
const TEXT: u32 = 1;
const TEXT_CUT: u32 = 2;
const PARAMETERS: u32 = 3;
const STARTED_AT_MICROS: u32 = 4;
const DURATION_MICROS: u32 = 5;
const ROWS: u32 = 6;
const BYTES: u32 = 7;
const OUTCOME: u32 = 8;
const OUTCOME_DETAIL: u32 = 9;
const FINDINGS: u32 = 10;
const BATCH: u32 = 11;
const PREPARED: u32 = 12;
const FORM: u32 = 13;
const NUMBER: u32 = 14;
const REVIEWS: u32 = 20;

// Field numbers of `proto::audit::Parameter`.
const PARAMETER_NULL: u32 = 1;
const PARAMETER_TEXT: u32 = 2;
const PARAMETER_CUT: u32 = 3;

// Field numbers of `proto::audit::Recording`.
const RECORDING_BATCH: u32 = 1;
const RECORDING_OFFSET: u32 = 2;
const RECORDING_DATA: u32 = 3;

/// What is said of a statement whose text nobody saw.
const UNKNOWN_TEXT: &[u8] = b"(prepared where its text was not seen)";
const COMMIT_TEXT: &[u8] = b"(commit of an implicit transaction)";

/// Everything that an event says about a statement.
pub(crate) struct Statement<'a> {
    pub form: Form,
    pub text: Option<&'a Text>,
    /// Which of the text's statements.
    pub index: usize,
    /// Events of values, as [`parameters`] wrote them.
    pub parameters: &'a [u8],
    pub prepared: &'a [u8],
    pub started_at_micros: u64,
    pub duration_micros: u64,
    pub rows: u64,
    pub bytes: u64,
    pub outcome: Outcome,
    pub detail: &'a [u8],
    pub tally: &'a Tally,
    pub rules: Option<&'a RuleSet>,
    pub batch: u64,
    pub number: u64,
    /// It is being answered, and no more than that can be said.
    pub promise: bool,
}

impl Statement<'_> {
    /// Notes the event. `column` names the columns of the result.
    pub(crate) fn note(&self, tap: &mut Tap, head: &Head, column: impl Fn(u16) -> String) -> Noted {
        let field = if self.promise { EVENT_PROMISE } else { EVENT_STATEMENT };
        tap.note(head, field, |out| {
            let judged = self.text.map(|text| text.judged.borrow());
            let whole = match (self.text, &judged, self.form) {
                (Some(text), Some(judged), form) => {
                    let shown = judged.shown.as_deref().unwrap_or(&text.raw);
                    let span = if form == Form::Simple {
                        text.span(self.index)
                    } else {
                        0..shown.len()
                    };
                    shown.get(span).unwrap_or_default()
                }
                (_, _, Form::Commit) => COMMIT_TEXT,
                _ => UNKNOWN_TEXT,
            };
            let shown = cut(whole, EVENT_TEXT_BYTES_MAX);
            wire::bytes(out, TEXT, shown);
            wire::uint(out, TEXT_CUT, u64::from(shown.len() < whole.len()));
            out.extend_from_slice(self.parameters);
            wire::uint(out, STARTED_AT_MICROS, self.started_at_micros);
            wire::uint(out, DURATION_MICROS, self.duration_micros);
            wire::uint(out, ROWS, self.rows);
            wire::uint(out, BYTES, self.bytes);
            wire::uint(out, OUTCOME, self.outcome as u64);
            string(out, OUTCOME_DETAIL, self.detail);
            // Findings in the text of a batch are told once, with its first statement.
            if let Some(judged) = judged
                .as_ref()
                .filter(|judged| !judged.tally.is_empty() && self.index == 0)
            {
                judged
                    .tally
                    .write(judged.rules.as_deref(), |_| String::new(), FINDINGS, out);
            }
            self.tally.write(self.rules, column, FINDINGS, out);
            wire::uint(out, BATCH, self.batch);
            string(out, PREPARED, self.prepared);
            wire::bytes(out, FORM, self.form.name().as_bytes());
            wire::uint(out, NUMBER, self.number);
            for review in judged.iter().flat_map(|judged| &judged.reviews) {
                wire::bytes_always(out, REVIEWS, &review.encode_to_vec());
            }
        })
    }
}

/// Everything that an event says about a request of HTTP.
pub(crate) struct Request<'a> {
    pub text: &'a [u8],
    pub text_cut: bool,
    pub template: &'a str,
    pub started_at_micros: u64,
    pub duration_micros: u64,
    pub bytes: u64,
    pub outcome: Outcome,
    pub detail: &'a str,
    pub rules: Option<&'a RuleSet>,
    pub tallies: [Option<&'a Tally>; 3],
    pub number: u64,
    /// It is being answered, and no more than that can be said.
    pub promise: bool,
}

impl Request<'_> {
    /// Notes the event.
    pub(crate) fn note(&self, tap: &mut Tap, head: &Head) -> Noted {
        let field = if self.promise { EVENT_PROMISE } else { EVENT_STATEMENT };
        tap.note(head, field, |out| {
            string(out, TEXT, self.text);
            wire::uint(out, TEXT_CUT, u64::from(self.text_cut));
            wire::uint(out, STARTED_AT_MICROS, self.started_at_micros);
            wire::uint(out, DURATION_MICROS, self.duration_micros);
            wire::uint(out, BYTES, self.bytes);
            wire::uint(out, OUTCOME, self.outcome as u64);
            wire::bytes(out, OUTCOME_DETAIL, self.detail.as_bytes());
            for tally in self.tallies.iter().flatten() {
                tally.write(self.rules, |_| String::new(), FINDINGS, out);
            }
            wire::uint(out, BATCH, self.number);
            wire::bytes(out, PREPARED, self.template.as_bytes());
            wire::bytes(out, FORM, b"request");
            wire::uint(out, NUMBER, self.number);
        })
    }
}

/// A string field from bytes of a peer: what is not UTF-8 is replaced.
fn string(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(_) => wire::bytes(out, field, value),
        Err(_) => wire::bytes(out, field, String::from_utf8_lossy(value).as_bytes()),
    }
}

/// Appends the values of a Bind, masked, as fields of a statement event.
pub(crate) fn parameters(
    bind: &Bind<'_>,
    types: &[u32],
    rules: Option<&RuleSet>,
    redactor: &mut Redactor,
    out: &mut Vec<u8>,
) {
    let mut tally = Tally::default();
    let start = out.len();
    for (index, cell) in bind.parameters.clone().enumerate() {
        let value = cell.ok().and_then(|cell| cell.bytes);
        let Some(value) = value else {
            wire::bytes_head(out, PARAMETERS, 2);
            wire::uint(out, PARAMETER_NULL, 1);
            continue;
        };
        let binary = bind.parameter_formats.of(index) == Some(Format::Binary);
        let kind = types.get(index).map_or(Kind::Other, |oid| Kind::of(*oid));
        let room = EVENT_PARAMETER_BYTES_MAX.min(EVENT_PARAMETERS_BYTES_MAX.saturating_sub(out.len() - start));
        let mut shown = std::mem::take(&mut redactor.shown);
        shown.clear();
        let is_cut = spell(binary.then_some(kind), value, room, &mut shown);
        mask(rules, Place::Parameter, &mut shown, redactor, &mut tally);
        let text = cut(&shown, room);
        let len = if text.is_empty() {
            0
        } else {
            wire::bytes_len(PARAMETER_TEXT, text.len())
        } + 2 * usize::from(is_cut);
        wire::bytes_head(out, PARAMETERS, len);
        wire::bytes(out, PARAMETER_TEXT, text);
        wire::uint(out, PARAMETER_CUT, u64::from(is_cut));
        redactor.shown = shown;
    }
    tally.write(rules, |_| String::new(), FINDINGS, out);
}

/// A value as text: itself, its digits, or hexadecimal. True if not all of it is there.
fn spell(binary: Option<Kind>, value: &[u8], room: usize, out: &mut Vec<u8>) -> bool {
    /// More than is shown is looked at, so that a value at the cut is recognised whole.
    const MARGIN_BYTES: usize = 512;
    let part = value.get(..value.len().min(room + MARGIN_BYTES)).unwrap_or_default();
    let Some(kind) = binary else {
        out.extend_from_slice(part);
        crate::text::make_utf8(out);
        return value.len() > room;
    };
    if rewriter::decimal(kind, value, out) {
        return out.len() > room;
    }
    out.clear();
    let printable = |text: &str| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    match std::str::from_utf8(part) {
        Ok(text) if printable(text) && !matches!(kind, Kind::Int | Kind::Float | Kind::Bool) => {
            out.extend_from_slice(part);
            value.len() > room
        }
        _ => {
            let part = value.get(..value.len().min(room / 2)).unwrap_or_default();
            out.extend(part.iter().flat_map(|byte| {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
                [digit(byte >> 4), digit(byte & 15)]
            }));
            part.len() < value.len()
        }
    }
}

/// Masks text of ours in place, by label: it is going into the record.
pub(crate) fn mask(
    rules: Option<&RuleSet>,
    place: Place,
    text: &mut [u8],
    redactor: &mut Redactor,
    tally: &mut Tally,
) -> bool {
    let Some(rules) = rules.filter(|rules| text.len() >= rules.finding_bytes_min) else {
        return false;
    };
    let Some(scanner) = &rules.scanner else { return false };
    redactor.findings.clear();
    scanner.scan(text, Context::default(), &mut redactor.scan, &mut redactor.findings);
    let mut masked = false;
    for finding in &redactor.findings {
        let action = rules.action(finding.detector);
        tally.add(Finder::Detector(finding.detector), place, action.enforce);
        if action.enforce {
            let span = text
                .get_mut(finding.start as usize..finding.end as usize)
                .unwrap_or_default();
            let mask = match finding.detector.is_in_code() {
                true => codecs::edit::Mask::Encoded,
                false => codecs::edit::Mask::Label,
            };
            rewriter::mask_text(&mask, &action.label, span);
            masked = true;
        }
    }
    masked
}

/// Notes a piece of the recording, in events of bounded size. Returns the offset after it.
pub(crate) fn recording(tap: &mut Tap, head: &Head, batch: u64, mut offset: u64, data: &[u8]) -> u64 {
    for piece in data.chunks(RECORDING_BYTES_MAX) {
        let noted = tap.note(head, EVENT_RECORDING, |out| {
            wire::uint(out, RECORDING_BATCH, batch);
            wire::uint(out, RECORDING_OFFSET, offset);
            wire::bytes(out, RECORDING_DATA, piece);
        });
        drop(noted);
        offset += piece.len() as u64;
    }
    offset
}
