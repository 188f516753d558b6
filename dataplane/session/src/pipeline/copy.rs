//! COPY towards the client: rows are told apart whatever frames they come in, and fields are looked at like cells.
//!
//! A frame that begins and ends with a row is masked where it lies. Others are held back until a row is complete, and
//! leave as frames of whole rows.

use std::ops::Range;

use codecs::malformed::Malformed;
use codecs::postgres::message::{Format, encode};
use codecs::postgres::rewriter::{self, Escaping, Kind};
use codecs::splice::{Pieces, Splice};
use codecs::wire::sql::{CopyFormat, CopySpec};
use scan::Context;

use crate::judge::redact::{self, Holder, Redactor, Target, Trouble, Value};
use crate::judge::tally::{Finder, Place};
use crate::limits::{FRAME_BUFFERED_BYTES_MAX, VALUE_COLLECTED_BYTES_MAX};
use crate::session::Session;

/// Bytes of a CopyData frame before its payload.
const HEADER_BYTES: usize = 5;
/// "PGCOPY\n\377\r\n\0", flags, length of the extension (PostgreSQL documentation, COPY, "Binary Format").
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const BINARY_HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// How the data is written.
#[derive(Debug, Clone, Copy)]
enum Syntax {
    Text { delimiter: u8 },
    Csv { delimiter: u8, quote: u8, escape: u8 },
    Binary,
}

/// What happens to a field.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// Index of the column rule.
    hide: Option<usize>,
    context: Context,
}

/// A COPY to the client that is under way.
#[derive(Debug)]
pub(crate) struct CopyOut {
    syntax: Syntax,
    null: Vec<u8>,
    /// The next row is the names of the columns.
    header: bool,
    /// The binary header is still to come.
    preamble: bool,
    /// By position, where names are known.
    fields: Vec<Field>,
    /// Rows whose end has not come.
    held: Vec<u8>,
    searched: Searched,
    /// Fields whose column has a telling name.
    telling: Vec<(usize, Context)>,
    parts: Parts,
}

/// Rows without quotes: one byte parts fields, and one may take the meaning of the byte behind it.
#[derive(Debug, Clone, Copy)]
struct PlainRows {
    delimiter: u8,
    escape: u8,
    escaping: Escaping,
}

/// Splits a payload by the places of the bytes that matter in it.
#[derive(Debug, Default)]
struct Parts {
    /// The first `kept` are ends of fields, counted from their line; those from `read` on have not been looked at.
    places: Vec<u32>,
    kept: usize,
    read: usize,
}

/// A line of a payload.
struct Line {
    /// Which of [`Parts::places`] part its fields.
    ends: Range<usize>,
    /// Where it ends.
    end: usize,
    /// Fields that are NULL.
    nulls: smallvec::SmallVec<[usize; 8]>,
}

impl Parts {
    fn look(&mut self, payload: &[u8], plain: PlainRows) {
        self.places.clear();
        scan::places_of(payload, [plain.delimiter, plain.escape, b'\n'], &mut self.places);
        (self.kept, self.read) = (0, 0);
    }

    /// The line at `start`.
    fn line(&mut self, payload: &[u8], start: usize, plain: PlainRows, null: &[u8]) -> Line {
        let mut line = Line {
            ends: self.kept..self.kept,
            end: payload.len(),
            nulls: smallvec::SmallVec::new(),
        };
        // Where the field begins, and the byte that an escape has taken the meaning of.
        let (mut field, mut taken) = (start, usize::MAX);
        while let Some(at) = self.places.get(self.read).map(|place| *place as usize) {
            self.read += 1;
            let byte = payload.get(at).copied().unwrap_or(b'\n');
            if byte == b'\n' {
                line.end = at;
                break;
            }
            if at == taken {
                continue;
            }
            if byte == plain.delimiter {
                // Over a place that was read.
                if let Some(slot) = self.places.get_mut(self.kept) {
                    *slot = (at - start) as u32;
                }
                self.kept += 1;
                field = at + 1;
                continue;
            }
            taken = at + 1;
            let behind = payload.get(at + null.len()).copied().unwrap_or(b'\n');
            let is_over = behind == plain.delimiter || behind == b'\n';
            if at == field && is_over && payload.get(at..at + null.len()) == Some(null) {
                line.nulls.push(self.kept - line.ends.start);
            }
        }
        line.ends.end = self.kept;
        line
    }
}

