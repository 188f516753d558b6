//! Redaction: values of many frames are packed, looked at in one pass, and what is found is masked where it lies.
//!
//! ```text
//! input   |D....|len|alice@example.com|len|42|D....|len|bob|...
//! packed            |alice@example.com|0|bob|0|...               one scan over all of it
//! refs               0                   1                       where each cell is in the input
//! ```
//!
//! Most text stands in the input as it is meant, so values are packed as they are; those that turn out to have a sign of
//! another way of writing (a backslash, an ampersand) are packed once more, decoded, before the scan.

use std::ops::Range;

use codecs::edit::Mask;
use codecs::malformed::Malformed;
use codecs::postgres::message::Format;
use codecs::postgres::rewriter::{self, Element, Escaping, Kind, Marks, Walk, Whole};
use codecs::splice::Splice;
use scan::{CellFinding, Cells, Context, Finding};

use super::tally::{Finder, Place, Tally};
use crate::limits::{DECODED_KEPT_BYTES_MAX, PACKED_BYTES_MAX};
use crate::plan::{Act, ColumnPlan, Plan, passed_when_scanned};
use crate::policy::RuleSet;
use crate::policy::redaction::{Action, OnError};

/// How the lengths around a value are kept right when its own changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// It must not change.
    Fixed,
    /// A 32-bit length stands at `length`, that of the frame at `frame + 1`.
    Counted { frame: u32, length: u32 },
    /// As [`Holder::Counted`], in a tuple of a replication stream: NULL is told by the byte before the length.
    Tuple { frame: u32, length: u32 },
    /// Only the frame has a length.
    Framed { frame: u32 },
}

/// Where a value is, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub start: u32,
    pub end: u32,
    pub holder: Holder,
    pub place: Place,
    pub kind: Kind,
    pub format: Format,
    pub escaping: Escaping,
}

/// Why a frame cannot leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    Malformed(Malformed),
    /// A value could not be looked at, and the rule says to close then.
    Unreadable(&'static str),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Trouble {
        Trouble::Malformed(malformed)
    }
}

/// What one or more cells are of the input.
#[derive(Debug, Clone, Copy)]
struct Packed {
    /// The first cell; those after it up to the next of these follow it in the input as in the area.
    cell: u32,
    value: Value,
    form: PackedForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PackedForm {
    /// The input's bytes, and nobody has looked yet whether they mean something else.
    AsIs,
    /// The input's bytes, which mean themselves.
    Plain,
    Decoded,
}

/// What one pass over a buffer writes to.
pub(crate) struct Target<'a> {
    pub input: &'a mut [u8],
    pub splice: &'a mut Splice,
    pub tally: &'a mut Tally,
    pub rules: &'a RuleSet,
}

/// The frame that rows come in, for errors.
const ROW: &str = "DataRow";

/// What is known about a column that nobody described.
const UNKNOWN: ColumnPlan = ColumnPlan {
    act: Act::Unreadable,
    passed_bytes_max: 0,
    kind: Kind::Other,
    format: Format::Text,
    as_is: None,
    context: Context::NONE,
};

/// Buffers of one core, empty between two calls.
#[derive(Default)]
pub(crate) struct Redactor {
    cells: Cells,
    packed: Vec<Packed>,
    /// Cells that were packed once more, in order.
    again: Vec<u32>,
    /// The last cell that was replaced by a finding in it.
    gone: Option<u32>,
    found: Vec<CellFinding>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) scan: scan::Scratch,
    decoded: Vec<u8>,
    map: Vec<u32>,
    /// The cell that `map` and `walk` are about, while findings are applied.
    mapped: Option<u32>,
    walk: Walk,
    elements: Vec<Element>,
    /// For text that goes into the record.
    pub(crate) shown: Vec<u8>,
}

