//! What a statement's text asks of the replayed server.

use std::sync::Arc;

use super::rows::{self, Form, Kind, Table, Tables};
use crate::wire;

/// How a statement is answered.
pub enum Reply {
    /// RowDescription, rows, CommandComplete. `parameters` are type OIDs of a prepared statement.
    Small {
        parameters: &'static [u32],
        description: Vec<u8>,
        rows: Vec<u8>,
    },
    /// A large result.
    Large(Arc<Table>),
    /// CommandComplete with this tag.
    Done(String),
    /// Nothing was asked.
    Empty,
    /// Not a statement of a benchmark.
    Unknown,
}

const INT4: u32 = 23;
const INT8: u32 = 20;
const TEXT: u32 = 25;

/// Classifies a statement.
pub fn classify(text: &str, tables: &Tables) -> Reply {
    let text = text.trim().trim_end_matches(';').trim();
    if text.is_empty() {
        return Reply::Empty;
    }
    if let Some(reply) = large(text, tables) {
        return reply;
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("select abalance from pgbench_accounts") {
        return small(&[INT4], &[("abalance", INT4)], &[b"0"]);
    }
    if lower.starts_with("select count(*) from pgbench_branches") {
        return small(&[], &[("count", INT8)], &[b"10"]);
    }
    if lower.contains("partstrat") {
        return partitions();
    }
    if lower == "select 1" {
        return small(&[], &[("?column?", INT4)], &[b"1"]);
    }
    let word = lower.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SET" | "RESET" => Reply::Done(word),
        "DISCARD" => Reply::Done("DISCARD ALL".into()),
        _ => Reply::Unknown,
    }
}

/// Makes a table of a `perf_KIND_N` name ready, in both forms.
pub fn warm(table: &str, tables: &Tables) -> Option<()> {
    let (kind, size) = named(table)?;
    for form in [Form::Select, Form::Copy] {
        tables.table(kind, form, size);
    }
    Some(())
}

fn large(text: &str, tables: &Tables) -> Option<Reply> {
    let mut words = text.split_whitespace();
    let (form, name) = match words.next()?.to_ascii_uppercase().as_str() {
        "SELECT" => (Form::Select, words.find(|word| word.starts_with("perf_"))?),
        "COPY" => (Form::Copy, words.find(|word| word.starts_with("perf_"))?),
        _ => return None,
    };
    let (kind, size) = named(name)?;
    Some(Reply::Large(tables.table(kind, form, size)))
}

fn named(name: &str) -> Option<(Kind, usize)> {
    let (kind, size) = name.strip_prefix("perf_")?.split_once('_')?;
    let kind = match kind {
        "typed" => Kind::Typed,
        "text" => Kind::Text,
        "block" => Kind::Block,
        _ => return None,
    };
    let size = size.parse().ok().filter(|size| (1..=10_000).contains(size))?;
    Some((kind, size))
}

fn small(parameters: &'static [u32], columns: &[(&str, u32)], cells: &[&[u8]]) -> Reply {
    let (mut description, mut rows) = (Vec::new(), Vec::new());
    rows::row_description(&mut description, columns, 0);
    rows::data_row(&mut rows, cells);
    Reply::Small {
        parameters,
        description,
        rows,
    }
}

/// pgbench asks whether its table is partitioned: one partition count of zero, no strategy.
fn partitions() -> Reply {
    let (mut description, mut rows) = (Vec::new(), Vec::new());
    rows::row_description(
        &mut description,
        &[("n", INT4), ("partstrat", TEXT), ("count", INT8)],
        0,
    );
    wire::message(&mut rows, b'D', |out| {
        out.extend_from_slice(&3i16.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        out.push(b'1');
        out.extend_from_slice(&(-1i32).to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        out.push(b'0');
    });
    Reply::Small {
        parameters: &[],
        description,
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        let tables = Tables::default();
        let reply = |text| classify(text, &tables);
        assert!(matches!(reply("SELECT * FROM perf_typed_1;"), Reply::Large(_)));
        assert!(matches!(reply("COPY perf_text_1 TO STDOUT"), Reply::Large(_)));
        assert!(matches!(
            reply("SELECT abalance FROM pgbench_accounts WHERE aid = $1"),
            Reply::Small { .. }
        ));
        assert!(matches!(reply("  "), Reply::Empty));
        assert!(matches!(reply("SELECT * FROM perf_odd_1"), Reply::Unknown));
        assert!(matches!(reply("DROP TABLE users"), Reply::Unknown));
    }
}
