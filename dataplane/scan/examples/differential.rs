//! Compares every level of this processor with the reference: hostile text, natural text from files, any cut, any packing.
//!
//! `cargo run --release -p scan --example differential -- [seconds N] [seed N] [level NAME] [files DIR]`; ends with an error if anything differs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use scan::{CellFinding, Cells, Context, Detector, Finding, Level, Scanner, Scratch, Spec, Stream};

#[path = "../corpora/adversary.rs"]
mod adversary;

use adversary::Numbers;

/// The scanners of one policy: the reference, then the levels under test.
struct Policy {
    name: &'static str,
    scanners: Vec<Scanner>,
}

impl Policy {
    fn build(name: &'static str, spec: &Spec, levels: &[Level]) -> Policy {
        let on = |level: Level| Scanner::build(spec).and_then(|scanner| scanner.on_level(level));
        let levels = std::iter::once(&Level::Reference).chain(levels);
        Policy {
            name,
            scanners: levels.map(|level| on(*level).expect("the policy compiles")).collect(),
        }
    }
}

#[derive(Default)]
struct Tally {
    bytes: u64,
    hits: u64,
    comparisons: u64,
    differences: u64,
}

impl Tally {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, text: &[u8], wanted: &[T], got: &[T]) {
        self.comparisons += 1;
        if wanted == got {
            return;
        }
        self.differences += 1;
        if self.differences <= 5 {
            let place = wanted.iter().zip(got).take_while(|(a, b)| a == b).count();
            println!("DIFFERS {what}: {} wanted, {} found", wanted.len(), got.len());
            println!("  wanted {:?}\n  found  {:?}", wanted.get(place), got.get(place));
            if text.len() < 4000 {
                println!("  text {:?}", String::from_utf8_lossy(text));
            }
            std::fs::write(std::env::temp_dir().join(format!("differs-{}", self.differences)), text).ok();
        }
    }
}

fn one_shot(scanner: &Scanner, text: &[u8], context: Context, scratch: &mut Scratch) -> Vec<Finding> {
    let mut out = Vec::new();
    scanner.scan(text, context, scratch, &mut out);
    out
}

/// Feeds a text in pieces of random lengths; pieces of one match are joined.
fn streamed(scanner: &Scanner, text: &[u8], scratch: &mut Scratch, numbers: &mut Numbers) -> Vec<Finding> {
    let mut stream = Stream::new();
    let (mut found, mut out): (Vec<Finding>, Vec<Finding>) = Default::default();
    let (mut released, mut fed) = (0, 0);
    let piece_max = numbers.pick(&[3, 64, 700, 1500, 20_000]);
    while released < text.len() {
        fed = (fed + 1 + numbers.below(piece_max)).min(text.len());
        out.clear();
        let decided = stream.advance(
            scanner,
            Context::NONE,
            scratch,
            &text[released..fed],
            fed == text.len(),
            &mut out,
        );
        for finding in &out {
            let (start, end) = (finding.start + released as u32, finding.end + released as u32);
            match found.last_mut() {
                Some(whole) if finding.offset > 0 => whole.end = end,
                _ => found.push(Finding {
                    start,
                    end,
                    open: false,
                    ..*finding
                }),
            }
        }
        released += decided;
    }
    found
}

fn packed(scanner: &Scanner, cells: &Cells, scratch: &mut Scratch) -> Vec<CellFinding> {
    let mut out = Vec::new();
    scanner.scan_cells(cells, scratch, &mut out);
    out
}

/// Every cell by itself, as the reference sees it.
fn unpacked(scanner: &Scanner, texts: &[(&[u8], Context)], scratch: &mut Scratch) -> Vec<CellFinding> {
    let mut out = Vec::new();
    for (cell, (text, context)) in texts.iter().enumerate() {
        let found = one_shot(scanner, text, *context, scratch);
        out.extend(found.iter().map(|found| CellFinding {
            cell: cell as u32,
            detector: found.detector,
            start: found.start,
            end: found.end,
            confidence: found.confidence,
        }));
    }
    out
}

fn check(policy: &Policy, text: &[u8], natural: bool, tally: &mut Tally, scratch: &mut Scratch, numbers: &mut Numbers) {
    let (reference, levels) = policy.scanners.split_first().expect("a reference");
    let context = match numbers.below(4) {
        0 => reference.context_of(numbers.pick(&["phone", "ssn", "aws_secret"])),
        _ => Context::NONE,
    };
    let wanted = one_shot(reference, text, context, scratch);
    tally.bytes += text.len() as u64;
    tally.hits += wanted.len() as u64;
    let texts = split(reference, text, numbers);
    let wanted_cells = unpacked(reference, &texts, scratch);
    let mut cells = Cells::new();
    texts.iter().for_each(|(text, context)| cells.push(text, 0, *context));
    let wanted_stream = if context == Context::NONE {
        wanted.clone()
    } else {
        one_shot(reference, text, Context::NONE, scratch)
    };
    for scanner in levels {
        let name = |how: &str| format!("{} {} {how}", policy.name, scanner.level().name());
        tally.compare(&name("scan"), text, &wanted, &one_shot(scanner, text, context, scratch));
        tally.compare(&name("cells"), text, &wanted_cells, &packed(scanner, &cells, scratch));
        if !natural || numbers.below(4) == 0 {
            tally.compare(
                &name("stream"),
                text,
                &wanted_stream,
                &streamed(scanner, text, scratch, numbers),
            );
        }
    }
}

/// Cuts a text into cells of random lengths, some of which stand in a column with a telling name.
fn split<'t>(scanner: &Scanner, text: &'t [u8], numbers: &mut Numbers) -> Vec<(&'t [u8], Context)> {
    let phone = scanner.context_of("phone");
    let cell_max = numbers.pick(&[8, 40, 200]);
    let mut rest = text;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (cell, behind) = rest.split_at(numbers.below(cell_max + 1).min(rest.len()));
        texts.push((cell, if numbers.below(9) == 0 { phone } else { Context::NONE }));
        rest = behind;
    }
    texts
}

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
