//! Exactly once, in order, from the right sender, and nothing that was changed on the way.

use super::*;
use proptest::prelude::*;
use proto::audit::{Finding, Recording};
use proto::segment::Writer;
use proto::sign::SigningKey;

const SESSION: [u8; 16] = [7; 16];

fn header(segment: u64) -> Header {
    Header {
        dataplane_id: "d1".to_owned(),
        core: 0,
        segment,
        created_at_micros: 1,
        previous_hash: [0; 32],
        first_of_run: segment == 0,
    }
}

fn event(sequence: u64, kind: event::Kind) -> Vec<u8> {
    Event {
        session_id: SESSION.to_vec(),
        sequence,
        at_micros: 100 + sequence,
        kind: Some(kind),
    }
    .encode_to_vec()
}

fn statement(sequence: u64) -> Vec<u8> {
    let findings = vec![Finding {
        detector: "EMAIL_ADDRESS".to_owned(),
        count: 2,
        ..Finding::default()
    }];
    event(
        sequence,
        event::Kind::Statement(Statement {
            rows: 3,
            findings,
            number: sequence - 1,
            ..Statement::default()
        }),
    )
}

/// Records of a start, statements, a recording and a seal; each as its own bytes.
fn records(key: &SigningKey, statements: u64) -> (Vec<u8>, Vec<Vec<u8>>) {
    let header = header(0);
    let bytes = header.encode();
    let mut writer = Writer::new(&bytes);
    let mut payloads = vec![event(
        0,
        event::Kind::Start(SessionStart {
            user: "alice".to_owned(),
            ..SessionStart::default()
        }),
    )];
    payloads.extend((1..=statements).map(statement));
    payloads.push(event(
        statements + 1,
        event::Kind::Recording(Recording {
            data: b"x".to_vec(),
            ..Recording::default()
        }),
    ));
    let mut records = Vec::new();
    for payload in payloads {
        let mut out = Vec::new();
        writer.event(&payload, &mut out).unwrap();
        records.push(out);
    }
    let mut seal = Vec::new();
    writer.seal(Kind::Seal, key, &header, &mut seal).unwrap();
    records.push(seal);
    (bytes, records)
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap().0
}

#[test]
fn a_batch_is_counted_and_kept() {
    let key = key();
    let (bytes, records) = records(&key, 2);
    let taken = take(header(0), &bytes, 0, &records.concat(), None, &key.public()).unwrap();
    assert_eq!(taken.position.next_sequence, 5);
    assert_eq!(taken.position.sealed_sequence, Some(4));
    let delta = &taken.sessions[&SESSION];
    assert_eq!(
        (delta.statements, delta.rows, delta.events, delta.sequence_max),
        (2, 6, 3, 2)
    );
    assert_eq!(delta.findings["EMAIL_ADDRESS"], 4);
    assert_eq!(delta.start.as_ref().unwrap().1.user, "alice");
    assert_eq!(events_of(&delta.facts.content).unwrap().len(), 3);
    assert_eq!(events_of(&delta.recordings.content).unwrap().len(), 1);
}