impl Redactor {
    /// Takes in the row in `frame` of the input. Hidden columns are masked at once, the others wait for [`Redactor::flush`].
    pub(crate) fn row(&mut self, plan: &Plan, frame: Range<usize>, target: &mut Target<'_>) -> Result<(), Trouble> {
        let mut at = frame.start + 7;
        let count = target
            .input
            .get(frame.start + 5..at)
            .ok_or(Malformed::Truncated { place: ROW })?;
        let count = usize::from(u16::from_be_bytes([count[0], count[1]]));
        if let Some(columns) = &plan.columns
            && columns.len() != count
        {
            return Err(Malformed::Value {
                place: ROW,
                value: count as i64,
            }
            .into());
        }
        let columns = plan.columns.as_deref().unwrap_or_default();
        let mut index = 0;
        while let Some(len) = next_value(columns, count, &mut index, target.input, &mut at, frame.end)? {
            let holder = Holder::Counted {
                frame: frame.start as u32,
                length: at as u32 - 4,
            };
            let column = columns.get(index).unwrap_or(&UNKNOWN);
            match column.as_is {
                Some(escaping) => {
                    let value = Value {
                        start: at as u32,
                        end: (at + len) as u32,
                        holder,
                        place: Place::Column(index as u16),
                        kind: column.kind,
                        format: column.format,
                        escaping,
                    };
                    self.pack_as_is(value, column.context, target.input);
                }
                None => self.cell(column, Place::Column(index as u16), at..at + len, holder, target)?,
            }
            at += len;
            index += 1;
        }
        self.flush_if_full(target)
    }

    /// Takes in one value of a row.
    #[inline]
    pub(crate) fn cell(
        &mut self,
        column: &ColumnPlan,
        place: Place,
        range: Range<usize>,
        holder: Holder,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let value = Value {
            start: range.start as u32,
            end: range.end as u32,
            holder,
            place,
            kind: column.kind,
            format: column.format,
            escaping: Escaping::None,
        };
        match column.act {
            Act::Skip => Ok(()),
            Act::Scan => self.look(value, column.context, target),
            Act::Hide(rule) => {
                if let Some(action) = target.rules.columns.get(&rule) {
                    hide(value, action, Finder::Column, target);
                }
                Ok(())
            }
            Act::HideUnattributed => {
                if let Some(action) = &target.rules.unattributed {
                    hide(value, action, Finder::Unattributed, target);
                }
                Ok(())
            }
            Act::Deny | Act::Unreadable => unreadable(value, "the columns of a result are not known", target),
        }
    }

    /// Packs a value to be looked at. A rule set without a scanner has nothing to look with.
    pub(crate) fn scan_value(
        &mut self,
        value: Value,
        context: Context,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let len = (value.end - value.start) as usize;
        if len <= passed_when_scanned(value.kind, value.format, target.rules) {
            return Ok(());
        }
        self.look(value, context, target)
    }

    #[inline]
    fn look(&mut self, mut value: Value, context: Context, target: &mut Target<'_>) -> Result<(), Trouble> {
        let range = value.start as usize..value.end as usize;
        let bytes = target.input.get(range).unwrap_or_default();
        if value.format == Format::Binary {
            match value.kind {
                Kind::Int | Kind::Numeric => {
                    self.number(value, context, bytes, target.rules);
                    return self.flush_if_full(target);
                }
                Kind::Array | Kind::NumberArray | Kind::Composite | Kind::NumberRange | Kind::Other => {
                    return self.nested(value, context, target);
                }
                // A version byte, then the text.
                Kind::Jsonb => value.start += 1,
                _ => {}
            }
        }
        self.pack(value, context, target.input, target.rules.finding_bytes_min);
        self.flush_if_full(target)
    }

    /// Packs a value that mostly means what its bytes say; [`Redactor::unfold_marked`] looks at the others.
    #[inline]
    fn pack_as_is(&mut self, value: Value, context: Context, input: &[u8]) {
        self.note(value, PackedForm::AsIs);
        self.cells
            .push_part(input, value.start as usize..value.end as usize, context);
    }

    /// Packs the fields of a line of COPY data, which `ends` part, in order and counted from its first byte.
    #[inline]
    pub(crate) fn pack_line(&mut self, line: Value, ends: &[u32], input: &[u8]) {
        self.note(line, PackedForm::AsIs);
        let bytes = input.get(line.start as usize..line.end as usize).unwrap_or_default();
        self.cells.push_fields(bytes, ends);
    }

    /// Number of packed cells.
    pub(crate) fn packed_cells(&self) -> usize {
        self.cells.len()
    }

    /// Overwrites a packed cell that says nothing.
    pub(crate) fn blank(&mut self, cell: usize) {
        self.cells.blank(cell);
    }

    /// Says what the name of its column says of a cell; in the order of the cells.
    pub(crate) fn set_context(&mut self, cell: usize, context: Context) {
        self.cells.set_context(cell, context);
    }

