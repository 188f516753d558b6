//! What goes out, and what is noted, never depends on how the bytes were cut.
//!
//! Every conversation is run whole, byte by byte, with a single cut at every place, and with 1,000 sets of random cuts.
//! Compared are all bytes in both directions, the folded list of events with everything that they say, and the recording.

use std::collections::BTreeMap;

use super::*;

/// Sets of random cuts of each conversation.
const RANDOM_SETS: usize = 1_000;
/// The same in every run: a failure can be looked at again.
const SEED: u64 = 0x5EED_0F5E_5510_4CED;

/// Turns of a conversation: who speaks, and what.
type Turns = Vec<(Direction, Vec<u8>)>;

fn client(pieces: &[Vec<u8>]) -> (Direction, Vec<u8>) {
    (Direction::ToUpstream, pieces.concat())
}

fn target(pieces: &[Vec<u8>]) -> (Direction, Vec<u8>) {
    (Direction::ToDownstream, pieces.concat())
}

const EMAIL: &[u8] = b"alice@example.com";

fn result(rows: &[&[u8]]) -> Vec<u8> {
    let rows = rows.iter().map(|cell| row(&[Some(cell)])).collect::<Vec<_>>().concat();
    [text_column("e"), rows].concat()
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    to_target: Vec<u8>,
    to_client: Vec<u8>,
    events: Vec<audit::Event>,
    /// Bytes of the recording, by batch.
    recording: Vec<(u64, Vec<u8>)>,
}

/// What a consumer makes of a session's records, in the order in which they were written: see `proto::audit::Event`.
#[derive(Debug, Default)]
struct Fold {
    events: Vec<audit::Event>,
    open: BTreeMap<u64, audit::Event>,
    recording: Vec<(u64, Vec<u8>)>,
    recorded: u64,
}

impl Fold {
    fn of(records: Vec<audit::Event>) -> Fold {
        let mut fold = Fold::default();
        for record in records {
            assert_eq!(record.sequence, fold.events.len() as u64, "sequences have no gap");
            match &record.kind {
                Some(Kind::Promise(statement)) => {
                    let number = statement.number;
                    assert!(fold.open.insert(number, record).is_none(), "promised twice");
                }
                Some(Kind::Recording(piece)) => fold.record(piece),
                Some(Kind::Statement(statement)) => {
                    if let Some(Kind::Promise(promise)) = fold.open.remove(&statement.number).and_then(|open| open.kind)
                    {
                        let told = (&promise.text, &promise.parameters, promise.batch, &promise.form);
                        let whole = (&statement.text, &statement.parameters, statement.batch, &statement.form);
                        assert_eq!(told, whole, "a promise is of the statement that supersedes it");
                    }
                    fold.events.push(record);
                }
                _ => fold.events.push(record),
            }
        }
        fold
    }

    fn record(&mut self, piece: &audit::Recording) {
        assert_eq!(piece.offset, self.recorded, "pieces follow each other");
        self.recorded += piece.data.len() as u64;
        match self.recording.last_mut() {
            Some((batch, bytes)) if *batch == piece.batch => bytes.extend_from_slice(&piece.data),
            _ => self.recording.push((piece.batch, piece.data.clone())),
        }
    }

    fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self
            .events
            .iter()
            .filter_map(number)
            .chain(self.open.keys().copied())
            .collect();
        numbers.sort_unstable();
        numbers
    }
}

fn number(event: &audit::Event) -> Option<u64> {
    match &event.kind {
        Some(Kind::Statement(statement)) => Some(statement.number),
        _ => None,
    }
}

/// One conversation, under one policy; runs share what sessions of a core share.
struct Stage {
    name: &'static str,
    policy: Arc<Policy>,
    scratch: Option<Scratch>,
    turns: Turns,
}

impl Stage {
    fn new(name: &'static str, turns: Turns, change: impl FnOnce(&mut wire::Snapshot)) -> Stage {
        let mut snapshot = snapshot();
        snapshot.connections[0].record = wire::Record::Full as i32;
        change(&mut snapshot);
        Stage {
            name,
            policy: compiled(&snapshot),
            scratch: Some(Scratch::new()),
            turns,
        }
    }

