//! Masks that leave a value valid for its type and format.

use std::ops::Range;

use super::escape::Escaping;
use super::kind::Kind;
use crate::edit::{MASK_BYTE, Mask};
use crate::postgres::message::Format;

/// What takes the place of a whole value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// The value was changed in place.
    InPlace,
    /// These bytes, of another length.
    Bytes(Vec<u8>),
    Null,
}

/// Masks a whole value in place where its length can stay, else says what takes its place. `version` bytes and the
/// like, which a binary format needs, are kept.
pub fn whole(kind: Kind, format: Format, mask: &Mask, label: &str, value: &mut [u8]) -> Whole {
    if matches!(mask, Mask::Null) {
        return Whole::Null;
    }
    match format {
        Format::Text => whole_text(kind, mask, label, value),
        Format::Binary => whole_binary(kind, mask, label, value),
    }
}

/// Whether the text of a value of no known type has a form that a label would break: an array, a composite, an hstore.
fn is_structured(value: &[u8]) -> bool {
    match value.first() {
        Some(b'{' | b'(') => true,
        Some(b'"') => memchr::memmem::find(value, b"\"=>").is_some(),
        _ => false,
    }
}

fn whole_text(kind: Kind, mask: &Mask, label: &str, value: &mut [u8]) -> Whole {
    match kind {
        Kind::Text | Kind::Xml => return free(mask, label, value),
        Kind::Other if !is_structured(value) => return free(mask, label, value),
        Kind::Json | Kind::Jsonb => whole_json(mask, label, value),
        Kind::Bytea => match value.split_at_mut_checked(2) {
            Some((_, hex)) => hex.fill(b'0'),
            None => value.fill(b'0'),
        },
        Kind::Bool => value.fill(b'f'),
        Kind::Int | Kind::Float | Kind::Bit => value.fill(b'0'),
        Kind::Numeric => fill_except(value, b".", b'0'),
        Kind::Money => value.iter_mut().filter(|b| b.is_ascii_digit()).for_each(|b| *b = b'0'),
        Kind::Uuid => fill_except(value, b"-/", b'0'),
        Kind::Mac => fill_except(value, b":", b'0'),
        Kind::Date => return exactly(b"2000-01-01", value),
        Kind::Timestamp => return exactly(b"2000-01-01 00:00:00", value),
        Kind::TimestampTz => return exactly(b"2000-01-01 00:00:00+00", value),
        Kind::Time | Kind::Interval => return exactly(b"00:00:00", value),
        Kind::TimeTz => return exactly(b"00:00:00+00", value),
        Kind::Inet => return exactly(b"0.0.0.0", value),
        Kind::Array | Kind::NumberArray | Kind::PlainArray => return exactly(b"{}", value),
        Kind::Range | Kind::NumberRange => return exactly(b"empty", value),
        Kind::Geometry | Kind::Composite | Kind::Other => return Whole::Null,
    }
    Whole::InPlace
}

fn whole_binary(kind: Kind, mask: &Mask, label: &str, value: &mut [u8]) -> Whole {
    match kind {
        Kind::Text | Kind::Xml => return free(mask, label, value),
        Kind::Json => whole_json(mask, label, value),
        Kind::Jsonb => whole_json(mask, label, value.get_mut(1..).unwrap_or_default()),
        Kind::Bytea | Kind::Uuid | Kind::Mac | Kind::Int | Kind::Float | Kind::Bool | Kind::Money => value.fill(0),
        Kind::Date | Kind::Time | Kind::TimeTz | Kind::Timestamp | Kind::TimestampTz | Kind::Interval => value.fill(0),
        Kind::Geometry => return Whole::Null,
        Kind::Numeric => return numeric_zero(value),
        // Family, bits, whether a network, address length; then the address.
        Kind::Inet => value.get_mut(4..).unwrap_or_default().fill(0),
        // Number of bits; then the bits.
        Kind::Bit => value.get_mut(4..).unwrap_or_default().fill(0),
        Kind::Array | Kind::NumberArray | Kind::PlainArray => return Whole::Null,
        Kind::Composite | Kind::Range | Kind::NumberRange | Kind::Other => {
            return Whole::Null;
        }
    }
    Whole::InPlace
}

fn free(mask: &Mask, label: &str, value: &mut [u8]) -> Whole {
    if mask.keeps_length() {
        mask.overwrite(label, value);
        return Whole::InPlace;
    }
    let mut out = Vec::new();
    mask.append(label, value, &mut out);
    Whole::Bytes(out)
}

