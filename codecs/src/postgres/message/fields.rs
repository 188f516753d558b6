//! Pieces that several messages share: values, format codes, type lists, error fields.

use crate::malformed::Malformed;
use crate::wire::cursor::Cursor;

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    /// # Errors
    /// [`Malformed::Value`] for codes other than 0 and 1.
    pub fn from_code(code: i16, place: &'static str) -> Result<Format, Malformed> {
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Malformed::Value {
                place,
                value: i64::from(other),
            }),
        }
    }

    /// The code on the wire.
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// A list of format codes with the protocol's short forms: none = all text, one = holds for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats<'a> {
    /// Pairs of bytes, every one checked to be 0 or 1.
    codes: &'a [u8],
}

impl<'a> Formats<'a> {
    /// Reads the count and the codes.
    ///
    /// # Errors
    /// Truncated list, or a code other than 0 and 1.
    pub fn read(cursor: &mut Cursor<'a>, place: &'static str) -> Result<Formats<'a>, Malformed> {
        let count = usize::from(cursor.u16()?);
        let codes = cursor.take(count * 2)?;
        for &[high, low] in codes.as_chunks::<2>().0 {
            Format::from_code(i16::from_be_bytes([high, low]), place)?;
        }
        Ok(Formats { codes })
    }

    /// How many codes were written: not the number of values they hold for.
    pub fn len(&self) -> usize {
        self.codes.len() / 2
    }

    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The format of value `index` (from 0). `None` if the list has several codes and not this one.
    pub fn of(&self, index: usize) -> Option<Format> {
        match self.codes.as_chunks::<2>().0 {
            [] => Some(Format::Text),
            [only] => Some(decode(*only)),
            list => list.get(index).map(|&code| decode(code)),
        }
    }

    /// The codes as written.
    pub fn iter(&self) -> impl Iterator<Item = Format> + 'a {
        self.codes.as_chunks::<2>().0.iter().map(|&code| decode(code))
    }
}

fn decode([_, low]: [u8; 2]) -> Format {
    if low == 1 { Format::Binary } else { Format::Text }
}

/// A list of type OIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oids<'a> {
    bytes: &'a [u8],
}

impl<'a> Oids<'a> {
    /// Reads the count and the OIDs.
    ///
    /// # Errors
    /// Truncated list.
    pub fn read(cursor: &mut Cursor<'a>) -> Result<Oids<'a>, Malformed> {
        let count = usize::from(cursor.u16()?);
        let bytes = cursor.take(count * 4)?;
        Ok(Oids { bytes })
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The OID at `index` (from 0).
    pub fn at(&self, index: usize) -> Option<u32> {
        self.bytes.as_chunks::<4>().0.get(index).map(|b| u32::from_be_bytes(*b))
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        self.bytes.as_chunks::<4>().0.iter().map(|b| u32::from_be_bytes(*b))
    }
}

/// One value of a row, of a Bind or of a function call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    /// Where the value's first byte is, counted from the start of the body. The four length bytes are before it.
    pub offset: usize,
    /// `None` is SQL NULL.
    pub bytes: Option<&'a [u8]>,
}

/// Walks values one by one, checking each length on the way: one pass serves checking and reading.
///
/// After an error it ends. What must hold after the last value (nothing may follow in a DataRow) is checked there, so a
/// caller that stops early has checked less than one that goes to the end.
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    cursor: Cursor<'a>,
    left: usize,
    /// Nothing may follow the last value.
    closed: bool,
}

impl<'a> Cells<'a> {
    /// `cursor` stands on the first value; `closed` if nothing may follow the last.
    pub(super) fn new(cursor: Cursor<'a>, count: u16, closed: bool) -> Self {
        Cells {
            cursor,
            left: usize::from(count),
            closed,
        }
    }

    /// How many values are still to come.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Goes past all values and returns the cursor behind them.
    ///
    /// # Errors
    /// As iterating.
    pub(super) fn skip(mut self) -> Result<Cursor<'a>, Malformed> {
        for _ in 0..self.left {
            self.cursor.nullable()?;
        }
        if self.closed {
            self.cursor.finish()?;
        }
        Ok(self.cursor)
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Result<Cell<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if !self.closed {
                return None;
            }
            self.closed = false;
            return self.cursor.finish().err().map(Err);
        }
        self.left -= 1;
        let offset = self.cursor.offset() + 4;
        let cell = self.cursor.nullable().map(|bytes| Cell { offset, bytes });
        if cell.is_err() {
            self.left = 0;
            self.closed = false;
        }
        Some(cell)
    }
}

/// The fields of an ErrorResponse or NoticeResponse, checked as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorFields<'a> {
    bytes: &'a [u8],
}

impl<'a> ErrorFields<'a> {
    /// Severity, translated.
    pub const SEVERITY: u8 = b'S';
    /// Severity, never translated.
    pub const SEVERITY_PLAIN: u8 = b'V';
    pub const SQLSTATE: u8 = b'C';
    pub const MESSAGE: u8 = b'M';
    pub const DETAIL: u8 = b'D';
    pub const HINT: u8 = b'H';

    /// # Errors
    /// A field without end, no final NUL, or bytes behind it.
    pub fn parse(body: &'a [u8], place: &'static str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, place);
        while cursor.u8()? != 0 {
            cursor.cstr()?;
        }
        cursor.finish()?;
        Ok(ErrorFields { bytes: body })
    }

    /// Field codes and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8])> + 'a {
        let mut cursor = Cursor::new(self.bytes, "error fields");
        std::iter::from_fn(move || match cursor.u8() {
            Ok(0) | Err(_) => None,
            Ok(code) => cursor.cstr().ok().map(|value| (code, value)),
        })
    }

    /// The first field with this code.
    pub fn field(&self, code: u8) -> Option<&'a [u8]> {
        self.iter().find(|&(c, _)| c == code).map(|(_, value)| value)
    }

    /// The severity that is not translated, or the translated one of old servers.
    pub fn severity(&self) -> &'a [u8] {
        self.field(Self::SEVERITY_PLAIN)
            .or_else(|| self.field(Self::SEVERITY))
            .unwrap_or_default()
    }

    /// Five characters; empty if the peer sent none.
    pub fn sqlstate(&self) -> &'a [u8] {
        self.field(Self::SQLSTATE).unwrap_or_default()
    }

    /// The primary message; empty if the peer sent none.
    pub fn message(&self) -> &'a [u8] {
        self.field(Self::MESSAGE).unwrap_or_default()
    }
}
