//! Reads sessions and their events back.

use std::collections::BTreeMap;

use super::db::{self, Query, Row};
use super::{Store, StoreError, unreadable};

/// The summary of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: Vec<u8>,
    pub started_micros: i64,
    pub ended_micros: Option<i64>,
    pub user: String,
    pub user_id: String,
    pub token_id: String,
    pub connection: String,
    pub protocol: String,
    pub database: String,
    pub client_address: String,
    pub application: String,
    pub dataplane: String,
    pub generation: i64,
    pub statements: i64,
    pub denied: i64,
    pub failed: i64,
    pub rows: i64,
    pub findings: BTreeMap<String, u64>,
    pub end_cause: Option<String>,
    pub end_message: Option<String>,
    pub bytes_to_upstream: i64,
    pub bytes_to_downstream: i64,
    pub events: i64,
    pub sequence_max: i64,
}

/// Which sessions are wanted.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    pub user: Option<String>,
    /// Only this user's, whatever `user` says.
    pub user_id: Option<String>,
    pub connection: Option<String>,
    /// Some(true): only open ones.
    pub open: Option<bool>,
    pub since_micros: Option<i64>,
    pub until_micros: Option<i64>,
    /// Only sessions after this one in the order of the list.
    pub after: Option<(i64, Vec<u8>)>,
}

/// Some events of a session as they were stored.
#[derive(Clone, Debug)]
pub struct StoredChunk {
    pub id: i64,
    pub content: Vec<u8>,
}

impl Store {
    /// Sessions, newest first.
    pub async fn sessions(&self, filter: &SessionFilter, limit: usize) -> Result<Vec<SessionRow>, StoreError> {
        let mut query = db::build("SELECT * FROM session WHERE 1 = 1");
        restrict(&mut query, filter);
        if let Some((started, id)) = &filter.after {
            query.push(" AND (started_micros < ").push_bind(*started);
            query.push(" OR (started_micros = ").push_bind(*started);
            query.push(" AND id > ").push_bind(id.clone()).push("))");
        }
        query
            .push(" ORDER BY started_micros DESC, id LIMIT ")
            .push_bind(limit as i64);
        query.fetch_all(self.readers()).await?.iter().map(session_of).collect()
    }

    /// How many sessions there are.
    pub async fn session_count(&self, filter: &SessionFilter) -> Result<i64, StoreError> {
        let mut query = db::build("SELECT count(*) FROM session WHERE 1 = 1");
        restrict(&mut query, filter);
        Ok(query.fetch_one(self.readers()).await?.try_get(0)?)
    }

    /// One session.
    pub async fn session(&self, id: &[u8]) -> Result<Option<SessionRow>, StoreError> {
        let row = db::query("SELECT * FROM session WHERE id = ?")
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(session_of).transpose()
    }

    /// Chunks of a session in order, from the one after `after` on.
    pub async fn session_chunks(
        &self,
        id: &[u8],
        recording: bool,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredChunk>, StoreError> {
        let rows = db::query(
            "SELECT id, content FROM session_chunk WHERE session_id = ? AND recording = ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(id)
        .bind(i64::from(recording))
        .bind(after)
        .bind(limit as i64)
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredChunk {
                    id: row.try_get("id")?,
                    content: row.try_get("content")?,
                })
            })
            .collect()
    }
}

impl Store {
    /// Statements of a session whose answer began and of which no event has come, in order: encoded events.
    pub async fn session_promises(&self, id: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = db::query("SELECT content FROM session_promise WHERE session_id = ? ORDER BY number")
            .bind(id)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

fn restrict(query: &mut Query, filter: &SessionFilter) {
    let texts = [
        ("\"user\"", &filter.user),
        ("user_id", &filter.user_id),
        ("connection", &filter.connection),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
    match filter.open {
        Some(true) => query.push(" AND ended_micros IS NULL"),
        Some(false) => query.push(" AND ended_micros IS NOT NULL"),
        None => query,
    };
    if let Some(since) = filter.since_micros {
        query.push(" AND started_micros >= ").push_bind(since);
    }
    if let Some(until) = filter.until_micros {
        query.push(" AND started_micros < ").push_bind(until);
    }
}

fn session_of(row: &Row) -> Result<SessionRow, StoreError> {
    let findings: String = row.try_get("findings")?;
    Ok(SessionRow {
        id: row.try_get("id")?,
        started_micros: row.try_get("started_micros")?,
        ended_micros: row.try_get("ended_micros")?,
        user: row.try_get("user")?,
        user_id: row.try_get("user_id")?,
        token_id: row.try_get("token_id")?,
        connection: row.try_get("connection")?,
        protocol: row.try_get("protocol")?,
        database: row.try_get("database")?,
        client_address: row.try_get("client_address")?,
        application: row.try_get("application")?,
        dataplane: row.try_get("dataplane")?,
        generation: row.try_get("generation")?,
        statements: row.try_get("statements")?,
        denied: row.try_get("denied")?,
        failed: row.try_get("failed")?,
        rows: row.try_get("rows")?,
        findings: serde_json::from_str(&findings).map_err(|e| unreadable("findings", e))?,
        end_cause: row.try_get("end_cause")?,
        end_message: row.try_get("end_message")?,
        bytes_to_upstream: row.try_get("bytes_to_upstream")?,
        bytes_to_downstream: row.try_get("bytes_to_downstream")?,
        events: row.try_get("events")?,
        sequence_max: row.try_get("sequence_max")?,
    })
}