/// How far a row's end was looked for in what is held, so that no byte is looked at twice.
#[derive(Debug, Clone, Copy, Default)]
struct Searched {
    at: usize,
    /// Inside a quoted field.
    inside: bool,
}

impl CopyOut {
    /// The state at CopyOutResponse. `None` if no rule applies.
    pub(super) fn begin(session: &Session, columns: usize, binary: bool) -> Option<CopyOut> {
        let rules = session.running.rules.as_deref().or(session.rules.as_deref())?;
        let current = session.inspector.current();
        let spec = current.and_then(|current| current.statement.as_ref()?.part(current.index)?.copy.clone());
        let syntax = match spec.as_deref() {
            _ if binary => Syntax::Binary,
            Some(CopySpec {
                format: CopyFormat::Csv,
                delimiter,
                quote,
                escape,
                ..
            }) => Syntax::Csv {
                delimiter: *delimiter,
                quote: *quote,
                escape: *escape,
            },
            Some(spec) => Syntax::Text {
                delimiter: spec.delimiter,
            },
            None => Syntax::Text { delimiter: b'\t' },
        };
        let names: &[String] = spec.as_deref().map_or(&[], |spec| &spec.columns);
        let table = spec.as_deref().and_then(|spec| spec.table.as_ref());
        let field = |index: usize| {
            let name = names.get(index).map_or("", String::as_str);
            let hide = session.connection.columns.iter().position(|column| {
                column.column == name
                    && table.is_some_and(|table| {
                        table.name == column.table && table.schema.as_ref().is_none_or(|s| *s == column.schema)
                    })
            });
            let context = rules
                .scanner
                .as_ref()
                .map_or_else(Context::default, |scanner| scanner.context_of(name));
            Field {
                hide: hide.filter(|index| rules.columns.contains_key(index)),
                context,
            }
        };
        let fields: Vec<Field> = (0..columns).map(field).collect();
        let telling = fields.iter().enumerate().map(|(index, field)| (index, field.context));
        Some(CopyOut {
            telling: telling.filter(|(_, context)| *context != Context::NONE).collect(),
            parts: Parts::default(),
            syntax,
            null: spec
                .as_deref()
                .map_or_else(|| b"\\N".to_vec(), |spec| spec.null.clone()),
            header: spec.as_deref().is_some_and(|spec| spec.header),
            preamble: binary,
            fields,
            held: Vec::new(),
            searched: Searched::default(),
        })
    }

    /// Whether part of a row is held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether any column is masked as a whole.
    pub(super) fn hides(&self) -> bool {
        self.fields.iter().any(|field| field.hide.is_some())
    }

    /// Takes in a CopyData frame.
    pub(super) fn frame(
        &mut self,
        frame: Range<usize>,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let payload = target
            .input
            .get(frame.start + HEADER_BYTES..frame.end)
            .unwrap_or_default();
        if self.held.is_empty() && self.whole_rows(payload, &mut Searched::default())? == payload.len() {
            return self.rows(frame, redactor, target);
        }
        self.held.extend_from_slice(payload);
        let mut searched = self.searched;
        let whole = self.whole_rows(&self.held, &mut searched)?;
        searched.at -= whole.min(searched.at);
        self.searched = searched;
        if self.held.len() - whole > VALUE_COLLECTED_BYTES_MAX {
            return Err(Trouble::Unreadable("a COPY row is too large"));
        }
        let rest = self.held.split_off(whole);
        let rows = std::mem::replace(&mut self.held, rest);
        self.release(frame, rows, redactor, target)
    }

    /// The data is over: what is left is looked at as if it were complete, and leaves in front of `at`.
    pub(super) fn finish(
        &mut self,
        at: usize,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let rest = std::mem::take(&mut self.held);
        self.release(at..at, rest, redactor, target)
    }

    /// Puts a frame of these rows, masked, in the place of `frame`.
    fn release(
        &mut self,
        frame: Range<usize>,
        rows: Vec<u8>,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        if rows.is_empty() {
            target.splice.remove(frame);
            return Ok(());
        }
        // The packed cells of the input are done first: the buffer of these rows is another one.
        redactor.flush(target);
        let mut buffer = Vec::with_capacity(rows.len() + HEADER_BYTES);
        encode::copy_data(&mut buffer, &rows).map_err(|_| Trouble::Unreadable("a COPY row is too large"))?;
        let mut splice = Splice::new();
        let end = buffer.len();
        let mut own = Target {
            input: &mut buffer,
            splice: &mut splice,
            tally: target.tally,
            rules: target.rules,
        };
        self.rows(0..end, redactor, &mut own)?;
        redactor.flush(&mut own);
        let mut pieces = Pieces::new();
        let arena = splice.finish(end, &mut pieces);
        target.splice.write(frame, |out| {
            for piece in &pieces {
                out.extend_from_slice(match piece {
                    codecs::splice::Piece::Kept(range) => buffer.get(range.clone()).unwrap_or_default(),
                    codecs::splice::Piece::New(range) => arena.get(range.clone()).unwrap_or_default(),
                });
            }
        });
        Ok(())
    }