    /// Writes down what the cell that is packed next is.
    #[inline]
    fn note(&mut self, value: Value, form: PackedForm) {
        let cell = self.cells.len() as u32;
        self.packed.push(Packed { cell, value, form });
    }

    fn pack(&mut self, mut value: Value, context: Context, input: &[u8], bytes_min: usize) {
        let bytes = input.get(value.start as usize..value.end as usize).unwrap_or_default();
        let (escaping, marks) = written(&value, bytes);
        value.escaping = escaping;
        let decoded = is_decoded(escaping, marks, bytes);
        if decoded {
            self.decoded.clear();
            rewriter::unfold(value.escaping, bytes, marks, &mut self.decoded, &mut self.map);
            self.note(value, PackedForm::Decoded);
            self.cells.push(&self.decoded, 0, context);
        } else {
            self.note(value, PackedForm::Plain);
            self.cells.push(bytes, 0, context);
        }
        if marks.hex && escaping != Escaping::Bytea {
            self.hex_runs(value, context, bytes, bytes_min);
        }
    }

    /// Packs values again, decoded, that were packed as they are and have something written in another way.
    fn unfold_marked(&mut self, target: &mut Target<'_>) {
        let end = self.cells.area_bytes();
        let (mut from, mut cell, mut near) = (0, 0, 0);
        while let Some(at) = self
            .cells
            .area()
            .get(from..end)
            .and_then(|area| memchr::memchr2(b'\\', b'&', area))
        {
            cell = self.cells.at(from + at, cell);
            from = self.cells.range(cell).end;
            near = self.entry(cell, near);
            let Some(packed) = self.packed.get(near).filter(|packed| packed.form == PackedForm::AsIs) else {
                continue;
            };
            let value = self.value(packed, cell);
            let bytes = target
                .input
                .get(value.start as usize..value.end as usize)
                .unwrap_or_default();
            let (escaping, marks) = written(&value, bytes);
            if !is_decoded(escaping, marks, bytes) && !marks.hex {
                continue;
            }
            let context = self.cells.context(cell);
            self.cells.blank(cell);
            self.again.push(cell as u32);
            self.pack(value, context, target.input, target.rules.finding_bytes_min);
        }
    }

    /// Which of `packed` a cell belongs to; `near` is one that begins at or before it.
    #[inline]
    fn entry(&self, cell: usize, near: usize) -> usize {
        let is_before = |at: usize| self.packed.get(at).is_some_and(|packed| packed.cell as usize <= cell);
        let near = if is_before(near) { near } else { 0 };
        let mut step = 1;
        while is_before(near + step) {
            step *= 2;
        }
        let low = near + step / 2;
        let rest = self.packed.get(low..self.packed.len().min(near + step));
        low + rest.map_or(0, |rest| rest.partition_point(|packed| packed.cell as usize <= cell)) - 1
    }

    /// What a cell of `packed` is of the input.
    #[inline]
    fn value(&self, packed: &Packed, cell: usize) -> Value {
        let mut value = packed.value;
        if packed.form == PackedForm::AsIs {
            let (cell, first) = (self.cells.range(cell), self.cells.range(packed.cell as usize));
            value.start += (cell.start - first.start) as u32;
            value.end = value.start + cell.len() as u32;
        }
        value
    }

    /// Bytea values that are written inside of text: each is looked at on its own, and keeps its length.
    #[cold]
    fn hex_runs(&mut self, value: Value, context: Context, bytes: &[u8], bytes_min: usize) {
        let mut from = 0;
        while let Some(run) = rewriter::hex_run(bytes, from, bytes_min) {
            from = run.end;
            let digits = bytes.get(run.clone()).unwrap_or_default();
            self.decoded.clear();
            rewriter::decode(Escaping::Bytea, digits, &mut self.decoded, &mut self.map);
            let part = Value {
                start: value.start + run.start as u32,
                end: value.start + run.end as u32,
                holder: Holder::Fixed,
                kind: Kind::Bytea,
                format: Format::Text,
                escaping: Escaping::Bytea,
                ..value
            };
            self.note(part, PackedForm::Decoded);
            self.cells.push(&self.decoded, 0, context);
        }
    }

