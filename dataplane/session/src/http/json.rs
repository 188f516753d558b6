//! JSON as it streams by (RFC 8259): strings are unescaped before they are looked at, and escaped again where they change.
//!
//! A string that holds no finding leaves byte for byte as it came, unless it is longer than is collected; then it is escaped anew,
//! which means the same. What is no JSON is refused: nobody could say what its reader will see in it.

use scan::Context;

use super::body::{Sink, TextReader, Unreadable};
use super::limits::{JSON_DEPTH_MAX, JSON_KEY_BYTES_MAX, JSON_SCALAR_BYTES_MAX, JSON_STRING_COLLECTED_BYTES_MAX};
use super::policy::Level;
use crate::judge::tally::{Finder, Place};
use crate::policy::redaction::Action;

/// Reads one JSON text, or several after each other.
#[derive(Debug, Default)]
pub(super) struct Json {
    place: Where,
    /// Containers around the place.
    stack: Vec<Container>,
    /// Everything from this depth on is hidden by the rule of this index.
    hidden: Option<(usize, usize)>,
}

#[derive(Debug, Default)]
enum Where {
    #[default]
    Between,
    /// A number or word.
    Scalar(Vec<u8>),
    /// A string, without its quotes, as it came; `escape`: the last byte was an open backslash.
    String { raw: Vec<u8>, escape: bool },
    /// A string that is too long to be collected: undecided escape, and the stream over what is decoded.
    Long {
        rest: Vec<u8>,
        escape: bool,
        text: Box<TextReader>,
    },
}

#[derive(Debug)]
struct Container {
    is_object: bool,
    /// Name of the member at hand.
    key: Vec<u8>,
    /// The next string is a name.
    wants_key: bool,
}

impl Json {
    pub fn feed(&mut self, input: &[u8], last: bool, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut at = 0;
        while let Some(left) = input.get(at..).filter(|left| !left.is_empty()) {
            at += match &mut self.place {
                Where::Between => self.between(left, sink, out)?,
                Where::Scalar(_) => self.scalar(left, sink, out)?,
                Where::String { .. } | Where::Long { .. } => self.string(left, sink, out)?,
            };
        }
        if last {
            match self.place {
                Where::Between => {}
                Where::Scalar(_) => self.scalar_ends(sink, out)?,
                _ => return Err(Unreadable("the JSON ends inside a string")),
            }
        }
        Ok(())
    }

