//! Prints the speed of the matcher on one core beside its goals: GB/s (10^9 bytes) on texts, nanoseconds of small calls.
//!
//! `cargo run --release -p scan --example throughput -- [mib N] [passes N] [only WORD] [prose DIR] [code DIR] [best]` prints one table: the default
//! detectors on the fastest level, with all detectors by choice on it, and with AVX2. With `level NAME`, `levels` or
//! `detectors all|NAME,…` it prints these levels and detectors instead, with more detail. `write DIR` writes the texts to files, for
//! measuring others on them. Figures are medians (with `best`: the best) of short passes that alternate between the columns, in
//! time that the thread ran.

use std::path::Path;

use scan::{Cells, Context, Detector, Level, Scanner, Scratch, Spec, Stream};

#[path = "../corpora/adversary.rs"]
mod adversary;
#[path = "../corpora/speed.rs"]
mod speed;

struct Options {
    bytes: usize,
    passes: usize,
    only: String,
}

/// The median, or the least value where others disturb.
fn typical(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let best = std::env::args().any(|argument| argument == "best");
    values[if best { 0 } else { values.len() / 2 }]
}

/// Time that this thread has run: unlike the clock, undisturbed by what else the machine does.
fn ran_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Median seconds of one call per scanner; passes alternate between the scanners.
fn measure(passes: usize, scanners: &[Scanner], mut pass: impl FnMut(&Scanner)) -> Vec<f64> {
    let mut times = vec![Vec::new(); scanners.len()];
    for _ in 0..passes {
        for (scanner, times) in scanners.iter().zip(&mut times) {
            let start = ran_seconds();
            pass(scanner);
            times.push(ran_seconds() - start);
        }
    }
    times.into_iter().map(typical).collect()
}

fn texts(options: &Options, value: impl Fn(&str) -> Option<String>) -> Vec<(String, Vec<u8>)> {
    let bytes = options.bytes;
    let real = |name: &str, endings: &[&str]| value(name).and_then(|at| speed::files(Path::new(&at), endings, bytes));
    let mut texts = vec![
        (
            "prose".to_owned(),
            real("prose", &["copyright", "README", ".txt", ".md", ".rst"]).unwrap_or_else(|| speed::prose(bytes, 1)),
        ),
        (
            "code".to_owned(),
            real("code", &[".py", ".rs", ".c", ".h"])
                .unwrap_or_else(|| include_bytes!("throughput.rs").repeat(bytes / 8000 + 1)[..bytes].to_vec()),
        ),
        ("json".to_owned(), speed::json(bytes, 200, 2)),
        ("rows-none".to_owned(), speed::rows(bytes, 0, 3)),
        ("rows-sparse".to_owned(), speed::rows(bytes, 200, 4)),
        ("rows-dense".to_owned(), speed::rows(bytes, 1, 5)),
        ("notes".to_owned(), speed::notes(bytes, 6)),
    ];
    for (name, unit) in speed::POISON {
        texts.push((format!("poison-{name}"), speed::poison(unit, bytes.min(1 << 20))));
    }
    texts.retain(|(name, _)| name.contains(&options.only));
    texts
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, or: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(or);
    let options = Options {
        bytes: number("mib", 8) << 20,
        passes: number("passes", 7),
        only: value("only").unwrap_or_default(),
    };
    let texts = texts(&options, value);
    if let Some(directory) = value("write") {
        for (name, text) in &texts {
            std::fs::write(Path::new(&directory).join(name), text).expect("the directory can be written to");
        }
        return;
    }
    let detailed = arguments
        .iter()
        .any(|argument| matches!(argument.as_str(), "levels" | "level" | "detectors"));
    let scanners = match detailed {
        true => of_levels(value),
        false => of_goals(),
    };
    let table = Table { goals: !detailed };
    for (name, text) in &texts {
        whole(name, text, &options, &scanners, &table);
    }
    if "small calls".contains(&options.only) {
        small(&options, &scanners, &table);
    }
    if "datarow".contains(&options.only) {
        data_rows(&options, &scanners, &table);
    }
    if detailed && "stream".contains(&options.only) {
        streams(&options, &scanners, &table);
    }
}

fn everything() -> Spec {
    Spec::of(&Detector::all().filter(|detector| detector.built()).collect::<Vec<_>>())
}

fn compiled(spec: &Spec, level: Level) -> Scanner {
    Scanner::build(spec)
        .and_then(|scanner| scanner.on_level(level))
        .expect("it compiles")
}

/// The columns of the table of goals.
fn of_goals() -> Vec<Scanner> {
    let best = Level::best();
    let mut scanners = vec![compiled(&Spec::default(), best), compiled(&everything(), best)];
    if Level::Avx2.available() {
        scanners.push(compiled(&Spec::default(), Level::Avx2));
    }
    println!("best level: {}", best.name());
    println!(
        "{:<24} {:>8} {:>10} {:>12} {:>8} {:>10} {:>8}",
        "",
        "goal",
        best.name(),
        "all choices",
        "share %",
        "avx2 goal",
        "avx2"
    );
    scanners
}