/// A JSON string of the same length; too short for quotes, a number.
fn whole_json(mask: &Mask, label: &str, value: &mut [u8]) {
    match value {
        [first, inner @ .., last] => {
            (*first, *last) = (b'"', b'"');
            // What `partial` keeps could be half of an escape or a quote.
            match mask {
                Mask::Full | Mask::Partial { .. } => inner.fill(MASK_BYTE),
                _ => mask.overwrite(label, inner),
            }
        }
        short => short.fill(b'0'),
    }
}

fn exactly(text: &[u8], value: &mut [u8]) -> Whole {
    if value.len() != text.len() {
        return Whole::Bytes(text.to_vec());
    }
    value.copy_from_slice(text);
    Whole::InPlace
}

fn fill_except(value: &mut [u8], keep: &[u8], byte: u8) {
    value.iter_mut().filter(|b| !keep.contains(b)).for_each(|b| *b = byte);
}

// Binary numeric (`numeric_send` in the server's sources): four 16-bit numbers, then digits in base 10,000.
//
//   | digits u16 | weight i16 | sign u16 | scale u16 | digit u16 ... |
const NUMERIC_HEADER_BYTES: usize = 8;
const NUMERIC_NEGATIVE: u16 = 0x4000;
/// Digits groups that are spelled out; no detector looks for longer numbers.
const NUMERIC_GROUPS_MAX: usize = 64;

/// Spells a binary numeric out in decimal. `None` if it has no digits or is not valid.
pub(super) fn numeric_digits(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    use std::io::Write;
    let (header, digits) = value.split_at_checked(NUMERIC_HEADER_BYTES)?;
    let word = |i: usize| header.get(i * 2..i * 2 + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    let (count, weight, sign, scale) = (usize::from(word(0)?), word(1)? as i16, word(2)?, usize::from(word(3)?));
    if sign & !NUMERIC_NEGATIVE != 0 || count == 0 || digits.len() != count * 2 || weight < 0 {
        return None;
    }
    let groups = usize::from(weight.unsigned_abs()) + 1;
    if groups > NUMERIC_GROUPS_MAX {
        return None;
    }
    let group = |i: usize| {
        digits
            .get(i * 2..i * 2 + 2)
            .map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
    };
    write!(out, "{}", group(0)).ok()?;
    for i in 1..groups {
        write!(out, "{:04}", group(i)).ok()?;
    }
    if scale > 0 && count > groups {
        let start = out.len() + 1;
        out.push(b'.');
        for i in groups..count.min(groups + NUMERIC_GROUPS_MAX) {
            write!(out, "{:04}", group(i)).ok()?;
        }
        out.truncate(start + scale.min(out.len() - start));
    }
    Some(())
}

/// Zero with the same header and as many digit groups.
fn numeric_zero(value: &mut [u8]) -> Whole {
    let Some((header, digits)) = value.split_at_mut_checked(NUMERIC_HEADER_BYTES) else {
        return Whole::Null;
    };
    if let Some(sign) = header.get_mut(4..6) {
        sign.fill(0);
    }
    digits.fill(0);
    Whole::InPlace
}

/// How far a value's syntax was followed, so that many spans of one value are masked in one walk over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walk {
    at: usize,
    /// Inside quotes.
    inside: bool,
}

/// Masks `span` of a value in text form (or of a binary value that is text), keeping its length and the syntax around it.
/// Several spans of a value are masked in their order, with one `walk`, which is new for each value.
pub fn mask_span(
    (kind, escaping): (Kind, Escaping),
    mask: &Mask,
    label: &str,
    value: &mut [u8],
    span: Range<usize>,
    walk: &mut Walk,
) {
    match (kind, escaping) {
        // All digits: a bound that was masked alone could be above the other.
        (Kind::Range | Kind::NumberRange, _) => zero_digits(value, 0..value.len()),
        (Kind::Int | Kind::Numeric | Kind::NumberArray, _) => zero_digits(value, span),
        (Kind::Inet | Kind::Mac, _) => zero_alphanumerics(value, span),
        (_, Escaping::Json) => json_span(mask, label, value, span, walk),
        (_, Escaping::Bytea) => hex_span(label, value, span),
        (_, Escaping::Array | Escaping::Composite | Escaping::Csv { .. }) => {
            quoted_span(escaping, mask, label, value, span, walk)
        }
        _ => mask_text(mask, label, value.get_mut(span).unwrap_or_default()),
    }
}