    fn number(&mut self, value: Value, context: Context, bytes: &[u8], rules: &RuleSet) {
        self.decoded.clear();
        let spelled = rewriter::decimal(value.kind, bytes, &mut self.decoded);
        if spelled && self.decoded.len() >= rules.number_bytes_min {
            self.note(value, PackedForm::Decoded);
            self.cells.push(&self.decoded, 0, context);
        }
    }

    /// A binary value made of others: each is looked at on its own, and keeps its length.
    fn nested(&mut self, value: Value, context: Context, target: &mut Target<'_>) -> Result<(), Trouble> {
        let mut elements = std::mem::take(&mut self.elements);
        elements.clear();
        let bytes = target
            .input
            .get(value.start as usize..value.end as usize)
            .unwrap_or_default();
        if rewriter::elements(value.kind, bytes, &mut elements).is_err() {
            self.elements = elements;
            return unreadable(value, "a nested value does not follow its format", target);
        }
        for element in &elements {
            let start = value.start + element.offset as u32;
            let part = Value {
                start,
                end: start + element.bytes as u32,
                kind: element.kind,
                holder: Holder::Fixed,
                ..value
            };
            let number = is_packed_number(part.kind, part.format);
            if element.kind.is_never_scanned(element.bytes) || element.bytes < target.rules.finding_bytes_min && !number
            {
                continue;
            }
            match element.kind {
                Kind::Int | Kind::Numeric => {
                    let bytes = target
                        .input
                        .get(part.start as usize..part.end as usize)
                        .unwrap_or_default();
                    self.number(part, context, bytes, target.rules);
                }
                Kind::Jsonb => self.pack(
                    Value {
                        start: start + 1,
                        ..part
                    },
                    context,
                    target.input,
                    target.rules.finding_bytes_min,
                ),
                _ => self.pack(part, context, target.input, target.rules.finding_bytes_min),
            }
        }
        self.elements = elements;
        self.flush_if_full(target)
    }

    pub(crate) fn flush_if_full(&mut self, target: &mut Target<'_>) -> Result<(), Trouble> {
        if self.cells.area_bytes() > PACKED_BYTES_MAX {
            self.flush(target);
        }
        Ok(())
    }

    /// Looks at everything that was packed, and masks what is found.
    pub(crate) fn flush(&mut self, target: &mut Target<'_>) {
        if self.packed.is_empty() {
            return;
        }
        if let Some(scanner) = &target.rules.scanner {
            self.unfold_marked(target);
            self.found.clear();
            scanner.scan_cells(&self.cells, &mut self.scan, &mut self.found);
            let found = std::mem::take(&mut self.found);
            (self.mapped, self.gone) = (None, None);
            let mut near = 0;
            for finding in &found {
                near = self.entry(finding.cell as usize, near);
                self.apply(finding, near, target);
            }
            self.found = found;
        }
        self.cells.clear();
        self.packed.clear();
        self.again.clear();
        self.decoded.clear();
        self.decoded.shrink_to(DECODED_KEPT_BYTES_MAX);
        self.map.clear();
        self.map.shrink_to(DECODED_KEPT_BYTES_MAX / size_of::<u32>());
    }

