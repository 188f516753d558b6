//! Frames that are too large to be collected: their values are looked at as streams, and keep their lengths.

use std::ops::Range;

use codecs::edit::{MASK_BYTE, encoded_byte};
use codecs::malformed::Malformed;
use codecs::postgres::message::Format;
use codecs::postgres::rewriter::{Escaping, Kind};
use scan::{Context, Finding, Stream};

use super::Step;
use super::copy::CopyOut;
use crate::judge::redact::{self, Holder, Redactor, Target, Trouble, Value};
use crate::judge::tally::{Finder, Place, Tally};
use crate::limits::{LONG_CELL_BYTES_MIN, VALUE_COLLECTED_BYTES_MAX};
use crate::plan::{Act, ColumnPlan, Plan};
use crate::policy::RuleSet;
use crate::policy::redaction::{Action, OnError};
use crate::session::{Close, Scratch, Session};

/// A large frame that is under way.
#[derive(Debug)]
pub(crate) struct LongRow {
    /// Bytes of the frame that are still to come.
    left: usize,
    /// Columns still to come; `None` before their number was read.
    columns: Option<u16>,
    index: u16,
    cell: Option<Cell>,
}

/// A large value that is under way.
#[derive(Debug)]
struct Cell {
    left: usize,
    /// Bytes of it that have left.
    position: usize,
    how: How,
    place: Place,
}

#[derive(Debug)]
enum How {
    Pass,
    /// Its bytes are the text.
    Text {
        stream: Stream,
        context: Context,
        fill: Fill,
        escapes: Escapes,
    },
    /// Two hexadecimal digits stand for each byte; the first two bytes are `\x`.
    Hex {
        stream: Stream,
        context: Context,
    },
    Hide {
        kind: Kind,
        format: Format,
        total: usize,
        label: Box<str>,
    },
}

/// Where escapes were looked for in a value.
#[derive(Debug, Default)]
struct Escapes {
    /// The last bytes that left, in which one can begin.
    before: [u8; ESCAPE_BYTES - 1],
    /// They were counted: once for the value, in however many parts it comes.
    counted: bool,
}

/// What a stream writes over a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Label,
    /// Zeros for digits, nothing else: a literal of numbers.
    Zeros,
    /// JSON: where every byte is a digit, ones for digits, which is a number and a piece of a string.
    Json,
}

/// Bytes of the longest sign that a character is written in another form: `\u00` and the digit that says it is ASCII.
const ESCAPE_BYTES: usize = 5;

/// Whether ASCII text is written in another form somewhere in this, which a stream does not see through.
fn is_escaped(bytes: &[u8]) -> bool {
    memchr::memchr2_iter(b'\\', b'&', bytes).any(|at| {
        let rest = bytes.get(at..).unwrap_or_default();
        matches!(rest, [b'&', b'#', ..] | [b'\\', b'u', b'0', b'0', b'0'..=b'7', ..])
    })
}

impl LongRow {
    /// A DataRow of `len` bytes, header included.
    pub(super) fn row(len: usize) -> LongRow {
        LongRow {
            left: len - 5,
            columns: None,
            index: 0,
            cell: None,
        }
    }

    /// A CopyData of `len` bytes, header included: one text from its first byte to its last.
    pub(super) fn copy(len: usize, copy: &CopyOut) -> LongRow {
        let how = How::Text {
            stream: Stream::new(),
            context: Context::default(),
            fill: Fill::Label,
            escapes: Escapes::default(),
        };
        let cell = Cell {
            left: len - 5,
            position: 0,
            how,
            place: Place::Copy,
        };
        // With columns to hide, where one ends cannot be told in parts: such a cell cannot be read.
        let columns = if copy.hides() { None } else { Some(0) };
        LongRow {
            left: len - 5,
            columns,
            index: 0,
            cell: Some(cell).filter(|_| !copy.hides()),
        }
    }
}

/// Deals with what stands at `input[at..]`, inside a large frame.
pub(super) fn step(session: &mut Session, input: &mut [u8], at: usize, scratch: &mut Scratch) -> Step {
    let Some(mut row) = session.long_row.take() else {
        return Step::Need(0);
    };
    let rules = session.running.rules.as_deref().or(session.rules.as_deref());
    let (Some(rules), plan) = (rules, session.plan.as_deref()) else {
        session.passing_down = row.left;
        return Step::Took(0);
    };
    let mut target = Target {
        input,
        splice: &mut scratch.splice,
        tally: &mut session.running.tally,
        rules,
    };
    let step = row.advance(plan, at, &mut scratch.redactor, &mut target);
    match step {
        Ok(Some(Step::Took(bytes))) => {
            row.left -= bytes;
            session.long_row = Some(row);
            Step::Took(bytes)
        }
        Ok(Some(step)) => {
            session.long_row = Some(row);
            step
        }
        Ok(None) => Step::Took(0),
        Err(trouble) => Step::Close(Close::trouble(trouble)),
    }
}

