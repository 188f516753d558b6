//! Custom detectors: what is accepted, what is refused and why, and how they match.

use crate::tests::scan;
use crate::{Context, Custom, Detector, Scanner, Scratch, Spec, SpecError};

fn spec(custom: Custom) -> Spec {
    Spec {
        custom: vec![custom],
        ..Spec::of(&[])
    }
}

fn build(regex: &str, max_len: Option<usize>) -> Result<Scanner, SpecError> {
    Scanner::build(&spec(Custom::new("MINE", regex, max_len)))
}

fn spans(scanner: &Scanner, text: &str) -> Vec<(u32, u32)> {
    scan(scanner, text.as_bytes())
        .iter()
        .map(|f| (f.start, f.end))
        .collect()
}

#[test]
fn a_bounded_pattern_matches_between_boundaries() {
    let scanner = build(r"MRN\d{6}", None).unwrap();
    assert_eq!(
        spans(&scanner, "MRN123456 xMRN123456 MRN1234567 (MRN000000) éMRN111111é"),
        [(0, 9), (33, 42), (46, 55)]
    );
    assert_eq!(scanner.name(scanner.id("MINE").unwrap()), "MINE");
}

#[test]
fn a_pattern_inside_words_needs_no_boundary() {
    let custom = Custom {
        inside_words: true,
        label: Some("ID".into()),
        ..Custom::new("MINE", "ab", None)
    };
    let scanner = Scanner::build(&spec(custom)).unwrap();
    assert_eq!(spans(&scanner, "xabab"), [(1, 3), (3, 5)]);
    assert_eq!(scanner.label(scanner.id("MINE").unwrap()), "ID");
}

#[test]
fn max_len_bounds_what_has_no_bound() {
    assert!(matches!(build("[a-z]+", None), Err(SpecError::Unbounded { .. })));
    let scanner = build("[a-z]+", Some(5)).unwrap();
    assert_eq!(spans(&scanner, "abcde abcdef ab"), [(0, 5), (13, 15)]);
    assert!(scanner.report().hold_back_bytes_max >= 5);
}

#[test]
fn context_words_and_field_names_enable_a_pattern() {
    let custom = Custom {
        context: vec!["employee".into()],
        ..Custom::new("MINE", r"\d{5}", None)
    };
    let scanner = Scanner::build(&spec(custom)).unwrap();
    assert_eq!(spans(&scanner, "12345"), []);
    assert_eq!(spans(&scanner, "employee: 12345"), [(10, 15)]);
    let mut out = Vec::new();
    scanner.scan(
        b"12345",
        scanner.context_of("employee_no"),
        &mut Scratch::new(),
        &mut out,
    );
    assert_eq!(out.len(), 1);
    assert_eq!(scanner.context_of("note"), Context::NONE);
}

#[test]
fn what_cannot_be_bounded_or_located_is_refused() {
    assert!(matches!(build("^abc$", None), Err(SpecError::Anchor { .. })));
    assert!(matches!(build(r"(?u)\bé\b", None), Err(SpecError::Anchor { .. })));
    assert!(matches!(build("a*", Some(4)), Err(SpecError::MatchesNothing { .. })));
    assert!(matches!(build("a(", None), Err(SpecError::Regex { .. })));
    assert!(matches!(build("a{2000}", None), Err(SpecError::TooLong { .. })));
    assert!(matches!(build("a+", Some(0)), Err(SpecError::ZeroLength { .. })));
    assert!(matches!(build("a+", Some(5000)), Err(SpecError::TooLong { .. })));
    assert!(matches!(
        build("(?:[ab]{1,200}a[ab]{100}){3}", Some(1000)),
        Err(SpecError::TooLarge { .. })
    ));
    let taken = Custom::new(Detector::EmailAddress.name(), "a", None);
    assert!(matches!(Scanner::build(&spec(taken)), Err(SpecError::NameTaken { .. })));
    let wordless = Custom {
        context: vec![String::new()],
        ..Custom::new("MINE", "a", None)
    };
    assert!(matches!(Scanner::build(&spec(wordless)), Err(SpecError::Word { .. })));
}

#[test]
fn rank_decides_between_overlapping_detectors() {
    let build = |rank| {
        let custom = vec![Custom {
            rank,
            ..Custom::new("USER", "user-[a-z]{3}", None)
        }];
        let ranks = vec![(Detector::EmailAddress, 1)];
        Scanner::build(&Spec {
            custom,
            ranks,
            ..Spec::of(&[Detector::EmailAddress])
        })
        .unwrap()
    };
    let text = "x.user-abc@example.com";
    assert_eq!(spans(&build(2), text), [(0, 22)]);
    assert_eq!(spans(&build(0), text), [(2, 10)]);
}
