//! Generated rows, every one distinct, as a DataRow stream, as COPY data, or as COPY text for a real server.
//!
//! A row has six typed cells (id, token, created, amount, active, kind) and four of text (name, city, note, contact),
//! about 220 bytes. One row in [`PERSONAL_EVERY`] holds an e-mail address, a telephone number and a card number. The
//! kind `text` has the same bytes with every column declared as text, which forbids passing over columns by type.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use clap::Args;

use crate::wire;

/// One row in so many holds personal data.
pub const PERSONAL_EVERY: u64 = 200;
/// A larger result repeats a block of this many bytes.
const BLOCK_BYTES_MAX: usize = 100_000_000;
const MEGABYTE: usize = 1_000_000;

/// Type OIDs (PostgreSQL `pg_type.dat`).
const INT4: u32 = 23;
const INT8: u32 = 20;
const BOOL: u32 = 16;
const TEXT: u32 = 25;
const NUMERIC: u32 = 1700;
const TIMESTAMPTZ: u32 = 1184;
const UUID: u32 = 2950;

/// Columns of the large tables.
const COLUMNS: [(&str, u32); 10] = [
    ("id", INT8),
    ("token", UUID),
    ("created", TIMESTAMPTZ),
    ("amount", NUMERIC),
    ("active", BOOL),
    ("kind", INT4),
    ("name", TEXT),
    ("city", TEXT),
    ("note", TEXT),
    ("contact", TEXT),
];

const WORDS: &[&str] = &[
    "order",
    "shipped",
    "to",
    "the",
    "warehouse",
    "in",
    "north",
    "after",
    "customer",
    "asked",
    "for",
    "a",
    "refund",
    "because",
    "box",
    "was",
    "open",
    "thanks",
    "and",
    "please",
    "check",
    "again",
    "invoice",
    "of",
    "last",
    "month",
    "it",
    "has",
    "two",
    "lines",
    "delivery",
    "window",
    "moved",
    "carrier",
    "signed",
    "pallet",
    "broken",
    "seal",
    "returned",
];
const NAMES: &[&str] = &[
    "Avery", "Blake", "Casey", "Devon", "Ellis", "Finley", "Harper", "Jordan", "Kendall", "Logan",
];
const CITIES: &[&str] = &[
    "Porto", "Lyon", "Gdansk", "Turin", "Bergen", "Leeds", "Graz", "Ghent", "Malmo", "Brno",
];

#[derive(Args)]
pub struct Options {
    /// Bytes of COPY text, in megabytes.
    #[arg(long, default_value_t = 100)]
    megabytes: usize,
}

/// How rows are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    Select,
    Copy,
}

/// Which columns a table says that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Typed,
    Text,
    /// One row with one text cell; the size is in KiB.
    Block,
}

/// A whole answer, ReadyForQuery excluded.
pub struct Table {
    pub head: Vec<u8>,
    pub block: Arc<Block>,
    pub repeats: usize,
    pub tail: Vec<u8>,
}

/// Framed rows.
pub struct Block {
    pub bytes: Vec<u8>,
    rows: usize,
}

/// Tables that were asked for, made once.
#[derive(Default)]
pub struct Tables {
    made: Mutex<HashMap<(Kind, Form, usize), Arc<Table>>>,
    blocks: Mutex<HashMap<(Form, usize), Arc<Block>>>,
}

impl Tables {
    /// The answer of `size` megabytes (KiB for [`Kind::Block`]).
    pub fn table(&self, kind: Kind, form: Form, size: usize) -> Arc<Table> {
        let mut made = self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let table = made
            .entry((kind, form, size))
            .or_insert_with(|| Arc::new(self.make(kind, form, size)));
        table.clone()
    }

    fn make(&self, kind: Kind, form: Form, size: usize) -> Table {
        let (block, repeats) = match kind {
            Kind::Block => (Arc::new(single(form, size * 1024)), 1),
            Kind::Typed | Kind::Text => {
                let bytes = (size * MEGABYTE).min(BLOCK_BYTES_MAX);
                let mut blocks = self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let block = blocks
                    .entry((form, bytes))
                    .or_insert_with(|| Arc::new(rows(form, bytes)));
                (block.clone(), (size * MEGABYTE).div_ceil(BLOCK_BYTES_MAX))
            }
        };
        let count = block.rows * repeats;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        match form {
            Form::Select => {
                describe(&mut head, kind);
                wire::message(&mut tail, b'C', |out| wire::text(out, &format!("SELECT {count}")));
            }
            Form::Copy => {
                copy_out(&mut head, kind);
                wire::message(&mut tail, b'c', |_| {});
                wire::message(&mut tail, b'C', |out| wire::text(out, &format!("COPY {count}")));
            }
        }
        Table {
            head,
            block,
            repeats,
            tail,
        }
    }
}

/// RowDescription of a kind.
pub fn describe(out: &mut Vec<u8>, kind: Kind) {
    let columns: Vec<(&str, u32)> = match kind {
        Kind::Typed => COLUMNS.to_vec(),
        Kind::Text => COLUMNS.iter().map(|(name, _)| (*name, TEXT)).collect(),
        Kind::Block => vec![("block", TEXT)],
    };
    row_description(out, &columns, 0);
}

/// RowDescription of columns that come from no table that anybody looks up; `format` 0 is text, 1 binary.
pub fn row_description(out: &mut Vec<u8>, columns: &[(&str, u32)], format: i16) {
    wire::message(out, b'T', |out| {
        out.extend_from_slice(&(columns.len() as i16).to_be_bytes());
        for (name, oid) in columns {
            wire::text(out, name);
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(&oid.to_be_bytes());
            out.extend_from_slice(&(-1i16).to_be_bytes());
            out.extend_from_slice(&(-1i32).to_be_bytes());
            out.extend_from_slice(&format.to_be_bytes());
        }
    });
}

