//! The spool across processes: nothing written is lost, nothing torn is shipped, chains go on.

use super::recover::recover;
use super::spool::{ChainEnd, Sealer, Spool};
use super::tail::Tail;
use super::{SpoolState, core_dir, segment_path, segments, spool_dir};
use proto::segment::Reader;
use proto::sign::SigningKey;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn sealer() -> Sealer {
    let (key, _) = SigningKey::generate().unwrap();
    Sealer {
        dataplane_id: "dp".into(),
        key: Arc::new(key),
    }
}

fn delimited(events: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        prost::encode_length_delimiter(event.len(), &mut out).unwrap();
        out.extend_from_slice(event);
    }
    out
}

fn open(dir: &Path, end: ChainEnd, sealer: &Sealer, state: &Arc<SpoolState>) -> Spool {
    Spool::open(dir, 0, end, sealer.clone(), state.clone(), 1).unwrap()
}

fn shipped(tail: &mut Tail) -> (u64, Vec<u64>) {
    let mut events = 0;
    let mut seen = Vec::new();
    while let Some(batch) = tail.next_batch().unwrap() {
        events += batch.events;
        seen.push(batch.segment);
    }
    (events, seen)
}

#[test]
fn a_tail_sees_what_was_flushed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let mut spool = open(&path, ChainEnd::default(), &sealer(), &state);
    let mut tail = Tail::new(&path, 0);
    spool.collect(&delimited(&[b"one", b"two"])).unwrap();
    assert_eq!(shipped(&mut tail).0, 0);
    spool.flush(2).unwrap();
    assert_eq!(shipped(&mut tail).0, 2);
    spool.collect(&delimited(&[b"three"])).unwrap();
    spool.close(3).unwrap();
    assert_eq!(shipped(&mut tail), (1, vec![0]));
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 3);
}

#[test]
fn a_killed_process_loses_only_the_torn_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    spool.collect(&delimited(&[b"one", b"two"])).unwrap();
    spool.flush(2).unwrap();
    drop(spool);
    let file = segment_path(&core_dir(&path, 0), 0);
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap()
        .write_all(&[40, 0, 0, 0, 1, 9])
        .unwrap();

    let recovered = recover(&path, &sealer).unwrap();
    assert_eq!((recovered.torn_bytes, recovered.ends[&0].next_segment), (6, 1));
    let mut next = open(&path, recovered.ends[&0], &sealer, &state);
    next.collect(&delimited(&[b"three"])).unwrap();
    next.flush(3).unwrap();
    let mut tail = Tail::new(&path, 0);
    assert_eq!(shipped(&mut tail).0, 3);
    tail.stored(1, &state).unwrap();
    assert_eq!(segments(&core_dir(&path, 0)).unwrap(), [1]);

    let first = recovered.ends[&0].hash;
    let bytes = std::fs::read(segment_path(&core_dir(&path, 0), 1)).unwrap();
    let (header, _) = Reader::new(&bytes).unwrap();
    assert!(header.previous_hash == first && header.first_of_run);
}

#[test]
fn damage_inside_a_segment_is_not_repaired_silently() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    spool.collect(&delimited(&[b"one", b"two"])).unwrap();
    spool.flush(2).unwrap();
    let file = segment_path(&core_dir(&path, 0), 0);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(3).position(|window| window == b"one").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = recover(&path, &sealer).unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn a_full_spool_refuses_work_until_records_are_stored() {
    let state = SpoolState::new(100, 0);
    assert_eq!(state.refusal(), None);
    state.grown(100);
    assert!(state.refusal().unwrap().contains("full"));
    state.shrunk(50);
    assert_eq!(state.refusal(), None);
}