    /// Masks one finding; `entry` says which of `packed` its cell belongs to.
    fn apply(&mut self, finding: &CellFinding, entry: usize, target: &mut Target<'_>) {
        let action = target.rules.action(finding.detector);
        let Some(packed) = self.packed.get(entry) else {
            return;
        };
        // What is found in the NULs that a cell was overwritten with is nothing.
        if self.again.binary_search(&finding.cell).is_ok() {
            return;
        }
        target
            .tally
            .add(Finder::Detector(finding.detector), packed.value.place, action.enforce);
        if !action.enforce || self.gone == Some(finding.cell) {
            return;
        }
        let value = self.value(packed, finding.cell as usize);
        let decoded = packed.form == PackedForm::Decoded;
        let may_grow = value.holder != Holder::Fixed;
        if matches!(action.mask, Mask::Null) && may_grow || is_packed_number(value.kind, value.format) {
            self.gone = Some(finding.cell);
            return replace_whole(value, action, target);
        }
        if self.mapped != Some(finding.cell) {
            // Once for a cell: after the first mask, its bytes mean something else.
            (self.mapped, self.walk) = (Some(finding.cell), Walk::default());
            if decoded && value.kind != Kind::Bytea {
                let raw = target
                    .input
                    .get(value.start as usize..value.end as usize)
                    .unwrap_or_default();
                self.decoded.clear();
                rewriter::unfold(value.escaping, raw, Marks::of(raw), &mut self.decoded, &mut self.map);
            }
        }
        let len = (value.end - value.start) as usize;
        let at = |i: u32| match (decoded, value.kind) {
            (false, _) => i as usize,
            (true, Kind::Bytea) => (2 + 2 * i as usize).min(len),
            (true, _) => self.map.get(i as usize).map_or(len, |at| *at as usize),
        };
        let span = at(finding.start)..at(finding.end);
        let raw = target
            .input
            .get(value.start as usize..value.end as usize)
            .unwrap_or_default();
        let in_range = value.kind == Kind::Other && value.format == Format::Text && rewriter::is_range_like(raw);
        // The brackets of a label would be those of the range.
        let mask = match action.mask_of(finding.detector) {
            Mask::Encoded => &Mask::Encoded,
            _ if in_range => &Mask::Full,
            mask => mask,
        };
        let plain = value.kind.is_free_text() && value.escaping == Escaping::None && !decoded
            || mask.is_plain() && matches!(value.holder, Holder::Framed { .. }) && !decoded;
        if may_grow && !mask.keeps_length() && plain {
            return replace_span(value, action, span, target);
        }
        let bytes = target
            .input
            .get_mut(value.start as usize..value.end as usize)
            .unwrap_or_default();
        let how = (value.kind, value.escaping);
        rewriter::mask_span(how, mask, &action.label, bytes, span, &mut self.walk);
    }
}

/// Passes over the values of a row at which nobody has to look, from column `index` with its length at `at` on. Stops at the
/// first other one: `at` is its first byte, the result its length. `None` at the end of the row, which is at `end`.
#[inline]
fn next_value(
    columns: &[ColumnPlan],
    count: usize,
    index: &mut usize,
    input: &[u8],
    at: &mut usize,
    end: usize,
) -> Result<Option<usize>, Malformed> {
    let mut rest = input.get(*at..end).ok_or(Malformed::Truncated { place: ROW })?;
    while *index < count {
        let (length, values) = rest
            .split_first_chunk::<4>()
            .ok_or(Malformed::Truncated { place: ROW })?;
        let length = i32::from_be_bytes(*length);
        rest = values;
        let Ok(len) = usize::try_from(length) else {
            if length == -1 {
                *index += 1;
                continue;
            }
            return Err(Malformed::Length {
                place: ROW,
                announced: length.into(),
                min: 0,
                max: values.len(),
            });
        };
        let after = rest.get(len..).ok_or(Malformed::Truncated { place: ROW })?;
        if len > columns.get(*index).map_or(0, |column| column.passed_bytes_max) {
            *at = end - rest.len();
            return Ok(Some(len));
        }
        rest = after;
        *index += 1;
    }
    if !rest.is_empty() {
        return Err(Malformed::Trailing {
            place: ROW,
            bytes: rest.len(),
        });
    }
    Ok(None)
}

/// How the characters of a value are written: by its type, and by signs in it.
fn written(value: &Value, bytes: &[u8]) -> (Escaping, Marks) {
    let escaping = match value.escaping {
        Escaping::None => value.kind.escaping(value.format, bytes.first().copied()),
        known => known,
    };
    // Only a few kinds of values that begin like a bytea are one.
    let is_other = escaping == Escaping::Bytea && !Escaping::Bytea.applies(bytes);
    (if is_other { Escaping::None } else { escaping }, Marks::of(bytes))
}

/// Whether a value has to be decoded before it is looked at.
fn is_decoded(escaping: Escaping, marks: Marks, bytes: &[u8]) -> bool {
    escaping.applies(bytes) || marks.unicode || marks.reference
}

fn is_packed_number(kind: Kind, format: Format) -> bool {
    kind.is_number() && format == Format::Binary
}

/// Masks a whole value by a rule that asks for that.
pub(crate) fn hide(value: Value, action: &Action, finder: Finder, target: &mut Target<'_>) {
    target.tally.add(finder, value.place, action.enforce);
    if action.enforce {
        replace_whole(value, action, target);
    }
}

