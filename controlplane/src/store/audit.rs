//! Stores audit records: positions of segments, summaries of sessions, chunks of events with the words they are found by.
//!
//! Each session is a chain: a chunk's hash covers the one before it, and the summary, signed by the installation's key, holds
//! the last hash, so that a changed, missing or added byte is found (see [`super::verify`]).

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use proto::segment::Header;
use proto::sign::SigningKey;

use super::db::{self, Tx, Value};
use super::sessions::{SESSION_COLUMNS, SessionRow, session_of};
use super::{StoreError, unreadable};
use crate::audit::ingest::{Chunk, Position, SessionDelta, Taken, events_of};
use crate::audit::words;

/// Rows of one statement.
const ROWS_AT_ONCE: usize = 200;

/// Session ids.
type Id = [u8; 16];
/// By session and number of the statement.
type Promises = BTreeMap<Id, BTreeMap<u64, Vec<u8>>>;

/// Waits until no other control plane takes in records of these cores, in one order for all.
pub async fn lock(tx: &mut Tx, headers: impl Iterator<Item = &Header>) -> Result<(), StoreError> {
    if !tx.is_postgres() {
        return Ok(());
    }
    let keys: BTreeSet<(&str, u32)> = headers
        .map(|header| (header.dataplane_id.as_str(), header.core))
        .collect();
    for (dataplane, core) in keys {
        db::query("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))")
            .bind(format!("audit/{dataplane}/{core}"))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// What is stored of the segment that `header` names.
pub async fn position(tx: &mut Tx, header: &Header) -> Result<Option<Position>, StoreError> {
    let row = db::query(
        "SELECT header, next_sequence, hash, state, sealed_sequence FROM audit_segment \
         WHERE dataplane = ? AND core = ? AND segment = ?",
    )
    .bind(&header.dataplane_id)
    .bind(header.core)
    .bind(signed(header.segment))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let hash: Vec<u8> = row.try_get("hash")?;
    let state: String = row.try_get("state")?;
    let sealed: Option<i64> = row.try_get("sealed_sequence")?;
    Ok(Some(Position {
        header: row.try_get("header")?,
        next_sequence: unsigned(row.try_get("next_sequence")?),
        hash: hash
            .try_into()
            .map_err(|_| unreadable("segment hash", "not 32 bytes"))?,
        ended: state == "ended",
        sealed_sequence: sealed.map(unsigned),
    }))
}

/// Stores what a batch adds; `begins`: it is the first of its segment. Nothing is visible or durable before the transaction
/// is committed.
pub async fn save(tx: &mut Tx, taken: &Taken, begins: bool, key: &SigningKey) -> Result<(), StoreError> {
    let previous = if begins {
        previous_state(tx, &taken.header).await?
    } else {
        ""
    };
    save_position(tx, taken, previous).await?;
    let ids: Vec<Id> = taken.sessions.keys().copied().collect();
    let mut known = sessions_of(tx, &ids).await?;
    let mut promises = promises_of(tx, &ids).await?;
    let (mut rows, mut chunks) = (Vec::with_capacity(ids.len()), Vec::new());
    for (id, delta) in &taken.sessions {
        let mut row = known
            .remove(id)
            .unwrap_or_else(|| SessionRow::begun(id, &taken.header, signed(delta.first_micros)));
        row.add(delta)?;
        for (recording, chunk) in [(false, &delta.facts), (true, &delta.recordings)] {
            if chunk.events > 0 {
                chunks.push(StoredChunk::chained(&mut row, recording, chunk)?);
            }
        }
        let open = promises.entry(*id).or_default();
        if save_promises(tx, id, delta, open).await? || row.promises.is_empty() {
            row.promises = promises_hash(open);
        }
        row.sign(key);
        rows.push(row);
    }
    put_sessions(tx, &rows).await?;
    put_chunks(tx, chunks).await?;
    end_unclean(tx, &taken.header, begins, key).await
}

/// Whether the segment continues the one before it.
async fn previous_state(tx: &mut Tx, header: &Header) -> Result<&'static str, StoreError> {
    if header.previous_hash == [0; 32] {
        return Ok("first");
    }
    let row = db::query(
        "SELECT hash FROM audit_segment WHERE dataplane = ? AND core = ? AND segment < ? ORDER BY segment DESC LIMIT 1",
    )
    .bind(&header.dataplane_id)
    .bind(header.core)
    .bind(signed(header.segment))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok("unknown") };
    let hash: Vec<u8> = row.try_get(0)?;
    Ok(if hash == header.previous_hash {
        "follows"
    } else {
        "differs"
    })
}

