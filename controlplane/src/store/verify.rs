//! Proves that stored sessions are as they were taken in: signatures over summaries, and the chain over what belongs to each.

use std::collections::BTreeMap;

use proto::sign::{Use, verify};
use serde::Serialize;

use super::audit::{chunk_hash, promises_hash};
use super::db;
use super::sessions::{SessionRow, session_of};
use super::{Store, StoreError, unreadable};
use crate::audit::ingest::events_of;
use crate::audit::words;

/// Chunks that are read at once.
const CHUNKS_AT_ONCE: i64 = 64;

/// What is wrong with a session: the first broken link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Where: `summary`, `events`, `recording` or `promises`.
    pub place: &'static str,
    /// Sequence of the first event that can no longer be vouched for.
    pub sequence: Option<i64>,
    pub why: String,
}

impl Broken {
    fn new(place: &'static str, why: &str) -> Broken {
        Broken {
            place,
            sequence: None,
            why: why.to_owned(),
        }
    }
}

impl Store {
    /// Ids of sessions in their order, after one of them (empty: from the first on).
    pub async fn session_ids(&self, after: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = db::query("SELECT id FROM session WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after)
            .bind(limit as i64)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Reads everything of one session; None when all of it is as it was taken in. `public` is the installation's key.
    pub async fn verify_session(&self, id: &[u8], public: &[u8]) -> Result<Option<Broken>, StoreError> {
        // All of it as of one moment, while records come in.
        let mut tx = self.begin_snapshot().await?;
        let row = db::query("SELECT * FROM session WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut tx)
            .await?;
        let Some(row) = row else {
            return Ok(Some(Broken::new("summary", "the session is not stored")));
        };
        let session = match session_of(&row) {
            Ok(session) => session,
            Err(error) => return Ok(Some(Broken::new("summary", &error.to_string()))),
        };
        if verify(public, Use::SessionRecord, &session.signed_form(), &session.signature).is_err() {
            return Ok(Some(Broken::new(
                "summary",
                "the summary is not what the installation's key has signed",
            )));
        }
        if let Some(broken) = chunks(&mut tx, &session).await? {
            return Ok(Some(broken));
        }
        promises(&mut tx, &session).await
    }
}

/// Follows the chain.
async fn chunks(tx: &mut db::Tx, session: &SessionRow) -> Result<Option<Broken>, StoreError> {
    let mut chain = Vec::new();
    let (mut count, mut events, mut after) = (0, 0, 0);
    loop {
        let rows = db::query(
            "SELECT id, recording, first_sequence, events, first_micros, last_micros, \"user\", connection, hash, content \
             FROM session_chunk WHERE session_id = ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(&session.id)
        .bind(after)
        .bind(CHUNKS_AT_ONCE)
        .fetch_all(&mut *tx)
        .await?;
        for row in &rows {
            after = row.try_get("id")?;
            let recording = row.try_get::<i64, _>("recording")?;
            let mut numbers = [0; 4];
            for (number, column) in numbers
                .iter_mut()
                .zip(["first_sequence", "events", "first_micros", "last_micros"])
            {
                *number = row.try_get(column)?;
            }
            let (content, hash): (Vec<u8>, Vec<u8>) = (row.try_get("content")?, row.try_get("hash")?);
            let (user, connection): (String, String) = (row.try_get("user")?, row.try_get("connection")?);
            let broken = |why: &str| {
                Ok(Some(Broken {
                    sequence: Some(numbers[0]),
                    ..Broken::new(if recording == 0 { "events" } else { "recording" }, why)
                }))
            };
            chain = chunk_hash(&chain, recording != 0, numbers, &content);
            if chain != hash || !(0..=1).contains(&recording) {
                return broken("the hash of what is stored is another one");
            }
            if (user, connection) != (session.user.clone(), session.connection.clone()) {
                return broken("it is filed under another user or connection");
            }
            let Ok(found) = events_of(&content) else {
                return broken("it cannot be read");
            };
            if !is_filed(tx, after, words::words_of(found.iter()).into_iter().collect()).await? {
                return broken("the words that it is found by are not its own");
            }
            count += 1;
            events += if recording == 0 { numbers[1] } else { 0 };
        }
        if rows.is_empty() {
            break;
        }
    }
    if count != session.chunks || chain != session.chain || events != session.events {
        let sequence = Some(events);
        let why = format!(
            "{count} parts with {events} events are stored, {} with {} belong to it",
            session.chunks, session.events
        );
        return Ok(Some(Broken {
            sequence,
            ..Broken::new("events", &why)
        }));
    }
    Ok(None)
}

/// Whether a chunk is found by its words. SQLite's index holds no words that could be compared: it is asked for all of them.
async fn is_filed(tx: &mut db::Tx, chunk: i64, words: Vec<String>) -> Result<bool, StoreError> {
    if tx.is_postgres() {
        let row = db::query("SELECT count(*) FROM session_chunk WHERE id = ? AND words = array_to_tsvector(?)")
            .bind(chunk)
            .bind(db::Value::Texts(words))
            .fetch_one(tx)
            .await?;
        return Ok(row.try_get::<i64, _>(0)? == 1);
    }
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    for some in quoted.chunks(FTS_WORDS_AT_ONCE) {
        let row = db::query("SELECT count(*) FROM chunk_words WHERE rowid = ? AND chunk_words MATCH ?")
            .bind(chunk)
            .bind(some.join(" AND "))
            .fetch_one(&mut *tx)
            .await?;
        if row.try_get::<i64, _>(0)? != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Words of one question to SQLite's index.
const FTS_WORDS_AT_ONCE: usize = 200;

async fn promises(tx: &mut db::Tx, session: &SessionRow) -> Result<Option<Broken>, StoreError> {
    let rows = db::query("SELECT number, content FROM session_promise WHERE session_id = ?")
        .bind(&session.id)
        .fetch_all(tx)
        .await?;
    let mut open = BTreeMap::new();
    for row in rows {
        let number: i64 = row.try_get(0)?;
        open.insert(
            u64::try_from(number).map_err(|e| unreadable("promise", e))?,
            row.try_get(1)?,
        );
    }
    Ok((promises_hash(&open) != session.promises)
        .then(|| Broken::new("promises", "what is said to be unfinished is not what was taken in")))
}