impl LongRow {
    /// One step; `None` when the frame is over.
    fn advance(
        &mut self,
        plan: Option<&Plan>,
        at: usize,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<Option<Step>, Trouble> {
        const PLACE: &str = "DataRow";
        if let Some(cell) = &mut self.cell {
            if cell.left > 0 {
                return cell.advance(at, redactor, target).map(Some);
            }
            self.cell = None;
        }
        let there = target.input.len() - at;
        let Some(columns) = self.columns else {
            return self.begin(plan, target.input.get(at..at + 2)).map(Some);
        };
        if columns == 0 {
            return if self.left == 0 {
                Ok(None)
            } else {
                Err(Malformed::Trailing {
                    place: PLACE,
                    bytes: self.left,
                }
                .into())
            };
        }
        let Some(length) = target.input.get(at..at + 4).and_then(|length| length.first_chunk()) else {
            return Ok(Some(Step::Need(4)));
        };
        let length = i32::from_be_bytes(*length);
        let len = match usize::try_from(length) {
            Ok(len) if len <= self.left.saturating_sub(4) => len,
            Err(_) if length == -1 => 0,
            _ => {
                return Err(Malformed::Length {
                    place: PLACE,
                    announced: length.into(),
                    min: 0,
                    max: self.left,
                }
                .into());
            }
        };
        let index = self.index;
        let column = plan
            .and_then(|plan| plan.columns.as_deref())
            .and_then(|columns| columns.get(usize::from(index)));
        let collected = len < LONG_CELL_BYTES_MIN || is_collected(column, len);
        if collected && there < 4 + len {
            return Ok(Some(Step::Need(4 + len)));
        }
        (self.columns, self.index) = (Some(columns - 1), index + 1);
        if collected {
            if len > 0 {
                short(column, index, at + 4..at + 4 + len, redactor, target)?;
            }
            return Ok(Some(Step::Took(4 + len)));
        }
        self.cell = Some(Cell {
            left: len,
            position: 0,
            how: how(column, index, len, target)?,
            place: Place::Column(index),
        });
        Ok(Some(Step::Took(4)))
    }
}

impl LongRow {
    /// Takes the number of columns.
    fn begin(&mut self, plan: Option<&Plan>, count: Option<&[u8]>) -> Result<Step, Trouble> {
        let Some(count) = count.and_then(|count| count.first_chunk()) else {
            return Ok(Step::Need(2));
        };
        let count = u16::from_be_bytes(*count);
        let known = plan.and_then(|plan| plan.columns.as_ref());
        if known.is_some_and(|columns| columns.len() != usize::from(count)) {
            return Err(Malformed::Value {
                place: "DataRow",
                value: count.into(),
            }
            .into());
        }
        self.columns = Some(count);
        Ok(Step::Took(2))
    }
}

/// Whether a long value must be looked at whole: anything but plain bytes can be written in escapes.
fn is_collected(column: Option<&ColumnPlan>, len: usize) -> bool {
    let written = |column: &ColumnPlan| column.act == Act::Scan && column.kind != Kind::Bytea;
    len <= VALUE_COLLECTED_BYTES_MAX
        && column.is_some_and(|column| written(column) && !column.kind.is_never_scanned(len))
}

/// A value that is small enough to be looked at whole.
fn short(
    column: Option<&ColumnPlan>,
    index: u16,
    range: Range<usize>,
    redactor: &mut Redactor,
    target: &mut Target<'_>,
) -> Result<(), Trouble> {
    let (kind, format) = column.map_or((Kind::Other, Format::Text), |column| (column.kind, column.format));
    let value = Value {
        start: range.start as u32,
        end: range.end as u32,
        holder: Holder::Fixed,
        place: Place::Column(index),
        kind,
        format,
        escaping: Escaping::None,
    };
    match column.map_or(Act::Unreadable, |column| column.act) {
        Act::Skip => {}
        Act::Scan => redactor.scan_value(value, column.map_or_else(Context::default, |c| c.context), target)?,
        Act::Hide(rule) => {
            if let Some(action) = target.rules.columns.get(&rule) {
                redact::hide(value, action, Finder::Column, target);
            }
        }
        Act::HideUnattributed => {
            if let Some(action) = &target.rules.unattributed {
                redact::hide(value, action, Finder::Unattributed, target);
            }
        }
        Act::Deny | Act::Unreadable => redact::unreadable(value, "the columns of a large row are not known", target)?,
    }
    redactor.flush(target);
    Ok(())
}

/// How a large value is dealt with.
fn how(column: Option<&ColumnPlan>, index: u16, total: usize, target: &mut Target<'_>) -> Result<How, Trouble> {
    let Some(column) = column else {
        return Err(Trouble::Unreadable("the columns of a large row are not known"));
    };
    let action = match column.act {
        Act::Skip => return Ok(How::Pass),
        Act::Hide(rule) => target.rules.columns.get(&rule).map(|action| (action, Finder::Column)),
        Act::HideUnattributed => target
            .rules
            .unattributed
            .as_ref()
            .map(|action| (action, Finder::Unattributed)),
        Act::Deny | Act::Unreadable => return Err(Trouble::Unreadable("the columns of a large row are not known")),
        Act::Scan if target.rules.scanner.is_none() || column.kind.is_never_scanned(total) => return Ok(How::Pass),
        Act::Scan => None,
    };
    if let Some((action, finder)) = action {
        target.tally.add(finder, Place::Column(index), action.enforce);
        if !action.enforce {
            return Ok(How::Pass);
        }
        return match column.kind {
            Kind::Text | Kind::Xml | Kind::Json | Kind::Jsonb | Kind::Bytea => Ok(How::Hide {
                kind: column.kind,
                format: column.format,
                total,
                label: action.label.clone(),
            }),
            _ => Err(Trouble::Unreadable("a large value of this type cannot be masked")),
        };
    }
    let (stream, context) = (Stream::new(), column.context);
    if column.format == Format::Binary && matches!(column.kind, Kind::NumberArray | Kind::NumberRange | Kind::Numeric) {
        return match target.rules.on_error {
            OnError::Pass => Ok(How::Pass),
            _ => Err(Trouble::Unreadable("a value of numbers is too large")),
        };
    }
    Ok(match (column.kind, column.format) {
        (Kind::Bytea, Format::Text) => How::Hex { stream, context },
        (kind, format) => How::Text {
            stream,
            context,
            fill: match kind {
                Kind::NumberArray | Kind::Int | Kind::Numeric if format == Format::Text => Fill::Zeros,
                Kind::Json | Kind::Jsonb => Fill::Json,
                _ => Fill::Label,
            },
            escapes: Escapes::default(),
        },
    })
}

impl Cell {
    fn advance(&mut self, at: usize, redactor: &mut Redactor, target: &mut Target<'_>) -> Result<Step, Trouble> {
        let there = (target.input.len() - at).min(self.left);
        let last = there == self.left;
        let window = target.input.get_mut(at..at + there).unwrap_or_default();
        let taken = match &mut self.how {
            How::Pass => there,
            How::Hide {
                kind,
                format,
                total,
                label,
            } => {
                for (i, byte) in window.iter_mut().enumerate() {
                    *byte = hidden_byte(*kind, *format, *total, label, self.position + i, *byte);
                }
                there
            }
            How::Text {
                stream,
                context,
                fill,
                escapes,
            } => text(
                (stream, *context, *fill, escapes),
                window,
                last,
                self.place,
                redactor,
                (target.rules, target.tally),
            )?,
            How::Hex { stream, context } => {
                let prefix = if self.position == 0 { 2 } else { 0 };
                let Some(digits) = window.get_mut(prefix..).filter(|_| there >= prefix + 2 || last) else {
                    return Ok(Step::Need(prefix + 2));
                };
                prefix
                    + hex(
                        stream,
                        *context,
                        digits,
                        last,
                        self.place,
                        redactor,
                        target.rules,
                        target.tally,
                    )
            }
        };
        if taken == 0 {
            // Whatever comes next: one byte at a time would look at what is held back again for each.
            return Ok(Step::Need(0));
        }
        self.left -= taken;
        self.position += taken;
        Ok(Step::Took(taken))
    }
}

/// Masks what is found in the next bytes of a text. The result is how many of them are decided.
fn text(
    (stream, context, fill, escapes): (&mut Stream, Context, Fill, &mut Escapes),
    window: &mut [u8],
    last: bool,
    place: Place,
    redactor: &mut Redactor,
    (rules, tally): (&RuleSet, &mut Tally),
) -> Result<usize, Trouble> {
    let Some(scanner) = &rules.scanner else {
        return Ok(window.len());
    };
    let mut border = [0; 2 * (ESCAPE_BYTES - 1)];
    for (to, from) in border.iter_mut().zip(escapes.before.iter().chain(window.iter())) {
        *to = *from;
    }
    if !escapes.counted && (is_escaped(&border) || is_escaped(window)) {
        escapes.counted = true;
        match rules.on_error {
            OnError::Pass => tally.add(Finder::Unreadable, place, false),
            // Parts of it may have left: it can no longer be blanked.
            OnError::Close | OnError::BlankField => {
                return Err(Trouble::Unreadable("a value is too long for the escapes in it"));
            }
        }
    }
    redactor.findings.clear();
    let findings = &mut redactor.findings;
    let decided = stream.advance(scanner, context, &mut redactor.scan, window, last, findings);
    let left = window.get(..decided).unwrap_or_default();
    let before = &mut escapes.before;
    for byte in left.iter().skip(decided.saturating_sub(before.len())) {
        before.rotate_left(1);
        before[ESCAPE_BYTES - 2] = *byte;
    }
    for finding in &redactor.findings {
        let Some(action) = count(finding, rules, place, tally) else {
            continue;
        };
        let span = window
            .get_mut(finding.start as usize..finding.end as usize)
            .unwrap_or_default();
        let digits = span.iter().all(u8::is_ascii_digit);
        let encoded = finding.detector.is_in_code();
        for (i, byte) in span.iter_mut().enumerate() {
            match fill {
                Fill::Zeros if byte.is_ascii_digit() => *byte = b'0',
                Fill::Zeros => {}
                Fill::Json if digits => *byte = b'1',
                Fill::Json | Fill::Label if encoded => *byte = encoded_byte(*byte),
                Fill::Json | Fill::Label => *byte = label_byte(&action.label, finding.offset + i as u64),
            }
        }
    }
    Ok(decided)
}

#[allow(clippy::too_many_arguments)]
fn hex(
    stream: &mut Stream,
    context: Context,
    digits: &mut [u8],
    last: bool,
    place: Place,
    redactor: &mut Redactor,
    rules: &RuleSet,
    tally: &mut Tally,
) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    let odd = digits.len() % 2;
    let (pairs, _) = digits.as_chunks_mut::<2>();
    redactor.shown.clear();
    redactor
        .shown
        .extend(pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)));
    redactor.findings.clear();
    let Some(scanner) = &rules.scanner else {
        return digits.len();
    };
    let decided = stream.advance(
        scanner,
        context,
        &mut redactor.scan,
        &redactor.shown,
        last,
        &mut redactor.findings,
    );
    for finding in &redactor.findings {
        let Some(action) = count(finding, rules, place, tally) else {
            continue;
        };
        for (i, pair) in pairs
            .get_mut(finding.start as usize..finding.end as usize)
            .unwrap_or_default()
            .iter_mut()
            .enumerate()
        {
            let byte = match finding.detector.is_in_code() {
                true => encoded_byte(digit(pair[0]) << 4 | digit(pair[1])),
                false => label_byte(&action.label, finding.offset + i as u64),
            };
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
    }
    decided * 2 + if last { odd } else { 0 }
}

