//! One way to say a query to both databases: text with `?` for values, values of three types, rows read by name.
//!
//! ```text
//! db::query("UPDATE t SET a = ? WHERE id = ?").bind(a).bind(id).execute(&mut tx).await?
//! ```
//! Queries are written in what SQLite and PostgreSQL share: `ON CONFLICT`, `CASE` instead of `max(a, b)`, `"user"` in
//! quotation marks, `CAST(sum(x) AS BIGINT)`. Integers are 64 bits wide in both; a truth is 0 or 1. What really differs
//! asks [`On::is_postgres`] or [`Tx::is_postgres`].

use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{
    AssertSqlSafe, ColumnIndex, Decode, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Transaction, Type,
};

use super::StoreError;

/// A value of a query. NULL has a type too, because PostgreSQL wants one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    /// Texts as a list; PostgreSQL alone.
    Texts(Vec<String>),
}

macro_rules! values {
    ($($from:ty => $kind:ident($value:ident, $to:expr)),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Value {
                Value::$kind(Some($to))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Value {
                Value::$kind(value.map(|$value| $to))
            }
        }
    )*};
}

values! {
    i64 => Int(value, value),
    i32 => Int(value, i64::from(value)),
    u32 => Int(value, i64::from(value)),
    bool => Int(value, i64::from(value)),
    String => Text(value, value),
    &String => Text(value, value.clone()),
    &str => Text(value, value.to_owned()),
    Vec<u8> => Blob(value, value),
    &Vec<u8> => Blob(value, value.clone()),
    &[u8] => Blob(value, value.to_vec()),
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Value {
        Value::Blob(Some(value.to_vec()))
    }
}

impl From<&Option<Vec<u8>>> for Value {
    fn from(value: &Option<Vec<u8>>) -> Value {
        Value::Blob(value.clone())
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Value {
        Value::Text(value.clone())
    }
}

/// Where a query runs: a pool, or a transaction.
pub enum On<'a> {
    Sqlite(&'a SqlitePool),
    Postgres(&'a PgPool),
    SqliteTx(&'a mut SqliteConnection),
    PostgresTx(&'a mut PgConnection),
}

impl On<'_> {
    /// Whether it is PostgreSQL's dialect that is spoken here.
    pub fn is_postgres(&self) -> bool {
        matches!(self, On::Postgres(_) | On::PostgresTx(_))
    }
}

/// A transaction that may write. What was not committed when it is dropped never was.
#[derive(Debug)]
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Makes everything durable and visible.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await?,
            Tx::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Whether it is PostgreSQL's dialect that is spoken here.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Tx::Postgres(_))
    }
}

impl<'a> From<&'a mut Tx> for On<'a> {
    fn from(tx: &'a mut Tx) -> On<'a> {
        match tx {
            Tx::Sqlite(tx) => On::SqliteTx(tx),
            Tx::Postgres(tx) => On::PostgresTx(tx),
        }
    }
}

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What can be read from a column of either database.
pub trait Stored: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

impl<T> Stored for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

impl Row {
    /// The value of a column by name or place.
    pub fn try_get<T: Stored, I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>>(
        &self,
        column: I,
    ) -> Result<T, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }
}

/// A query with its values.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    values: Vec<Value>,
    /// Built at run time: not worth keeping prepared.
    built: bool,
}

/// Starts a query; each `?` outside of quotation marks stands for the next value.
pub fn query(text: &'static str) -> Query {
    Query {
        text: text.to_owned(),
        values: Vec::new(),
        built: false,
    }
}

/// Starts a query that [`Query::push`] goes on with.
pub fn build(text: &'static str) -> Query {
    Query {
        built: true,
        ..query(text)
    }
}

impl Query {
    /// Gives the next value.
    pub fn bind(mut self, value: impl Into<Value>) -> Query {
        self.values.push(value.into());
        self
    }

    /// Holds the rows that are read until the transaction ends. In SQLite a transaction that may write is alone anyway.
    pub fn for_update(mut self, tx: &Tx) -> Query {
        if tx.is_postgres() {
            self.text.push_str(" FOR UPDATE");
        }
        self
    }

    /// Goes on with a text of ours.
    pub fn push(&mut self, text: &str) -> &mut Query {
        self.text.push_str(text);
        self.built = true;
        self
    }