/// Masks free text in place.
pub fn mask_text(mask: &Mask, label: &str, text: &mut [u8]) {
    mask.overwrite(label, text);
}

fn zero_digits(value: &mut [u8], span: Range<usize>) {
    let span = value.get_mut(span).unwrap_or_default();
    span.iter_mut().filter(|b| b.is_ascii_digit()).for_each(|b| *b = b'0');
}

fn zero_alphanumerics(value: &mut [u8], span: Range<usize>) {
    let span = value.get_mut(span).unwrap_or_default();
    span.iter_mut()
        .filter(|b| b.is_ascii_alphanumeric())
        .for_each(|b| *b = b'0');
}

/// Two hexadecimal digits for each byte of the label mask; `span` counts digits.
fn hex_span(label: &str, value: &mut [u8], span: Range<usize>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = value.get_mut(span).unwrap_or_default();
    let mut plain = vec![0; digits.len() / 2];
    Mask::Label.overwrite(label, &mut plain);
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(plain) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
}

/// Masks the parts of `span` that are inside JSON strings, and the whole of every number that it touches: spaces and a
/// zero, which is the same length and still a number. Structure stays.
fn json_span(mask: &Mask, label: &str, value: &mut [u8], span: Range<usize>, walk: &mut Walk) {
    let end = span.end.min(value.len());
    while walk.at < end {
        let at = walk.at;
        if walk.inside {
            let close = string_end(value.get(..end).unwrap_or_default(), at);
            walk.inside = close >= end;
            walk.at = close + usize::from(!walk.inside);
            let part = span.start.max(at)..close.min(end);
            if part.start < part.end {
                mask_text(string_mask(mask), label, value.get_mut(part).unwrap_or_default());
            }
            continue;
        }
        match value.get(at).copied().unwrap_or(0) {
            b'"' => (walk.at, walk.inside) = (at + 1, true),
            b'0'..=b'9' | b'-' => {
                let rest = value.get(at..).unwrap_or_default();
                let len = rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
                    .count();
                if at + len > span.start
                    && let Some(number) = value.get_mut(at..at + len)
                {
                    number.fill(b' ');
                    if let Some(last) = number.last_mut() {
                        *last = b'0';
                    }
                }
                walk.at += len.max(1);
            }
            // Outside strings and numbers there is only structure and three words. Anything else is not JSON, and goes.
            other => {
                let structure = b"{}[],:".contains(&other) || other.is_ascii_whitespace();
                if at >= span.start
                    && !structure
                    && let Some(byte) = value.get_mut(at)
                {
                    *byte = MASK_BYTE;
                }
                walk.at += 1;
            }
        }
    }
}

/// What `partial` keeps at the end of a string could be half of an escape.
fn string_mask(mask: &Mask) -> &Mask {
    if matches!(mask, Mask::Partial { .. }) {
        &Mask::Label
    } else {
        mask
    }
}

/// Where the string that began before `at` ends: at its quote, or at or after the end of `value`, behind the escape there.
fn string_end(value: &[u8], mut at: usize) -> usize {
    while let Some(byte) = value.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Masks `span` of a literal and puts back the quotes that belong to its syntax. A quote or separator inside quotes is
/// content and goes.
fn quoted_span(escaping: Escaping, mask: &Mask, label: &str, value: &mut [u8], span: Range<usize>, walk: &mut Walk) {
    let mut syntax: Vec<(usize, u8)> = Vec::new();
    let (quote, escape) = match escaping {
        Escaping::Csv { quote, escape } => (quote, escape),
        _ => (b'"', b'\\'),
    };
    while walk.at < span.end.min(value.len()) {
        let (at, inside) = (walk.at, walk.inside);
        let byte = value.get(at).copied().unwrap_or(0);
        let next = value.get(at + 1).copied();
        let doubled = escaping == Escaping::Composite && inside && byte == quote && next == Some(quote);
        let escaped = byte == escape && (escape != quote || (inside && next == Some(quote)));
        if doubled || escaped && next.is_some() {
            walk.at += 2;
            continue;
        }
        let separates = !inside && !matches!(escaping, Escaping::Csv { .. }) && b"{}(),".contains(&byte);
        if byte == quote || separates {
            walk.inside ^= byte == quote;
            if span.contains(&at) {
                syntax.push((at, byte));
            }
        }
        walk.at += 1;
    }
    mask_text(string_mask(mask), label, value.get_mut(span).unwrap_or_default());
    for (at, byte) in syntax {
        if let Some(slot) = value.get_mut(at) {
            *slot = byte;
        }
    }
}
