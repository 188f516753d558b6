//! Backup and restore of everything that an installation cannot make anew: the database as of one moment, the authority's and
//! the policy's keys, and the administrator's token. The envelope key is kept apart: whoever has only the backup reads no
//! stored secret of a connection.
//!
//! ```text
//! DIR/backup.json          what there is, with the SHA-256 of each file
//! DIR/controlplane.db      SQLite
//! DIR/tables/NAME.copy     PostgreSQL: each table in the binary format of COPY
//! DIR/pki/…, DIR/admin.token
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::config::Config;
use crate::pki::hex;
use crate::private_file;
use crate::store::{Location, migrate};

/// Form of the directory.
const VERSION: u32 = 1;
const MANIFEST: &str = "backup.json";
const DATABASE: &str = "controlplane.db";
/// Files beside the database.
const KEYS: [&str; 4] = ["pki/ca.key", "pki/ca.pem", "pki/policy.key", "admin.token"];
/// What was sent to PostgreSQL at once.
const COPY_BYTES: usize = 64 * 1024;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error(transparent)]
    Start(#[from] crate::StartError),
    #[error("{0} is there already: a backup goes into a new directory")]
    Exists(PathBuf),
    #[error("{0} is there already: a backup is restored into an empty data directory")]
    InUse(PathBuf),
    #[error("the database is not empty: a backup is restored into a new one")]
    NotEmpty,
    #[error("{0} is no backup that this version can read")]
    NotABackup(PathBuf),
    #[error("{0} is not as it was written")]
    Changed(PathBuf),
    #[error("this is a backup of {found}; the configuration says {wanted}")]
    OtherKind { found: &'static str, wanted: &'static str },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    fn of(config: &Config) -> Kind {
        match config.database_url {
            None => Kind::Sqlite,
            Some(_) => Kind::Postgres,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    kind: Kind,
    created_at: String,
    /// Migrations that the database has.
    schema: i64,
    /// Columns by table; PostgreSQL alone.
    tables: BTreeMap<String, Vec<String>>,
    /// SHA-256 by path.
    files: BTreeMap<String, String>,
}

/// Writes a backup into the new directory `dir`, while control planes run or not. Returns the number of bytes.
pub async fn backup(config: &Config, dir: &Path) -> Result<u64, BackupError> {
    if dir.exists() {
        return Err(BackupError::Exists(dir.to_owned()));
    }
    make_dir(&dir.join("pki"))?;
    let mut manifest = Manifest {
        version: VERSION,
        kind: Kind::of(config),
        created_at: crate::http::input::time_text(crate::store::now_micros()).unwrap_or_default(),
        schema: 0,
        tables: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    match crate::location(config) {
        Location::File(path) => manifest.schema = sqlite_out(&path, &dir.join(DATABASE)).await?,
        Location::Postgres(url) => postgres_out(&url, dir, &mut manifest).await?,
    }
    for name in KEYS {
        let from = config.data_dir.join(name);
        let content = fs::read(&from).map_err(file_error(&from))?;
        private_file::write(&dir.join(name), &content).map_err(file_error(&from))?;
    }
    let mut bytes = 0;
    for name in files_of(&manifest) {
        let (sha256, length) = hash(&dir.join(&name))?;
        manifest.files.insert(name, sha256);
        bytes += length;
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(|_| BackupError::NotABackup(dir.to_owned()))?;
    // Last: a directory without it is no backup.
    private_file::write(&dir.join(MANIFEST), &text).map_err(file_error(dir))?;
    Ok(bytes)
}

/// Puts a backup in place of nothing: into a data directory without database and keys, and for PostgreSQL into an empty
/// database. All of the backup is checked before.
pub async fn restore(config: &Config, dir: &Path) -> Result<(), BackupError> {
    let _lock = crate::lock_data_dir(config)?;
    let manifest = read(config, dir)?;
    for name in KEYS.iter().chain([&DATABASE]) {
        let path = config.data_dir.join(name);
        if path.exists() {
            return Err(BackupError::InUse(path));
        }
    }
    match crate::location(config) {
        Location::File(path) => sqlite_in(&dir.join(DATABASE), &path)?,
        Location::Postgres(url) => postgres_in(&url, dir, &manifest).await?,
    }
    make_dir(&config.data_dir.join("pki"))?;
    for name in KEYS {
        let from = dir.join(name);
        let content = fs::read(&from).map_err(file_error(&from))?;
        private_file::write(&config.data_dir.join(name), &content).map_err(file_error(&from))?;
    }
    Ok(())
}

fn read(config: &Config, dir: &Path) -> Result<Manifest, BackupError> {
    let not_one = || BackupError::NotABackup(dir.to_owned());
    let path = dir.join(MANIFEST);
    let text = fs::read(&path).map_err(file_error(&path))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| not_one())?;
    if manifest.version != VERSION {
        return Err(not_one());
    }
    if manifest.kind != Kind::of(config) {
        return Err(BackupError::OtherKind {
            found: manifest.kind.name(),
            wanted: Kind::of(config).name(),
        });
    }
    for name in files_of(&manifest) {
        let path = dir.join(&name);
        let (sha256, _) = hash(&path)?;
        if manifest.files.get(&name) != Some(&sha256) {
            return Err(BackupError::Changed(path));
        }
    }
    Ok(manifest)
}

/// Paths that a backup must have, beside the manifest.
fn files_of(manifest: &Manifest) -> Vec<String> {
    let database = match manifest.kind {
        Kind::Sqlite => vec![DATABASE.to_owned()],
        Kind::Postgres => manifest.tables.keys().map(|table| path_of(table)).collect(),
    };
    database.into_iter().chain(KEYS.map(str::to_owned)).collect()
}

fn path_of(table: &str) -> String {
    format!("tables/{table}.copy")
}

async fn sqlite_out(from: &Path, to: &Path) -> Result<i64, BackupError> {
    let options = SqliteConnectOptions::new().filename(from).read_only(true);
    let mut connection: SqliteConnection = options.connect().await?;
    let schema = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await?
        .try_get(0)?;
    sqlx::query("VACUUM INTO $1")
        .bind(to.display().to_string())
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    make_private(to)?;
    Ok(schema)
}

fn sqlite_in(from: &Path, to: &Path) -> Result<(), BackupError> {
    for suffix in ["-wal", "-shm"] {
        let mut left = to.as_os_str().to_owned();
        left.push(suffix);
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file_error(to)(error)),
            _ => {}
        }
    }
    let fresh = to.with_extension("db.new");
    fs::copy(from, &fresh).map_err(file_error(&fresh))?;
    make_private(&fresh)?;
    fs::File::open(&fresh)
        .and_then(|file| file.sync_all())
        .map_err(file_error(&fresh))?;
    fs::rename(&fresh, to).map_err(file_error(to))
}

fn make_private(path: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(file_error(path))
}

async fn connect(url: &str) -> Result<PgConnection, BackupError> {
    let options: PgConnectOptions = url.parse().map_err(crate::store::StoreError::Url)?;
    Ok(options.application_name("sluice-controlplane backup").connect().await?)
}

async fn postgres_out(url: &str, dir: &Path, manifest: &mut Manifest) -> Result<(), BackupError> {
    make_dir(&dir.join("tables"))?;
    let mut connection = connect(url).await?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut connection)
        .await?;
    let schema: Option<i64> = sqlx::query("SELECT max(version) FROM schema_version")
        .fetch_one(&mut connection)
        .await?
        .try_get(0)?;
    manifest.schema = schema.unwrap_or(0);
    manifest.tables = tables(&mut connection).await?;
    // The restored database counts its migrations itself.
    manifest.tables.remove("schema_version");
    for (table, columns) in &manifest.tables {
        let path = dir.join(path_of(table));
        let mut file = new_file(&path)?;
        let copy = format!("COPY \"{table}\" ({}) TO STDOUT (FORMAT binary)", listed(columns));
        let mut content = connection.copy_out_raw(&copy).await?;
        while let Some(bytes) = content.try_next().await? {
            file.write_all(&bytes).map_err(file_error(&path))?;
        }
        file.sync_all().map_err(file_error(&path))?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn postgres_in(url: &str, dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut connection = connect(url).await?;
    if !tables(&mut connection).await?.is_empty() {
        return Err(BackupError::NotEmpty);
    }
    // All or nothing.
    sqlx::raw_sql("BEGIN").execute(&mut connection).await?;
    migrate::postgres_to(&mut connection, manifest.schema).await?;
    let known = tables(&mut connection).await?;
    for (table, columns) in &manifest.tables {
        // Names come from a file: only those that our migrations have made go into a statement.
        let ours = known
            .get(table)
            .is_some_and(|known| columns.iter().all(|column| known.contains(column)));
        if !ours {
            return Err(BackupError::NotABackup(dir.to_owned()));
        }
        copy_in(&mut connection, &dir.join(path_of(table)), table, columns).await?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn copy_in(
    connection: &mut PgConnection,
    path: &Path,
    table: &str,
    columns: &[String],
) -> Result<(), BackupError> {
    let mut file = fs::File::open(path).map_err(file_error(path))?;
    // What the migrations put there is in the backup as well.
    sqlx::raw_sql(AssertSqlSafe(format!("DELETE FROM \"{table}\"")))
        .execute(&mut *connection)
        .await?;
    let copy = format!("COPY \"{table}\" ({}) FROM STDIN (FORMAT binary)", listed(columns));
    let mut into = connection.copy_in_raw(&copy).await?;
    let mut piece = vec![0; COPY_BYTES];
    loop {
        let length = file.read(&mut piece).map_err(file_error(path))?;
        if length == 0 {
            break;
        }
        into.send(&piece[..length]).await?;
    }
    into.finish().await?;
    if columns.iter().any(|column| column == "id") {
        let next = format!(
            "SELECT setval(sequence, (SELECT max(id) FROM \"{table}\")) FROM (SELECT pg_get_serial_sequence('\"{table}\"', 'id') \
             AS sequence) AS found WHERE sequence IS NOT NULL AND EXISTS (SELECT 1 FROM \"{table}\")"
        );
        // Only where the numbers are given by a sequence: max() of the others is no number.
        let numbers = "SELECT 1 FROM information_schema.columns WHERE table_schema = current_schema() \
                       AND table_name = $1 AND column_name = 'id' AND is_identity = 'YES'";
        let numbered = sqlx::query(numbers)
            .bind(table)
            .fetch_optional(&mut *connection)
            .await?;
        if numbered.is_some() {
            sqlx::raw_sql(AssertSqlSafe(next)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn tables(connection: &mut PgConnection) -> Result<BTreeMap<String, Vec<String>>, BackupError> {
    let rows = sqlx::query(
        "SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c JOIN information_schema.tables t \
         USING (table_schema, table_name) WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' \
         ORDER BY c.table_name, c.ordinal_position",
    )
    .fetch_all(connection)
    .await?;
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        tables.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    Ok(tables)
}

fn listed(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    quoted.join(", ")
}

fn hash(path: &Path) -> Result<(String, u64), BackupError> {
    let mut file = fs::File::open(path).map_err(file_error(path))?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let (mut piece, mut bytes) = (vec![0; COPY_BYTES], 0);
    loop {
        let length = file.read(&mut piece).map_err(file_error(path))?;
        if length == 0 {
            return Ok((hex(hash.finish().as_ref()), bytes));
        }
        hash.update(&piece[..length]);
        bytes += length as u64;
    }
}

fn new_file(path: &Path) -> Result<fs::File, BackupError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(file_error(path))
}

fn make_dir(path: &Path) -> Result<(), BackupError> {
    private_file::make_dir(path).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}
