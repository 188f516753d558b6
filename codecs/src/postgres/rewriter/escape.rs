//! Escapes: values as they are meant, and where each of their bytes is written.

use std::ops::Range;

/// A way of writing text in which some characters stand for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Escaping {
    None,
    /// JSON strings (RFC 8259 section 7), anywhere in a document.
    Json,
    /// Character references (XML 1.0 section 4.1).
    Xml,
    /// Text that is, if it begins with `\x`, a bytea in hexadecimal (PostgreSQL documentation, "bytea Hex Format").
    Bytea,
    /// Array literals, and hstore: a backslash takes the next character as it is.
    Array,
    /// Composite and range literals: a backslash, or a quote doubled within quotes.
    Composite,
    /// COPY text format (PostgreSQL documentation, COPY, "Text Format").
    Copy,
    /// CSV with its quote and escape characters.
    Csv {
        quote: u8,
        escape: u8,
    },
    /// `\uXXXX` after any number of backslashes, wherever it stands: JSON inside of something else.
    Unicode,
}

impl Escaping {
    /// Whether `raw` has to be decoded before it is looked at. Cheap: most values have nothing escaped.
    #[inline]
    pub fn applies(self, raw: &[u8]) -> bool {
        match self {
            Escaping::None => false,
            Escaping::Json | Escaping::Array | Escaping::Copy => memchr::memchr(b'\\', raw).is_some(),
            Escaping::Xml => memchr::memchr(b'&', raw).is_some(),
            Escaping::Bytea => is_hex(raw),
            Escaping::Composite => memchr::memchr2(b'\\', b'"', raw).is_some(),
            Escaping::Csv { quote, .. } => memchr::memchr(quote, raw).is_some(),
            Escaping::Unicode => Marks::of(raw).unicode,
        }
    }
}

/// Signs that text is written inside of text, whatever the type around it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// `\u`, as JSON writes characters.
    pub unicode: bool,
    /// `&#`, as XML and HTML do.
    pub reference: bool,
    /// `\x`, which begins a bytea.
    pub hex: bool,
}

impl Marks {
    /// Looks for them. One pass, by vector instructions where there is nothing to find.
    #[inline]
    pub fn of(raw: &[u8]) -> Marks {
        let mut marks = Marks::default();
        for at in memchr::memchr2_iter(b'\\', b'&', raw) {
            match (raw.get(at), raw.get(at + 1)) {
                (Some(b'\\'), Some(b'u')) => marks.unicode = true,
                (Some(b'\\'), Some(b'x')) => marks.hex = true,
                (Some(b'&'), Some(b'#')) => marks.reference = true,
                _ => continue,
            }
            if marks.unicode && marks.reference && marks.hex {
                break;
            }
        }
        marks
    }
}

/// The first bytea in hexadecimal inside `raw` from `from` on: `\x` and at least `bytes_min` pairs of digits.
pub fn hex_run(raw: &[u8], from: usize, bytes_min: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let start = at + memchr::memchr(b'\\', raw.get(at..)?)?;
        let digits = raw.get(start + 2..).unwrap_or_default();
        let len = match raw.get(start + 1) {
            Some(b'x') => digits.iter().take_while(|b| b.is_ascii_hexdigit()).count() & !1,
            _ => 0,
        };
        if len >= 2 * bytes_min.max(1) {
            return Some(start..start + 2 + len);
        }
        at = start + 1;
    }
}

/// As [`decode`], through everything that the text is written in: `escaping` first, then the forms that [`Marks`] tells.
pub fn unfold(escaping: Escaping, raw: &[u8], marks: Marks, out: &mut Vec<u8>, map: &mut Vec<u32>) {
    let mut layers = [None; 3];
    let mut count = 0;
    for (layer, applies) in [
        (escaping, escaping.applies(raw)),
        (Escaping::Unicode, marks.unicode),
        (Escaping::Xml, marks.reference && escaping != Escaping::Xml),
    ] {
        if let Some(slot) = layers.get_mut(count).filter(|_| applies) {
            *slot = Some(layer);
            count += 1;
        }
    }
    let mut layers = layers.into_iter().flatten();
    decode(layers.next().unwrap_or(Escaping::None), raw, out, map);
    for layer in layers {
        let (inner, inner_map) = (std::mem::take(out), std::mem::take(map));
        decode(layer, &inner, out, map);
        for at in map.iter_mut() {
            *at = inner_map.get(*at as usize).copied().unwrap_or(raw.len() as u32);
        }
    }
}

/// Whether this is a bytea in hexadecimal.
fn is_hex(raw: &[u8]) -> bool {
    matches!(raw.strip_prefix(b"\\x"), Some(hex) if !hex.is_empty() && hex.len() % 2 == 0 && hex.iter().all(u8::is_ascii_hexdigit))
}

