//! Tables in text as they stream by (RFC 4180, and its kin with semicolons or tabs): each field is a value of its own, with the name
//! in the first record as its context; columns that a rule names are masked whole.

use scan::Context;

use super::body::{Sink, Unreadable};
use super::limits::{CSV_COLUMNS_MAX, CSV_FIELD_BYTES_MAX};
use crate::judge::tally::{Finder, Place};
use crate::policy::redaction::Action;

/// Reads one table.
#[derive(Debug, Default)]
pub(super) struct Csv {
    /// The field at hand as it came, with its quotes.
    raw: Vec<u8>,
    quotes: Quotes,
    /// What separates fields; told by the first record.
    delimiter: Option<u8>,
    names: Vec<String>,
    in_body: bool,
    column: usize,
}

/// Where in the quotes of a field the place is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// No byte of the field came.
    #[default]
    Start,
    Outside,
    Inside,
    /// A quote inside: the end, or the first half of a doubled one.
    Quote,
}

impl Csv {
    pub fn feed(&mut self, input: &[u8], last: bool, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        for byte in input {
            if self.quotes != Quotes::Inside && self.ends(*byte) {
                self.field(sink, out)?;
                out.push(*byte);
                self.next(*byte);
                continue;
            }
            self.quotes = match (self.quotes, byte) {
                (Quotes::Start, b'"') | (Quotes::Quote, b'"') => Quotes::Inside,
                (Quotes::Inside, b'"') => Quotes::Quote,
                (Quotes::Inside, _) => Quotes::Inside,
                _ => Quotes::Outside,
            };
            self.raw.push(*byte);
            if self.raw.len() > CSV_FIELD_BYTES_MAX {
                return Err(Unreadable("a field of the table is too long"));
            }
        }
        if last {
            self.field(sink, out)?;
        }
        Ok(())
    }

    /// Whether a byte outside of quotes ends the field.
    fn ends(&mut self, byte: u8) -> bool {
        match (byte, self.delimiter) {
            (b'\n' | b'\r', _) => true,
            (b',' | b';' | b'\t', None) => {
                self.delimiter = Some(byte);
                true
            }
            (byte, Some(delimiter)) => byte == delimiter,
            _ => false,
        }
    }

    fn next(&mut self, byte: u8) {
        self.quotes = Quotes::Start;
        if byte == b'\n' || byte == b'\r' {
            self.in_body = self.in_body || !self.names.is_empty();
            self.column = 0;
        } else {
            self.column += 1;
        }
    }

    /// A field that is complete.
    fn field(&mut self, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let raw = std::mem::take(&mut self.raw);
        let quoted = raw.first() == Some(&b'"');
        let value = if quoted { unquoted(&raw) } else { raw.clone() };
        // An empty line before the first record is none.
        let is_nothing = raw.is_empty() && self.names.is_empty() && self.delimiter.is_none();
        if !(self.in_body || is_nothing) {
            if self.names.len() >= CSV_COLUMNS_MAX {
                return Err(Unreadable("the table has too many columns"));
            }
            let name = String::from_utf8_lossy(&value);
            self.names.push(name.trim_start_matches('\u{feff}').trim().to_owned());
        }
        let mut masked = Vec::new();
        let changed = if self.in_body
            && let Some(action) = self.hiding(sink)
        {
            sink.tally.add(Finder::Column, Place::Body, action.enforce);
            if action.enforce && !value.is_empty() {
                action.mask.append(&action.label, &value, &mut masked);
                true
            } else {
                false
            }
        } else {
            mask(&value, self.context(sink), sink, &mut masked)
        };
        match changed {
            true => self.put(&masked, quoted, out),
            false => out.extend_from_slice(&raw),
        }
        // The room is used again.
        self.raw = raw;
        self.raw.clear();
        Ok(())
    }

    /// Appends a value that is new, in quotes where it had or needs them.
    fn put(&self, value: &[u8], quoted: bool, out: &mut Vec<u8>) {
        let special = |b: &u8| matches!(b, b'"' | b'\r' | b'\n') || Some(*b) == self.delimiter;
        if !quoted && !value.iter().any(special) {
            return out.extend_from_slice(value);
        }
        out.push(b'"');
        for byte in value {
            if *byte == b'"' {
                out.push(b'"');
            }
            out.push(*byte);
        }
        out.push(b'"');
    }

    fn hiding<'r>(&self, sink: &Sink<'r>) -> Option<&'r Action> {
        let name = self.names.get(self.column)?;
        let named = sink.rules.csv.iter();
        let mut named = named.filter(|(column, _)| column.eq_ignore_ascii_case(name));
        named.next().map(|(_, action)| action)
    }

    fn context(&self, sink: &Sink<'_>) -> Context {
        let name = self
            .names
            .get(self.column)
            .filter(|name| self.in_body && !name.is_empty());
        match (&sink.rules.scanner, name) {
            (Some(scanner), Some(name)) => scanner.context_of(name),
            _ => Context::default(),
        }
    }
}

/// Appends the value with its findings masked; false: there were none, and nothing was appended.
fn mask(value: &[u8], context: Context, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> bool {
    if !sink.scan(value, context) {
        return false;
    }
    let findings = std::mem::take(&mut sink.redactor.findings);
    let (mut at, mut changed) = (0, false);
    for finding in &findings {
        if !sink.count(finding) {
            continue;
        }
        changed = true;
        let action = sink.rules.action(finding.detector);
        let (start, end) = (finding.start as usize, finding.end as usize);
        out.extend_from_slice(value.get(at..start).unwrap_or_default());
        let found = value.get(start..end).unwrap_or_default();
        action.mask.append(&action.label, found, out);
        at = end;
    }
    if changed {
        out.extend_from_slice(value.get(at..).unwrap_or_default());
    } else {
        out.clear();
    }
    sink.redactor.findings = findings;
    changed
}

/// The value of a field that begins with a quote; what follows the closing one belongs to it.
fn unquoted(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut inside = true;
    let mut rest = raw.get(1..).unwrap_or_default();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' if inside && after.first() == Some(&b'"') => {
                value.push(b'"');
                rest = after.get(1..).unwrap_or_default();
            }
            b'"' if inside => inside = false,
            byte => value.push(*byte),
        }
    }
    value
}
