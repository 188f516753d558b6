//! Brings a database to the present form. Each migration has one number and two texts, one for each kind of database.

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::StoreError;
use super::lock::MIGRATION;

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        [$((
            include_str!(concat!("migrations/sqlite/", $name, ".sql")),
            include_str!(concat!("migrations/postgres/", $name, ".sql")),
        )),*]
    };
}

/// Migrations in order, for SQLite and PostgreSQL. Never edit one that was released; what is not needed in one kind is a
/// file with a comment. The number of those that are done is kept by [`sqlite`] and [`postgres`], not by the files.
const MIGRATIONS: &[(&str, &str)] = &migrations![
    "0001_first",
    "0002_promise",
    "0003_review",
    "0004_identity",
    "0005_replicas",
    "0006_record",
    "0007_flows",
    "0008_answers",
    "0009_outbox"
];

/// Migrates SQLite; `user_version` says how many are done.
pub(super) async fn sqlite(writer: &SqlitePool) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(writer).await?.try_get(0)?;
    for (number, (migration, _)) in missing(found)? {
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {number}")))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Migrates PostgreSQL, one control plane at a time; the table `schema_version` says how many are done.
pub(super) async fn postgres(pool: &PgPool) -> Result<(), StoreError> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION)
        .execute(&mut *tx)
        .await?;
    postgres_to(&mut tx, i64::MAX).await?;
    tx.commit().await?;
    Ok(())
}

/// Brings PostgreSQL to the form that it had after one of the migrations, if it does not have a later one. Nothing is done
/// unless the transaction around it is committed.
pub(crate) async fn postgres_to(connection: &mut PgConnection, last: i64) -> Result<(), StoreError> {
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .execute(&mut *connection)
        .await?;
    let (found,): (i64,) = sqlx::query_as("SELECT coalesce(max(version), 0) FROM schema_version")
        .fetch_one(&mut *connection)
        .await?;
    for (number, (_, migration)) in missing(found)?.take_while(|(number, _)| *number <= last) {
        sqlx::raw_sql(*migration).execute(&mut *connection).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(number)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What is still to be done, with the number that the database has after it.
fn missing(found: i64) -> Result<impl Iterator<Item = (i64, &'static (&'static str, &'static str))>, StoreError> {
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(StoreError::Newer {
            found,
            known: MIGRATIONS.len(),
        });
    }
    Ok((1..).zip(MIGRATIONS).skip(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_newer_version_is_left_alone() {
        let known = MIGRATIONS.len() as i64;
        assert_eq!(missing(known).unwrap().count(), 0);
        assert_eq!(
            missing(known - 1)
                .unwrap()
                .map(|(number, _)| number)
                .collect::<Vec<_>>(),
            [known]
        );
        assert!(matches!(missing(known + 1), Err(StoreError::Newer { .. })));
        assert!(matches!(missing(-1), Err(StoreError::Newer { .. })));
    }
}
