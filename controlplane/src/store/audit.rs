//! Stores audit records: positions of segments, summaries of sessions, chunks of events.

use std::collections::BTreeMap;

use super::db::{self, Tx};
use super::{StoreError, unreadable};
use crate::audit::ingest::{Chunk, Position, SessionDelta, Taken};
use proto::segment::Header;

/// What is stored of the segment that `header` names.
pub async fn position(tx: &mut Tx, header: &Header) -> Result<Option<Position>, StoreError> {
    let row = db::query(
        "SELECT header, next_sequence, hash, state, sealed_sequence FROM audit_segment \
         WHERE dataplane = ? AND core = ? AND segment = ?",
    )
    .bind(&header.dataplane_id)
    .bind(i64::from(header.core))
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

/// Stores what a batch adds. Nothing is visible or durable before the transaction is committed.
pub async fn save(tx: &mut Tx, taken: &Taken) -> Result<(), StoreError> {
    let previous = previous_state(tx, &taken.header).await?;
    save_position(tx, taken, previous).await?;
    for (id, delta) in &taken.sessions {
        save_session(tx, &taken.header, id, delta).await?;
        save_promises(tx, id, delta).await?;
        for (recording, chunk) in [(0, &delta.facts), (1, &delta.recordings)] {
            if chunk.events > 0 {
                save_chunk(tx, id, recording, chunk).await?;
            }
        }
    }
    end_unclean(tx, &taken.header).await
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
    .bind(i64::from(header.core))
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
    .bind(i64::from(taken.header.core))
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

async fn save_session(tx: &mut Tx, header: &Header, id: &[u8; 16], delta: &SessionDelta) -> Result<(), StoreError> {
    let findings = merged_findings(tx, id, delta).await?;
    db::query(
        "INSERT INTO session (id, started_micros, dataplane, core, segment) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(id.as_slice())
    .bind(signed(delta.first_micros))
    .bind(&header.dataplane_id)
    .bind(i64::from(header.core))
    .bind(signed(header.segment))
    .execute(&mut *tx)
    .await?;
    db::query(
        "UPDATE session SET statements = CASE WHEN statements > ? THEN statements ELSE ? END, denied = denied + ?, failed = failed + ?, rows = rows + ?, \
         bytes = bytes + ?, events = events + ?, \
         sequence_max = CASE WHEN sequence_max > ? THEN sequence_max ELSE ? END, findings = coalesce(?, findings) \
         WHERE id = ?",
    )
    .bind(signed(delta.statements))
    .bind(signed(delta.statements))
    .bind(signed(delta.denied))
    .bind(signed(delta.failed))
    .bind(signed(delta.rows))
    .bind(signed(delta.bytes))
    .bind(signed(delta.events))
    .bind(signed(delta.sequence_max))
    .bind(signed(delta.sequence_max))
    .bind(findings)
    .bind(id.as_slice())
    .execute(&mut *tx)
    .await?;
    save_start(tx, id, delta).await?;
    save_end(tx, id, delta).await
}

/// The session's findings with those of the batch added; None when the batch has none.
async fn merged_findings(tx: &mut Tx, id: &[u8; 16], delta: &SessionDelta) -> Result<Option<String>, StoreError> {
    if delta.findings.is_empty() {
        return Ok(None);
    }
    let row = db::query("SELECT findings FROM session WHERE id = ?")
        .bind(id.as_slice())
        .fetch_optional(&mut *tx)
        .await?;
    let stored: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
    let mut findings: BTreeMap<String, u64> =
        serde_json::from_str(stored.as_deref().unwrap_or("{}")).map_err(|e| unreadable("findings", e))?;
    for (detector, count) in &delta.findings {
        let sum = findings.entry(detector.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    serde_json::to_string(&findings)
        .map(Some)
        .map_err(|e| unreadable("findings", e))
}

async fn save_start(tx: &mut Tx, id: &[u8; 16], delta: &SessionDelta) -> Result<(), StoreError> {
    let Some((at, start)) = &delta.start else { return Ok(()) };
    db::query(
        "UPDATE session SET started_micros = ?, \"user\" = ?, user_id = ?, token_id = ?, connection = ?, connection_id = ?, \
         protocol = ?, database = ?, client_address = ?, application = ?, generation = ? WHERE id = ?",
    )
    .bind(signed(*at))
    .bind(&start.user)
    .bind(&start.user_id)
    .bind(&start.token_id)
    .bind(&start.connection)
    .bind(&start.connection_id)
    .bind(&start.protocol)
    .bind(&start.database)
    .bind(&start.client_address)
    .bind(&start.application)
    .bind(signed(start.generation))
    .bind(id.as_slice())
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn save_end(tx: &mut Tx, id: &[u8; 16], delta: &SessionDelta) -> Result<(), StoreError> {
    let Some((at, end)) = &delta.end else { return Ok(()) };
    db::query(
        "UPDATE session SET ended_micros = ?, end_cause = ?, end_message = ?, bytes_to_upstream = ?, \
         bytes_to_downstream = ? WHERE id = ?",
    )
    .bind(signed(*at))
    .bind(&end.cause)
    .bind(&end.message)
    .bind(signed(end.bytes_to_upstream))
    .bind(signed(end.bytes_to_downstream))
    .bind(id.as_slice())
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn save_chunk(tx: &mut Tx, id: &[u8; 16], recording: i64, chunk: &Chunk) -> Result<(), StoreError> {
    db::query(
        "INSERT INTO session_chunk (session_id, recording, first_sequence, events, content) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(id.as_slice())
    .bind(recording)
    .bind(signed(chunk.first_sequence))
    .bind(signed(chunk.events))
    .bind(&chunk.content)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Removes promises that statements of the batch supersede, and stores those that it leaves open: one at most per session,
/// since a session answers one statement at a time.
async fn save_promises(tx: &mut Tx, id: &[u8; 16], delta: &SessionDelta) -> Result<(), StoreError> {
    if !delta.settled.is_empty() {
        let open = db::query("SELECT number FROM session_promise WHERE session_id = ?")
            .bind(id.as_slice())
            .fetch_all(&mut *tx)
            .await?;
        for row in open {
            let number: i64 = row.try_get(0)?;
            if delta.settled.contains(&unsigned(number)) {
                db::query("DELETE FROM session_promise WHERE session_id = ? AND number = ?")
                    .bind(id.as_slice())
                    .bind(number)
                    .execute(&mut *tx)
                    .await?;
            }
        }
    }
    for (number, content) in &delta.promises {
        db::query(
            "INSERT INTO session_promise (session_id, number, content) VALUES (?, ?, ?) \
             ON CONFLICT (session_id, number) DO UPDATE SET content = excluded.content",
        )
        .bind(id.as_slice())
        .bind(signed(*number))
        .bind(content)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Ends the sessions that a process left open when it died: a later process of the same core has begun a segment.
async fn end_unclean(tx: &mut Tx, header: &Header) -> Result<(), StoreError> {
    let row = db::query("SELECT max(segment) FROM audit_segment WHERE dataplane = ? AND core = ? AND first_of_run = 1")
        .bind(&header.dataplane_id)
        .bind(i64::from(header.core))
        .fetch_one(&mut *tx)
        .await?;
    let Some(newest_run) = row.try_get::<Option<i64>, _>(0)? else {
        return Ok(());
    };
    db::query(
        "UPDATE session SET ended_micros = CASE WHEN started_micros > ? THEN started_micros ELSE ? END, end_cause = 'unclean', \
         end_message = 'the data plane stopped without ending the session' \
         WHERE dataplane = ? AND core = ? AND ended_micros IS NULL AND segment < ?",
    )
    .bind(signed(header.created_at_micros))
    .bind(signed(header.created_at_micros))
    .bind(&header.dataplane_id)
    .bind(i64::from(header.core))
    .bind(newest_run)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// SQLite integers are signed; what is beyond is clamped and could not have been counted.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