    /// Goes on with a value.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Query {
        self.text.push('?');
        self.built = true;
        self.values.push(value.into());
        self
    }

    /// Goes on with `(?, ?), (?, ?)`: the rows of an `INSERT`.
    pub fn push_rows(&mut self, rows: impl IntoIterator<Item = Vec<Value>>) -> &mut Query {
        for (number, row) in rows.into_iter().enumerate() {
            self.push(if number == 0 { "(" } else { ", (" });
            for (place, value) in row.into_iter().enumerate() {
                if place > 0 {
                    self.push(", ");
                }
                self.push_bind(value);
            }
            self.push(")");
        }
        self
    }

    /// Runs it; the number of rows that it changed.
    pub async fn execute(self, on: impl Into<On<'_>>) -> Result<u64, StoreError> {
        Ok(match on.into() {
            On::Sqlite(pool) => self.sqlite().execute(pool).await?.rows_affected(),
            On::SqliteTx(tx) => self.sqlite().execute(tx).await?.rows_affected(),
            On::Postgres(pool) => self.postgres().execute(pool).await?.rows_affected(),
            On::PostgresTx(tx) => self.postgres().execute(tx).await?.rows_affected(),
        })
    }

    /// Runs it; all rows.
    pub async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>, StoreError> {
        Ok(match on.into() {
            On::Sqlite(pool) => sqlite_rows(self.sqlite().fetch_all(pool).await?),
            On::SqliteTx(tx) => sqlite_rows(self.sqlite().fetch_all(tx).await?),
            On::Postgres(pool) => postgres_rows(self.postgres().fetch_all(pool).await?),
            On::PostgresTx(tx) => postgres_rows(self.postgres().fetch_all(tx).await?),
        })
    }

    /// Runs it; the first row, if there is one.
    pub async fn fetch_optional(self, on: impl Into<On<'_>>) -> Result<Option<Row>, StoreError> {
        Ok(match on.into() {
            On::Sqlite(pool) => self.sqlite().fetch_optional(pool).await?.map(Row::Sqlite),
            On::SqliteTx(tx) => self.sqlite().fetch_optional(tx).await?.map(Row::Sqlite),
            On::Postgres(pool) => self.postgres().fetch_optional(pool).await?.map(Row::Postgres),
            On::PostgresTx(tx) => self.postgres().fetch_optional(tx).await?.map(Row::Postgres),
        })
    }

    /// Runs it; the first row, which there must be.
    pub async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<Row, StoreError> {
        let row = self.fetch_optional(on).await?;
        row.ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.text)).persistent(!self.built);
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Blob(value) => query.bind(value),
                // No caller gives a list to SQLite; NULL finds nothing.
                Value::Texts(_) => query.bind(None::<String>),
            };
        }
        query
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments> {
        let mut query = sqlx::query(AssertSqlSafe(numbered(&self.text))).persistent(!self.built);
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(without_nul)),
                Value::Blob(value) => query.bind(value),
                Value::Texts(value) => query.bind(value),
            };
        }
        query
    }
}

fn sqlite_rows(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Sqlite).collect()
}

fn postgres_rows(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}

/// PostgreSQL's texts hold everything but NUL.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// Each `?` outside of quotation marks as `$1`, `$2`, …
fn numbered(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut count, mut quote) = (0u32, None);
    for c in text.chars() {
        match (c, quote) {
            ('?', None) => {
                count += 1;
                out.push('$');
                out.push_str(&count.to_string());
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_outside_of_quotation_marks() {
        assert_eq!(
            numbered("a = ? AND b = '?''?' AND \"?\" = ?"),
            "a = $1 AND b = '?''?' AND \"?\" = $2"
        );
        assert_eq!(numbered("x"), "x");
    }

    #[test]
    fn rows_are_built() {
        let mut query = build("INSERT INTO t VALUES ");
        query.push_rows([vec![1i64.into(), "a".into()], vec![2i64.into(), "b".into()]]);
        assert_eq!(query.text, "INSERT INTO t VALUES (?, ?), (?, ?)");
        assert_eq!(query.values.len(), 4);
        assert_eq!(Value::from(None::<&str>), Value::Text(None));
    }
}