async fn save_position(tx: &mut Tx, taken: &Taken, previous: &str) -> Result<(), StoreError> {
    db::query(
        "INSERT INTO audit_segment (dataplane, core, segment, header, next_sequence, hash, state, previous, first_of_run, \
         sealed_sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dataplane, core, segment) DO UPDATE SET \
         next_sequence = excluded.next_sequence, hash = excluded.hash, state = excluded.state, \
         sealed_sequence = excluded.sealed_sequence",
    )
    .bind(&taken.header.dataplane_id)
    .bind(taken.header.core)
    .bind(signed(taken.header.segment))
    .bind(&taken.position.header)
    .bind(signed(taken.position.next_sequence))
    .bind(taken.position.hash.as_slice())
    .bind(if taken.position.ended { "ended" } else { "open" })
    .bind(previous)
    .bind(taken.header.first_of_run)
    .bind(taken.position.sealed_sequence.map(signed))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn sessions_of(tx: &mut Tx, ids: &[Id]) -> Result<BTreeMap<Id, SessionRow>, StoreError> {
    let mut found = BTreeMap::new();
    for ids in ids.chunks(ROWS_AT_ONCE) {
        let mut query = db::build("SELECT * FROM session WHERE id IN ");
        query.push_rows([ids.iter().map(Value::from).collect()]);
        for row in query.fetch_all(&mut *tx).await? {
            let row = session_of(&row)?;
            found.insert(id_of(&row.id)?, row);
        }
    }
    Ok(found)
}

async fn promises_of(tx: &mut Tx, ids: &[Id]) -> Result<Promises, StoreError> {
    let mut found = Promises::new();
    for ids in ids.chunks(ROWS_AT_ONCE) {
        let mut query = db::build("SELECT session_id, number, content FROM session_promise WHERE session_id IN ");
        query.push_rows([ids.iter().map(Value::from).collect()]);
        for row in query.fetch_all(&mut *tx).await? {
            let id: Vec<u8> = row.try_get(0)?;
            let open = found.entry(id_of(&id)?).or_default();
            open.insert(unsigned(row.try_get(1)?), row.try_get(2)?);
        }
    }
    Ok(found)
}

fn id_of(id: &[u8]) -> Result<Id, StoreError> {
    id.try_into().map_err(|_| unreadable("session id", "not 16 bytes"))
}

async fn put_sessions(tx: &mut Tx, rows: &[SessionRow]) -> Result<(), StoreError> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let mut query = db::build("INSERT INTO session (");
        query.push(SESSION_COLUMNS).push(") VALUES ");
        query.push_rows(rows.iter().map(SessionRow::values));
        query.push(" ON CONFLICT (id) DO UPDATE SET ");
        let columns = SESSION_COLUMNS.split(", ").skip(1);
        let updates: Vec<String> = columns.map(|column| format!("{column} = excluded.{column}")).collect();
        query.push(&updates.join(", "));
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Events of one session from one batch, as they are stored.
struct StoredChunk {
    session_id: Vec<u8>,
    recording: bool,
    first_sequence: i64,
    events: i64,
    first_micros: i64,
    last_micros: i64,
    user: String,
    connection: String,
    hash: Vec<u8>,
    words: Vec<String>,
    content: Vec<u8>,
}

impl StoredChunk {
    /// Makes the next link of a session's chain.
    fn chained(row: &mut SessionRow, recording: bool, chunk: &Chunk) -> Result<StoredChunk, StoreError> {
        let events = events_of(&chunk.content).map_err(|e| unreadable("events", e))?;
        let times = || events.iter().map(|event| signed(event.at_micros));
        let mut stored = StoredChunk {
            session_id: row.id.clone(),
            recording,
            first_sequence: signed(chunk.first_sequence),
            events: signed(chunk.events),
            first_micros: times().min().unwrap_or(0),
            last_micros: times().max().unwrap_or(0),
            user: row.user.clone(),
            connection: row.connection.clone(),
            hash: Vec::new(),
            words: words::words_of(events.iter()).into_iter().collect(),
            content: chunk.content.clone(),
        };
        stored.hash = chunk_hash(
            &row.chain,
            recording,
            [
                stored.first_sequence,
                stored.events,
                stored.first_micros,
                stored.last_micros,
            ],
            &stored.content,
        );
        row.chain.clone_from(&stored.hash);
        row.chunks += 1;
        Ok(stored)
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.session_id.as_slice().into(),
            self.recording.into(),
            self.first_sequence.into(),
            self.events.into(),
            self.first_micros.into(),
            self.last_micros.into(),
            self.user.as_str().into(),
            self.connection.as_str().into(),
            self.hash.as_slice().into(),
            self.content.as_slice().into(),
        ]
    }
}

