//! Messages of the output plugin `pgoutput`, protocol versions 1 to 4: every byte is accounted for, so that no value can hide.

use std::ops::Range;

use smallvec::SmallVec;

use crate::malformed::Malformed;
use crate::wire::cursor::Cursor;

const PLACE: &str = "pgoutput message";

/// What a message of the plugin carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Positions, times, numbers, names of types.
    Nothing,
    /// Messages up to [`Change::StreamStop`] name the transaction that they belong to.
    StreamStart,
    StreamStop,
    /// A text that somebody chose: the name of an origin, or of a prepared transaction.
    Name(Range<usize>),
    /// What the tuples of a table look like, until it is said anew.
    Relation(Relation),
    /// Values of a table's row: before and after.
    Row {
        relation: u32,
        tuples: SmallVec<[Tuple; 2]>,
    },
    /// What `pg_logical_emit_message` was given.
    Message {
        prefix: Range<usize>,
        content: Range<usize>,
    },
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub columns: Vec<RelationColumn>,
}

/// A column of a table, in the order of its tuples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationColumn {
    pub name: String,
    pub type_oid: u32,
}

/// The cells of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    pub cells: Vec<Cell>,
}

/// A cell: where its value is, if it has one. The length (i32) stands in the four bytes before, the kind (`t`, `b`) before these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub format: CellFormat,
    pub value: Range<usize>,
}

/// How a cell is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellFormat {
    /// NULL, or a large value that did not change and is not sent.
    Absent,
    Text,
    Binary,
}

impl Change {
    /// Reads a message. `in_stream`: between [`Change::StreamStart`] and [`Change::StreamStop`].
    ///
    /// # Errors
    /// What is no message of the plugin, to the last byte.
    pub fn parse(message: &[u8], in_stream: bool) -> Result<Change, Malformed> {
        let mut cursor = Cursor::new(message, PLACE);
        let tag = cursor.u8()?;
        if in_stream && b"RYIUDTM".contains(&tag) {
            cursor.u32()?;
        }
        let change = match tag {
            b'B' => numbers(&mut cursor, 8 + 8 + 4)?,
            b'C' => numbers(&mut cursor, 1 + 3 * 8)?,
            b'c' => numbers(&mut cursor, 4 + 1 + 3 * 8)?,
            b'A' => match cursor.rest().len() {
                // With the position and time of the abort from version 4 on.
                bytes @ (8 | 24) => numbers(&mut cursor, bytes)?,
                _ => return Err(Malformed::Truncated { place: PLACE }),
            },
            b'S' => {
                cursor.take(5)?;
                Change::StreamStart
            }
            b'E' => Change::StreamStop,
            b'O' => named(&mut cursor, 8)?,
            b'b' => named(&mut cursor, 3 * 8 + 4)?,
            b'P' | b'K' | b'p' => named(&mut cursor, 1 + 3 * 8 + 4)?,
            b'r' => named(&mut cursor, 1 + 4 * 8 + 4)?,
            b'Y' => {
                cursor.u32()?;
                cursor.cstr()?;
                cursor.cstr()?;
                Change::Nothing
            }
            b'T' => {
                let tables = usize::try_from(cursor.u32()?).unwrap_or(usize::MAX);
                cursor.u8()?;
                cursor.take(tables.saturating_mul(4))?;
                Change::Nothing
            }
            b'R' => Change::Relation(relation(&mut cursor)?),
            b'I' | b'U' | b'D' => row(&mut cursor, tag)?,
            b'M' => emitted(&mut cursor)?,
            _ => return Err(Malformed::Tag { place: PLACE, tag }),
        };
        cursor.finish()?;
        Ok(change)
    }
}

fn numbers(cursor: &mut Cursor<'_>, bytes: usize) -> Result<Change, Malformed> {
    cursor.take(bytes)?;
    Ok(Change::Nothing)
}

/// Numbers, then a text.
fn named(cursor: &mut Cursor<'_>, bytes: usize) -> Result<Change, Malformed> {
    cursor.take(bytes)?;
    let start = cursor.offset();
    let name = cursor.cstr()?;
    Ok(Change::Name(start..start + name.len()))
}

fn relation(cursor: &mut Cursor<'_>) -> Result<Relation, Malformed> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let oid = cursor.u32()?;
    let schema = match text(cursor.cstr()?) {
        // The plugin leaves the name of the catalogue's own schema out.
        empty if empty.is_empty() => "pg_catalog".to_owned(),
        schema => schema,
    };
    let name = text(cursor.cstr()?);
    cursor.u8()?;
    let count = cursor.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        cursor.u8()?;
        let name = text(cursor.cstr()?);
        let type_oid = cursor.u32()?;
        cursor.u32()?;
        columns.push(RelationColumn { name, type_oid });
    }
    Ok(Relation {
        oid,
        schema,
        name,
        columns,
    })
}

fn row(cursor: &mut Cursor<'_>, tag: u8) -> Result<Change, Malformed> {
    let relation = cursor.u32()?;
    let mut tuples = SmallVec::new();
    let mut kind = cursor.u8()?;
    if matches!((tag, kind), (b'U' | b'D', b'K' | b'O')) {
        tuples.push(tuple(cursor)?);
        if tag == b'U' {
            kind = cursor.u8()?;
        }
    }
    match (tag, kind) {
        (b'I' | b'U', b'N') => tuples.push(tuple(cursor)?),
        (b'D', b'K' | b'O') => {}
        _ => {
            return Err(Malformed::Tag {
                place: PLACE,
                tag: kind,
            });
        }
    }
    Ok(Change::Row { relation, tuples })
}