/// As [`hide`], for a field of textual COPY data, where NULL is `null` and only plain text may stand.
pub(crate) fn hide_field(value: Value, action: &Action, finder: Finder, null: &[u8], target: &mut Target<'_>) {
    target.tally.add(finder, value.place, action.enforce);
    if !action.enforce {
        return;
    }
    let range = value.start as usize..value.end as usize;
    if matches!(action.mask, Mask::Null) {
        patch(value.holder, null.len() as i64 - range.len() as i64, target.input);
        return target.splice.replace(range, null);
    }
    if !action.mask.keeps_length() && action.mask.is_plain() {
        return replace_span(value, action, 0..range.len(), target);
    }
    let bytes = target.input.get_mut(range).unwrap_or_default();
    rewriter::mask_text(
        if action.mask.keeps_length() {
            &action.mask
        } else {
            &Mask::Label
        },
        &action.label,
        bytes,
    );
}

/// A value that cannot be looked at: the rules say what becomes of it.
pub(crate) fn unreadable(value: Value, why: &'static str, target: &mut Target<'_>) -> Result<(), Trouble> {
    match target.rules.on_error {
        OnError::Close => return Err(Trouble::Unreadable(why)),
        OnError::Pass => target.tally.add(Finder::Unreadable, value.place, false),
        OnError::BlankField => hide(value, &target.rules.blank, Finder::Unreadable, target),
    }
    Ok(())
}

fn replace_whole(value: Value, action: &Action, target: &mut Target<'_>) {
    let range = value.start as usize..value.end as usize;
    let bytes = target.input.get_mut(range.clone()).unwrap_or_default();
    match rewriter::whole(value.kind, value.format, &action.mask, &action.label, bytes) {
        Whole::InPlace => {}
        Whole::Bytes(new) if value.holder != Holder::Fixed => {
            patch(value.holder, new.len() as i64 - range.len() as i64, target.input);
            target.splice.replace(range, &new);
        }
        Whole::Null => match value.holder {
            Holder::Counted { frame, length } => {
                patch(Holder::Framed { frame }, -(range.len() as i64), target.input);
                if let Some(length) = target.input.get_mut(length as usize..length as usize + 4) {
                    length.copy_from_slice(&(-1i32).to_be_bytes());
                }
                target.splice.remove(range);
            }
            Holder::Tuple { frame, length } => {
                patch(Holder::Framed { frame }, -(range.len() as i64) - 4, target.input);
                if let Some(kind) = target.input.get_mut(length as usize - 1) {
                    *kind = b'n';
                }
                target.splice.remove(length as usize..range.end);
            }
            Holder::Framed { .. } | Holder::Fixed => fill_in_place(value, action, target.input),
        },
        Whole::Bytes(_) => fill_in_place(value, action, target.input),
    }
}

/// The last resort where the length must stay: masked as text, whatever the type; digits for numbers.
fn fill_in_place(value: Value, action: &Action, input: &mut [u8]) {
    let bytes = input
        .get_mut(value.start as usize..value.end as usize)
        .unwrap_or_default();
    match (value.kind, value.format) {
        (Kind::Text | Kind::Xml | Kind::Other | Kind::Json | Kind::Jsonb, _) | (_, Format::Text) => {
            let len = bytes.len();
            let how = (value.kind, value.escaping);
            rewriter::mask_span(how, &Mask::Label, &action.label, bytes, 0..len, &mut Walk::default());
        }
        _ => bytes.fill(0),
    }
}

fn replace_span(value: Value, action: &Action, span: Range<usize>, target: &mut Target<'_>) {
    let range = value.start as usize + span.start..value.start as usize + span.end;
    let found = target.input.get(range.clone()).unwrap_or_default();
    let grown = target.splice.write(range.clone(), |arena| {
        let before = arena.len();
        action.mask.append(&action.label, found, arena);
        arena.len() - before
    });
    patch(value.holder, grown as i64 - range.len() as i64, target.input);
}

/// Adds `delta` to the lengths around a value.
fn patch(holder: Holder, delta: i64, input: &mut [u8]) {
    let mut add = |at: usize| {
        if let Some(word) = input.get_mut(at..at + 4).and_then(|word| word.first_chunk_mut::<4>()) {
            *word = ((i64::from(i32::from_be_bytes(*word)) + delta) as i32).to_be_bytes();
        }
    };
    match holder {
        Holder::Fixed => {}
        Holder::Framed { frame } => add(frame as usize + 1),
        Holder::Counted { frame, length } | Holder::Tuple { frame, length } => {
            add(frame as usize + 1);
            add(length as usize);
        }
    }
}
