//! Byte classes: one table look-up says which grammars a byte can belong to.

/// A set of classes as bits; a byte is in the set when it has one of the bits.
pub(crate) type Class = u16;

pub(crate) const DIGIT: Class = 1;
pub(crate) const UPPER: Class = 1 << 1;
pub(crate) const LOWER: Class = 1 << 2;
pub(crate) const LETTER: Class = UPPER | LOWER;
pub(crate) const ALNUM: Class = DIGIT | LETTER;
/// Letters, digits and the underscore: what may not touch a match.
pub(crate) const WORD: Class = 1 << 3;
/// Hexadecimal digits in either case.
pub(crate) const HEX: Class = 1 << 4;
/// Base64 alphabet of RFC 4648 section 4 without padding.
pub(crate) const BASE64: Class = 1 << 5;
/// URL-safe alphabet of RFC 4648 section 5 without padding.
pub(crate) const BASE64URL: Class = 1 << 6;
/// `b64token` of RFC 6750 section 2.1 without padding.
pub(crate) const TOKEN68: Class = 1 << 7;
/// What an unquoted value of an assignment consists of.
pub(crate) const VALUE: Class = 1 << 8;
/// Local part of a mail address as written in practice (RFC 5321 allows more, which would swallow quotes and paths).
pub(crate) const LOCAL: Class = 1 << 9;
/// `userinfo` of RFC 3986 section 3.2.1 including percent signs and colons.
pub(crate) const USERINFO: Class = 1 << 10;
/// What a match may consist of to the left of the byte that gives it away.
pub(crate) const LATE: Class = 1 << 11;
/// White space of a PEM block: blank, tab, line ends.
pub(crate) const SPACE: Class = 1 << 12;
/// Base64url parts joined by dots.
pub(crate) const DOTTED: Class = 1 << 13;
/// Letters and what may stand between the letters in front of a number: blank, dot, dash, slash.
pub(crate) const LEAD: Class = 1 << 14;
/// What a URL consists of: RFC 3986 section 2, without the quote and brackets that stand around one.
pub(crate) const URL: Class = 1 << 15;

const TABLE: [Class; 256] = table();
static CLASSES: [Class; 256] = TABLE;

/// Whether the byte belongs to one of the classes.
#[inline(always)]
pub(crate) fn is(byte: u8, class: Class) -> bool {
    CLASSES[byte as usize] & class != 0
}

const fn table() -> [Class; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = classes(byte as u8);
        byte += 1;
    }
    table
}

const fn classes(byte: u8) -> Class {
    let mut set = match byte {
        b'0'..=b'9' => DIGIT | HEX,
        b'A'..=b'F' => UPPER | HEX,
        b'a'..=b'f' => LOWER | HEX,
        b'G'..=b'Z' => UPPER,
        b'g'..=b'z' => LOWER,
        b' ' | b'\t' | b'\r' | b'\n' => SPACE,
        _ => 0,
    };
    if byte.is_ascii_alphanumeric() {
        set |= WORD | BASE64 | BASE64URL | TOKEN68 | LOCAL | USERINFO | LATE | DOTTED;
    }
    set |= match byte {
        b'_' => WORD | BASE64URL | TOKEN68 | LOCAL | USERINFO | LATE | DOTTED,
        b'-' => BASE64URL | TOKEN68 | LOCAL | USERINFO | LATE | DOTTED,
        b'.' => TOKEN68 | LOCAL | USERINFO | LATE | DOTTED,
        b'+' => BASE64 | TOKEN68 | LOCAL | USERINFO | LATE,
        b'/' => BASE64 | TOKEN68 | LATE,
        b'~' => TOKEN68 | LOCAL | USERINFO | LATE,
        b'%' | b'\'' => LOCAL | USERINFO | LATE,
        b'=' => USERINFO | LATE,
        b'!' | b'$' | b'&' | b'(' | b')' | b'*' | b',' | b';' | b':' => USERINFO,
        _ => 0,
    };
    if byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'.' | b'-' | b'/') {
        set |= LEAD;
    }
    if byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'/'
                | b'?'
                | b'#'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b'%'
        )
    {
        set |= URL;
    }
    let ends_value = matches!(
        byte,
        0..=b' ' | 0x7f | b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b'>' | b')' | b']' | b'}' | b'|'
    );
    if ends_value { set } else { set | VALUE }
}

/// The same classes for vectors: an ASCII byte is in a class when the bit of its upper half is set for its lower half.
/// Bytes beyond ASCII are in none of the classes but [`VALUE`], which therefore has no such table.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(crate) struct Nibbles(pub [u8; 16]);

/// Table of a set of classes.
pub(crate) const fn nibbles(class: Class) -> Nibbles {
    let mut table = [0; 16];
    let mut byte = 0;
    while byte < 128 {
        if TABLE[byte] & class != 0 {
            table[byte & 15] |= 1 << (byte >> 4);
        }
        byte += 1;
    }
    Nibbles(table)
}

/// Table of some ASCII bytes.
const fn nibbles_of(bytes: &[u8]) -> Nibbles {
    let mut table = [0; 16];
    let mut place = 0;
    while place < bytes.len() {
        table[(bytes[place] & 15) as usize] |= 1 << (bytes[place] >> 4);
        place += 1;
    }
    Nibbles(table)
}

pub(crate) static DIGITS: Nibbles = nibbles(DIGIT);
pub(crate) static ALNUMS: Nibbles = nibbles(ALNUM);
pub(crate) static WORDS: Nibbles = nibbles(WORD);
pub(crate) static LOCALS: Nibbles = nibbles(LOCAL);
pub(crate) static DASHES: Nibbles = nibbles_of(b"-");
pub(crate) static DOTS: Nibbles = nibbles_of(b".");
pub(crate) static APOSTROPHES: Nibbles = nibbles_of(b"'");

/// Tables of the single classes.
static SINGLE: [Nibbles; 16] = {
    let mut tables = [Nibbles([0; 16]); 16];
    let mut bit = 0;
    while bit < 16 {
        tables[bit] = nibbles(1 << bit);
        bit += 1;
    }
    tables
};

/// Table of a set of classes, put together from those of its classes.
#[inline(always)]
pub(crate) fn table_of(class: Class) -> Nibbles {
    let mut rest = class & (class - 1);
    let mut table = SINGLE[class.trailing_zeros() as usize & 15];
    while rest != 0 {
        let more = &SINGLE[rest.trailing_zeros() as usize & 15];
        table.0.iter_mut().zip(more.0).for_each(|(own, more)| *own |= more);
        rest &= rest - 1;
    }
    table
}