    /// How many bytes of `data`, which begins with a row, are whole rows. Goes on where `searched` left off.
    fn whole_rows(&self, data: &[u8], searched: &mut Searched) -> Result<usize, Malformed> {
        match self.syntax {
            Syntax::Text { .. } => {
                let fresh = data.get(searched.at..).unwrap_or_default();
                let whole = memchr::memrchr(b'\n', fresh).map_or(0, |end| searched.at + end + 1);
                searched.at = data.len();
                Ok(whole)
            }
            Syntax::Csv { quote, .. }
                if !searched.inside && memchr::memchr(quote, data.get(searched.at..).unwrap_or_default()).is_none() =>
            {
                let fresh = data.get(searched.at..).unwrap_or_default();
                let whole = memchr::memrchr(b'\n', fresh).map_or(0, |end| searched.at + end + 1);
                searched.at = data.len();
                Ok(whole)
            }
            Syntax::Csv { quote, escape, .. } => {
                let (mut at, mut whole) = (searched.at, 0);
                while let Some(&byte) = data.get(at) {
                    if searched.inside && byte == escape && escape != quote {
                        if at + 1 == data.len() {
                            break;
                        }
                        at += 2;
                        continue;
                    }
                    searched.inside ^= byte == quote;
                    at += 1;
                    if byte == b'\n' && !searched.inside {
                        whole = at;
                    }
                }
                searched.at = at;
                Ok(whole)
            }
            Syntax::Binary => {
                let mut at = 0;
                if self.preamble {
                    match binary_header(data)? {
                        Some(len) => at = len,
                        None => return Ok(0),
                    }
                }
                while let Some(len) = binary_row(data.get(at..).unwrap_or_default())? {
                    at += len;
                }
                Ok(at)
            }
        }
    }

    /// Masks the rows of a frame that holds nothing else.
    fn rows(&mut self, frame: Range<usize>, redactor: &mut Redactor, target: &mut Target<'_>) -> Result<(), Trouble> {
        let mut at = frame.start + HEADER_BYTES;
        if let Syntax::Binary = self.syntax {
            return self.binary_rows(frame, at, redactor, target);
        }
        if let Some(plain) = self.plain(at..frame.end, target) {
            self.plain_rows(plain, frame, redactor, target);
            return redactor.flush_if_full(target);
        }
        while at < frame.end {
            let line_end = self.line_end(target.input.get(at..frame.end).unwrap_or_default());
            let line = at..at + line_end;
            at = line.end;
            if std::mem::take(&mut self.header) {
                continue;
            }
            self.line(frame.start, line, redactor, target)?;
        }
        Ok(())
    }

    /// How rows can be split in one pass, if nothing in them but a backslash gives the parting bytes another meaning.
    fn plain(&self, rows: Range<usize>, target: &Target<'_>) -> Option<PlainRows> {
        // A longer word for NULL could be taken for something to mask.
        let null_says_nothing = self.null == b"\\N" || self.null.len() < target.rules.finding_bytes_min;
        if self.header || self.hides() || !null_says_nothing {
            return None;
        }
        let rows = target.input.get(rows).unwrap_or_default();
        match self.syntax {
            // Servers write a carriage return in a value as an escape.
            _ if memchr::memchr(b'\r', rows).is_some() => None,
            Syntax::Text { delimiter } => Some(PlainRows {
                delimiter,
                escape: b'\\',
                escaping: Escaping::Copy,
            }),
            Syntax::Csv {
                delimiter,
                quote,
                escape,
            } => memchr::memchr(quote, rows).is_none().then_some(PlainRows {
                delimiter,
                // No other byte has to be looked for.
                escape: delimiter,
                escaping: Escaping::Csv { quote, escape },
            }),
            Syntax::Binary => None,
        }
    }