    /// Says the pieces in their order; `killed` leaves the session without an end.
    fn said<'a>(&mut self, pieces: impl Iterator<Item = (Direction, &'a [u8])>, killed: bool) -> (Fold, Talk) {
        let mut talk = Talk::on(&self.policy, self.scratch.take().unwrap_or_default());
        for (direction, piece) in pieces {
            match direction {
                Direction::ToUpstream => talk.client(piece),
                Direction::ToDownstream => talk.target(piece),
            };
        }
        assert!(talk.close.is_none(), "{}: {:?}", self.name, talk.close);
        if !killed {
            talk.end();
        }
        (Fold::of(talk.events()), talk)
    }

    fn outcome<'a>(&mut self, pieces: impl Iterator<Item = (Direction, &'a [u8])>) -> Outcome {
        let (fold, mut talk) = self.said(pieces, false);
        assert!(
            fold.open.is_empty(),
            "{}: promised and never told: {:?}",
            self.name,
            fold.open
        );
        let numbers = fold.numbers();
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "{}: {numbers:?}",
            self.name
        );
        self.scratch = Some(std::mem::take(&mut talk.scratch));
        Outcome {
            to_target: talk.to_target,
            to_client: talk.to_client,
            events: fold.events,
            recording: fold.recording,
        }
    }

    /// With each turn cut where `cut` says, given its index and length.
    fn run(&mut self, mut cut: impl FnMut(usize, usize) -> Vec<usize>) -> Outcome {
        let turns = std::mem::take(&mut self.turns);
        let mut pieces = Vec::new();
        for (index, (direction, bytes)) in turns.iter().enumerate() {
            let mut at = 0;
            for end in cut(index, bytes.len()).into_iter().chain([bytes.len()]) {
                pieces.push((*direction, &bytes[at..end.max(at)]));
                at = end.max(at);
            }
        }
        let outcome = self.outcome(pieces.into_iter());
        self.turns = turns;
        outcome
    }

    fn whole(&mut self) -> Outcome {
        let whole = self.run(|_, _| Vec::new());
        let recorded: Vec<u8> = whole.recording.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(recorded, whole.to_client, "{}", self.name);
        whole
    }

    fn check(&mut self, outcome: Outcome, whole: &Outcome, how: impl Fn() -> String) {
        if outcome != *whole {
            let name = self.name;
            assert_eq!(
                String::from_utf8_lossy(&outcome.to_target),
                String::from_utf8_lossy(&whole.to_target),
                "{name}: {}",
                how()
            );
            assert_eq!(
                String::from_utf8_lossy(&outcome.to_client),
                String::from_utf8_lossy(&whole.to_client),
                "{name}: {}",
                how()
            );
            assert_eq!(outcome, *whole, "{name}: {}", how());
        }
    }

    fn every_byte_and_every_single_cut(&mut self) {
        let whole = self.whole();
        let bytewise = self.run(|_, len| (0..len).collect());
        self.check(bytewise, &whole, || "byte by byte".to_owned());
        let lengths: Vec<usize> = self.turns.iter().map(|(_, bytes)| bytes.len()).collect();
        for (turn, len) in lengths.into_iter().enumerate() {
            for at in 1..len {
                let outcome = self.run(|index, _| if index == turn { vec![at] } else { Vec::new() });
                self.check(outcome, &whole, || format!("turn {turn} cut at {at}"));
            }
        }
    }

    fn random_cuts(&mut self) {
        let whole = self.whole();
        let mut dice = Dice(SEED);
        for set in 0..RANDOM_SETS {
            let cuts_max = 1 + dice.below(8);
            let outcome = self.run(|_, len| {
                let mut cuts: Vec<usize> = (0..dice.below(cuts_max + 1)).map(|_| dice.below(len + 1)).collect();
                cuts.sort_unstable();
                cuts
            });
            self.check(outcome, &whole, || format!("set {set}"));
        }
    }

    /// The client may speak before the target answered what came before, if nothing of what it says is refused: a refusal
    /// takes its number when it is made.
    fn random_interleavings(&mut self) {
        let whole = self.whole();
        let mut dice = Dice(SEED);
        let turns = std::mem::take(&mut self.turns);
        for set in 0..RANDOM_SETS / 4 {
            let outcome = self.outcome(interleaved(&turns, &mut dice).into_iter());
            self.check(outcome, &whole, || format!("interleaving {set}"));
        }
        self.turns = turns;
    }

    /// Killed at any byte: what a client has seen of a statement's answer is not without a record of the statement.
    fn killed_anywhere(&mut self) {
        let whole = self.whole();
        let turns = std::mem::take(&mut self.turns);
        for (turn, (direction, bytes)) in turns.iter().enumerate() {
            for at in 1..bytes.len() {
                let before = turns[..turn]
                    .iter()
                    .map(|(direction, bytes)| (*direction, bytes.as_slice()));
                let (fold, mut talk) = self.said(before.chain([(*direction, &bytes[..at])]), true);
                self.scratch = Some(std::mem::take(&mut talk.scratch));
                for event in &fold.events {
                    assert!(
                        whole.events.contains(event),
                        "{}: killed at {turn}:{at}: {event:?}",
                        self.name
                    );
                }
                let batches = |kind: &Kind| match kind {
                    Kind::Statement(statement) | Kind::Promise(statement) => Some(statement.batch),
                    _ => None,
                };
                let known: Vec<u64> = fold
                    .events
                    .iter()
                    .chain(fold.open.values())
                    .filter_map(|event| batches(event.kind.as_ref()?))
                    .collect();
                let seen = fold.recording.last().map_or(0, |(batch, _)| *batch);
                assert!(
                    seen == 0 || known.contains(&seen),
                    "{}: killed at {turn}:{at}: batch {seen}",
                    self.name
                );
            }
        }
        self.turns = turns;
    }
}

/// The turns in pieces, what the client says at most before the answers to it.
fn interleaved<'a>(turns: &'a Turns, dice: &mut Dice) -> Vec<(Direction, &'a [u8])> {
    let mut said = vec![0; turns.len()];
    let mut pieces = Vec::new();
    let open = |said: &[usize], wanted: Direction| {
        (0..turns.len()).find(|turn| turns[*turn].0 == wanted && said[*turn] < turns[*turn].1.len())
    };
    loop {
        let (up, down) = (open(&said, Direction::ToUpstream), open(&said, Direction::ToDownstream));
        // An answer comes after what it answers.
        let turn = match (up, down) {
            (None, None) => return pieces,
            (Some(up), Some(down)) if up < down || dice.below(2) == 0 => up,
            (_, Some(down)) => down,
            (Some(up), None) => up,
        };
        let (direction, bytes) = &turns[turn];
        let end = said[turn] + 1 + dice.below(bytes.len() - said[turn]);
        pieces.push((*direction, &bytes[said[turn]..end]));
        said[turn] = end;
    }
}

/// Numbers that only look random: Vigna's SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

mod captured;
mod conversations;