/// Counts a finding once, however many pieces it comes in. `None` if nothing is to be changed.
fn count<'a>(finding: &Finding, rules: &'a RuleSet, place: Place, tally: &mut Tally) -> Option<&'a Action> {
    let action = rules.action(finding.detector);
    if finding.offset == 0 {
        tally.add(Finder::Detector(finding.detector), place, action.enforce);
    }
    action.enforce.then_some(action)
}

/// Byte `k` of a label mask, which does not depend on the length of what it hides.
fn label_byte(label: &str, k: u64) -> u8 {
    let k = usize::try_from(k).unwrap_or(usize::MAX);
    match k {
        0 => b'[',
        _ if k <= label.len() => label.as_bytes().get(k - 1).copied().unwrap_or(MASK_BYTE),
        _ if k == label.len() + 1 => b']',
        _ => MASK_BYTE,
    }
}

fn hidden_byte(kind: Kind, format: Format, total: usize, label: &str, position: usize, byte: u8) -> u8 {
    match (kind, format) {
        (Kind::Bytea, Format::Text) if position < 2 => byte,
        (Kind::Bytea, Format::Text) => b'0',
        (Kind::Bytea, Format::Binary) => 0,
        (Kind::Jsonb, Format::Binary) if position == 0 => byte,
        (Kind::Jsonb, Format::Binary) if position == 1 || position + 1 == total => b'"',
        (Kind::Json | Kind::Jsonb, _) if position == 0 || position + 1 == total => b'"',
        (Kind::Json | Kind::Jsonb, _) => MASK_BYTE,
        _ => label_byte(label, position as u64),
    }
}