    /// As [`CopyOut::rows`], by one look for what parts the fields.
    fn plain_rows(&mut self, plain: PlainRows, frame: Range<usize>, redactor: &mut Redactor, target: &mut Target<'_>) {
        let first = frame.start + HEADER_BYTES;
        let payload = target.input.get(first..frame.end).unwrap_or_default();
        let mut parts = std::mem::take(&mut self.parts);
        parts.look(payload, plain);
        let mut start = 0;
        while start < payload.len() {
            let Line { ends, end, nulls } = parts.line(payload, start, plain, &self.null);
            let line = Value {
                start: (first + start) as u32,
                end: (first + end) as u32,
                holder: Holder::Framed {
                    frame: frame.start as u32,
                },
                place: Place::Copy,
                kind: Kind::Text,
                format: Format::Text,
                escaping: plain.escaping,
            };
            let cell = redactor.packed_cells();
            let fields = ends.len();
            redactor.pack_line(line, parts.places.get(ends).unwrap_or_default(), target.input);
            for (index, context) in self.telling.iter().filter(|(index, _)| *index <= fields) {
                redactor.set_context(cell + index, *context);
            }
            nulls.iter().for_each(|index| redactor.blank(cell + index));
            start = end + 1;
        }
        self.parts = parts;
    }

    /// Length of the first line with its end.
    fn line_end(&self, data: &[u8]) -> usize {
        match self.syntax {
            Syntax::Csv { quote, escape, .. } => {
                let (mut at, mut inside) = (0, false);
                while let Some(&byte) = data.get(at) {
                    let escaped = inside && byte == escape && escape != quote;
                    inside ^= byte == quote;
                    at += 1 + usize::from(escaped);
                    if byte == b'\n' && !inside {
                        break;
                    }
                }
                at.min(data.len())
            }
            _ => memchr::memchr(b'\n', data).map_or(data.len(), |end| end + 1),
        }
    }