/// One DataRow of text cells.
pub fn data_row(out: &mut Vec<u8>, cells: &[&[u8]]) {
    wire::message(out, b'D', |out| {
        out.extend_from_slice(&(cells.len() as i16).to_be_bytes());
        for cell in cells {
            out.extend_from_slice(&(cell.len() as i32).to_be_bytes());
            out.extend_from_slice(cell);
        }
    });
}

fn copy_out(out: &mut Vec<u8>, kind: Kind) {
    let columns = if kind == Kind::Block { 1 } else { COLUMNS.len() };
    wire::message(out, b'H', |out| {
        out.push(0);
        out.extend_from_slice(&(columns as i16).to_be_bytes());
        out.resize(out.len() + 2 * columns, 0);
    });
}

fn single(form: Form, size: usize) -> Block {
    let mut numbers = Numbers::new();
    let mut cell = String::new();
    while cell.len() < size {
        words(&mut cell, &mut numbers, 8);
        cell.push(' ');
    }
    cell.truncate(size);
    let mut bytes = Vec::new();
    frame(&mut bytes, form, &[cell]);
    Block { bytes, rows: 1 }
}

fn rows(form: Form, size: usize) -> Block {
    let mut numbers = Numbers::new();
    let mut bytes = Vec::with_capacity(size + 1024);
    let mut count = 0;
    while bytes.len() < size {
        let cells = row(&mut numbers, count);
        frame(&mut bytes, form, &cells);
        count += 1;
    }
    Block {
        bytes,
        rows: count as usize,
    }
}

fn frame(out: &mut Vec<u8>, form: Form, cells: &[String]) {
    match form {
        Form::Select => {
            let cells: Vec<&[u8]> = cells.iter().map(String::as_bytes).collect();
            data_row(out, &cells);
        }
        Form::Copy => wire::message(out, b'd', |out| {
            out.extend_from_slice(cells.join("\t").as_bytes());
            out.push(b'\n');
        }),
    }
}

/// Writes COPY text to standard output.
pub fn print(options: &Options) -> Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut numbers = Numbers::new();
    let (mut written, mut count) = (0, 0);
    while written < options.megabytes * MEGABYTE {
        let line = row(&mut numbers, count).join("\t");
        written += line.len() + 1;
        count += 1;
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

fn row(numbers: &mut Numbers, index: u64) -> [String; 10] {
    let (a, b, c) = (numbers.next(), numbers.next(), numbers.next());
    let personal = index.is_multiple_of(PERSONAL_EVERY);
    let pick = |from: &[&'static str], number: u64| from[(number % from.len() as u64) as usize];
    let mut note = String::new();
    words(&mut note, numbers, 12);
    if personal {
        let _ = write!(note, " call (415) 555-{:04} card {}", c % 10_000, card(c));
    }
    let mut contact = String::new();
    if personal {
        let _ = write!(
            contact,
            "{}.{}@example.com",
            pick(NAMES, a).to_lowercase(),
            c % 1_000_000
        );
    } else {
        words(&mut contact, numbers, 3);
    }
    [
        (1_000_000 + index).to_string(),
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a as u32,
            b as u16,
            c % 4096,
            a >> 52,
            b >> 16
        ),
        format!(
            "2024-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
            a % 12 + 1,
            b % 28 + 1,
            c % 24,
            b % 60,
            a % 60,
            c % 1_000_000
        ),
        format!("{}.{:02}", a % 100_000, b % 100),
        if c.is_multiple_of(2) { "t" } else { "f" }.to_owned(),
        (b % 90).to_string(),
        format!("{} {}", pick(NAMES, b), pick(NAMES, c)),
        pick(CITIES, a).to_owned(),
        note,
        contact,
    ]
}

fn words(out: &mut String, numbers: &mut Numbers, count: usize) {
    for index in 0..count {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(WORDS[(numbers.next() % WORDS.len() as u64) as usize]);
    }
}

/// Sixteen digits that pass the check of ISO/IEC 7812.
fn card(number: u64) -> String {
    let mut digits = format!("4{:014}", number % 100_000_000_000_000);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    let _ = write!(digits, "{}", (10 - sum % 10) % 10);
    digits
}

/// The same numbers in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_distinct_whole_frames() {
        let block = rows(Form::Select, 1_000_000);
        let mut seen = std::collections::HashSet::new();
        let (mut at, mut count) = (0, 0);
        while at < block.bytes.len() {
            let (tag, len) = wire::header(&block.bytes[at..]).unwrap().unwrap();
            assert_eq!(tag, b'D');
            assert!(seen.insert(&block.bytes[at..at + len]));
            at += len;
            count += 1;
        }
        assert_eq!((at, count), (block.bytes.len(), block.rows));
    }

    #[test]
    fn cards_pass_their_check() {
        assert_eq!(card(11_111_111_111_111), "4111111111111111");
        assert_eq!(card(0).len(), 16);
    }

    #[test]
    fn larger_results_repeat_a_block() {
        let tables = Tables::default();
        let table = tables.table(Kind::Typed, Form::Copy, 2);
        assert_eq!(table.repeats, 1);
        assert!(table.block.bytes.len() >= 2_000_000);
        assert!(Arc::ptr_eq(&table, &tables.table(Kind::Typed, Form::Copy, 2)));
    }
}
