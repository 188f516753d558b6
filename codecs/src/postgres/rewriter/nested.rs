//! Values inside values in binary format: arrays, composites, ranges and hstore say themselves where their parts are.

use super::decimal;
use super::kind::Kind;
use crate::malformed::Malformed;
use crate::wire::cursor::Cursor;

/// A value inside another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// First byte, counted from the start of the enclosing value.
    pub offset: usize,
    pub bytes: usize,
    pub kind: Kind,
}

/// Most elements that are looked at one by one; the value is refused beyond.
const ELEMENTS_MAX: usize = 1 << 20;
/// Arrays of composites of arrays …: depth beyond which a value is refused.
const DEPTH_MAX: usize = 8;
/// Most dimensions of an array (`MAXDIM` of the server).
const DIMENSIONS_MAX: i32 = 6;
/// Flags of a range (`rangetypes.h`).
const RANGE_EMPTY: u8 = 0x01;
const RANGE_NO_LOWER: u8 = 0x08 | 0x20;
const RANGE_NO_UPPER: u8 = 0x10 | 0x40;

/// Appends the innermost values of a binary value to `out`. A value of [`Kind::Other`] is taken apart if its bytes are,
/// to the last one, an array, a composite or a list of pairs; if not, it is an element as a whole.
///
/// # Errors
/// A value of a known nested kind that does not follow its format, or nests too deep.
pub fn elements(kind: Kind, value: &[u8], out: &mut Vec<Element>) -> Result<(), Malformed> {
    nested(kind, value, 0, 0, out)
}

fn nested(kind: Kind, value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    if depth > DEPTH_MAX || out.len() > ELEMENTS_MAX {
        return Err(Malformed::TooMany {
            place: "nested value",
            max: DEPTH_MAX,
        });
    }
    let mark = out.len();
    match kind {
        Kind::NumberArray => {
            if array(value, base, depth, out).is_ok() {
                return Ok(());
            }
            out.truncate(mark);
            multirange(Kind::NumberRange, value, base, depth, out)
        }
        Kind::Array | Kind::PlainArray => array(value, base, depth, out),
        Kind::Composite => composite(value, base, depth, out),
        Kind::Range => range(Kind::Float, value, base, depth, out),
        // The bounds of `int4range` are never looked at: too short.
        Kind::NumberRange => {
            let int8 = range(Kind::Int, value, base, depth, out).is_ok()
                && out.iter().skip(mark).all(|bound| bound.bytes == 8 || bound.bytes == 4);
            // Integers have these lengths; no numeric has 4 bytes, and one of 8 bytes is zero or not a number.
            if int8 {
                return Ok(());
            }
            out.truncate(mark);
            range(Kind::Numeric, value, base, depth, out)
        }
        Kind::Other => {
            for attempt in [array, composite, untold_multirange, untold_range, pairs] {
                if attempt(value, base, depth, out).is_ok() {
                    return Ok(());
                }
                out.truncate(mark);
            }
            runs(value, base, out)
        }
        _ => {
            out.push(Element {
                offset: base,
                bytes: value.len(),
                kind,
            });
            Ok(())
        }
    }
}

/// `array_send`: dimensions, null flag, element type, each dimension's length and lower bound, then the elements.
fn array(value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(value, "array");
    let dimensions = cursor.i32()?;
    let flags = cursor.i32()?;
    let kind = Kind::of(cursor.u32()?);
    if !(0..=DIMENSIONS_MAX).contains(&dimensions) || !(0..=1).contains(&flags) {
        return Err(Malformed::Value {
            place: "array",
            value: i64::from(dimensions),
        });
    }
    let mut count: usize = usize::from(dimensions > 0);
    for _ in 0..dimensions {
        let length = usize::try_from(cursor.i32()?).unwrap_or(0);
        count = count.saturating_mul(length);
        cursor.i32()?;
    }
    if count > ELEMENTS_MAX {
        return Err(Malformed::TooMany {
            place: "array",
            max: ELEMENTS_MAX,
        });
    }
    for _ in 0..count {
        let offset = base + cursor.offset() + 4;
        if let Some(element) = cursor.nullable()? {
            nested(kind, element, offset, depth + 1, out)?;
        }
    }
    cursor.finish()
}

