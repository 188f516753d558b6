//! The laws: cuts do not matter, cells are separate, findings are ordered, hold-back and work are bounded.

use proptest::prelude::*;

use super::corpus::{GLUE, VALUES, hostile_text};
use crate::{CellFinding, Cells, Context, Custom, Detector, Finding, Scanner, Scratch, Spec, Stream};

/// Every built-in detector and two custom ones, with ranks that differ.
pub(super) fn everything() -> Scanner {
    let detectors: Vec<Detector> = Detector::all().filter(|detector| detector.built()).collect();
    let custom = vec![
        Custom::new("TICKET", r"[A-Z]{2,5}-\d{1,6}", None),
        Custom {
            inside_words: true,
            rank: 1,
            ..Custom::new("HEXES", r"(?:[0-9a-c]{2} ?)+", Some(24))
        },
    ];
    let names = ["ab 12", "Müller é", "hunter2", "GB82 WEST 1234", "号", "o'brien"];
    let names = names.map(str::to_owned).to_vec();
    let custom = [custom, vec![Custom::dictionary("PERSON_NAME", names, true)]].concat();
    let ranks = vec![
        (Detector::Password, 1),
        (Detector::EmailAddress, 2),
        (Detector::PhoneNumber, 3),
    ];
    Scanner::build(&Spec {
        decode_depth: 1,
        custom,
        ranks,
        ..Spec::of(&detectors)
    })
    .unwrap()
}

pub(super) fn default_on() -> Scanner {
    Scanner::build(&Spec::default()).unwrap()
}

pub(super) fn one_shot(scanner: &Scanner, text: &[u8]) -> Vec<Finding> {
    super::scan(scanner, text)
}

/// Feeds a text in pieces; the findings have the text's coordinates, pieces of one long match are joined.
pub(super) fn streamed(scanner: &Scanner, pieces: &[&[u8]]) -> Vec<Finding> {
    let mut stream = Stream::new();
    let mut scratch = Scratch::new();
    let (mut window, mut released, mut found) = (Vec::new(), 0usize, Vec::new());
    for (number, piece) in pieces.iter().enumerate() {
        window.extend_from_slice(piece);
        let last = number + 1 == pieces.len();
        let mut out = Vec::new();
        let decided = stream.advance(scanner, Context::default(), &mut scratch, &window, last, &mut out);
        assert!(decided <= window.len() && (!last || decided == window.len()));
        assert!(
            window.len() - decided <= scanner.report().hold_back_bytes_max,
            "{} held",
            window.len() - decided
        );
        for finding in out {
            assert!(
                finding.start < finding.end && finding.end as usize <= decided,
                "{finding:?} of {decided}"
            );
            join(&mut found, finding, released);
        }
        window.drain(..decided);
        released += decided;
    }
    found
}

fn join(found: &mut Vec<Finding>, piece: Finding, released: usize) {
    let (start, end) = (piece.start + released as u32, piece.end + released as u32);
    if piece.offset > 0 {
        let whole: &mut Finding = found.last_mut().expect("a first piece came before");
        assert_eq!((whole.end, whole.detector), (start, piece.detector));
        assert_eq!(piece.offset, u64::from(start - whole.start));
        whole.end = end;
    } else {
        found.push(Finding {
            start,
            end,
            open: false,
            ..piece
        });
    }
}

fn assert_ordered(found: &[Finding], len: usize) {
    assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{found:?}");
    assert!(
        found
            .iter()
            .all(|finding| finding.start < finding.end && finding.end as usize <= len)
    );
}

