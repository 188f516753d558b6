//! Reads sessions and their events back.

use std::collections::BTreeMap;

use proto::segment::Header;
use proto::sign::{SigningKey, Use};

use super::audit::signed;
use super::db::{self, Query, Row, Value};
use super::{Store, StoreError, unreadable};
use crate::audit::ingest::SessionDelta;
use crate::audit::words::EVERYTHING;

/// The summary of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRow {
    pub id: Vec<u8>,
    pub started_micros: i64,
    pub ended_micros: Option<i64>,
    pub user: String,
    pub user_id: String,
    pub token_id: String,
    pub connection: String,
    pub connection_id: String,
    pub protocol: String,
    pub database: String,
    pub client_address: String,
    pub application: String,
    pub dataplane: String,
    pub core: i64,
    pub segment: i64,
    pub generation: i64,
    pub statements: i64,
    pub denied: i64,
    pub failed: i64,
    pub rows: i64,
    pub bytes: i64,
    pub findings: BTreeMap<String, u64>,
    pub end_cause: Option<String>,
    pub end_message: Option<String>,
    pub bytes_to_upstream: i64,
    pub bytes_to_downstream: i64,
    pub events: i64,
    pub sequence_max: i64,
    /// Stored chunks.
    pub chunks: i64,
    /// Hash of the last one.
    pub chain: Vec<u8>,
    /// Hash over the open promises.
    pub promises: Vec<u8>,
    /// The installation's, over everything above.
    pub signature: Vec<u8>,
}

/// Columns of a session in the order of [`SessionRow::values`].
pub(super) const SESSION_COLUMNS: &str = "id, started_micros, ended_micros, \"user\", user_id, token_id, connection, \
    connection_id, protocol, database, client_address, application, dataplane, core, segment, generation, statements, denied, \
    failed, rows, bytes, findings, end_cause, end_message, bytes_to_upstream, bytes_to_downstream, events, sequence_max, \
    chunks, chain, promises, signature";

impl SessionRow {
    /// A session of which nothing is known but that it has an event.
    pub(super) fn begun(id: &[u8], header: &Header, at_micros: i64) -> SessionRow {
        SessionRow {
            id: id.to_vec(),
            started_micros: at_micros,
            dataplane: header.dataplane_id.clone(),
            core: i64::from(header.core),
            segment: signed(header.segment),
            sequence_max: -1,
            ..SessionRow::default()
        }
    }

    /// Adds what a batch says.
    pub(super) fn add(&mut self, delta: &SessionDelta) -> Result<(), StoreError> {
        let sum = |has: &mut i64, more: u64| *has = has.saturating_add(signed(more));
        self.statements = self.statements.max(signed(delta.statements));
        sum(&mut self.denied, delta.denied);
        sum(&mut self.failed, delta.failed);
        sum(&mut self.rows, delta.rows);
        sum(&mut self.bytes, delta.bytes);
        sum(&mut self.events, delta.events);
        if delta.events > 0 {
            self.sequence_max = self.sequence_max.max(signed(delta.sequence_max));
        }
        for (detector, count) in &delta.findings {
            let sum = self.findings.entry(clean(detector)).or_default();
            *sum = sum.saturating_add(*count);
        }
        if let Some((at, start)) = &delta.start {
            self.started_micros = signed(*at);
            self.user = clean(&start.user);
            self.user_id = clean(&start.user_id);
            self.token_id = clean(&start.token_id);
            self.connection = clean(&start.connection);
            self.connection_id = clean(&start.connection_id);
            self.protocol = clean(&start.protocol);
            self.database = clean(&start.database);
            self.client_address = clean(&start.client_address);
            self.application = clean(&start.application);
            self.generation = signed(start.generation);
        }
        if let Some((at, end)) = &delta.end {
            self.ended_micros = Some(signed(*at));
            self.end_cause = Some(clean(&end.cause));
            self.end_message = Some(clean(&end.message));
            self.bytes_to_upstream = signed(end.bytes_to_upstream);
            self.bytes_to_downstream = signed(end.bytes_to_downstream);
        }
        Ok(())
    }

    /// Signs the summary as it is.
    pub(super) fn sign(&mut self, key: &SigningKey) {
        self.signature = key.sign(Use::SessionRecord, &self.signed_form());
    }

    /// What is signed: every column but the signature, each with its length.
    pub(super) fn signed_form(&self) -> Vec<u8> {
        let mut form = Vec::with_capacity(512);
        let mut values = self.values();
        values.pop();
        for value in values {
            let bytes = match value {
                Value::Int(value) => value.map(|value| value.to_le_bytes().to_vec()),
                Value::Text(value) => value.map(String::into_bytes),
                Value::Blob(value) => value,
                Value::Texts(_) => None,
            };
            let length = bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
            form.extend_from_slice(&length.to_le_bytes());
            form.extend_from_slice(&bytes.unwrap_or_default());
        }
        form
    }

