//! Types by OID, sorted by how their values are looked at and masked.

use super::escape::Escaping;
use crate::postgres::message::Format;

/// What a value is. OIDs below 10,000 are fixed by the server's catalogue (`pg_type.dat`); everything else is
/// [`Kind::Other`]: an enum, a domain's base, a composite, or a type of an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Bool,
    Int,
    Float,
    Numeric,
    Money,
    Text,
    Json,
    Jsonb,
    Xml,
    Bytea,
    /// Hexadecimal digits: UUIDs, and positions in the write-ahead log (`pg_lsn`).
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Inet,
    Mac,
    Bit,
    /// Points, lines and their like: numbers and punctuation.
    Geometry,
    /// Array of text-like elements or of elements that are not known.
    Array,
    /// Array of integers, of numerics, or of ranges of them; multirange of these.
    NumberArray,
    /// Array of elements that are never looked at (booleans, floats, times, UUIDs, ranges of times); multirange of these.
    PlainArray,
    Composite,
    /// Range of times or dates.
    Range,
    /// Range of integers or numerics.
    NumberRange,
    Other,
}

impl Kind {
    /// The kind of a type.
    pub fn of(type_oid: u32) -> Kind {
        match type_oid {
            16 => Kind::Bool,
            // The types that are numbers with a name as their text (`regclass` and its like) are not among them.
            20 | 21 | 23 | 26 | 28 | 29 | 5069 => Kind::Int,
            700 | 701 => Kind::Float,
            1700 => Kind::Numeric,
            790 => Kind::Money,
            18 | 19 | 25 | 705 | 1042 | 1043 | 2275 => Kind::Text,
            114 => Kind::Json,
            // A path of JSON is in quotes where it holds text, and has the same version byte.
            3802 | 4072 => Kind::Jsonb,
            142 => Kind::Xml,
            17 => Kind::Bytea,
            2950 | 3220 => Kind::Uuid,
            1082 => Kind::Date,
            1083 => Kind::Time,
            1266 => Kind::TimeTz,
            1114 => Kind::Timestamp,
            1184 => Kind::TimestampTz,
            1186 => Kind::Interval,
            650 | 869 => Kind::Inet,
            829 | 774 => Kind::Mac,
            1560 | 1562 => Kind::Bit,
            600..=604 | 628 | 718 => Kind::Geometry,
            1005 | 1007 | 1016 | 1028 | 1231 | 3905 | 3907 | 3927 | 4451 | 4532 | 4536 => Kind::NumberArray,
            1000 | 1021 | 1022 | 1115 | 1182 | 1183 | 1185 | 1187 | 1270 | 2951 | 3909 | 3911 | 3913 | 4533..=4535 => {
                Kind::PlainArray
            }
            143 | 199 | 1001..=1003 | 1009 | 1014 | 1015 | 1041 | 651 | 1040 | 1263 | 2287 | 3807 => Kind::Array,
            2249 => Kind::Composite,
            3908 | 3910 | 3912 => Kind::Range,
            3904 | 3906 | 3926 => Kind::NumberRange,
            _ => Kind::Other,
        }
    }

    /// Whether no value of this kind can hold what a detector looks for. `bytes` is the value's length: one that does not
    /// fit the kind is looked at whatever the kind says.
    #[inline]
    pub fn is_never_scanned(self, bytes: usize) -> bool {
        bytes <= self.plain_bytes_max()
    }

    /// The longest value of this kind that cannot hold what a detector looks for, bytes.
    pub fn plain_bytes_max(self) -> usize {
        /// No text form of these kinds is longer (an interval with all its fields takes 60).
        const PLAIN_BYTES_MAX: usize = 80;
        match self {
            Kind::Bool | Kind::Float | Kind::Uuid | Kind::Date | Kind::Time | Kind::TimeTz => PLAIN_BYTES_MAX,
            Kind::Timestamp | Kind::TimestampTz | Kind::Interval | Kind::Money => PLAIN_BYTES_MAX,
            // Dates and times of the built-in ranges, two of them.
            Kind::Range => 2 * PLAIN_BYTES_MAX,
            Kind::Geometry | Kind::Bit | Kind::PlainArray => usize::MAX,
            _ => 0,
        }
    }

    /// Whether its values are numbers that some detectors look for.
    pub fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Numeric)
    }

    /// Whether a value in this format is the characters themselves, so that any text is a valid value.
    pub fn is_free_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Xml)
    }

    /// What characters mean something else than themselves in a value that begins with `first`.
    pub fn escaping(self, format: Format, first: Option<u8>) -> Escaping {
        match (self, format) {
            (Kind::Json, _) | (Kind::Jsonb, _) => Escaping::Json,
            (Kind::Bytea, Format::Text) => Escaping::Bytea,
            (_, Format::Binary) => match self {
                Kind::Xml => Escaping::Xml,
                _ => Escaping::None,
            },
            (Kind::Xml, _) => Escaping::Xml,
            (Kind::Array | Kind::NumberArray, _) => Escaping::Array,
            (Kind::Composite | Kind::Range | Kind::NumberRange, _) => Escaping::Composite,
            // A type of the database or of an extension: the first character tells its family.
            (Kind::Other, _) => match first {
                Some(b'{' | b'"') => Escaping::Array,
                Some(b'(' | b'[') => Escaping::Composite,
                _ => Escaping::Bytea,
            },
            (Kind::Text, _) => Escaping::Bytea,
            _ => Escaping::None,
        }
    }
}

/// Whether the text of a value of no known type reads like a range, or a list of ranges: brackets in it are structure.
pub fn is_range_like(text: &[u8]) -> bool {
    let start = text
        .iter()
        .position(|byte| !b"{\"\\ ".contains(byte))
        .unwrap_or(text.len());
    let last = text.iter().rev().find(|byte| !b"}\"\\ ".contains(byte));
    match text.get(start) {
        Some(b'[') => true,
        Some(b'(') => last == Some(&b']'),
        _ => false,
    }
}
