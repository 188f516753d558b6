//! A reader over borrowed bytes that checks every step and knows its offset.

use crate::malformed::Malformed;

/// Reads big-endian integers, strings and slices; nothing here can panic, whatever the bytes are.
///
/// `place` names what is being read and ends up in the error.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
    place: &'static str,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8], place: &'static str) -> Self {
        Cursor {
            bytes,
            offset: 0,
            place,
        }
    }

    /// How many bytes were read so far: the offset of the next one.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if fewer are left.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let taken = self
            .offset
            .checked_add(n)
            .and_then(|end| self.bytes.get(self.offset..end));
        let Some(taken) = taken else {
            return Err(Malformed::Truncated { place: self.place });
        };
        self.offset += n;
        Ok(taken)
    }

    /// Takes everything that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.offset = self.bytes.len();
        rest
    }

    /// Takes a fixed number of bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Malformed::Truncated { place: self.place })
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[b]| b)
    }

    /// Two bytes, big-endian, unsigned.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Two bytes, big-endian, signed.
    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// Four bytes, big-endian, unsigned.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Four bytes, big-endian, signed.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// A string that ends with NUL; the NUL is consumed and not returned.
    ///
    /// # Errors
    /// [`Malformed::Unterminated`] if no NUL follows.
    pub fn cstr(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = self.rest();
        let Some(len) = memchr::memchr(0, rest) else {
            return Err(Malformed::Unterminated { place: self.place });
        };
        self.offset += len + 1;
        rest.get(..len).ok_or(Malformed::Truncated { place: self.place })
    }

    /// A value with a signed 32-bit length before it; length -1 is `None` (SQL NULL), anything lower is refused.
    #[inline]
    pub fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let announced = self.i32()?;
        match usize::try_from(announced) {
            Ok(len) => self.take(len).map(Some),
            Err(_) if announced == -1 => Ok(None),
            Err(_) => Err(Malformed::Length {
                place: self.place,
                announced: i64::from(announced),
                min: 0,
                max: self.rest().len(),
            }),
        }
    }

    /// Asserts that everything was read.
    ///
    /// # Errors
    /// [`Malformed::Trailing`] with the number of bytes left over.
    pub fn finish(&self) -> Result<(), Malformed> {
        match self.rest().len() {
            0 => Ok(()),
            bytes => Err(Malformed::Trailing {
                place: self.place,
                bytes,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_knows_its_offset() {
        let mut c = Cursor::new(b"\x01\x00\x02\xff\xff\xff\xffab\0rest", "t");
        assert_eq!(c.u8(), Ok(1));
        assert_eq!(c.u16(), Ok(2));
        assert_eq!(c.nullable(), Ok(None));
        assert_eq!(c.cstr(), Ok(&b"ab"[..]));
        assert_eq!(c.offset(), 10);
        assert_eq!(c.finish(), Err(Malformed::Trailing { place: "t", bytes: 4 }));
        assert_eq!(c.take_rest(), b"rest");
        assert_eq!(c.finish(), Ok(()));
    }

    #[test]
    fn hostile_lengths_are_refused() {
        let mut c = Cursor::new(b"\x7f\xff\xff\xffab", "t");
        assert_eq!(c.nullable(), Err(Malformed::Truncated { place: "t" }));
        let mut c = Cursor::new(b"\xff\xff\xff\xfeab", "t");
        assert!(matches!(c.nullable(), Err(Malformed::Length { announced: -2, .. })));
        let mut c = Cursor::new(b"ab", "t");
        assert!(c.take(usize::MAX).is_err());
        assert_eq!(c.cstr(), Err(Malformed::Unterminated { place: "t" }));
        assert!(c.i32().is_err());
        assert_eq!(c.offset(), 0, "a failed read takes nothing");
    }
}
