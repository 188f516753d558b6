//! Compares every level of this processor with the reference: hostile text, natural text from files, any cut, any packing.
//!
//! `cargo run --release -p scan --example differential -- [seconds N] [seed N] [level NAME] [set default|everything] [files DIR]…`
//! compares hostile text, or with `files` whatever stands in the directories, which are walked in turn until the time is over. It
//! ends with an error if anything differs, and leaves the text that does in the directory for temporary files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use scan::{Detector, Level, Scratch, Spec};

#[path = "../corpora/adversary.rs"]
mod adversary;
#[path = "../corpora/compare.rs"]
mod compare;

use adversary::Numbers;
use compare::{Policy, Tally, check};

/// Files are compared in parts of this length.
const PART_BYTES: usize = 1 << 20;

fn natural(directory: &Path, texts: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            natural(&entry.path(), texts);
        } else if kind.is_file() {
            texts.push(entry.path());
        }
    }
}

/// A policy with what was compared under it.
struct Run {
    policy: Policy,
    tally: Tally,
}

fn runs(set: Option<&str>, levels: &[Level]) -> Vec<Run> {
    let built: Vec<Detector> = Detector::all().filter(|detector| detector.built()).collect();
    let sets = [("default", Spec::default()), ("everything", Spec::of(&built))];
    let sets = sets.into_iter().filter(|(name, _)| set.is_none_or(|set| set == *name));
    sets.map(|(name, spec)| Run {
        policy: Policy::build(name, &spec, levels),
        tally: Tally::default(),
    })
    .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let values = |name: &'static str| {
        let pairs = arguments.windows(2).filter(move |pair| pair[0] == name);
        pairs.map(|pair| pair[1].as_str())
    };
    let value = |name: &'static str| values(name).next();
    let number = |name: &'static str, or: u64| value(name).and_then(|text| text.parse().ok()).unwrap_or(or);
    let levels: Vec<Level> = Level::ALL[1..]
        .iter()
        .copied()
        .filter(|level| level.available() && value("level").is_none_or(|name| name == level.name()))
        .collect();
    let mut runs = runs(value("set"), &levels);
    let deadline = Instant::now() + Duration::from_secs(number("seconds", 10));
    let mut numbers = Numbers::new(number("seed", 1));
    let mut files = Vec::new();
    values("files").for_each(|directory| natural(Path::new(directory), &mut files));
    let what = match files.is_empty() {
        true => {
            hostile(&mut runs, deadline, &mut numbers);
            "hostile"
        }
        false => {
            whole_files(&mut runs, &files, deadline, &mut numbers);
            "natural"
        }
    };
    runs.iter().for_each(|run| report(what, run));
    match runs.iter().all(|run| run.tally.differences == 0) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn whole_files(runs: &mut [Run], files: &[PathBuf], deadline: Instant, numbers: &mut Numbers) {
    let mut scratch = Scratch::new();
    for (count, file) in files.iter().enumerate() {
        let Ok(text) = std::fs::read(file) else { continue };
        for part in text.chunks(PART_BYTES) {
            for run in runs.iter_mut() {
                check(&run.policy, part, true, &mut run.tally, &mut scratch, numbers);
            }
        }
        if count % 20_000 == 19_999 {
            runs.iter().for_each(|run| report("natural so far", run));
        }
        if Instant::now() > deadline {
            return;
        }
    }
}

fn hostile(runs: &mut [Run], deadline: Instant, numbers: &mut Numbers) {
    let (mut scratch, mut text) = (Scratch::new(), Vec::new());
    while Instant::now() < deadline && runs.iter().all(|run| run.tally.differences < 100) {
        text.clear();
        let limit = numbers_limit(numbers.below(16));
        let bytes = 1 + numbers.below(limit);
        adversary::write(&mut text, numbers, bytes);
        let place = numbers.below(runs.len());
        let run = &mut runs[place];
        check(&run.policy, &text, false, &mut run.tally, &mut scratch, numbers);
    }
}

/// Mostly short texts, some longer than several windows, a few longer than a long match.
fn numbers_limit(kind: usize) -> usize {
    match kind {
        0 => 20_000,
        1..6 => 2_000,
        6..10 => 300,
        _ => 70,
    }
}

fn report(what: &str, run: &Run) {
    let tally = &run.tally;
    println!(
        "{what}, {}: {} bytes, {} hits of the reference, {} comparisons, {} differences",
        run.policy.name, tally.bytes, tally.hits, tally.comparisons, tally.differences
    );
}
