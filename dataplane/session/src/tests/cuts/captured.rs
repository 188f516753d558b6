//! Conversations of real clients with a real server, as `tests/captures/take` wrote them down.

use super::*;

const CAPTURES: [(&str, &[u8]); 3] = [
    ("psql", include_bytes!("captures/psql.bin")),
    ("psycopg", include_bytes!("captures/psycopg.bin")),
    ("pgbench", include_bytes!("captures/pgbench.bin")),
];

/// Who speaks (`<` the client, `>` the server), how many bytes (4, big-endian), and what; from the first ReadyForQuery on.
fn turns(mut capture: &[u8]) -> Turns {
    let mut turns = Vec::new();
    while let Some((head, rest)) = capture.split_first_chunk::<5>() {
        let [who, length @ ..] = *head;
        let (bytes, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        let direction = match who {
            b'<' => Direction::ToUpstream,
            b'>' => Direction::ToDownstream,
            _ => panic!("neither client nor server"),
        };
        turns.push((direction, bytes.to_vec()));
        capture = rest;
    }
    turns
}

fn stages() -> Vec<Stage> {
    let captures = CAPTURES.into_iter();
    captures
        .map(|(name, bytes)| Stage::new(name, turns(bytes), |_| ()))
        .collect()
}

#[test]
fn every_byte_and_every_single_cut() {
    stages().iter_mut().for_each(Stage::every_byte_and_every_single_cut);
}

#[test]
fn random_cuts() {
    stages().iter_mut().for_each(Stage::random_cuts);
}

#[test]
fn captures_hold_what_they_are_for() {
    for mut stage in stages() {
        let whole = stage.whole();
        let statements = whole.events.iter().filter(|event| number(event).is_some()).count();
        assert!(statements >= 10, "{}: {statements}", stage.name);
        assert!(
            !String::from_utf8_lossy(&whole.to_client).contains("alice@"),
            "{}",
            stage.name
        );
    }
}
