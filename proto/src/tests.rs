//! What the contracts promise: segments find every change, signatures bind to their use.

mod contract;

use crate::policy::{Snapshot, TargetGrant};
use crate::segment::{Header, Kind, Reader, SegmentError, Writer, verify_seal};
use crate::sign::{self, SignError, SigningKey, Use};

fn header() -> Header {
    Header {
        dataplane_id: "dp-1".into(),
        core: 1,
        segment: 7,
        created_at_micros: 42,
        previous_hash: [3; 32],
        first_of_run: true,
    }
}

fn segment(key: &SigningKey) -> Vec<u8> {
    let head = header();
    let mut out = head.encode();
    let mut writer = Writer::new(&out);
    for text in ["one", "two", "three"] {
        writer.event(text.as_bytes(), &mut out).unwrap();
    }
    writer.seal(Kind::End, key, &head, &mut out).unwrap();
    out
}

/// Reads all records; `Ok` says that the end record was there and its signature good.
fn read_all(bytes: &[u8], public: &[u8]) -> Result<Vec<Vec<u8>>, SegmentError> {
    let (head, mut reader) = Reader::new(bytes)?;
    let mut events = Vec::new();
    let mut ended = false;
    while let Some(record) = reader.next_record()? {
        if record.kind == Kind::Event {
            events.push(record.payload.to_vec());
        } else {
            verify_seal(&head, &record, public)?;
            ended = record.kind == Kind::End;
        }
    }
    if ended {
        Ok(events)
    } else {
        Err(SegmentError::Torn(reader.position()))
    }
}

#[test]
fn a_segment_reads_back() {
    let (key, _) = SigningKey::generate().unwrap();
    let bytes = segment(&key);
    assert_eq!(Header::decode(&bytes).unwrap().0, header());
    let events = read_all(&bytes, &key.public()).unwrap();
    assert_eq!(events, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_found() {
    let (key, _) = SigningKey::generate().unwrap();
    let good = segment(&key);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(read_all(&bad, &key.public()).is_err(), "bit {bit} of byte {at}");
        }
        assert!(read_all(&good[..at], &key.public()).is_err(), "cut at {at}");
    }
}

#[test]
fn a_rewritten_segment_with_fresh_checksums_fails_at_the_seal() {
    let (key, _) = SigningKey::generate().unwrap();
    let (thief, _) = SigningKey::generate().unwrap();
    assert_eq!(read_all(&segment(&thief), &key.public()), Err(SegmentError::Seal(0)));
}

#[test]
fn writing_goes_on_where_reading_stopped() {
    let head = header().encode();
    let mut out = head.clone();
    let mut writer = Writer::new(&head);
    writer.event(b"one", &mut out).unwrap();
    let torn = [&out[..], &[9, 0, 0]].concat();
    let (_, mut reader) = Reader::new(&torn).unwrap();
    assert!(reader.next_record().unwrap().is_some());
    assert_eq!(reader.next_record(), Err(SegmentError::Torn(out.len())));
    let resumed = Writer::resume(reader.hash(), reader.sequence());
    assert_eq!((resumed.hash(), resumed.sequence()), (writer.hash(), writer.sequence()));
}

#[test]
fn a_signature_for_one_use_fails_for_another() {
    let (key, stored) = SigningKey::generate().unwrap();
    let key = SigningKey::from_pkcs8(&stored)
        .map(|same| (same.public() == key.public()).then_some(same))
        .unwrap()
        .unwrap();
    let signature = key.sign(Use::Grant, b"x");
    assert!(sign::verify(&key.public(), Use::Grant, b"x", &signature).is_ok());
    assert_eq!(
        sign::verify(&key.public(), Use::Snapshot, b"x", &signature),
        Err(SignError::BadSignature)
    );
}

#[test]
fn snapshots_and_grants_open_only_with_the_right_key() {
    let (key, _) = SigningKey::generate().unwrap();
    let (other, _) = SigningKey::generate().unwrap();
    let snapshot = Snapshot {
        generation: 3,
        ..Snapshot::default()
    };
    let signed = key.sign_snapshot(&snapshot);
    assert_eq!(sign::open_snapshot(&key.public(), &signed).unwrap(), snapshot);
    assert_eq!(
        sign::open_snapshot(&other.public(), &signed),
        Err(SignError::BadSignature)
    );
    let grant = TargetGrant {
        port: 5432,
        ..TargetGrant::default()
    };
    assert_eq!(sign::open_grant(&key.public(), &key.sign_grant(&grant)).unwrap(), grant);
    assert!(sign::open_grant(&other.public(), &key.sign_grant(&grant)).is_err());
}
