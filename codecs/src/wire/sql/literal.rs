//! What a quoted token stands for: escapes and doubled quotes taken out.

use super::lexer::Kind;

/// The text that a string token stands for. Bytes that do not make UTF-8 become replacement characters.
pub(super) fn string_value(kind: Kind, raw: &[u8]) -> String {
    match kind {
        Kind::DollarString => dollar_value(raw),
        Kind::EscapeString => lossy(segments(raw, escape_value)),
        Kind::UnicodeString => unicode_value(&lossy(segments(raw, doubled_value)), '\\'),
        _ => lossy(segments(raw, doubled_value)),
    }
}

/// The name that `"…"` stands for.
pub(super) fn identifier_value(raw: &[u8]) -> String {
    let inside = raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\""));
    lossy(undouble(inside.unwrap_or_default(), b'"'))
}

/// The name that `U&"…"` stands for, escapes not yet read.
pub(super) fn unicode_identifier_raw(raw: &[u8]) -> String {
    identifier_value(raw.get(2..).unwrap_or_default())
}

/// Reads the escapes `\XXXX` and `\+XXXXXX` (PostgreSQL documentation 4.1.2.3), with `escape` for the
/// backslash. An escape that is not valid stays as it is written: the server refuses such a text.
pub(super) fn unicode_value(text: &str, escape: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(at) = rest.find(escape) {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + escape.len_utf8()..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix(escape) {
            out.push(escape);
            rest = after;
            continue;
        }
        let (digits, length) = match rest.strip_prefix('+') {
            Some(after) => (after.get(..6), 7),
            None => (rest.get(..4), 4),
        };
        let Some(code) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else {
            out.push(escape);
            continue;
        };
        rest = rest.get(length..).unwrap_or_default();
        push_code(&mut out, code, &mut high);
    }
    out.push_str(rest);
    out
}

/// Appends a code point; the two halves of a surrogate pair make one.
fn push_code(out: &mut String, code: u32, high: &mut Option<u32>) {
    if (0xd800..0xdc00).contains(&code) {
        *high = Some(code);
        return;
    }
    let code = match (high.take(), code) {
        (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00),
        _ => code,
    };
    out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
}

fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn dollar_value(raw: &[u8]) -> String {
    let rest = raw.get(1..).unwrap_or_default();
    let tag = memchr::memchr(b'$', rest).map_or(raw.len(), |at| at + 2);
    let end = raw.len().saturating_sub(tag);
    lossy(raw.get(tag..end).unwrap_or_default().to_vec())
}

fn undouble(inside: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr::memchr(quote, rest) {
        out.extend_from_slice(rest.get(..=at).unwrap_or_default());
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// Takes a string token apart into its quoted segments (a string goes on after white space with a newline)
/// and joins what `value` makes of them.
fn segments(raw: &[u8], value: fn(&[u8], &mut Vec<u8>) -> usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(open) = opening(rest) {
        let inside = rest.get(open + 1..).unwrap_or_default();
        let closed = value(inside, &mut out);
        rest = inside.get(closed + 1..).unwrap_or_default();
    }
    out
}

/// Place of the next opening quote. Between segments there may be line comments, which may hold quotes.
fn opening(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'\'', _) => return Some(at),
            (b'-', Some(b'-')) => {
                at += memchr::memchr2(b'\n', b'\r', text.get(at..)?)?;
            }
            _ => at += 1,
        }
    }
}

/// Value of a segment without backslash escapes; gives the place of its closing quote.
fn doubled_value(inside: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(byte) = inside.get(at) {
        if *byte == b'\'' {
            if inside.get(at + 1) != Some(&b'\'') {
                return at;
            }
            at += 1;
        }
        out.push(*byte);
        at += 1;
    }
    inside.len()
}

/// Value of a segment with backslash escapes (PostgreSQL documentation 4.1.2.2); gives the place of its
/// closing quote.
fn escape_value(inside: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(byte) = inside.get(at) {
        match (byte, inside.get(at + 1)) {
            (b'\'', Some(b'\'')) => {
                out.push(b'\'');
                at += 2;
            }
            (b'\'', _) => return at,
            (b'\\', Some(code)) => {
                let digits = inside.get(at + 2..).unwrap_or_default();
                at += 2 + escape(*code, digits, out);
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    inside.len()
}

/// Appends what `\code` stands for; gives how many of the bytes after it belong to it.
fn escape(code: u8, after: &[u8], out: &mut Vec<u8>) -> usize {
    match code {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'0'..=b'7' => {
            let (more, used) = number(after, 8, 2);
            let first = u32::from(code - b'0') << (3 * used as u32);
            out.push((first + more) as u8);
            return used;
        }
        b'x' => {
            let (value, used) = number(after, 16, 2);
            out.push(if used == 0 { b'x' } else { value as u8 });
            return used;
        }
        b'u' | b'U' => {
            let (value, used) = number(after, 16, if code == b'u' { 4 } else { 8 });
            let decoded = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
            return used;
        }
        other => out.push(other),
    }
    0
}

fn number(digits: &[u8], radix: u32, length_max: usize) -> (u32, usize) {
    let mut value = 0u32;
    let mut used = 0;
    while used < length_max {
        let digit = digits.get(used).and_then(|b| (*b as char).to_digit(radix));
        let Some(digit) = digit else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        used += 1;
    }
    (value, used)
}