const CHUNK_COLUMNS: &str =
    "session_id, recording, first_sequence, events, first_micros, last_micros, \"user\", connection, hash, content";

/// The hash of a chunk: over the hash before it (empty for the first), what is stored of it, and its events.
pub fn chunk_hash(previous: &[u8], recording: bool, numbers: [i64; 4], content: &[u8]) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"sluice-chunk-v1\0");
    hash.update(previous);
    hash.update(&[u8::from(recording)]);
    for number in numbers {
        hash.update(&number.to_le_bytes());
    }
    hash.update(content);
    hash.finish().as_ref().to_vec()
}

/// The hash over the promises that a session has open; empty when it has none.
pub fn promises_hash(open: &BTreeMap<u64, Vec<u8>>) -> Vec<u8> {
    if open.is_empty() {
        return Vec::new();
    }
    let mut hash = digest::Context::new(&digest::SHA256);
    for (number, content) in open {
        hash.update(&number.to_le_bytes());
        hash.update(&(content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finish().as_ref().to_vec()
}

async fn put_chunks(tx: &mut Tx, chunks: Vec<StoredChunk>) -> Result<(), StoreError> {
    match tx.is_postgres() {
        true => put_chunks_postgres(tx, &chunks).await,
        false => put_chunks_sqlite(tx, &chunks).await,
    }
}

async fn put_chunks_postgres(tx: &mut Tx, chunks: &[StoredChunk]) -> Result<(), StoreError> {
    for chunks in chunks.chunks(ROWS_AT_ONCE) {
        let mut query = db::build("INSERT INTO session_chunk (words, ");
        query.push(CHUNK_COLUMNS).push(") VALUES ");
        for (number, chunk) in chunks.iter().enumerate() {
            query.push(if number == 0 {
                "(array_to_tsvector("
            } else {
                ", (array_to_tsvector("
            });
            query.push_bind(Value::Texts(chunk.words.clone())).push(")");
            for value in chunk.values() {
                query.push(", ").push_bind(value);
            }
            query.push(")");
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Words are in a table of their own, with the numbers of the chunks; so those are given here.
async fn put_chunks_sqlite(tx: &mut Tx, chunks: &[StoredChunk]) -> Result<(), StoreError> {
    if chunks.is_empty() {
        return Ok(());
    }
    let last = db::query("SELECT coalesce(max(id), 0) FROM session_chunk")
        .fetch_one(&mut *tx)
        .await?;
    let mut id: i64 = last.try_get(0)?;
    for chunks in chunks.chunks(ROWS_AT_ONCE) {
        let first = id + 1;
        let mut query = db::build("INSERT INTO session_chunk (id, ");
        query.push(CHUNK_COLUMNS).push(") VALUES ");
        query.push_rows(chunks.iter().map(|chunk| {
            id += 1;
            let mut values = vec![id.into()];
            values.extend(chunk.values());
            values
        }));
        query.execute(&mut *tx).await?;
        let found_by = (first..).zip(chunks).filter(|(_, chunk)| !chunk.words.is_empty());
        let rows: Vec<Vec<Value>> = found_by
            .map(|(id, chunk)| vec![id.into(), chunk.words.join(" ").into()])
            .collect();
        if !rows.is_empty() {
            let mut query = db::build("INSERT INTO chunk_words (rowid, words) VALUES ");
            query.push_rows(rows);
            query.execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// Removes promises that statements of the batch supersede, and stores those that it leaves open: one at most per session,
/// since a session answers one statement at a time. `open` is what is stored, before and after; true when that changed.
async fn save_promises(
    tx: &mut Tx,
    id: &Id,
    delta: &SessionDelta,
    open: &mut BTreeMap<u64, Vec<u8>>,
) -> Result<bool, StoreError> {
    let mut changed = false;
    let settled: Vec<u64> = open
        .keys()
        .filter(|number| delta.settled.contains(number))
        .copied()
        .collect();
    for number in settled {
        open.remove(&number);
        changed = true;
        db::query("DELETE FROM session_promise WHERE session_id = ? AND number = ?")
            .bind(id)
            .bind(signed(number))
            .execute(&mut *tx)
            .await?;
    }
    for (number, content) in &delta.promises {
        open.insert(*number, content.clone());
        changed = true;
        db::query(
            "INSERT INTO session_promise (session_id, number, content) VALUES (?, ?, ?) \
             ON CONFLICT (session_id, number) DO UPDATE SET content = excluded.content",
        )
        .bind(id)
        .bind(signed(*number))
        .bind(content)
        .execute(&mut *tx)
        .await?;
    }
    Ok(changed)
}

/// Ends the sessions that a process left open when it died: a later process of the same core has begun a segment.
async fn end_unclean(tx: &mut Tx, header: &Header, begins: bool, key: &SigningKey) -> Result<(), StoreError> {
    let row = db::query("SELECT max(segment) FROM audit_segment WHERE dataplane = ? AND core = ? AND first_of_run = 1")
        .bind(&header.dataplane_id)
        .bind(header.core)
        .fetch_one(&mut *tx)
        .await?;
    let Some(newest_run) = row.try_get::<Option<i64>, _>(0)? else {
        return Ok(());
    };
    // Nothing can be left open by an earlier process unless one has just ended, or its records are still coming.
    if !(begins && header.first_of_run) && signed(header.segment) >= newest_run {
        return Ok(());
    }
    loop {
        let open = db::query(
            "SELECT * FROM session WHERE dataplane = ? AND core = ? AND ended_micros IS NULL AND segment < ? LIMIT ?",
        )
        .bind(&header.dataplane_id)
        .bind(header.core)
        .bind(newest_run)
        .bind(ROWS_AT_ONCE as i64)
        .fetch_all(&mut *tx)
        .await?;
        let mut rows = open.iter().map(session_of).collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &mut rows {
            row.ended_micros = Some(row.started_micros.max(signed(header.created_at_micros)));
            row.end_cause = Some("unclean".to_owned());
            row.end_message = Some("the data plane stopped without ending the session".to_owned());
            row.sign(key);
        }
        put_sessions(tx, &rows).await?;
    }
}

/// The databases' integers are signed; what is beyond is clamped and could not have been counted.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