/// One column per level, of the detectors that the command names.
fn of_levels(value: impl Fn(&str) -> Option<String>) -> Vec<Scanner> {
    let spec = match value("detectors").as_deref() {
        Some("all") => everything(),
        Some(names) => Spec::of(&names.split(',').filter_map(Detector::from_name).collect::<Vec<_>>()),
        _ => Spec::default(),
    };
    let wanted = value("level");
    let levels = Level::ALL.into_iter().filter(|level| level.available());
    let levels = levels.filter(|level| wanted.as_deref().is_none_or(|wanted| wanted == level.name()));
    let scanners: Vec<Scanner> = levels.map(|level| compiled(&spec, level)).collect();
    let start = ran_seconds();
    let report = format!("{:?}", Scanner::build(&spec).expect("it compiles").report());
    println!("compiled in {:.1} ms: {report}", (ran_seconds() - start) * 1e3);
    let names: Vec<String> = scanners
        .iter()
        .map(|scanner| format!("{:>10}", scanner.level().name()))
        .collect();
    println!("{:<30} {}", "", names.join(" "));
    scanners
}

/// How rows are printed.
struct Table {
    /// Beside the goals, one row for each of them.
    goals: bool,
}

/// Goals by the start of a row's name: on the fastest level, and with AVX2. A unit of `ns` is better when smaller.
const GOALS: &[(&str, f64, f64)] = &[
    ("prose", 9.0, 3.0),
    ("code", 9.0, 3.0),
    ("json", 9.0, 3.0),
    ("rows-none", 9.0, 3.0),
    ("rows-sparse", 9.0, 3.0),
    ("rows-dense", 2.2, 1.0),
    ("datarow sparse typed", 10.0, f64::NAN),
    ("datarow sparse all text", 6.0, f64::NAN),
    ("cell of", 20.0, f64::NAN),
    ("call of 1024", 170.0, f64::NAN),
    ("poison", 0.25, f64::NAN),
];

impl Table {
    fn print(&self, name: &str, unit: &str, values: impl Iterator<Item = f64>) {
        let values: Vec<f64> = values.collect();
        if !self.goals {
            let columns: Vec<String> = values.iter().map(|value| format!("{value:>10.2}")).collect();
            println!("{name:<30} {}  {unit}", columns.join(" "));
            return;
        }
        let goal = GOALS.iter().find(|(start, ..)| name.starts_with(start));
        let wanted = goal.map_or(f64::NAN, |(_, goal, _)| *goal);
        let avx2_wanted = goal.map_or(f64::NAN, |(.., goal)| *goal);
        let number = |value: f64, digits: usize| match value.is_nan() {
            true => "-".to_owned(),
            false => format!("{value:.digits$}"),
        };
        let value = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let small = unit.starts_with("ns");
        let share = if small {
            value(0) / value(1)
        } else {
            value(1) / value(0)
        } * 100.0;
        println!(
            "{name:<24} {:>8} {:>10} {:>12} {:>8} {:>10} {:>8}  {}",
            number(wanted, 2),
            number(value(0), 2),
            number(value(1), 2),
            number(share, 0),
            number(avx2_wanted, 2),
            number(value(2), 2),
            unit
        );
    }
}

/// One call over the text, calls of 16 KiB, and a slice that stays in the second-level cache.
fn whole(name: &str, text: &[u8], options: &Options, scanners: &[Scanner], table: &Table) {
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let mut hits = 0;
    let gigabytes = text.len() as f64 / 1e9;
    let seconds = measure(options.passes, scanners, |scanner| {
        out.clear();
        scanner.scan(text, Context::NONE, &mut scratch, &mut out);
        hits = out.len();
    });
    let candidates = scratch.take_counters();
    let share = candidates.candidates as f64 / candidates.scanned_bytes.max(1) as f64 * 1e6;
    table.print(
        name,
        &match table.goals {
            true => "GB/s".to_owned(),
            false => format!("GB/s one call, {hits} hits, {share:.0} candidates/MB (all levels)"),
        },
        seconds.iter().map(|s| gigabytes / s),
    );
    if table.goals || name.starts_with("poison") {
        return;
    }
    let seconds = measure(options.passes, scanners, |scanner| {
        for piece in text.chunks(16 << 10) {
            out.clear();
            scanner.scan(piece, Context::NONE, &mut scratch, &mut out);
        }
    });
    table.print(name, "GB/s by 16 KiB", seconds.iter().map(|s| gigabytes / s));
    let slice = &text[..text.len().min(256 << 10)];
    let seconds = measure(options.passes * 8, scanners, |scanner| {
        out.clear();
        scanner.scan(slice, Context::NONE, &mut scratch, &mut out);
    });
    table.print(name, "GB/s in L2", seconds.iter().map(|s| slice.len() as f64 / 1e9 / s));
}

