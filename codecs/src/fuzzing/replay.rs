//! Replays the committed corpora, and mutations of every input, in an ordinary test run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::seeds::seeds;

/// Mutated inputs for each target.
const MUTATIONS: usize = 10_000;
/// Set to write the seeds that [`seeds`] makes into the corpora.
const WRITE: &str = "SLUICE_WRITE_CORPUS";

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

/// Every committed input of a target, in the order of the file names.
fn committed(target: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(corpus(target)).expect("the corpus is committed");
    entries
        .map(|entry| {
            let path = entry.expect("a readable directory").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a readable input"))
        })
        .collect()
}

/// A small generator with a fixed seed (xorshift64*), so that every run sees the same mutations.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }

    /// Changes, inserts, drops, repeats or overwrites with an interesting number, one to four times.
    fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        const NUMBERS: [u32; 6] = [0, 3, 4, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
        let mut out = input.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(out.len() + 1);
            match self.roll(7) {
                0 if at < out.len() => out[at] ^= 1 << self.roll(8),
                1 if at < out.len() => out[at] = self.roll(256) as u8,
                2 => out.insert(at, self.roll(256) as u8),
                3 => out.truncate(at),
                4 if at + 4 <= out.len() => {
                    out[at..at + 4].copy_from_slice(&NUMBERS[self.roll(NUMBERS.len())].to_be_bytes());
                }
                5 => {
                    let from = self.roll(other.len() + 1);
                    let to = (from + self.roll(64)).min(other.len());
                    out.splice(at..at, other[from..to].iter().copied());
                }
                _ => {
                    let to = (at + self.roll(16)).min(out.len());
                    out.drain(at..to);
                }
            }
        }
        out
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let inputs: Vec<Vec<u8>> = committed(target).into_values().collect();
    assert!(inputs.len() >= 25, "{target}: {} inputs", inputs.len());
    inputs.iter().for_each(|input| run(input));
    let mut dice = Dice(0x5105_1CE5_EED5_EED5);
    for round in 0..MUTATIONS {
        let input = &inputs[round % inputs.len()];
        let other = &inputs[dice.roll(inputs.len())];
        run(&dice.mutate(input, other));
    }
}

#[test]
fn pg_framer() {
    replay("pg_framer", super::pg_framer);
}

#[test]
fn pg_login_downstream() {
    replay("pg_login_downstream", super::pg_login_downstream);
}

#[test]
fn pg_login_upstream() {
    replay("pg_login_upstream", super::pg_login_upstream);
}

#[test]
fn http_h1_request() {
    replay("http_h1_request", super::http_h1_request);
}

#[test]
fn http_h1_response() {
    replay("http_h1_response", super::http_h1_response);
}

#[test]
fn http_h2_head() {
    replay("http_h2_head", super::http_h2_head);
}

/// The corpora hold what the seeds' source says; inputs that a fuzzer found may be added beside them.
#[test]
fn the_committed_seeds_are_those_of_the_source() {
    let write = std::env::var_os(WRITE).is_some();
    for (target, name, bytes) in seeds() {
        let path = corpus(target).join(name);
        if write {
            std::fs::create_dir_all(corpus(target)).expect("a writable tree");
            std::fs::write(&path, &bytes).expect("a writable tree");
        }
        let found = std::fs::read(&path).unwrap_or_else(|e| panic!("{target}/{name}: {e}; run with {WRITE}=1"));
        assert_eq!(
            found, bytes,
            "{target}/{name} is not what the source makes; run with {WRITE}=1"
        );
    }
}
