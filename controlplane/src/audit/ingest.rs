//! Reads one batch of audit records against what is stored of its segment: the pure half of taking them in.
//!
//! Exactly once: a batch is only taken from the stored sequence on. What was stored before is skipped, what would leave
//! a gap is not taken, and the stored position moves in the transaction that stores the events.
//!
//! This is also the one place where the journal is folded: a promise and the statement event of its number never come to the
//! store together, so that lists, counts and replay see each statement once. See `proto::audit::event::Kind::Promise`.

use std::collections::{BTreeMap, BTreeSet};

use proto::Message;
use proto::audit::{Event, Outcome, SessionEnd, SessionStart, Statement, event};
use proto::segment::{Hash, Header, Kind, Reader, Record, SegmentError, verify_seal};

/// Bytes of a record before its payload: length, kind, sequence.
const RECORD_HEAD_BYTES: usize = 13;
/// Bytes of a record after its payload: the checksum.
const RECORD_TAIL_BYTES: usize = 4;
/// Bytes of a session's id.
const SESSION_ID_BYTES: usize = 16;

/// Why a batch was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    #[error("the segment header: {0}")]
    Header(SegmentError),
    #[error("the segment belongs to data plane {0}, not to the sender")]
    NotTheSender(String),
    #[error("the segment is stored with another header")]
    HeaderDiffers,
    #[error("a new segment starts with sequence 0")]
    StartMissing,
    #[error("the batch starts with sequence {found}, expected {expected}")]
    Gap { found: u64, expected: u64 },
    #[error("the segment was ended before sequence {0}")]
    AfterEnd(u64),
    #[error("{0}")]
    Record(SegmentError),
    #[error("the event with sequence {0} cannot be read")]
    Event(u64),
}

/// What is stored of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub header: Vec<u8>,
    pub next_sequence: u64,
    pub hash: Hash,
    pub ended: bool,
    /// Last sequence that a verified seal covers.
    pub sealed_sequence: Option<u64>,
}

/// What a batch adds to one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionDelta {
    pub start: Option<(u64, SessionStart)>,
    pub end: Option<(u64, SessionEnd)>,
    /// Time of the first event, for sessions whose start is missing.
    pub first_micros: u64,
    /// How many statements the session has had, as its numbers say.
    pub statements: u64,
    pub denied: u64,
    pub failed: u64,
    pub rows: u64,
    pub bytes: u64,
    pub events: u64,
    pub sequence_max: u64,
    pub findings: BTreeMap<String, u64>,
    /// Length-delimited events other than recordings, their number and first sequence.
    pub facts: Chunk,
    /// Promises that the batch leaves open, by number of the statement: whole events as they came.
    pub promises: BTreeMap<u64, Vec<u8>>,
    /// Numbers of the batch's statement events: promises of earlier batches that they supersede are to be removed.
    pub settled: BTreeSet<u64>,
    /// Length-delimited recordings.
    pub recordings: Chunk,
}

/// Events in the form in which they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    pub content: Vec<u8>,
    pub events: u64,
    pub first_sequence: u64,
}

/// What a batch adds.
#[derive(Clone, Debug)]
pub struct Taken {
    pub header: Header,
    pub position: Position,
    pub sessions: BTreeMap<[u8; SESSION_ID_BYTES], SessionDelta>,
}

/// Reads the header of a batch and checks who sent it.
pub fn header_of(bytes: &[u8], sender: &str) -> Result<Header, IngestError> {
    let (header, length) = Header::decode(bytes).map_err(IngestError::Header)?;
    if length != bytes.len() {
        return Err(IngestError::Header(SegmentError::Malformed(length)));
    }
    if header.dataplane_id != sender {
        return Err(IngestError::NotTheSender(header.dataplane_id));
    }
    Ok(header)
}

/// Reads the records of a batch from the stored position on. `seal_key` is the sender's Ed25519 key for seals.
pub fn take(
    header: Header,
    header_bytes: &[u8],
    first_sequence: u64,
    records: &[u8],
    stored: Option<Position>,
    seal_key: &[u8],
) -> Result<Taken, IngestError> {
    let mut position = match stored {
        Some(position) if position.header != header_bytes => return Err(IngestError::HeaderDiffers),
        Some(position) => position,
        None if first_sequence != 0 => return Err(IngestError::StartMissing),
        None => start_of(header_bytes)?,
    };
    if first_sequence > position.next_sequence {
        return Err(IngestError::Gap {
            found: first_sequence,
            expected: position.next_sequence,
        });
    }
    let fresh = skip(records, position.next_sequence - first_sequence)?;
    let mut sessions = BTreeMap::new();
    let mut reader = Reader::resume(fresh, position.hash, position.next_sequence);
    while let Some(record) = reader.next_record().map_err(IngestError::Record)? {
        if position.ended {
            return Err(IngestError::AfterEnd(record.sequence));
        }
        match record.kind {
            Kind::Event => note(&record, &mut sessions)?,
            Kind::Seal | Kind::End => {
                verify_seal(&header, &record, seal_key).map_err(IngestError::Record)?;
                position.sealed_sequence = Some(record.sequence);
                position.ended = record.kind == Kind::End;
            }
        }
    }
    position.hash = reader.hash();
    position.next_sequence = reader.sequence();
    Ok(Taken {
        header,
        position,
        sessions,
    })
}

