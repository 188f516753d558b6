//! The database: opening, migrations, and one file per thing that is stored.
//!
//! SQLite in WAL mode with `synchronous = FULL`: a commit is on the disk when it returns, so an audit batch may be
//! acknowledged then. All writes go through one connection, because SQLite has one writer anyway and waiting in our
//! queue is cheaper and fairer than its busy loop; readers have connections of their own and never wait for it.

pub mod admin_log;
pub mod audit;
pub mod enrolment;
pub mod identity;
pub mod objects;
pub mod reviews;
pub mod sessions;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, Sqlite, Transaction};

/// Connections for reading.
const READERS: u32 = 4;
/// Longest wait for a connection.
const ACQUIRE_SECONDS_MAX: u64 = 30;
/// Migrations in order; the database's `user_version` says how many are done. Never edit one that was released.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_promise.sql"),
    include_str!("migrations/0003_review.sql"),
    include_str!("migrations/0004_identity.sql"),
];

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database was written by a newer version ({found}, this one knows {known})")]
    Newer { found: i64, known: usize },
    #[error("stored {what} cannot be read: {why}")]
    Unreadable { what: String, why: String },
    #[error("randomness is not available")]
    Random,
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens or creates the database and brings it to the present form.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        make_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX));
        let writer = pool(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Store { writer, readers })
    }

    /// Starts a transaction that may write; it waits for the one before.
    pub async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    /// Closes all connections, writing the log back into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }
}

/// Microseconds since 1970.
pub fn now_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// The database holds literal secrets: only its owner may read it. SQLite gives its log the mode of the database.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| StoreError::Database(sqlx::Error::Io(error)))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX))
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(writer).await?.try_get(0)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(StoreError::Newer {
            found,
            known: MIGRATIONS.len(),
        });
    }
    for migration in MIGRATIONS.iter().skip(done) {
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// A value that must have been written by ours.
fn unreadable(what: impl Into<String>, why: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        what: what.into(),
        why: why.to_string(),
    }
}
