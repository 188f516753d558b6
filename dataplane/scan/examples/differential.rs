//! Compares every level of this processor with the reference: hostile text, natural text from files, any cut, any packing.
//!
//! `cargo run --release -p scan --example differential -- [seconds N] [seed N] [level NAME] [files DIR]`; ends with an error if anything differs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use scan::{Detector, Level, Scratch, Spec};

#[path = "../corpora/adversary.rs"]
mod adversary;
#[path = "../corpora/compare.rs"]
mod compare;

use adversary::Numbers;
use compare::{Policy, Tally, check};

fn natural(directory: &std::path::Path, texts: &mut Vec<std::path::PathBuf>) {
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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .and_then(|at| arguments.get(at + 1))
    };
    let number = |name: &str, or: u64| value(name).and_then(|text| text.parse().ok()).unwrap_or(or);
    let (seconds, seed) = (number("seconds", 10), number("seed", 1));
    let levels: Vec<Level> = Level::ALL[1..]
        .iter()
        .copied()
        .filter(|level| level.available() && value("level").is_none_or(|name| name == level.name()))
        .collect();
    let built: Vec<Detector> = Detector::all().filter(|detector| detector.built()).collect();
    let policies = [
        Policy::build("default", &Spec::default(), &levels),
        Policy::build("everything", &Spec::of(&built), &levels),
    ];
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let (mut numbers, mut scratch) = (Numbers::new(seed), Scratch::new());
    let mut hostile = Tally::default();
    if let Some(directory) = value("files") {
        let mut tally = Tally::default();
        let mut files = Vec::new();
        natural(std::path::Path::new(directory), &mut files);
        for file in files {
            if Instant::now() > deadline {
                break;
            }
            let Ok(text) = std::fs::read(&file) else { continue };
            let policy = usize::from(numbers.below(4) == 0);
            for part in text.chunks(1 << 20) {
                check(&policies[policy], part, true, &mut tally, &mut scratch, &mut numbers);
            }
        }
        report("natural", &tally);
        return if tally.differences == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let mut text = Vec::new();
    while Instant::now() < deadline && hostile.differences < 100 {
        text.clear();
        let limit = numbers_limit(numbers.below(16));
        let bytes = 1 + numbers.below(limit);
        adversary::write(&mut text, &mut numbers, bytes);
        let policy = numbers.below(policies.len());
        check(
            &policies[policy],
            &text,
            false,
            &mut hostile,
            &mut scratch,
            &mut numbers,
        );
    }
    report("hostile", &hostile);
    if hostile.differences == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
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

fn report(what: &str, tally: &Tally) {
    println!(
        "{what}: {} bytes, {} hits of the reference, {} comparisons, {} differences",
        tally.bytes, tally.hits, tally.comparisons, tally.differences
    );
}