fn tuple(cursor: &mut Cursor<'_>) -> Result<Tuple, Malformed> {
    let count = cursor.u16()?;
    let mut cells = Vec::new();
    for _ in 0..count {
        let format = match cursor.u8()? {
            b'n' | b'u' => CellFormat::Absent,
            b't' => CellFormat::Text,
            b'b' => CellFormat::Binary,
            tag => return Err(Malformed::Tag { place: PLACE, tag }),
        };
        let len = match format {
            CellFormat::Absent => 0,
            _ => usize::try_from(cursor.u32()?).unwrap_or(usize::MAX),
        };
        let start = cursor.offset();
        cursor.take(len)?;
        cells.push(Cell {
            format,
            value: start..start + len,
        });
    }
    Ok(Tuple { cells })
}

fn emitted(cursor: &mut Cursor<'_>) -> Result<Change, Malformed> {
    cursor.take(1 + 8)?;
    let start = cursor.offset();
    let prefix = start..start + cursor.cstr()?.len();
    let len = usize::try_from(cursor.u32()?).unwrap_or(usize::MAX);
    let start = cursor.offset();
    cursor.take(len)?;
    Ok(Change::Message {
        prefix,
        content: start..start + len,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn insert(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = b"I\0\0\x40\x01N".to_vec();
        out.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            match value {
                None => out.push(b'n'),
                Some(value) => {
                    out.push(b't');
                    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
                    out.extend_from_slice(value);
                }
            }
        }
        out
    }

    #[test]
    fn a_row_says_where_its_values_are() {
        let message = insert(&[Some(b"1"), None, Some(b"alice@example.com")]);
        let Ok(Change::Row { relation, tuples }) = Change::parse(&message, false) else {
            panic!("no row");
        };
        assert_eq!(relation, 0x4001);
        let cells = &tuples[0].cells;
        assert_eq!(cells[1].format, CellFormat::Absent);
        assert_eq!(&message[cells[2].value.clone()], b"alice@example.com");
    }

    #[test]
    fn updates_and_deletes_have_what_was_before() {
        let tuple = b"\0\x01t\0\0\0\x01a";
        let update = [b"U\0\0\x40\x01O".as_slice(), tuple, b"N", tuple].concat();
        assert!(matches!(Change::parse(&update, false), Ok(Change::Row { tuples, .. }) if tuples.len() == 2));
        let delete = [b"D\0\0\x40\x01K".as_slice(), tuple].concat();
        assert!(matches!(Change::parse(&delete, false), Ok(Change::Row { tuples, .. }) if tuples.len() == 1));
        let wrong = [b"D\0\0\x40\x01N".as_slice(), tuple].concat();
        assert!(Change::parse(&wrong, false).is_err());
    }

    #[test]
    fn a_relation_names_its_columns() {
        let message = b"R\0\0\x40\x01public\0customers\0d\0\x02\x01id\0\0\0\0\x17\xff\xff\xff\xff\0name\0\0\0\0\x19\xff\xff\xff\xff";
        let Ok(Change::Relation(relation)) = Change::parse(message, false) else {
            panic!("no relation");
        };
        assert_eq!(
            (relation.oid, relation.schema.as_str(), relation.name.as_str()),
            (0x4001, "public", "customers")
        );
        assert_eq!(
            relation.columns[1],
            RelationColumn {
                name: "name".into(),
                type_oid: 25
            }
        );
        // In a stream the transaction's number stands before.
        let streamed = [b"R\0\0\0\x09".as_slice(), &message[1..]].concat();
        assert!(matches!(Change::parse(&streamed, true), Ok(Change::Relation(again)) if again == relation));
    }

    #[test]
    fn other_plugins_are_not_taken_for_it() {
        for text in [
            "BEGIN 693",
            "COMMIT 693",
            "table public.customers: INSERT: id[integer]:1 name[text]:'Alice'",
            r#"{"change":[{"kind":"insert"}]}"#,
            "",
        ] {
            assert!(Change::parse(text.as_bytes(), false).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_may_follow() {
        let mut message = insert(&[Some(b"1")]);
        message.extend_from_slice(b"alice@example.com");
        assert!(Change::parse(&message, false).is_err());
        assert!(Change::parse(&[b"B".as_slice(), &[0; 21]].concat(), false).is_err());
        assert_eq!(
            Change::parse(&[b"B".as_slice(), &[0; 20]].concat(), false),
            Ok(Change::Nothing)
        );
    }

    proptest! {
        #[test]
        fn hostile_messages_give_errors(bytes: Vec<u8>, in_stream: bool, tag in prop::sample::select(b"BCcASEObPKprYTRIUDM".to_vec())) {
            let message = [&[tag], bytes.as_slice()].concat();
            if let Ok(Change::Row { tuples, .. }) = Change::parse(&message, in_stream) {
                for cell in tuples.iter().flat_map(|tuple| &tuple.cells) {
                    prop_assert!(cell.value.end <= message.len());
                }
            }
        }
    }
}