fn start_of(header_bytes: &[u8]) -> Result<Position, IngestError> {
    let (_, reader) = Reader::new(header_bytes).map_err(IngestError::Header)?;
    Ok(Position {
        header: header_bytes.to_vec(),
        next_sequence: 0,
        hash: reader.hash(),
        ended: false,
        sealed_sequence: None,
    })
}

/// The records after the first `count`.
fn skip(records: &[u8], count: u64) -> Result<&[u8], IngestError> {
    let mut rest = records;
    for _ in 0..count {
        if rest.is_empty() {
            break;
        }
        let torn = IngestError::Record(SegmentError::Torn(records.len() - rest.len()));
        let Some(length) = rest.first_chunk::<4>() else {
            return Err(torn);
        };
        let total = u32::from_le_bytes(*length) as usize + RECORD_HEAD_BYTES + RECORD_TAIL_BYTES;
        rest = rest.get(total..).ok_or(torn)?;
    }
    Ok(rest)
}

fn note(record: &Record<'_>, sessions: &mut BTreeMap<[u8; SESSION_ID_BYTES], SessionDelta>) -> Result<(), IngestError> {
    let wrong = || IngestError::Event(record.sequence);
    let event = Event::decode(record.payload).map_err(|_| wrong())?;
    let id: [u8; SESSION_ID_BYTES] = event.session_id.as_slice().try_into().map_err(|_| wrong())?;
    let delta = sessions.entry(id).or_default();
    if delta.first_micros == 0 {
        delta.first_micros = event.at_micros;
    }
    let chunk = match &event.kind {
        // Neither is counted in the sequence: both are cut by how bytes arrived.
        Some(event::Kind::Promise(statement)) => {
            delta.statements = delta.statements.max(statement.number.saturating_add(1));
            delta.promises.insert(statement.number, record.payload.to_vec());
            return Ok(());
        }
        Some(event::Kind::Recording(_)) => &mut delta.recordings,
        _ => {
            delta.events += 1;
            delta.sequence_max = delta.sequence_max.max(event.sequence);
            &mut delta.facts
        }
    };
    if chunk.events == 0 {
        chunk.first_sequence = event.sequence;
    }
    chunk.events += 1;
    // The payload is kept as it came: what was signed is what is stored.
    proto_length(record.payload.len(), &mut chunk.content);
    chunk.content.extend_from_slice(record.payload);
    match event.kind {
        Some(event::Kind::Start(start)) => delta.start = Some((event.at_micros, start)),
        Some(event::Kind::End(end)) => delta.end = Some((event.at_micros, end)),
        Some(event::Kind::Statement(statement)) => count(&statement, delta),
        Some(event::Kind::Recording(_) | event::Kind::Promise(_)) | None => {}
    }
    Ok(())
}

fn count(statement: &Statement, delta: &mut SessionDelta) {
    delta.statements = delta.statements.max(statement.number.saturating_add(1));
    delta.promises.remove(&statement.number);
    delta.settled.insert(statement.number);
    delta.rows = delta.rows.saturating_add(statement.rows);
    delta.bytes = delta.bytes.saturating_add(statement.bytes);
    match statement.outcome() {
        Outcome::Denied => delta.denied += 1,
        Outcome::Error => delta.failed += 1,
        Outcome::Ok | Outcome::Unfinished | Outcome::Skipped => {}
    }
    for finding in &statement.findings {
        let counted = delta.findings.entry(finding.detector.clone()).or_default();
        *counted = counted.saturating_add(finding.count);
    }
}

/// A length as a protobuf varint, as in length-delimited messages.
fn proto_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Reads stored events back, in the order in which they were stored.
pub fn events_of(mut content: &[u8]) -> Result<Vec<Event>, prost::DecodeError> {
    let mut events = Vec::new();
    while !content.is_empty() {
        events.push(Event::decode_length_delimited(&mut content)?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
