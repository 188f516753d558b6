//! The database: opening, migrations, and one file per thing that is stored.
//!
//! SQLite in WAL mode with `synchronous = FULL`: a commit is on the disk when it returns, so an audit batch may be
//! acknowledged then. All writes go through one connection, because SQLite has one writer anyway and waiting in our
//! queue is cheaper and fairer than its busy loop; readers have connections of their own and never wait for it.
//!
//! PostgreSQL for several control planes on one store. Queries are the same ([`db`]); migrations have the same numbers.

pub mod admin_log;
pub mod answers;
pub mod audit;
pub mod db;
pub mod enrolment;
pub mod feed;
pub mod flows;
pub mod identity;
pub mod lock;
pub(crate) mod migrate;
pub mod objects;
pub mod outbox;
pub mod replicas;
pub mod reviews;
pub mod search;
pub mod secrets;
pub mod sessions;
pub mod verify;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::limits::{POSTGRES_CONNECTIONS_MAX, STORE_ACQUIRE_SECONDS_MAX};
use db::{On, Tx};
use secrets::{EnvelopeKey, Secrets};

/// Connections of SQLite for reading.
const READERS: u32 = 4;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("database_url: {0}")]
    Url(sqlx::Error),
    #[error("the database was written by a newer version ({found}, this one knows {known})")]
    Newer { found: i64, known: usize },
    #[error("stored {what} cannot be read: {why}")]
    Unreadable { what: String, why: String },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("an envelope key has 64 hexadecimal digits")]
    EnvelopeKeyForm,
    #[error("the envelope key is not the one that the stored secrets were sealed with")]
    EnvelopeKeyWrong,
    #[error("somebody else has changed it meanwhile")]
    Overtaken,
    #[error("randomness is not available")]
    Random,
}

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite.
    File(PathBuf),
    /// A URL of PostgreSQL: `postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=/path`.
    Postgres(String),
}

#[derive(Clone, Debug)]
enum Pools {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(PgPool),
}

/// The open database.
#[derive(Clone, Debug)]
pub struct Store {
    pools: Pools,
    secrets: Secrets,
    locks: Arc<lock::Locks>,
}

impl Store {
    /// Opens or creates the database, brings it to the present form, and opens its data key with the envelope key.
    pub async fn open(location: &Location, key: &EnvelopeKey) -> Result<Store, StoreError> {
        let pools = match location {
            Location::File(path) => open_sqlite(path).await?,
            Location::Postgres(url) => open_postgres(url).await?,
        };
        let secrets = data_key(&pools, key).await?;
        let store = Store {
            pools,
            secrets,
            locks: Arc::default(),
        };
        store.seal_plain_objects().await?;
        Ok(store)
    }

    /// Starts a transaction that may write. In SQLite it waits for the one before.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.pools.begin().await
    }

    /// Starts a transaction whose reads all see the same moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<Tx, StoreError> {
        let mut tx = self.begin().await?;
        if tx.is_postgres() {
            db::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .execute(&mut tx)
                .await?;
        }
        Ok(tx)
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<(), StoreError> {
        db::query("SELECT 1").execute(self.readers()).await?;
        Ok(())
    }

    /// Closes all connections; SQLite writes its log back into the database.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// Brings what the planner of queries knows up to date, as after many records came at once.
    pub async fn settle(&self) -> Result<(), StoreError> {
        db::query("ANALYZE").execute(self.writer()).await?;
        Ok(())
    }

    /// Whether other control planes may use the same store: then it is PostgreSQL.
    pub fn is_shared(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// Seals and opens secrets that are stored.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Seals the data key with another envelope key; from the next start on that one is needed.
    pub async fn change_envelope_key(&self, key: &EnvelopeKey) -> Result<(), StoreError> {
        self.set_setting(DATA_KEY, &key.seal_data_key(self.secrets.data_key())?)
            .await
    }

    /// Where reads go that need not see what was written a moment ago by another request.
    pub(crate) fn readers(&self) -> On<'_> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => On::Sqlite(readers),
            Pools::Postgres(pool) => On::Postgres(pool),
        }
    }

    /// Where single writes go, and reads that decide about them.
    pub(crate) fn writer(&self) -> On<'_> {
        self.pools.writer()
    }

    /// PostgreSQL's pool, for what only it can do.
    pub(crate) fn postgres(&self) -> Option<&PgPool> {
        match &self.pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres(pool) => Some(pool),
        }
    }
}

impl Pools {
    async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Pools::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    fn writer(&self) -> On<'_> {
        match self {
            Pools::Sqlite { writer, .. } => On::Sqlite(writer),
            Pools::Postgres(pool) => On::Postgres(pool),
        }
    }
}

/// Name of the setting with the sealed data key.
const DATA_KEY: &str = "data_key";

/// The data key of the installation; the first one to come makes it.
async fn data_key(pools: &Pools, key: &EnvelopeKey) -> Result<Secrets, StoreError> {
    let fresh = key.seal_data_key(&crate::agents::token::random()?)?;
    db::query("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(DATA_KEY)
        .bind(fresh)
        .execute(pools.writer())
        .await?;
    let row = db::query("SELECT value FROM setting WHERE name = ?")
        .bind(DATA_KEY)
        .fetch_one(pools.writer())
        .await?;
    key.open_data_key(&row.try_get::<Vec<u8>, _>(0)?)
}

/// Microseconds since 1970.
pub fn now_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

async fn open_sqlite(path: &Path) -> Result<Pools, StoreError> {
    make_private(path)?;
    let acquire = Duration::from_secs(STORE_ACQUIRE_SECONDS_MAX);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(acquire);
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(acquire)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let writer = pool(1).connect_with(options.clone()).await?;
    migrate::sqlite(&writer).await?;
    let readers = pool(READERS).connect_with(options.read_only(true)).await?;
    Ok(Pools::Sqlite { writer, readers })
}

async fn open_postgres(url: &str) -> Result<Pools, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(StoreError::Url)?
        .application_name("sluice-controlplane");
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_secs(STORE_ACQUIRE_SECONDS_MAX))
        .after_connect(|connection, _| {
            Box::pin(async move {
                // What is acknowledged must be durable, whatever the server's default is.
                let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                     WHERE current_setting('synchronous_commit') IN ('off', 'local')";
                sqlx::query(durable).execute(connection).await.map(drop)
            })
        })
        .connect_with(options)
        .await?;
    migrate::postgres(&pool).await?;
    Ok(Pools::Postgres(pool))
}

/// Only its owner may read the database. SQLite gives its log the mode of the database.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| StoreError::File {
            path: path.to_owned(),
            source,
        })
}

/// A value that must have been written by ours.
fn unreadable(what: impl Into<String>, why: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        what: what.into(),
        why: why.to_string(),
    }
}
