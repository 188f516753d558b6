//! The spool across processes: nothing written is lost, nothing torn is shipped, chains go on.

use super::recover::recover;
use super::spool::{ChainEnd, Sealer, Spool};
use super::syncer::{Durable, Syncer};
use super::tail::Tail;
use super::{SpoolState, core_dir, segment_path, segments, spool_dir, stage_path};
use proto::segment::Reader;
use proto::sign::SigningKey;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    shipped_of(tail, Durable::ALL)
}

fn shipped_of(tail: &mut Tail, durable: Durable) -> (u64, Vec<u64>) {
    let mut events = 0;
    let mut seen = Vec::new();
    while let Some(batch) = tail.next_batch(durable).unwrap() {
        events += batch.events;
        seen.push(batch.segment);
    }
    (events, seen)
}

#[test]
fn who_waits_for_an_append_is_woken_by_the_next_one_wherever_it_happens() {
    let (state, last) = (SpoolState::new(1 << 30, 0), Arc::new(AtomicBool::new(false)));
    let core = reactor::Core::new(reactor::Config::default()).unwrap();
    let writer = std::thread::spawn({
        let (state, last) = (state.clone(), last.clone());
        move || {
            let dir = tempfile::tempdir().unwrap();
            let mut spool = open(&spool_dir(dir.path()), ChainEnd::default(), &sealer(), &state);
            for round in 1..=100 {
                while !state.awaited.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                last.store(round == 100, Ordering::SeqCst);
                spool.collect(&delimited(&[b"event"])).unwrap();
                spool.write(1).unwrap();
            }
        }
    });
    core.run(async {
        loop {
            let seen = state.appends();
            if last.load(Ordering::SeqCst) {
                break;
            }
            state.appended_after(seen).await;
            assert_ne!(state.appends(), seen);
        }
    });
    writer.join().unwrap();
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
    spool.write(2).unwrap();
    assert_eq!(shipped(&mut tail).0, 2);
    spool.collect(&delimited(&[b"three"])).unwrap();
    spool.close(3).unwrap();
    assert_eq!(shipped(&mut tail), (1, vec![0]));
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 3);
}

#[test]
fn a_tail_ships_only_what_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    let (mut tail, mut syncer) = (Tail::new(&path, 0), Syncer::new(&path, 0));
    spool.collect(&delimited(&[b"one"])).unwrap();
    spool.write(2).unwrap();
    assert_eq!(shipped_of(&mut tail, Durable::default()), (0, vec![]));
    let first = syncer.sync().unwrap();
    spool.collect(&delimited(&[b"two"])).unwrap();
    spool.write(3).unwrap();
    assert_eq!(shipped_of(&mut tail, first), (1, vec![0]));
    assert_eq!(shipped_of(&mut tail, first), (0, vec![]));
    let second = syncer.sync().unwrap();
    assert!(first < second);
    assert_eq!(shipped_of(&mut tail, second), (1, vec![0]));
    assert_eq!(syncer.sync().unwrap(), second, "nothing new, nothing synced");

    // Two segments later: the one between is on disk too.
    spool.close(4).unwrap();
    for segment in 1..3 {
        let end = ChainEnd {
            next_segment: segment,
            hash: [0; 32],
        };
        let mut next = open(&path, end, &sealer, &state);
        next.collect(&delimited(&[b"more"])).unwrap();
        next.close(5).unwrap();
    }
    let third = syncer.sync().unwrap();
    assert_eq!(third.segment, 2);
    assert_eq!(shipped_of(&mut tail, third), (2, vec![0, 1, 2]));
}

#[test]
fn a_killed_process_loses_only_the_torn_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    spool.collect(&delimited(&[b"one", b"two"])).unwrap();
    spool.write(2).unwrap();
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
    next.write(3).unwrap();
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
fn what_was_staged_survives_the_process_that_staged_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    spool.collect(&delimited(&[b"one"])).unwrap();
    spool.write(2).unwrap();
    spool.collect(&delimited(&[b"two", b"three"])).unwrap();
    spool.flush(3).unwrap();
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 1, "two of them are staged only");
    assert!(spool.is_dirty());
    drop(spool);

    let staged = std::fs::read(stage_path(&core_dir(&path, 0))).unwrap();
    let recovered = recover(&path, &sealer).unwrap();
    assert_eq!((recovered.torn_bytes, recovered.ends[&0].next_segment), (0, 1));
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 3);
    // A second start with the same area, as if it had not been removed: nothing is there twice.
    std::fs::write(stage_path(&core_dir(&path, 0)), staged).unwrap();
    assert_eq!(recover(&path, &sealer).unwrap().ends[&0], recovered.ends[&0]);
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 3);
}

