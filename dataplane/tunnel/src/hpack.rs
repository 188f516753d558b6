//! Header blocks (RFC 7541) through a library, with the parts that hostile blocks make expensive done here.
//!
//! The library builds its Huffman table anew for every string, which would let two bytes of a peer cost us microseconds.
//! So a block is walked first: Huffman strings are decoded with a table made at compile time and handed on as plain ones.
//! Blocks of our own end never use Huffman and are handed on as they are.

use crate::limits::HPACK_TABLE_BYTES;
use loona_hpack::{decoder, encoder};

/// Header fields one block may hold, whatever their size.
pub const FIELDS_MAX: usize = 256;

/// A block that cannot be decoded: COMPRESSION_ERROR for the connection, because the tables of both ends differ from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header block: {0}")]
pub struct BadBlock(pub &'static str);

/// Decodes the blocks of one connection, in order.
pub struct Decoder {
    table: decoder::Decoder<'static>,
    plain: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        let mut table = decoder::Decoder::new();
        table.set_max_allowed_table_size(HPACK_TABLE_BYTES);
        Self {
            table,
            plain: Vec::new(),
        }
    }
}

impl Decoder {
    /// Calls `field` with every name and value of a whole block.
    pub fn decode(&mut self, block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), BadBlock> {
        self.plain.clear();
        let expanded = expand(block, &mut self.plain)?;
        let block = if expanded { &self.plain } else { block };
        self.table
            .decode_with_cb(block, |name, value| field(&name, &value))
            .map_err(|_| BadBlock("not decodable"))
    }
}

/// Encodes the blocks of one connection, in order.
pub struct Encoder {
    table: encoder::Encoder<'static>,
    /// Table size the peer does not know yet.
    resized: Option<usize>,
    size: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: encoder::Encoder::new(),
            resized: None,
            size: HPACK_TABLE_BYTES,
        }
    }
}

impl Encoder {
    /// The peer's SETTINGS_HEADER_TABLE_SIZE. A smaller table is announced at the start of the next block (RFC 7541, 4.2);
    /// a larger one is not made use of.
    pub fn resize(&mut self, bytes: u32) {
        let size = (bytes as usize).min(HPACK_TABLE_BYTES);
        if size != self.size {
            // When it shrinks and grows between two blocks the smallest must be announced; we stay with the smallest.
            self.size = size.min(self.size);
            self.resized = Some(self.size);
            self.table.set_max_table_size(self.size);
        }
    }

    /// Encodes a block.
    pub fn encode<'a>(&mut self, fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
        let mut block = Vec::with_capacity(128);
        if let Some(size) = self.resized.take() {
            put_integer(&mut block, size, 5, 0x20);
        }
        for field in fields {
            // Writing to a vector does not fail.
            let _ = self.table.encode_header_into(field, &mut block);
        }
        block
    }
}

/// Appends a field that no table may take in, here or on its way (RFC 7541 section 6.2.3): a credential.
pub fn put_never_indexed(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x10);
    for text in [name, value] {
        put_integer(block, text.len(), 7, 0);
        block.extend_from_slice(text);
    }
}

/// Copies `block` to `plain` with Huffman strings decoded. Returns false when there are none (then `plain` is of no use).
fn expand(block: &[u8], plain: &mut Vec<u8>) -> Result<bool, BadBlock> {
    let mut rest = block;
    let mut expanded = false;
    let mut fields = 0;
    while let Some(&first) = rest.first() {
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(BadBlock("too many fields"));
        }
        let (prefix, literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let (index, used) = integer(rest, prefix)?;
        plain.extend_from_slice(rest.get(..used).unwrap_or_default());
        rest = rest.get(used..).unwrap_or_default();
        if literal {
            if index == 0 {
                rest = string(rest, plain, &mut expanded)?;
            }
            rest = string(rest, plain, &mut expanded)?;
        }
    }
    Ok(expanded)
}

/// Moves one string (RFC 7541, 5.2) from `input` to `plain`; returns what follows it.
fn string<'a>(input: &'a [u8], plain: &mut Vec<u8>, expanded: &mut bool) -> Result<&'a [u8], BadBlock> {
    let (len, used) = integer(input, 7)?;
    let end = used.checked_add(len).ok_or(BadBlock("string too long"))?;
    let raw = input.get(used..end).ok_or(BadBlock("string ends after the block"))?;
    if input.first().is_some_and(|b| b & 0x80 != 0) {
        *expanded = true;
        let at = plain.len();
        // The length is known only afterwards: decode behind, then put the length before it.
        huffman(raw, plain)?;
        let decoded = plain.split_off(at);
        put_integer(plain, decoded.len(), 7, 0);
        plain.extend_from_slice(&decoded);
    } else {
        plain.extend_from_slice(input.get(..end).unwrap_or_default());
    }
    Ok(input.get(end..).unwrap_or_default())
}

/// Reads an integer (RFC 7541, 5.1) of at most 28 + 8 bits; returns it and the bytes it took.
fn integer(input: &[u8], prefix: u8) -> Result<(usize, usize), BadBlock> {
    let (&first, tail) = input.split_first().ok_or(BadBlock("integer ends after the block"))?;
    let mask = (1u16 << prefix) as usize - 1;
    let mut value = usize::from(first) & mask;
    if value < mask {
        return Ok((value, 1));
    }
    for (i, &byte) in tail.iter().take(4).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, i + 2));
        }
    }
    Err(BadBlock("integer too long or cut"))
}

fn put_integer(out: &mut Vec<u8>, value: usize, prefix: u8, lead: u8) {
    let _ = encoder::encode_integer_into(value, prefix, lead, out);
}

/// How many Huffman codes there are of each length (RFC 7541, appendix B). The code is canonical: sorted by length, then by
/// symbol, each code is the one before plus one. So lengths and order are all there is to it.
const CODES_OF_LENGTH: [u16; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4,
];

/// The symbols in the order of their codes; 256 is the end of string.
#[rustfmt::skip]
const SYMBOLS: [u16; 257] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103,
    104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63, 39, 43, 124, 35, 62, 0, 36, 64,
    91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161, 167, 172, 176, 177, 179,
    209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187,
    189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166,
    168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207,
    234, 235, 192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223,
    241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24,
    25, 26, 27, 28, 29, 30, 31, 127, 220, 249, 10, 13, 22, 256,
];

/// Decodes a Huffman string to the end of `out`.
fn huffman(input: &[u8], out: &mut Vec<u8>) -> Result<(), BadBlock> {
    // State of the code being read: its bits, its length, the first code of that length and that code's place in SYMBOLS.
    let (mut code, mut len, mut first, mut place) = (0u32, 0usize, 0u32, 0u32);
    for byte in input {
        for bit in (0..8).rev() {
            len += 1;
            code = (code << 1) | u32::from(byte >> bit & 1);
            first <<= 1;
            let count = u32::from(*CODES_OF_LENGTH.get(len).ok_or(BadBlock("no such Huffman code"))?);
            if code.wrapping_sub(first) < count {
                match SYMBOLS.get((place + code - first) as usize) {
                    Some(&symbol) if symbol < 256 => out.push(symbol as u8),
                    _ => return Err(BadBlock("end of string inside a string")),
                }
                (code, len, first, place) = (0, 0, 0, 0);
            } else {
                first += count;
                place += count;
            }
        }
    }
    // Padding: fewer than 8 bits, all ones (RFC 7541, 5.2).
    if len > 7 || code != (1 << len) - 1 {
        return Err(BadBlock("bad Huffman padding"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