/// Appends what `raw` means to `out`. Into `map` goes, for each byte appended, where in `raw` its writing begins; and at
/// last where the writing ends. Bytes that belong to no character (quotes around it) begin nothing.
pub fn decode(escaping: Escaping, raw: &[u8], out: &mut Vec<u8>, map: &mut Vec<u32>) {
    map.clear();
    let mut at = 0;
    if escaping == Escaping::Bytea && is_hex(raw) {
        at = 2;
    }
    let hex = at > 0;
    while let Some(&byte) = raw.get(at) {
        let rest = raw.get(at..).unwrap_or_default();
        let (decoded, taken) = match escaping {
            Escaping::Bytea if hex => (Decoded::Byte(hex_byte(rest)), 2),
            Escaping::Json if byte == b'\\' => json(rest),
            Escaping::Xml if byte == b'&' => xml(rest),
            Escaping::Array | Escaping::Composite if byte == b'\\' => second(rest),
            Escaping::Composite if rest.starts_with(b"\"\"") => (Decoded::Byte(b'"'), 2),
            // A quote is a border, as it is in the literal.
            Escaping::Copy if byte == b'\\' => copy(rest),
            Escaping::Csv { quote, escape } => csv(rest, quote, escape),
            Escaping::Unicode if byte == b'\\' => unicode(rest),
            _ => (Decoded::Byte(byte), 1),
        };
        let before = out.len();
        match decoded {
            Decoded::Byte(byte) => out.push(byte),
            Decoded::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Decoded::Nothing => {}
        }
        map.extend(std::iter::repeat_n(at as u32, out.len() - before));
        at += taken;
    }
    map.push(raw.len() as u32);
}

enum Decoded {
    Byte(u8),
    Char(char),
    Nothing,
}

fn hex_byte(rest: &[u8]) -> u8 {
    let digit = |i: usize| rest.get(i).and_then(|b| (*b as char).to_digit(16)).unwrap_or(0) as u8;
    digit(0) << 4 | digit(1)
}

fn second(rest: &[u8]) -> (Decoded, usize) {
    (Decoded::Byte(rest.get(1).copied().unwrap_or(b'\\')), 2.min(rest.len()))
}

fn json(rest: &[u8]) -> (Decoded, usize) {
    let byte = match rest.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'u') => return json_unicode(rest),
        _ => return second(rest),
    };
    (Decoded::Byte(byte), 2)
}

/// `\uXXXX`, however many backslashes other layers have put before it.
fn unicode(rest: &[u8]) -> (Decoded, usize) {
    let backslashes = rest.iter().take_while(|b| **b == b'\\').count();
    let escape = rest.get(backslashes - 1..).unwrap_or_default();
    let digits = escape.get(2..6).unwrap_or_default();
    if escape.get(1) != Some(&b'u') || digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return (Decoded::Byte(b'\\'), 1);
    }
    let (decoded, taken) = json_unicode(escape);
    (decoded, backslashes - 1 + taken)
}

fn json_unicode(rest: &[u8]) -> (Decoded, usize) {
    let unit = |from: usize| {
        let digits = rest.get(from..from + 4)?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let Some(first) = unit(2) else { return second(rest) };
    if (0xD800..0xDC00).contains(&first)
        && rest.get(6..8) == Some(b"\\u")
        && let Some(low) = unit(8)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
        return (Decoded::Char(char::from_u32(code).unwrap_or('\u{FFFD}')), 12);
    }
    (Decoded::Char(char::from_u32(first).unwrap_or('\u{FFFD}')), 6)
}

fn xml(rest: &[u8]) -> (Decoded, usize) {
    /// Longest reference looked at: `&#x0010FFFF;` with some leading zeros.
    const REFERENCE_BYTES_MAX: usize = 16;
    let window = rest.get(..REFERENCE_BYTES_MAX.min(rest.len())).unwrap_or_default();
    let Some(end) = memchr::memchr(b';', window) else {
        return (Decoded::Byte(b'&'), 1);
    };
    let name = window.get(1..end).unwrap_or_default();
    let code = match name {
        b"amp" => Some(u32::from(b'&')),
        b"lt" => Some(u32::from(b'<')),
        b"gt" => Some(u32::from(b'>')),
        b"quot" => Some(u32::from(b'"')),
        b"apos" => Some(u32::from(b'\'')),
        [b'#', b'x' | b'X', hex @ ..] => std::str::from_utf8(hex)
            .ok()
            .and_then(|hex| u32::from_str_radix(hex, 16).ok()),
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    match code.and_then(char::from_u32) {
        Some(c) => (Decoded::Char(c), end + 1),
        None => (Decoded::Byte(b'&'), 1),
    }
}

fn copy(rest: &[u8]) -> (Decoded, usize) {
    let digits = |radix: u32, from: usize, max: usize| {
        rest.iter()
            .skip(from)
            .take(max)
            .take_while(|b| (**b as char).is_digit(radix))
            .count()
    };
    let number = |radix: u32, from: usize, len: usize| {
        let digits = rest.get(from..from + len).unwrap_or_default();
        std::str::from_utf8(digits)
            .ok()
            .and_then(|text| u32::from_str_radix(text, radix).ok())
            .unwrap_or(0) as u8
    };
    let byte = match rest.get(1) {
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'v') => 11,
        Some(b'0'..=b'7') => {
            let len = digits(8, 1, 3);
            return (Decoded::Byte(number(8, 1, len)), 1 + len);
        }
        Some(b'x') if digits(16, 2, 2) > 0 => {
            let len = digits(16, 2, 2);
            return (Decoded::Byte(number(16, 2, len)), 2 + len);
        }
        _ => return second(rest),
    };
    (Decoded::Byte(byte), 2)
}

fn csv(rest: &[u8], quote: u8, escape: u8) -> (Decoded, usize) {
    match (rest.first(), rest.get(1)) {
        (Some(&first), Some(&next)) if first == escape && (next == quote || next == escape) => (Decoded::Byte(next), 2),
        (Some(&first), _) if first == quote => (Decoded::Nothing, 1),
        (first, _) => (Decoded::Byte(first.copied().unwrap_or(0)), 1),
    }
}
