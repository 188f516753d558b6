//! The one query at login that finds policy columns in the target's catalogue, and the reading of its answer.
//!
//! The client's start-up settings are in force when it runs, so it must mean the same under all of them: names and
//! operators are qualified because `search_path` may put another schema before `pg_catalog`; literals are `E''` strings of
//! pure ASCII, so neither `standard_conforming_strings` nor any `client_encoding` changes them.

use super::{ColumnName, ResolvedColumn, UpstreamFault};
use crate::postgres::limits::RESOLVE_ROWS_MAX;
use crate::postgres::message::DataRow;

/// Marks the query in the target's log.
const MARK: &str = "/* sluice catalog lookup */";

/// What the answer said so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub columns: Vec<ResolvedColumn>,
    pub relation_oid_max: u32,
}

/// The query's text: rows of (index, table OID, attribute number), and one row (-1, highest OID, 0).
///
/// Tables are followed down to their partitions and inheriting tables, whose columns keep the names but not the numbers.
pub(super) fn query(columns: &[ColumnName]) -> String {
    let mut wanted = String::new();
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            wanted.push_str(", ");
        }
        wanted.push_str(&format!("({index}::pg_catalog.int4"));
        for name in [&column.schema, &column.table, &column.column] {
            wanted.push_str(", ");
            push_literal(&mut wanted, name);
            wanted.push_str("::pg_catalog.name");
        }
        wanted.push(')');
    }
    format!(
        "{MARK} WITH RECURSIVE wanted(i, s, t, c) AS (VALUES {wanted}), tree(i, o, c) AS (\
         SELECT w.i, r.oid, w.c FROM wanted w \
         JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) w.s \
         JOIN pg_catalog.pg_class r ON r.relnamespace OPERATOR(pg_catalog.=) n.oid \
         AND r.relname OPERATOR(pg_catalog.=) w.t \
         UNION SELECT p.i, h.inhrelid, p.c FROM tree p \
         JOIN pg_catalog.pg_inherits h ON h.inhparent OPERATOR(pg_catalog.=) p.o) \
         SELECT k.i, k.o, a.attnum FROM tree k \
         JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) k.o \
         AND a.attname OPERATOR(pg_catalog.=) k.c \
         WHERE a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped \
         UNION ALL SELECT -1, pg_catalog.max(m.oid), 0::pg_catalog.int2 FROM pg_catalog.pg_class m"
    )
}

impl Answer {
    /// Takes in one row; `named` is how many columns were asked for.
    pub(super) fn add(&mut self, row: &DataRow<'_>, named: usize) -> Result<(), UpstreamFault> {
        let mut cells = row.cells();
        let mut number = || -> Option<i64> {
            let bytes = cells.next()?.ok()?.bytes?;
            std::str::from_utf8(bytes).ok()?.parse().ok()
        };
        let (Some(index), Some(oid), Some(attribute)) = (number(), number(), number()) else {
            return Err(UpstreamFault::Catalog);
        };
        if cells.next().is_some() {
            return Err(UpstreamFault::Catalog);
        }
        let oid = u32::try_from(oid).map_err(|_| UpstreamFault::Catalog)?;
        if index == -1 {
            self.relation_oid_max = oid;
            return Ok(());
        }
        let index = usize::try_from(index)
            .ok()
            .filter(|i| *i < named)
            .ok_or(UpstreamFault::Catalog)?;
        let attribute = i16::try_from(attribute)
            .ok()
            .filter(|a| *a > 0)
            .ok_or(UpstreamFault::Catalog)?;
        if self.columns.len() >= RESOLVE_ROWS_MAX {
            return Err(UpstreamFault::TooMuch);
        }
        self.columns.push(ResolvedColumn {
            index,
            table_oid: oid,
            attribute,
        });
        Ok(())
    }
}

/// Appends an `E''` literal in ASCII. NUL cannot be in a name of PostgreSQL, so a name with one matches nothing: it becomes
/// the replacement character.
fn push_literal(out: &mut String, text: &str) {
    out.push_str("E'");
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\uFFFD"),
            ' '..='~' => out.push(c),
            c if u32::from(c) <= 0xFFFF => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_cannot_be_left() {
        let mut out = String::new();
        push_literal(&mut out, "o'x\\' OR\n\u{e4}\u{1f600}\0");
        assert_eq!(out, r"E'o''x\\'' OR\u000A\u00E4\U0001F600\uFFFD'");
        assert!(out.is_ascii());
    }
}
