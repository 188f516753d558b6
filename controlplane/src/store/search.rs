//! Finds stored events over all sessions, chunk by chunk.

use super::db;
use super::sessions::restrict_words;
use super::{Store, StoreError};

/// Which chunks may hold wanted events.
#[derive(Clone, Debug, Default)]
pub struct ChunkFilter {
    pub user: Option<String>,
    /// Only this user's, whatever `user` says.
    pub user_id: Option<String>,
    pub connection: Option<String>,
    pub since_micros: Option<i64>,
    pub until_micros: Option<i64>,
    /// Words that a chunk must have; one that ends in `*` is a beginning.
    pub words: Vec<String>,
    /// From this one on in the order of the list: time of the last event, and number.
    pub from: Option<(i64, i64)>,
}

/// Some events of a session.
#[derive(Clone, Debug)]
pub struct FoundChunk {
    pub id: i64,
    pub last_micros: i64,
    pub session_id: Vec<u8>,
    pub user: String,
    pub connection: String,
    pub content: Vec<u8>,
}

impl Store {
    /// Chunks, those with the newest events first.
    pub async fn event_chunks(&self, filter: &ChunkFilter, limit: usize) -> Result<Vec<FoundChunk>, StoreError> {
        let mut query = db::build(
            "SELECT id, last_micros, session_id, \"user\", connection, content FROM session_chunk WHERE recording = 0",
        );
        for (column, value) in [("\"user\"", &filter.user), ("connection", &filter.connection)] {
            if let Some(value) = value {
                query.push(" AND ").push(column).push(" = ").push_bind(value);
            }
        }
        if let Some(user_id) = &filter.user_id {
            query.push(" AND session_id IN (SELECT id FROM session WHERE user_id = ");
            query.push_bind(user_id).push(")");
        }
        if let Some(since) = filter.since_micros {
            query.push(" AND last_micros >= ").push_bind(since);
        }
        if let Some(until) = filter.until_micros {
            query.push(" AND first_micros < ").push_bind(until);
        }
        if let Some((last, id)) = filter.from {
            query.push(" AND (last_micros, id) <= (").push_bind(last);
            query.push(", ").push_bind(id).push(")");
        }
        if !filter.words.is_empty() {
            restrict_words(&mut query, &filter.words, self.is_shared());
        }
        query
            .push(" ORDER BY last_micros DESC, id DESC LIMIT ")
            .push_bind(limit as i64);
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| {
                Ok(FoundChunk {
                    id: row.try_get("id")?,
                    last_micros: row.try_get("last_micros")?,
                    session_id: row.try_get("session_id")?,
                    user: row.try_get("user")?,
                    connection: row.try_get("connection")?,
                    content: row.try_get("content")?,
                })
            })
            .collect()
    }
}