/// Calls on single cells, and on a KiB.
fn small(options: &Options, scanners: &[Scanner], table: &Table) {
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let rows = speed::rows(1 << 20, 200, 9);
    let cells: Vec<&[u8]> = rows
        .split(|byte| b"|\n".contains(byte))
        .filter(|cell| (6..=60).contains(&cell.len()))
        .take(4000)
        .collect();
    let seconds = measure(options.passes * 8, scanners, |scanner| {
        out.clear();
        cells
            .iter()
            .for_each(|cell| scanner.scan(cell, Context::NONE, &mut scratch, &mut out));
    });
    table.print(
        "cell of 6 to 60 bytes",
        "ns",
        seconds.iter().map(|s| s * 1e9 / cells.len() as f64),
    );
    let sizes: &[usize] = if table.goals {
        &[1024]
    } else {
        &[16, 64, 200, 512, 1024, 4096]
    };
    for bytes in sizes.iter().copied() {
        let pieces: Vec<&[u8]> = rows.chunks_exact(bytes).take(256).collect();
        let seconds = measure(options.passes * 8, scanners, |scanner| {
            out.clear();
            pieces
                .iter()
                .for_each(|piece| scanner.scan(piece, Context::NONE, &mut scratch, &mut out));
        });
        table.print(
            &format!("call of {bytes} bytes"),
            "ns",
            seconds.iter().map(|s| s * 1e9 / pieces.len() as f64),
        );
    }
}

/// DataRow messages: frames are parsed, cells packed, scanned, findings mapped back; per buffer of 64 KiB.
fn data_rows(options: &Options, scanners: &[Scanner], table: &Table) {
    for (name, every) in [("sparse", 200), ("dense", 1)] {
        let (stream, typed) = speed::data_rows(512 << 10, every, 11);
        for (what, skip) in [("typed", true), ("all text", false)] {
            let (mut cells, mut scratch, mut out) = (Cells::new(), Scratch::new(), Vec::new());
            let mut mapped = 0u64;
            let seconds = measure(options.passes * 8, scanners, |scanner| {
                let mut rest = stream.as_slice();
                while !rest.is_empty() {
                    let taken = pack(rest, &typed, skip, &mut cells);
                    out.clear();
                    scanner.scan_cells(&cells, &mut scratch, &mut out);
                    mapped += out
                        .iter()
                        .map(|found| cells.origin(found.cell as usize) + u64::from(found.start))
                        .sum::<u64>();
                    rest = &rest[taken..];
                }
            });
            std::hint::black_box(mapped);
            table.print(
                &format!("datarow {name} {what}"),
                "GB/s of wire",
                seconds.iter().map(|s| stream.len() as f64 / 1e9 / s),
            );
        }
    }
}

/// Packs the cells of whole rows of at most 64 KiB.
fn pack(stream: &[u8], typed: &[bool], skip: bool, cells: &mut Cells) -> usize {
    cells.clear();
    let mut at = 0;
    while at < stream.len() && at < 64 << 10 {
        let count = usize::from(u16::from_be_bytes([stream[at + 5], stream[at + 6]]));
        at += 7;
        for typed in &typed[..count] {
            let len = i32::from_be_bytes([stream[at], stream[at + 1], stream[at + 2], stream[at + 3]]);
            at += 4;
            let Ok(len) = usize::try_from(len) else { continue };
            if !(skip && *typed) {
                cells.push(&stream[at..at + len], at as u64, Context::NONE);
            }
            at += len;
        }
    }
    at
}

/// A stream by pieces: speed, and how much is kept back.
fn streams(options: &Options, scanners: &[Scanner], table: &Table) {
    let text = speed::rows(options.bytes.min(4 << 20), 200, 12);
    for bytes in [64, 1448, 16 << 10, 64 << 10] {
        let mut held = (0u64, 0u64);
        let seconds = measure(options.passes.min(5), scanners, |scanner| {
            let (mut stream, mut scratch, mut out) = (Stream::new(), Scratch::new(), Vec::new());
            let (mut from, mut to) = (0, 0);
            while to < text.len() {
                to = (to + bytes).min(text.len());
                from += stream.advance(
                    scanner,
                    Context::NONE,
                    &mut scratch,
                    &text[from..to],
                    to == text.len(),
                    &mut out,
                );
                held = (held.0 + (to - from) as u64, held.1 + 1);
            }
        });
        let mean = held.0 as f64 / held.1 as f64;
        table.print(
            &format!("stream by {bytes} bytes"),
            &format!("GB/s, {mean:.1} bytes kept back"),
            seconds.iter().map(|s| text.len() as f64 / 1e9 / s),
        );
    }
}