    /// The values of [`SESSION_COLUMNS`].
    pub(super) fn values(&self) -> Vec<Value> {
        let findings = serde_json::to_string(&self.findings).unwrap_or_default();
        vec![
            self.id.as_slice().into(),
            self.started_micros.into(),
            self.ended_micros.into(),
            (&self.user).into(),
            (&self.user_id).into(),
            (&self.token_id).into(),
            (&self.connection).into(),
            (&self.connection_id).into(),
            (&self.protocol).into(),
            (&self.database).into(),
            (&self.client_address).into(),
            (&self.application).into(),
            (&self.dataplane).into(),
            self.core.into(),
            self.segment.into(),
            self.generation.into(),
            self.statements.into(),
            self.denied.into(),
            self.failed.into(),
            self.rows.into(),
            self.bytes.into(),
            findings.into(),
            (&self.end_cause).into(),
            (&self.end_message).into(),
            self.bytes_to_upstream.into(),
            self.bytes_to_downstream.into(),
            self.events.into(),
            self.sequence_max.into(),
            self.chunks.into(),
            (&self.chain).into(),
            (&self.promises).into(),
            (&self.signature).into(),
        ]
    }
}

/// What PostgreSQL takes as a text: it has no NUL.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
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
    /// Only those with a statement that has these words.
    pub words: Vec<String>,
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
        restrict(&mut query, filter, self.is_shared());
        if let Some((started, id)) = &filter.after {
            // Said so that the index on the order can begin there.
            query.push(" AND started_micros <= ").push_bind(*started);
            query.push(" AND (started_micros < ").push_bind(*started);
            query.push(" OR id > ").push_bind(id).push(")");
        }
        query
            .push(" ORDER BY started_micros DESC, id LIMIT ")
            .push_bind(limit as i64);
        query.fetch_all(self.readers()).await?.iter().map(session_of).collect()
    }

    /// How many sessions there are.
    pub async fn session_count(&self, filter: &SessionFilter) -> Result<i64, StoreError> {
        let mut query = db::build("SELECT count(*) FROM session WHERE 1 = 1");
        restrict(&mut query, filter, self.is_shared());
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

fn restrict(query: &mut Query, filter: &SessionFilter, postgres: bool) {
    let texts = [
        ("\"user\"", &filter.user),
        ("user_id", &filter.user_id),
        ("connection", &filter.connection),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value);
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
    if !filter.words.is_empty() {
        query.push(" AND id IN (SELECT session_id FROM session_chunk WHERE recording = 0");
        restrict_words(query, &filter.words, postgres);
        query.push(")");
    }
}

/// Restricts to chunks that have all the words.
pub(super) fn restrict_words(query: &mut Query, words: &[String], postgres: bool) {
    if postgres {
        query
            .push(" AND words @@ CAST(")
            .push_bind(tsquery(words))
            .push(" AS tsquery)");
    } else {
        query.push(" AND id IN (SELECT rowid FROM chunk_words WHERE chunk_words MATCH ");
        query.push_bind(fts_query(words)).push(")");
    }
}

/// All words, as PostgreSQL's full text search takes them; or the mark of a chunk with too many.
fn tsquery(words: &[String]) -> String {
    let word = |word: &String| match word.strip_suffix('*') {
        Some(beginning) => format!("'{beginning}':*"),
        None => format!("'{word}'"),
    };
    let all = words.iter().map(word).collect::<Vec<_>>().join(" & ");
    format!("({all}) | '{EVERYTHING}'")
}

/// All words, as SQLite's FTS5 takes them; or the mark of a chunk with too many.
fn fts_query(words: &[String]) -> String {
    let word = |word: &String| match word.strip_suffix('*') {
        Some(beginning) => format!("\"{beginning}\"*"),
        None => format!("\"{word}\""),
    };
    let all = words.iter().map(word).collect::<Vec<_>>().join(" AND ");
    format!("({all}) OR \"{EVERYTHING}\"")
}

pub(super) fn session_of(row: &Row) -> Result<SessionRow, StoreError> {
    let findings: String = row.try_get("findings")?;
    Ok(SessionRow {
        id: row.try_get("id")?,
        started_micros: row.try_get("started_micros")?,
        ended_micros: row.try_get("ended_micros")?,
        user: row.try_get("user")?,
        user_id: row.try_get("user_id")?,
        token_id: row.try_get("token_id")?,
        connection: row.try_get("connection")?,
        connection_id: row.try_get("connection_id")?,
        protocol: row.try_get("protocol")?,
        database: row.try_get("database")?,
        client_address: row.try_get("client_address")?,
        application: row.try_get("application")?,
        dataplane: row.try_get("dataplane")?,
        core: row.try_get("core")?,
        segment: row.try_get("segment")?,
        generation: row.try_get("generation")?,
        statements: row.try_get("statements")?,
        denied: row.try_get("denied")?,
        failed: row.try_get("failed")?,
        rows: row.try_get("rows")?,
        bytes: row.try_get("bytes")?,
        findings: serde_json::from_str(&findings).map_err(|e| unreadable("findings", e))?,
        end_cause: row.try_get("end_cause")?,
        end_message: row.try_get("end_message")?,
        bytes_to_upstream: row.try_get("bytes_to_upstream")?,
        bytes_to_downstream: row.try_get("bytes_to_downstream")?,
        events: row.try_get("events")?,
        sequence_max: row.try_get("sequence_max")?,
        chunks: row.try_get("chunks")?,
        chain: row.try_get("chain")?,
        promises: row.try_get("promises")?,
        signature: row.try_get("signature")?,
    })
}
