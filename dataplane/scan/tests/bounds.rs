//! What a scan takes besides time: no memory of its own once it is warm, and few bytes kept back of a stream.

use scan::{Cells, Context, Level, Scanner, Scratch, Spec, Stream};

#[path = "../corpora/adversary.rs"]
mod adversary;
#[path = "../corpora/speed.rs"]
mod speed;

/// Issue of the matcher: on rows, by pieces as a network delivers them.
const MEAN_HELD_BYTES_MAX: f64 = 32.0;

fn scanners() -> Vec<Scanner> {
    let levels = Level::ALL.into_iter().filter(|level| level.available());
    levels
        .map(|level| Scanner::build(&Spec::default()).unwrap().on_level(level).unwrap())
        .collect()
}

/// Allocations of the second of two runs: what the first one needed is there.
fn allocations_when_warm(mut run: impl FnMut()) -> u64 {
    run();
    allocation_counter::measure(run).count_total
}

#[test]
fn a_cold_scan_is_seen_to_allocate() {
    let rows = speed::rows(4 << 10, 1, 7);
    for scanner in scanners() {
        let cold = allocation_counter::measure(|| {
            scanner.scan(&rows, Context::NONE, &mut Scratch::new(), &mut Vec::new());
        });
        assert!(cold.count_total > 0);
    }
}

#[test]
fn a_warm_scan_allocates_nothing() {
    let mut texts = vec![
        speed::rows(64 << 10, 1, 7),
        speed::notes(64 << 10, 8),
        speed::json(64 << 10, 3, 9),
    ];
    texts.extend(speed::POISON.iter().map(|(_, unit)| speed::poison(unit, 8 << 10)));
    for scanner in scanners() {
        let (mut scratch, mut out) = (Scratch::new(), Vec::new());
        for text in &texts {
            let whole = allocations_when_warm(|| {
                out.clear();
                scanner.scan(text, Context::NONE, &mut scratch, &mut out);
            });
            let values = allocations_when_warm(|| {
                out.clear();
                for value in text.split(|byte| b"|\n ".contains(byte)) {
                    scanner.scan(value, Context::NONE, &mut scratch, &mut out);
                }
            });
            assert_eq!((whole, values), (0, 0), "{}", scanner.level().name());
        }
    }
}

#[test]
fn a_warm_scan_of_cells_or_of_a_stream_allocates_nothing() {
    let rows = speed::rows(64 << 10, 2, 7);
    for scanner in scanners() {
        let (mut scratch, mut cells) = (Scratch::new(), Cells::new());
        let (mut out, mut in_cells) = (Vec::new(), Vec::new());
        let packed = allocations_when_warm(|| {
            cells.clear();
            in_cells.clear();
            for value in rows.split(|byte| b"|\n".contains(byte)) {
                cells.push(value, 0, Context::NONE);
            }
            scanner.scan_cells(&cells, &mut scratch, &mut in_cells);
        });
        let streamed = allocations_when_warm(|| {
            out.clear();
            feed(&scanner, &rows, 1448, &mut scratch, &mut out);
        });
        assert_eq!((packed, streamed), (0, 0), "{}", scanner.level().name());
        assert!(out.len() > 100 && in_cells.len() > 100, "there was something to find");
    }
}

/// Feeds a text in pieces; the result is how many bytes were kept back after a piece, on average.
fn feed(scanner: &Scanner, text: &[u8], bytes: usize, scratch: &mut Scratch, out: &mut Vec<scan::Finding>) -> f64 {
    let mut stream = Stream::new();
    let (mut from, mut to, mut held, mut count) = (0, 0, 0, 0);
    while to < text.len() {
        to = (to + bytes).min(text.len());
        from += stream.advance(scanner, Context::NONE, scratch, &text[from..to], to == text.len(), out);
        held += to - from;
        count += 1;
    }
    held as f64 / f64::from(count)
}

#[test]
fn few_bytes_of_rows_are_kept_back() {
    for (name, rows) in [
        ("sparse", speed::rows(256 << 10, 200, 4)),
        ("dense", speed::rows(256 << 10, 1, 5)),
    ] {
        for scanner in scanners() {
            for bytes in [64, 100, 1448, 16 << 10] {
                let held = feed(&scanner, &rows, bytes, &mut Scratch::new(), &mut Vec::new());
                let level = scanner.level().name();
                assert!(
                    held <= MEAN_HELD_BYTES_MAX,
                    "{name} rows by {bytes} bytes on {level}: {held:.1}"
                );
            }
        }
    }
}
