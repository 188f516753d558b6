//! `matchers ENGINE FILE PASSES [PATTERNS]`: one matcher over a file, bytes per second of CPU time and matches as JSON.
//!
//! Engines: `sluice` (the default detectors), `sluice-cells` (the same, cell by cell as rows arrive), `regex-automata` (its
//! meta engine over all patterns at once), `aho-corasick` (only the literals that such patterns hinge on: no engine can be
//! asked for less).

use std::time::Instant;

use regex_automata::Input;
use regex_automata::meta::Regex;
use scan::{Cells, Context, Scanner, Scratch, Spec};

/// One call sees at most this much, as a data plane's receive buffer holds; cut at line ends.
const PIECE_BYTES: usize = 64 * 1024;
const LITERALS: [&str; 20] = [
    "@",
    "eyJ",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "AIza",
    "-----BEGIN",
    "://",
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [engine, path, passes, rest @ ..] = &words[..] else {
        eprintln!("usage: matchers sluice|sluice-cells|regex-automata|aho-corasick FILE PASSES [PATTERNS]");
        std::process::exit(2);
    };
    let text = std::fs::read(path).expect("the file is readable");
    let passes: usize = passes.parse().expect("PASSES is a number");
    let mut run: Box<dyn FnMut(&[u8]) -> usize> = match engine.as_str() {
        "sluice" => sluice(),
        "sluice-cells" => sluice_cells(),
        "regex-automata" => regexes(rest.first().expect("PATTERNS is given")),
        "aho-corasick" => literals(),
        other => panic!("no engine {other}"),
    };
    let pieces = pieces(&text);
    let mut found: usize = pieces.iter().map(|piece| run(piece)).sum();
    let clock = Instant::now();
    let begun = ran_nanos(&clock);
    for _ in 0..passes {
        found = pieces.iter().map(|piece| run(piece)).sum();
    }
    let spent = (ran_nanos(&clock) - begun) as f64 / 1e9;
    let speed = text.len() as f64 * passes as f64 / spent / 1e6;
    println!("{{\"mb_per_second\": {speed:.3}, \"matches\": {found}}}");
}

/// Time that this thread has run, in nanoseconds: unlike the clock, undisturbed by what else the machine does.
fn ran_nanos(clock: &Instant) -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = schedstat.and_then(|text| text.split(' ').next()?.parse().ok());
    ran.unwrap_or_else(|| clock.elapsed().as_nanos() as u64)
}

fn pieces(text: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut rest) = (Vec::new(), text);
    while rest.len() > PIECE_BYTES {
        let end = rest[..PIECE_BYTES]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(PIECE_BYTES, |at| at + 1);
        let (piece, after) = rest.split_at(end);
        found.push(piece);
        rest = after;
    }
    found.push(rest);
    found
}

fn sluice() -> Box<dyn FnMut(&[u8]) -> usize> {
    let scanner = Scanner::build(&Spec::default()).expect("the default spec compiles");
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    Box::new(move |piece| {
        out.clear();
        scanner.scan(piece, Context::NONE, &mut scratch, &mut out);
        out.len()
    })
}

fn sluice_cells() -> Box<dyn FnMut(&[u8]) -> usize> {
    let scanner = Scanner::build(&Spec::default()).expect("the default spec compiles");
    let (mut scratch, mut out, mut cells) = (Scratch::new(), Vec::new(), Cells::new());
    Box::new(move |piece| {
        out.clear();
        cells.clear();
        piece
            .split(|byte| matches!(byte, b'\t' | b'\n'))
            .for_each(|cell| cells.push(cell, 0, Context::NONE));
        scanner.scan_cells(&cells, &mut scratch, &mut out);
        out.len()
    })
}

fn regexes(path: &str) -> Box<dyn FnMut(&[u8]) -> usize> {
    let file = std::fs::read_to_string(path).expect("the patterns are readable");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let patterns: Vec<&str> = lines.filter_map(|line| Some(line.split_once('\t')?.1)).collect();
    // Bytes, not characters: \d and \b would otherwise be Unicode's, which costs it much more.
    let patterns: Vec<String> = patterns.iter().map(|pattern| format!("(?-u:{pattern})")).collect();
    let config = Regex::config().utf8_empty(false).hybrid_cache_capacity(64 << 20);
    let regex = Regex::builder()
        .configure(config)
        .syntax(regex_automata::util::syntax::Config::new().utf8(false))
        .build_many(&patterns)
        .expect("the patterns compile");
    Box::new(move |piece| regex.find_iter(Input::new(piece)).count())
}

fn literals() -> Box<dyn FnMut(&[u8]) -> usize> {
    let automaton = aho_corasick::AhoCorasick::new(LITERALS).expect("the literals compile");
    Box::new(move |piece| automaton.find_iter(piece).count())
}
