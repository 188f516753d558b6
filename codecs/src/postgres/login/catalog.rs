//! The query that finds policy columns in the target's catalogue, at login and when a table may have changed, and the reading of
//! its answer.
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
pub struct Answer {
    pub columns: Vec<ResolvedColumn>,
    pub relation_oid_max: u32,
}

/// An entry of the list of what a view selects, as the server writes its parse tree: number and name of the view's
/// column; behind it come the relation and the column that the value is taken from unchanged.
const VIEW_COLUMN: &str = r"E':resno ([0-9]+) :resname ((?:\\\\.|[^ \\\\])+) :ressortgroupref [0-9]+ :resorigtbl '";

/// The query's text: rows of (index, table OID, attribute number), and one row (-1, highest OID, 0).
///
/// Tables are followed down to their partitions and inheriting tables, whose columns keep the names but not the numbers,
/// and up to the views and materialized views that select the column as it is. What a subquery inside a view selects is
/// told from what the view does by its name; a view's column that was renamed since has no such name, and counts.
pub fn query(columns: &[ColumnName]) -> String {
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
    // Short names for what has to be qualified.
    let (eq, cat) = ("OPERATOR(pg_catalog.=)", "OPERATOR(pg_catalog.||)");
    format!(
        "{MARK} WITH RECURSIVE wanted(i, s, t, c) AS (VALUES {wanted}), tree(i, o, a) AS (\
         SELECT w.i, r.oid, a.attnum FROM wanted w \
         JOIN pg_catalog.pg_namespace n ON n.nspname {eq} w.s \
         JOIN pg_catalog.pg_class r ON r.relnamespace {eq} n.oid AND r.relname {eq} w.t \
         JOIN pg_catalog.pg_attribute a ON a.attrelid {eq} r.oid AND a.attname {eq} w.c \
         AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped \
         UNION SELECT k.i, x.o, x.a FROM tree k CROSS JOIN LATERAL (\
         SELECT h.inhrelid, b.attnum FROM pg_catalog.pg_inherits h \
         JOIN pg_catalog.pg_attribute p ON p.attrelid {eq} k.o AND p.attnum {eq} k.a \
         JOIN pg_catalog.pg_attribute b ON b.attrelid {eq} h.inhrelid AND b.attname {eq} p.attname \
         AND b.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT b.attisdropped \
         WHERE h.inhparent {eq} k.o \
         UNION ALL SELECT r.ev_class, v.attnum FROM pg_catalog.pg_depend d \
         JOIN pg_catalog.pg_rewrite r ON r.oid {eq} d.objid AND r.ev_type {eq} '1'::pg_catalog.\"char\" \
         CROSS JOIN LATERAL pg_catalog.regexp_matches(r.ev_action::pg_catalog.text, {VIEW_COLUMN} {cat} \
         k.o::pg_catalog.text {cat} ' :resorigcol ' {cat} k.a::pg_catalog.text {cat} ' ', 'g') m(f) \
         JOIN pg_catalog.pg_attribute v ON v.attrelid {eq} r.ev_class AND v.attnum {eq} m.f[1]::pg_catalog.int2 \
         WHERE d.classid {eq} 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
         AND d.refclassid {eq} 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.refobjid {eq} k.o AND d.refobjsubid {eq} k.a::pg_catalog.int4 \
         AND (m.f[2] {eq} v.attname::pg_catalog.text OR pg_catalog.strpos(r.ev_action::pg_catalog.text, \
         ':resno ' {cat} v.attnum::pg_catalog.text {cat} ' :resname ' {cat} v.attname::pg_catalog.text {cat} ' ') {eq} 0)\
         ) x(o, a)) \
         SELECT k.i, k.o, k.a FROM tree k \
         UNION ALL SELECT -1, pg_catalog.max(m.oid), 0::pg_catalog.int2 FROM pg_catalog.pg_class m"
    )
}

impl Answer {
    /// Takes in one row; `named` is how many columns were asked for.
    ///
    /// # Errors
    /// A row that does not answer the query, or more of them than are kept.
    pub fn add(&mut self, row: &DataRow<'_>, named: usize) -> Result<(), UpstreamFault> {
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