fn assert_all_two_way_splits(scanner: &Scanner, text: &[u8]) {
    let whole = one_shot(scanner, text);
    assert_ordered(&whole, text.len());
    for cut in 0..=text.len() {
        let (left, right) = text.split_at(cut);
        let parts = streamed(scanner, &[left, right]);
        assert_eq!(parts, whole, "cut at {cut} of {:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn every_value_next_to_every_glue_survives_every_cut() {
    let scanners = [everything(), default_on()];
    for value in VALUES {
        for (k, glue) in GLUE.iter().enumerate() {
            let text = format!("{glue}{value}{}{glue} end", GLUE[(k * 7 + 3) % GLUE.len()]);
            assert_all_two_way_splits(&scanners[k % 2], text.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn two_way_splits_do_not_matter(text in hostile_text()) {
        assert_all_two_way_splits(&everything(), text.as_bytes());
    }

    #[test]
    fn random_cuts_do_not_matter(text in hostile_text(), cuts in prop::collection::vec(1usize..40, 1..60)) {
        let scanner = default_on();
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(streamed(&scanner, &pieces), one_shot(&scanner, text.as_bytes()));
    }

    #[test]
    fn single_bytes_do_not_matter(text in hostile_text()) {
        let scanner = everything();
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        if !pieces.is_empty() {
            prop_assert_eq!(streamed(&scanner, &pieces), one_shot(&scanner, text.as_bytes()));
        }
    }

    #[test]
    fn packed_cells_are_scanned_like_single_ones(texts in prop::collection::vec(hostile_text(), 1..8)) {
        let scanner = everything();
        let mut cells = Cells::new();
        let names = ["note", "phone", "user_ssn"];
        let mut expected = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let context = scanner.context_of(names[number % names.len()]);
            cells.push(text.as_bytes(), number as u64, context);
            let mut out = Vec::new();
            scanner.scan(text.as_bytes(), context, &mut Scratch::new(), &mut out);
            expected.extend(out.iter().map(|f| CellFinding {
                cell: number as u32, detector: f.detector, start: f.start, end: f.end, confidence: f.confidence,
            }));
        }
        let mut out = Vec::new();
        scanner.scan_cells(&cells, &mut Scratch::new(), &mut out);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let scanner = everything();
        let whole = one_shot(&scanner, &bytes);
        assert_ordered(&whole, bytes.len());
        let (left, right) = bytes.split_at(bytes.len() / 2);
        prop_assert_eq!(streamed(&scanner, &[left, right]), whole);
    }
}

#[test]
fn a_used_scratch_gives_the_same_findings() {
    let scanner = everything();
    let mut scratch = Scratch::new();
    for value in VALUES {
        let mut out = Vec::new();
        scanner.scan(value.as_bytes(), Context::default(), &mut scratch, &mut out);
        assert_eq!(out, one_shot(&scanner, value.as_bytes()));
    }
}

/// Units whose repetition makes some detector look closer as often as possible.
#[rustfmt::skip]
const POISON: &[&str] = &[
    "1",
    "1-1-",
    "1.1.",
    "a",
    "A",
    "@",
    "a@",
    "a@a.aa ",
    ":",
    "::a",
    "ab:",
    "4444-",
    "4111 1111 1111 1112 ",
    "AKIA ",
    "eyJ ",
    "eyJ-",
    "eyJ.",
    "eyJhbGciOiJIUzI1NiJ9.",
    "eyJhbGciOiJIUzI1NiJ9.e30-",
    "536-22-0000 ",
    "+1 ",
    "+",
    "(",
    "(415) ",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END ",
    "password=",
    "password=\"a ",
    "password: ",
    "http://",
    "http://a:b@",
    "http://a:",
    "Basic ",
    "Basic YTpi",
    "Bearer a1",
    "bearer-",
    "DE89 ",
    "DE89",
    "GB82 WEST 1234 5698 7654 33 ",
    "'",
    "PASSWORD '",
    "glpat-",
    "xoxb-",
    "phone 41555501 ",
    "ssn 536220000 ",
    "=",
    "\\",
    "-",
    "\0",
    "é",
    "0 ",
    "00 44 ",
    "AB 12 ",
    "%",
    "'a",
    "aB3/",
    "TK-1",
    "ab ",
];

#[test]
fn work_is_linear_on_poison() {
    let scanner = everything();
    for unit in POISON {
        let steps = |bytes: usize| {
            let text = unit.repeat(bytes / unit.len() + 1);
            let mut scratch = Scratch::new();
            scanner.scan(text.as_bytes(), Context::default(), &mut scratch, &mut Vec::new());
            scratch.take_counters().steps as f64 / text.len() as f64
        };
        let (short, long) = (steps(10_000), steps(80_000));
        assert!(long < 600.0, "{unit:?}: {long} steps per byte");
        assert!(
            long < short * 1.5 + 20.0,
            "{unit:?}: {short} steps per byte, then {long}"
        );
    }
}