#[test]
fn an_append_that_a_kill_cut_is_completed_from_what_was_staged() {
    let sealer = sealer();
    for lost in [0, 1, 20, 40, 60] {
        let dir = tempfile::tempdir().unwrap();
        let path = spool_dir(dir.path());
        let state = SpoolState::new(1 << 30, 0);
        let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
        spool.collect(&delimited(&[b"one", b"two", b"three"])).unwrap();
        spool.flush(2).unwrap();
        let staged = std::fs::read(stage_path(&core_dir(&path, 0))).unwrap();
        spool.write(3).unwrap();
        drop(spool);
        std::fs::write(stage_path(&core_dir(&path, 0)), staged).unwrap();
        let file = segment_path(&core_dir(&path, 0), 0);
        let length = std::fs::metadata(&file).unwrap().len();
        let file = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        file.set_len(length - lost).unwrap();
        let recovered = recover(&path, &sealer).unwrap();
        assert_eq!(recovered.torn_bytes, 0, "{lost}");
        assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 3, "{lost}");
    }
}

#[test]
fn a_stage_that_the_end_of_the_machine_left_in_pieces_costs_only_what_was_in_it() {
    let sealer = sealer();
    for broken in [0usize, 5, 30] {
        let dir = tempfile::tempdir().unwrap();
        let path = spool_dir(dir.path());
        let state = SpoolState::new(1 << 30, 0);
        let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
        spool.collect(&delimited(&[b"one"])).unwrap();
        spool.write(2).unwrap();
        spool.collect(&delimited(&[b"two", b"three"])).unwrap();
        spool.flush(3).unwrap();
        drop(spool);
        let stage = stage_path(&core_dir(&path, 0));
        let mut bytes = std::fs::read(&stage).unwrap();
        bytes[32 + broken..].fill(0);
        std::fs::write(&stage, bytes).unwrap();
        let recovered = recover(&path, &sealer).unwrap();
        assert!(recovered.torn_bytes > 0, "{broken}");
        let kept = shipped(&mut Tail::new(&path, 0)).0;
        assert!((1..3).contains(&kept), "{broken}: {kept}");
    }
}

#[test]
fn records_are_written_where_there_is_no_stage_and_when_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    let large = vec![b'x'; crate::limits::STAGE_BYTES / 3];
    for count in 1..=10 {
        spool.collect(&delimited(&[&large])).unwrap();
        spool.flush(2).unwrap();
        assert_eq!(state.events_written.load(std::sync::atomic::Ordering::Relaxed), count);
    }
    spool.close(3).unwrap();
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 10);

    // A directory stands where the area would be.
    let stage = stage_path(&core_dir(&path, 0));
    std::fs::remove_file(&stage).unwrap();
    std::fs::create_dir(&stage).unwrap();
    let end = ChainEnd {
        next_segment: 1,
        hash: [0; 32],
    };
    let mut plain = open(&path, end, &sealer, &state);
    plain.collect(&delimited(&[b"one"])).unwrap();
    plain.flush(4).unwrap();
    assert!(!plain.is_dirty(), "written at once");
    assert_eq!(shipped(&mut Tail::new(&path, 0)).0, 11);
}

#[test]
fn damage_inside_a_segment_is_not_repaired_silently() {
    let dir = tempfile::tempdir().unwrap();
    let path = spool_dir(dir.path());
    let state = SpoolState::new(1 << 30, 0);
    let sealer = sealer();
    let mut spool = open(&path, ChainEnd::default(), &sealer, &state);
    spool.collect(&delimited(&[b"one", b"two"])).unwrap();
    spool.write(2).unwrap();
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
