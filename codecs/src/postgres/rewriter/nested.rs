//! Values inside values in binary format: arrays, composites, ranges and hstore say themselves where their parts are.

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
        Kind::Array | Kind::NumberArray | Kind::PlainArray => array(value, base, depth, out),
        Kind::Composite => composite(value, base, depth, out),
        Kind::Range => range(value, base, depth, out),
        Kind::Other => {
            for attempt in [array, composite, pairs] {
                if attempt(value, base, depth, out).is_ok() {
                    return Ok(());
                }
                out.truncate(mark);
            }
            out.push(Element {
                offset: base,
                bytes: value.len(),
                kind: Kind::Text,
            });
            Ok(())
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
fn range(value: &[u8], base: usize, depth: usize, out: &mut Vec<Element>) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(value, "range");
    let flags = cursor.u8()?;
    let bounds = match flags {
        empty if empty & RANGE_EMPTY != 0 => 0,
        _ => usize::from(flags & RANGE_NO_LOWER == 0) + usize::from(flags & RANGE_NO_UPPER == 0),
    };
    for _ in 0..bounds {
        let offset = base + cursor.offset() + 4;
        if let Some(bound) = cursor.nullable()? {
            // Bounds of the built-in ranges are numbers and times: there is nothing to look at.
            nested(Kind::Float, bound, offset, depth + 1, out)?;
        }
    }
    cursor.finish()
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
