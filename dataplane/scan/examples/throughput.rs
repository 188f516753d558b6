//! Prints the scan speed of the default-on detectors on generated text rows, prose and poison, in MB/s (10^6 bytes).
//!
//! Run with `cargo run --release -p scan --example throughput`. Rows are distinct. Each figure is the mean of forty passes over
//! 1 MiB (poison: 256 KiB) in time that the thread was running, so that it means something on a busy machine.

use std::fmt::Write;
use std::time::Instant;

use scan::{Cells, Context, Scanner, Scratch, Spec, Stream};

const BYTES: usize = 1 << 20;
const PASSES: usize = 40;

/// A small generator of numbers (xorshift), so that runs can be compared.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const WORDS: &[&str] = &[
    "order",
    "shipped",
    "to",
    "the",
    "warehouse",
    "in",
    "north",
    "after",
    "customer",
    "asked",
    "for",
    "a",
    "refund",
    "because",
    "box",
    "was",
    "open",
    "Thanks",
    "and",
    "please",
    "check",
    "again",
    "invoice",
    "of",
    "last",
    "month",
    "it",
    "has",
    "two",
    "lines",
];

fn row(text: &mut String, numbers: &mut Numbers, personal: bool) {
    let n = |numbers: &mut Numbers, max: u64| numbers.next() % max;
    let (a, b) = (numbers.next(), numbers.next());
    let _ = write!(
        text,
        "{}|{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}|",
        a % 10_000_000,
        a as u32,
        b as u16,
        a % 4096,
        b % 4096,
        b >> 16
    );
    let _ = write!(
        text,
        "2024-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00|",
        a % 12 + 1,
        b % 28 + 1,
        a % 24,
        b % 60,
        a % 60,
        b % 1_000_000
    );
    let _ = write!(
        text,
        "{}.{:02}|{}|",
        n(numbers, 100_000),
        n(numbers, 100),
        if a % 2 == 0 { 't' } else { 'f' }
    );
    for _ in 0..12 {
        let _ = write!(text, "{} ", WORDS[n(numbers, WORDS.len() as u64) as usize]);
    }
    if personal {
        let _ = write!(
            text,
            "|user{}@example.com|({}) 555-{:04}|",
            a % 100_000,
            200 + b % 700,
            a % 10_000
        );
        let _ = write!(
            text,
            "4111 1111 1111 1111|{:03}-{:02}-{:04}|DE89370400440532013000",
            100 + a % 500,
            10 + b % 80,
            1000 + a % 9000
        );
    }
    text.push('\n');
}

fn rows(every: usize) -> String {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for count in 0.. {
        if text.len() >= BYTES {
            break;
        }
        row(&mut text, &mut numbers, every > 0 && count % every == 0);
    }
    text
}

fn prose() -> String {
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut text = String::new();
    while text.len() < BYTES {
        text.push_str(WORDS[(numbers.next() % WORDS.len() as u64) as usize]);
        text.push_str(if numbers.next().is_multiple_of(11) { ". " } else { " " });
    }
    text
}

/// Time that this thread has run, in nanoseconds: unlike the clock, undisturbed by what else the machine does.
fn ran_nanos(clock: &Instant) -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ran = schedstat.and_then(|text| text.split(' ').next()?.parse().ok());
    ran.unwrap_or_else(|| clock.elapsed().as_nanos() as u64)
}

/// Mean time of many passes, in seconds, and what the last pass found. The kernel counts running time by ticks, so single
/// passes are too short to be measured.
fn mean(mut pass: impl FnMut() -> usize) -> (f64, usize) {
    let clock = Instant::now();
    let start = ran_nanos(&clock);
    let mut found = 0;
    for _ in 0..PASSES {
        found = pass();
    }
    ((ran_nanos(&clock) - start) as f64 / PASSES as f64 / 1e9, found)
}

fn print(name: &str, bytes: usize, (seconds, found): (f64, usize)) {
    println!(
        "{name:<34} {:>9.0} MB/s  {found:>8} findings",
        bytes as f64 / seconds / 1e6
    );
}

fn main() {
    let scanner = Scanner::build(&Spec::default()).expect("the default spec compiles");
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    let mut texts = vec![
        ("rows, none personal".to_owned(), rows(0)),
        ("rows, 1 in 200 personal".to_owned(), rows(200)),
        ("rows, all personal".to_owned(), rows(1)),
        ("prose".to_owned(), prose()),
    ];
    let poison = [
        "1-1-",
        "a@a.aa ",
        "4111-1111-1111-1112 ",
        "eyJ.",
        "password=x ",
        "GB82 WEST 1234 5698 7654 33 ",
        "+1 ",
        "1",
    ];
    texts.extend(
        poison
            .iter()
            .map(|unit| (format!("poison {unit:?}"), unit.repeat(BYTES / 4 / unit.len()))),
    );
    for (name, text) in &texts {
        let measured = mean(|| {
            out.clear();
            scanner.scan(text.as_bytes(), Context::NONE, &mut scratch, &mut out);
            out.len()
        });
        print(name, text.len(), measured);
    }
    let text = &texts[1].1;
    let mut found = Vec::new();
    let mut cells = Cells::new();
    text.split(['|', '\n'])
        .for_each(|cell| cells.push(cell.as_bytes(), 0, Context::NONE));
    let measured = mean(|| {
        found.clear();
        scanner.scan_cells(&cells, &mut scratch, &mut found);
        found.len()
    });
    print("cells of rows, 1 in 200 personal", text.len(), measured);
    for bytes in [1448, 16 << 10, 64 << 10] {
        let measured = mean(|| stream(&scanner, &mut scratch, text.as_bytes(), bytes));
        print(&format!("stream by {bytes} bytes"), text.len(), measured);
    }
}

fn stream(scanner: &Scanner, scratch: &mut Scratch, text: &[u8], bytes: usize) -> usize {
    let (mut stream, mut window, mut out) = (Stream::new(), Vec::new(), Vec::new());
    for piece in text.chunks(bytes) {
        window.extend_from_slice(piece);
        let decided = stream.advance(scanner, Context::NONE, scratch, &window, false, &mut out);
        window.drain(..decided);
    }
    stream.advance(scanner, Context::NONE, scratch, &window, true, &mut out);
    out.len()
}