    /// Structure and space; returns how many bytes were dealt with.
    fn between(&mut self, left: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<usize, Unreadable> {
        for (index, byte) in left.iter().enumerate() {
            match byte {
                b'"' => {
                    out.extend_from_slice(left.get(..=index).unwrap_or_default());
                    self.place = Where::String {
                        raw: Vec::new(),
                        escape: false,
                    };
                    return Ok(index + 1);
                }
                b'{' | b'[' => self.open(*byte == b'{', sink)?,
                b'}' | b']' => self.close(*byte == b'}')?,
                b',' => {
                    if let Some(container) = self.stack.last_mut() {
                        container.wants_key = container.is_object;
                    }
                }
                b':' => {
                    if let Some(container) = self.stack.last_mut() {
                        container.wants_key = false;
                    }
                }
                b' ' | b'\t' | b'\n' | b'\r' | 0x1e => {}
                _ => {
                    out.extend_from_slice(left.get(..index).unwrap_or_default());
                    self.place = Where::Scalar(Vec::new());
                    return Ok(index);
                }
            }
        }
        out.extend_from_slice(left);
        Ok(left.len())
    }

    fn open(&mut self, is_object: bool, sink: &Sink<'_>) -> Result<(), Unreadable> {
        if self.stack.len() >= JSON_DEPTH_MAX {
            return Err(Unreadable("the JSON is nested too deeply"));
        }
        if self.hidden.is_none()
            && let Some(rule) = self.rule(sink)
        {
            self.hidden = Some((self.stack.len(), rule));
        }
        self.stack.push(Container {
            is_object,
            key: Vec::new(),
            wants_key: is_object,
        });
        Ok(())
    }

    fn close(&mut self, is_object: bool) -> Result<(), Unreadable> {
        match self.stack.pop() {
            Some(container) if container.is_object == is_object => {}
            _ => return Err(Unreadable("brackets of the JSON do not match")),
        }
        if self.hidden.is_some_and(|(depth, _)| self.stack.len() <= depth) {
            self.hidden = None;
        }
        Ok(())
    }

    /// The JSON path rule that the value at hand falls under.
    fn rule(&self, sink: &Sink<'_>) -> Option<usize> {
        if sink.rules.json.is_empty() {
            return None;
        }
        let levels: Vec<Level<'_>> = self
            .stack
            .iter()
            .map(|container| match container.is_object {
                true => Level::Name(&container.key),
                false => Level::Element,
            })
            .collect();
        sink.rules.json.iter().position(|(path, _)| path.fits(&levels))
    }

    fn hiding<'r>(&self, sink: &Sink<'r>) -> Option<&'r Action> {
        let index = match self.hidden {
            Some((_, rule)) => Some(rule),
            None => self.rule(sink),
        };
        sink.rules.json.get(index?).map(|(_, action)| action)
    }

    fn context(&self, sink: &Sink<'_>) -> Context {
        let key = self.stack.last().filter(|container| container.is_object);
        match (&sink.rules.scanner, key.and_then(|c| std::str::from_utf8(&c.key).ok())) {
            (Some(scanner), Some(key)) if !key.is_empty() => scanner.context_of(key),
            _ => Context::default(),
        }
    }

    fn scalar(&mut self, left: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<usize, Unreadable> {
        let Where::Scalar(held) = &mut self.place else {
            return Ok(0);
        };
        let end = left
            .iter()
            .position(|b| b.is_ascii_whitespace() || b"{}[],:\"\x1e".contains(b))
            .unwrap_or(left.len());
        held.extend_from_slice(left.get(..end).unwrap_or_default());
        if held.len() > JSON_SCALAR_BYTES_MAX {
            return Err(Unreadable("a number of the JSON is too long"));
        }
        if end < left.len() {
            self.scalar_ends(sink, out)?;
        }
        Ok(end)
    }

    fn scalar_ends(&mut self, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let Where::Scalar(held) = std::mem::take(&mut self.place) else {
            return Ok(());
        };
        let is_word = matches!(held.as_slice(), b"true" | b"false" | b"null");
        let is_number = held.iter().all(|b| b.is_ascii_digit() || b"+-.eE".contains(b));
        if !is_word && !is_number {
            return Err(Unreadable("a word that is no JSON"));
        }
        if let Some(action) = self.hiding(sink) {
            sink.tally.add(Finder::Column, Place::Body, action.enforce);
            if action.enforce {
                out.extend_from_slice(if is_number { b"0" } else { b"null" });
                return Ok(());
            }
        }
        let context = self.context(sink);
        let mut masked = false;
        if is_number && held.len() >= sink.rules.number_bytes_min && sink.scan(&held, context) {
            let findings = std::mem::take(&mut sink.redactor.findings);
            masked = findings
                .iter()
                .fold(false, |masked, finding| sink.count(finding) | masked);
            sink.redactor.findings = findings;
        }
        out.extend_from_slice(if masked { b"0" } else { &held });
        Ok(())
    }

    fn string(&mut self, left: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<usize, Unreadable> {
        let (held, escape) = match &mut self.place {
            Where::String { raw, escape } => (raw, escape),
            Where::Long { rest, escape, .. } => (rest, escape),
            _ => return Ok(0),
        };
        let (mut end, mut ended) = (left.len(), false);
        for (index, byte) in left.iter().enumerate() {
            match byte {
                _ if *escape => *escape = false,
                b'\\' => *escape = true,
                b'"' => {
                    (end, ended) = (index, true);
                    break;
                }
                0..0x20 => return Err(Unreadable("a control character in a JSON string")),
                _ => {}
            }
        }
        held.extend_from_slice(left.get(..end).unwrap_or_default());
        if matches!(self.place, Where::String { .. }) {
            self.collected(ended, sink, out)?;
        }
        if matches!(self.place, Where::Long { .. }) {
            self.long(ended, sink, out)?;
        }
        if ended {
            out.push(b'"');
            self.place = Where::Between;
            return Ok(end + 1);
        }
        Ok(end)
    }

    /// A collected string that has ended, or that is too long to go on with.
    fn collected(&mut self, ended: bool, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let Where::String { raw, escape } = &mut self.place else {
            return Ok(());
        };
        if raw.len() <= JSON_STRING_COLLECTED_BYTES_MAX {
            if ended {
                let raw = std::mem::take(raw);
                self.whole(&raw, sink, out)?;
            }
            return Ok(());
        }
        self.place = Where::Long {
            rest: std::mem::take(raw),
            escape: *escape,
            text: Box::default(),
        };
        Ok(())
    }

    fn whole(&mut self, raw: &[u8], sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let is_key = self.stack.last().is_some_and(|container| container.wants_key);
        let mut decoded = Vec::new();
        let escaped = raw.contains(&b'\\');
        let mut map = Vec::new();
        if escaped {
            let taken = unescape(raw, true, &mut decoded, Some(&mut map))?;
            debug_assert_eq!(taken, raw.len());
        }
        let value: &[u8] = if escaped { &decoded } else { raw };
        if is_key {
            if let Some(container) = self.stack.last_mut() {
                container.key.clear();
                let name = value.get(..value.len().min(JSON_KEY_BYTES_MAX)).unwrap_or_default();
                container.key.extend_from_slice(name);
            }
        } else if let Some(action) = self.hiding(sink) {
            sink.tally.add(Finder::Column, Place::Body, action.enforce);
            if action.enforce {
                let mut masked = Vec::new();
                action.mask.append(&action.label, value, &mut masked);
                escape(&masked, out);
                return Ok(());
            }
        }
        let context = if is_key { Context::default() } else { self.context(sink) };
        if !sink.scan(value, context) {
            out.extend_from_slice(raw);
            return Ok(());
        }
        let findings = std::mem::take(&mut sink.redactor.findings);
        // Places in `value` as places in `raw`.
        let place = |at: usize| match escaped {
            true => map.get(at).map_or(raw.len(), |place| *place as usize),
            false => at,
        };
        let mut at = 0;
        let mut masked = Vec::new();
        for finding in &findings {
            if !sink.count(finding) {
                continue;
            }
            let action = sink.rules.action(finding.detector);
            let (start, end) = (finding.start as usize, finding.end as usize);
            out.extend_from_slice(raw.get(at..place(start)).unwrap_or_default());
            masked.clear();
            let mask = action.mask_of(finding.detector);
            mask.append(&action.label, value.get(start..end).unwrap_or_default(), &mut masked);
            escape(&masked, out);
            at = place(end);
        }
        out.extend_from_slice(raw.get(at..).unwrap_or_default());
        sink.redactor.findings = findings;
        Ok(())
    }

    /// The next part of a string that is looked at as a stream.
    fn long(&mut self, ended: bool, sink: &mut Sink<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let is_key = self.stack.last().is_some_and(|container| container.wants_key);
        if is_key {
            return Err(Unreadable("a name of the JSON is too long"));
        }
        let context = self.context(sink);
        let hiding = self.hiding(sink).filter(|action| action.enforce);
        let Where::Long { rest, text, .. } = &mut self.place else {
            return Ok(());
        };
        let mut decoded = Vec::new();
        let taken = unescape(rest, ended, &mut decoded, None)?;
        rest.drain(..taken);
        if hiding.is_some() {
            if ended {
                sink.tally.add(Finder::Column, Place::Body, true);
            }
            out.resize(out.len() + decoded.len(), codecs::edit::MASK_BYTE);
            return Ok(());
        }
        text.advance(&decoded, ended, context, sink, |piece, masked, _| {
            escape(masked.unwrap_or(piece), out);
        });
        Ok(())
    }
}

/// Unescapes as much as is whole; returns how much that is. `map` gets, for every byte, where what it stands for begins.
fn unescape(raw: &[u8], last: bool, out: &mut Vec<u8>, mut map: Option<&mut Vec<u32>>) -> Result<usize, Unreadable> {
    const WRONG: Unreadable = Unreadable("a broken escape in a JSON string");
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        let begin = out.len();
        let mut taken = 1;
        if *byte != b'\\' {
            out.push(*byte);
        } else {
            let rest = raw.get(at + 1..).unwrap_or_default();
            let plain = match rest.first() {
                None if last => return Err(WRONG),
                None => return Ok(at),
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(other @ (b'"' | b'\\' | b'/')) => *other,
                Some(b'u') => 0,
                Some(_) => return Err(WRONG),
            };
            taken = 2;
            if plain != 0 {
                out.push(plain);
            } else {
                // A pair of surrogates is twelve bytes; wait for all of them.
                if rest.len() < 11 && !last {
                    return Ok(at);
                }
                let (character, len) = unicode(rest).ok_or(WRONG)?;
                taken = 1 + len;
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
        if let Some(map) = map.as_deref_mut() {
            map.resize(map.len() + out.len() - begin, at as u32);
        }
        at += taken;
    }
    Ok(at)
}

/// `uXXXX`, or a pair of them; its bytes from the `u` on. A lone surrogate is the replacement character.
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let hex = |at: usize| -> Option<u32> {
        let digits = rest.get(at..at + 4)?;
        digits
            .iter()
            .try_fold(0, |value, digit| Some(value << 4 | (*digit as char).to_digit(16)?))
    };
    let first = hex(1)?;
    if (0xd800..0xdc00).contains(&first)
        && rest.get(5..7) == Some(b"\\u")
        && let Some(second) = hex(7).filter(|second| (0xdc00..0xe000).contains(second))
    {
        let character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        return Some((character?, 11));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5))
}

/// Appends text as it stands inside of a JSON string.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(*byte),
        }
    }
}