#[test]
fn a_promise_is_superseded_by_the_statement_of_its_number() {
    let key = key();
    let header = header(0);
    let bytes = header.encode();
    let told = |number| Statement {
        number,
        ..Statement::default()
    };
    let promise = |sequence, number| event(sequence, event::Kind::Promise(told(number)));
    let whole = |sequence, number| event(sequence, event::Kind::Statement(told(number)));
    let mut writer = Writer::new(&bytes);
    let mut records = |payloads: &[Vec<u8>]| {
        let mut out = Vec::new();
        for payload in payloads {
            writer.event(payload, &mut out).unwrap();
        }
        out
    };
    // One that is settled in its batch, and one that stays open behind a statement that was refused meanwhile.
    let first = records(&[promise(1, 0), whole(1, 0), promise(2, 1), whole(2, 2)]);
    let taken = take(header.clone(), &bytes, 0, &first, None, &key.public()).unwrap();
    let delta = &taken.sessions[&SESSION];
    assert_eq!(delta.promises.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(delta.settled.iter().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!((delta.events, delta.sequence_max, delta.statements), (2, 2, 3));
    assert_eq!(events_of(&delta.facts.content).unwrap().len(), 2);
    let second = records(&[whole(3, 1)]);
    let taken = take(header, &bytes, 4, &second, Some(taken.position), &key.public()).unwrap();
    let delta = &taken.sessions[&SESSION];
    assert!(delta.promises.is_empty() && delta.settled.contains(&1));
}

#[test]
fn what_is_stored_is_not_taken_again() {
    let key = key();
    let (bytes, records) = records(&key, 2);
    let first = take(header(0), &bytes, 0, &records[..2].concat(), None, &key.public()).unwrap();
    let again = take(
        header(0),
        &bytes,
        0,
        &records[..2].concat(),
        Some(first.position.clone()),
        &key.public(),
    )
    .unwrap();
    assert!(again.sessions.is_empty());
    assert_eq!(again.position, first.position);
    let rest = take(
        header(0),
        &bytes,
        1,
        &records[1..].concat(),
        Some(first.position),
        &key.public(),
    )
    .unwrap();
    assert_eq!(rest.sessions[&SESSION].events, 1);
    assert_eq!(rest.position.next_sequence, 5);
}

#[test]
fn gaps_and_strangers_are_refused() {
    let key = key();
    let (bytes, records) = records(&key, 2);
    let first = take(header(0), &bytes, 0, &records[..1].concat(), None, &key.public())
        .unwrap()
        .position;
    let gap = take(
        header(0),
        &bytes,
        2,
        &records[2..].concat(),
        Some(first.clone()),
        &key.public(),
    );
    assert_eq!(gap.unwrap_err(), IngestError::Gap { found: 2, expected: 1 });
    let late = take(header(0), &bytes, 1, &records[1..].concat(), None, &key.public());
    assert_eq!(late.unwrap_err(), IngestError::StartMissing);
    assert_eq!(
        header_of(&bytes, "d2").unwrap_err(),
        IngestError::NotTheSender("d1".to_owned())
    );
    let other = Header {
        created_at_micros: 2,
        ..header(0)
    };
    let differs = take(other.clone(), &other.encode(), 1, &[], Some(first), &key.public());
    assert_eq!(differs.unwrap_err(), IngestError::HeaderDiffers);
}

#[test]
fn a_seal_of_another_key_is_refused() {
    let (bytes, records) = records(&key(), 1);
    let taken = take(header(0), &bytes, 0, &records.concat(), None, &key().public());
    assert!(matches!(taken.unwrap_err(), IngestError::Record(SegmentError::Seal(_))));
}

#[test]
fn nothing_follows_an_end() {
    let key = key();
    let header = header(0);
    let bytes = header.encode();
    let mut writer = Writer::new(&bytes);
    let mut out = Vec::new();
    writer.seal(Kind::End, &key, &header, &mut out).unwrap();
    writer.event(&statement(1), &mut out).unwrap();
    assert_eq!(
        take(header, &bytes, 0, &out, None, &key.public()).unwrap_err(),
        IngestError::AfterEnd(1)
    );
}

proptest! {
    #[test]
    fn any_cut_with_any_overlap_gives_the_same(cuts in proptest::collection::vec((0usize..12, 0usize..4), 0..8)) {
        let key = key();
        let (bytes, records) = records(&key, 9);
        let mut position: Option<Position> = None;
        let mut events = 0;
        let mut ends: Vec<(usize, usize)> = cuts;
        ends.push((records.len(), 2));
        for (end, overlap) in ends {
            let have = position.as_ref().map_or(0, |p| p.next_sequence as usize);
            let start = have.saturating_sub(overlap);
            if end < start {
                continue;
            }
            let end = end.min(records.len());
            let taken = take(header(0), &bytes, start as u64, &records[start..end].concat(), position.clone(), &key.public()).unwrap();
            events += taken.sessions.get(&SESSION).map_or(0, |d| d.events);
            position = Some(taken.position);
        }
        // The recording is none.
        prop_assert_eq!(events, 10);
        prop_assert_eq!(position.unwrap().next_sequence, 12);
    }

    #[test]
    fn any_bytes_are_survived(junk in proptest::collection::vec(any::<u8>(), 0..300), first in 0u64..4) {
        let key = key();
        let (bytes, _) = records(&key, 1);
        let position = start_of(&bytes).unwrap();
        let position = Position { next_sequence: 3, ..position };
        let _ = take(header(0), &bytes, first, &junk, Some(position), &key.public());
        let _ = header_of(&junk, "d1");
        let _ = events_of(&junk);
    }

    #[test]
    fn a_changed_byte_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let key = key();
        let (bytes, records) = records(&key, 3);
        let mut all = records.concat();
        let at = at.index(all.len());
        all[at] ^= 1 << bit;
        prop_assert!(take(header(0), &bytes, 0, &all, None, &key.public()).is_err());
    }
}