/// `record_send`: number of columns, then type and value of each.
fn composite(value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    /// Most columns of a row type (`MaxTupleAttributeNumber` of the server).
    const COLUMNS_MAX: i32 = 1_664;
    let mut cursor = Cursor::new(value, "composite");
    let count = cursor.i32()?;
    if !(0..=COLUMNS_MAX).contains(&count) {
        return Err(Malformed::Value {
            place: "composite",
            value: i64::from(count),
        });
    }
    for _ in 0..count {
        let kind = Kind::of(cursor.u32()?);
        let offset = base + cursor.offset() + 4;
        if let Some(column) = cursor.nullable()? {
            nested(kind, column, offset, depth + 1, out)?;
        }
    }
    cursor.finish()
}

/// `range_send`: flags, then the bounds that there are.
fn range(bounds_kind: Kind, value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(value, "range");
    let flags = cursor.u8()?;
    let bounds = match flags {
        empty if empty & RANGE_EMPTY != 0 => 0,
        _ => usize::from(flags & RANGE_NO_LOWER == 0) + usize::from(flags & RANGE_NO_UPPER == 0),
    };
    for _ in 0..bounds {
        let offset = base + cursor.offset() + 4;
        if let Some(bound) = cursor.nullable()? {
            nested(bounds_kind, bound, offset, depth + 1, out)?;
        }
    }
    cursor.finish()
}

/// `multirange_send`: number of ranges, then each with its length.
fn multirange(
    ranges_kind: Kind,
    value: &[u8],
    base: usize,
    depth: usize,
    out: &mut Vec<Element>,
) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(value, "multirange");
    let count = usize::try_from(cursor.i32()?).unwrap_or(usize::MAX);
    if count > ELEMENTS_MAX {
        return Err(Malformed::TooMany {
            place: "multirange",
            max: ELEMENTS_MAX,
        });
    }
    for _ in 0..count {
        let offset = base + cursor.offset() + 4;
        if let Some(part) = cursor.nullable()? {
            match ranges_kind {
                Kind::NumberRange => nested(ranges_kind, part, offset, depth + 1, out)?,
                _ => untold_range(part, offset, depth + 1, out)?,
            }
        }
    }
    cursor.finish()
}

fn untold_multirange(value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    multirange(Kind::Other, value, base, depth, out)
}

/// A range of a type that is not known: what has the length or the form of a number is looked at as one as well.
fn untold_range(value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    let mark = out.len();
    range(Kind::Text, value, base, depth, out)?;
    for at in mark..out.len() {
        let Some(bound) = out.get(at).copied() else { break };
        let start = bound.offset - base;
        let bytes = value.get(start..start + bound.bytes).unwrap_or_default();
        let kind = match bytes.len() {
            8 => Kind::Int,
            _ if decimal(Kind::Numeric, bytes, &mut Vec::new()) => Kind::Numeric,
            _ => continue,
        };
        out.push(Element { kind, ..bound });
    }
    Ok(())
}

/// The pieces of text in a value that nothing is known about. A control byte ends a piece. What follows a zero byte can be
/// the last byte of a length or a position that happens to be a letter or a digit, and would join the text after it: such
/// a piece is looked at without it as well.
fn runs(value: &[u8], base: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    /// Shorter pieces are between the parts of every binary format, and hold nothing.
    const RUN_BYTES_MIN: usize = 2;
    let ends = |byte: &u8| *byte < b' ' && !b"\t\n\r".contains(byte) || *byte == 0x7f;
    let mut at = 0;
    while let Some(rest) = value.get(at..).filter(|rest| !rest.is_empty()) {
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        let after_zero = at > 0 && value.get(at - 1) == Some(&0);
        for skip in 0..=usize::from(after_zero && rest.first().is_some_and(u8::is_ascii_alphanumeric)) {
            if len >= RUN_BYTES_MIN + skip || len == value.len() {
                out.push(Element {
                    offset: base + at + skip,
                    bytes: len - skip,
                    kind: Kind::Text,
                });
            }
        }
        if out.len() > ELEMENTS_MAX {
            return Err(Malformed::TooMany {
                place: "nested value",
                max: ELEMENTS_MAX,
            });
        }
        at += len + 1;
    }
    Ok(())
}

/// `hstore_send`: number of pairs, then key and value of each.
fn pairs(value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(value, "pairs");
    let count = usize::try_from(cursor.i32()?).unwrap_or(usize::MAX);
    if count > ELEMENTS_MAX / 2 {
        return Err(Malformed::TooMany {
            place: "pairs",
            max: ELEMENTS_MAX / 2,
        });
    }
    for _ in 0..count * 2 {
        let offset = base + cursor.offset() + 4;
        if let Some(part) = cursor.nullable()? {
            nested(Kind::Text, part, offset, depth + 1, out)?;
        }
    }
    cursor.finish()
}