    fn line(
        &mut self,
        frame: usize,
        line: Range<usize>,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let mut content = target.input.get(line.clone()).unwrap_or_default();
        for end in [b'\n', b'\r'] {
            content = content.strip_suffix(&[end]).unwrap_or(content);
        }
        if content == b"\\." && matches!(self.syntax, Syntax::Text { .. }) {
            return Ok(());
        }
        let mut fields: smallvec::SmallVec<[Range<usize>; 16]> = smallvec::SmallVec::new();
        let (mut start, mut at, mut inside) = (0, 0, false);
        while let Some(&byte) = content.get(at) {
            match self.syntax {
                Syntax::Text { .. } if byte == b'\\' => at += 1,
                Syntax::Text { delimiter } if byte == delimiter => {
                    fields.push(start..at);
                    start = at + 1;
                }
                Syntax::Csv { quote, escape, .. } if inside && byte == escape && escape != quote => at += 1,
                Syntax::Csv { quote, .. } if byte == quote => inside ^= true,
                Syntax::Csv { delimiter, .. } if byte == delimiter && !inside => {
                    fields.push(start..at);
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        fields.push(start..content.len());
        // More fields than columns: the data is not what it was said to be.
        if fields.len() != self.fields.len() && self.hides() {
            return Err(Trouble::Unreadable(
                "a COPY row has another number of columns than announced",
            ));
        }
        for (index, field) in fields.iter().enumerate() {
            let range = line.start + field.start..line.start + field.end;
            if target.input.get(range.clone()) == Some(&self.null) {
                continue;
            }
            self.text_field(frame, index, range, redactor, target)?;
        }
        Ok(())
    }

    fn text_field(
        &self,
        frame: usize,
        index: usize,
        range: Range<usize>,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let escaping = match self.syntax {
            Syntax::Text { .. } => Escaping::Copy,
            Syntax::Csv { quote, escape, .. } => Escaping::Csv { quote, escape },
            Syntax::Binary => Escaping::None,
        };
        let field = self.fields.get(index).copied();
        let value = Value {
            start: range.start as u32,
            end: range.end as u32,
            holder: Holder::Framed { frame: frame as u32 },
            place: Place::Copy,
            kind: Kind::Text,
            format: Format::Text,
            escaping,
        };
        let context = field.map_or_else(Context::default, |field| field.context);
        match field
            .and_then(|field| field.hide)
            .and_then(|hide| target.rules.columns.get(&hide))
        {
            Some(action) => {
                // A label is the same in every syntax; what else was asked for might not be.
                redact::hide_field(value, action, Finder::Column, &self.null, target);
                Ok(())
            }
            None => redactor.scan_value(value, context, target),
        }
    }

    fn binary_rows(
        &mut self,
        frame: Range<usize>,
        mut at: usize,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        if std::mem::take(&mut self.preamble) {
            let data = target.input.get(at..frame.end).unwrap_or_default();
            at += binary_header(data)?.unwrap_or(data.len());
        }
        while at < frame.end {
            let row = target.input.get(at..frame.end).unwrap_or_default();
            let Some(count) = row.first_chunk::<2>() else {
                return Ok(());
            };
            let count = i16::from_be_bytes(*count);
            at += 2;
            for index in 0..usize::try_from(count).unwrap_or(0) {
                let length = target
                    .input
                    .get(at..at + 4)
                    .and_then(|length| length.first_chunk::<4>());
                let length = length.map_or(-1, |length| i32::from_be_bytes(*length));
                at += 4;
                let Ok(len) = usize::try_from(length) else { continue };
                self.binary_field(frame.start, index, at..at + len, redactor, target)?;
                at += len;
            }
        }
        Ok(())
    }

    fn binary_field(
        &self,
        frame: usize,
        index: usize,
        range: Range<usize>,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let field = self.fields.get(index).copied();
        let bytes = target.input.get(range.clone()).unwrap_or_default();
        let value = Value {
            start: range.start as u32,
            end: range.end as u32,
            holder: Holder::Counted {
                frame: frame as u32,
                length: range.start as u32 - 4,
            },
            place: Place::Copy,
            kind: untold(bytes),
            format: Format::Binary,
            escaping: Escaping::None,
        };
        let context = field.map_or_else(Context::default, |field| field.context);
        match field
            .and_then(|field| field.hide)
            .and_then(|hide| target.rules.columns.get(&hide))
        {
            Some(action) => {
                redact::hide(value, action, Finder::Column, target);
                Ok(())
            }
            None => redactor.scan_value(value, context, target),
        }
    }
}

/// The kind of a value in binary COPY data, which does not tell types: text if it reads so, a number if it can be nothing
/// else that is common, else whatever its bytes say they are.
fn untold(bytes: &[u8]) -> Kind {
    /// Card numbers have 13 to 16 digits where they are kept as numbers. Times in microseconds have 15 as well, from 8 on,
    /// which begins no card; floating point numbers look like integers of 19 digits.
    const DIGITS: std::ops::Range<i64> = 1_000_000_000_000..10_000_000_000_000_000;
    if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
        return Kind::Text;
    }
    let number = bytes.first_chunk::<8>().map(|first| i64::from_be_bytes(*first));
    if bytes.len() == 8 && number.is_some_and(|number| DIGITS.contains(&number.saturating_abs())) {
        return Kind::Int;
    }
    if bytes.len() > 8 && rewriter::decimal(Kind::Numeric, bytes, &mut Vec::new()) {
        return Kind::Numeric;
    }
    Kind::Other
}

/// Length of the header of binary COPY data. `None` if not all of it is there.
fn binary_header(data: &[u8]) -> Result<Option<usize>, Malformed> {
    const PLACE: &str = "binary COPY header";
    let Some(header) = data.get(..BINARY_HEADER_BYTES) else {
        return Ok(None);
    };
    let extension = header.last_chunk::<4>().map_or(0, |bytes| i32::from_be_bytes(*bytes));
    let max = FRAME_BUFFERED_BYTES_MAX;
    match usize::try_from(extension) {
        Ok(len) if header.starts_with(SIGNATURE) && len <= max => {
            Ok(Some(BINARY_HEADER_BYTES + len).filter(|whole| *whole <= data.len()))
        }
        _ => Err(Malformed::Length {
            place: PLACE,
            announced: extension.into(),
            min: 0,
            max,
        }),
    }
}

/// Length of the first row of binary COPY data, or of the trailer. `None` if not all of it is there.
fn binary_row(data: &[u8]) -> Result<Option<usize>, Malformed> {
    const PLACE: &str = "binary COPY row";
    let Some(count) = data.first_chunk::<2>() else {
        return Ok(None);
    };
    let mut at = 2;
    for _ in 0..i16::from_be_bytes(*count).max(0) {
        let Some(length) = data.get(at..at + 4).and_then(|length| length.first_chunk::<4>()) else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*length);
        at += 4;
        match usize::try_from(length) {
            Ok(len) => at += len,
            Err(_) if length == -1 => {}
            Err(_) => {
                return Err(Malformed::Length {
                    place: PLACE,
                    announced: length.into(),
                    min: 0,
                    max: data.len(),
                });
            }
        }
        if at > data.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}
