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
fn of_matches_that_begin_together_the_longest_counts() {
    let custom = ["MRN[0-9]{3}", "MRN[0-9]{3}-[0-9]", "MRN"].map(|regex| Custom::new(regex, regex, None));
    let scanner = Scanner::build(&Spec {
        custom: custom.to_vec(),
        ..Spec::of(&[])
    })
    .unwrap();
    assert_eq!(spans(&scanner, "MRN123-4 MRN123 MRN"), [(0, 8), (9, 15), (16, 19)]);
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

#[test]
fn a_dictionary_decides_what_content_alone_cannot() {
    let entries = vec!["Ada Lovelace".to_owned(), "Ada".to_owned(), "Grace Hopper".to_owned()];
    let scanner = Scanner::build(&Spec {
        custom: vec![Custom::dictionary("PERSON_NAME", entries, true)],
        ..Spec::of(&[Detector::PersonName])
    })
    .unwrap();
    assert_eq!(
        spans(&scanner, "ada lovelace met GRACE HOPPER, not Adam"),
        [(0, 12), (17, 29)]
    );
    assert_eq!(scanner.label(scanner.id("PERSON_NAME").unwrap()), "NAME");
    let without = Scanner::build(&Spec::of(&[Detector::PersonName]));
    assert_eq!(without.err(), Some(SpecError::ColumnOnly("PERSON_NAME")));
}

#[test]
fn a_checksum_and_a_form_make_a_detector() {
    let custom = Custom {
        checksum: Some(crate::Checksum::Luhn),
        ..Custom::new("MEMBER", r"M\d{8}", None)
    };
    let scanner = Scanner::build(&spec(custom)).unwrap();
    assert_eq!(spans(&scanner, "M12345674"), []);
    let digits_only = Custom {
        checksum: Some(crate::Checksum::Luhn),
        ..Custom::new("MEMBER", r"\d{8}", None)
    };
    let scanner = Scanner::build(&spec(digits_only)).unwrap();
    assert_eq!(spans(&scanner, "12345674 12345675"), [(0, 8)]);
}

#[test]
fn either_a_regex_or_a_dictionary_is_needed() {
    let refused = |custom: Custom| Scanner::build(&spec(custom)).err();
    assert!(matches!(
        refused(Custom::new("X", "", None)),
        Some(SpecError::RegexOrDictionary { .. })
    ));
    let both = Custom {
        regex: "a".into(),
        ..Custom::dictionary("X", vec!["a".into()], false)
    };
    assert!(matches!(refused(both), Some(SpecError::RegexOrDictionary { .. })));
    let inside = Custom {
        inside_words: true,
        ..Custom::dictionary("X", vec!["a".into()], false)
    };
    assert!(matches!(refused(inside), Some(SpecError::DictionaryInsideWords { .. })));
    let empty = Custom::dictionary("X", vec!["a".into(), "".into()], false);
    assert!(matches!(refused(empty), Some(SpecError::DictionaryEntry { .. })));
}

#[test]
fn allowed_values_are_not_reported_and_hide_nothing() {
    let allow = crate::Allow {
        detectors: vec!["CREDIT_CARD_NUMBER".into(), "EMAIL_ADDRESS".into()],
        values: vec!["4111111111111111".into(), "Support@Example.com".into()],
        patterns: vec![r"[^@]+@ourselves\.example".into(), r"a|ab@x\.example".into()],
    };
    let scanner = Scanner::build(&Spec {
        allow: vec![allow],
        ..Spec::of(&[
            Detector::CreditCardNumber,
            Detector::EmailAddress,
            Detector::UsSocialSecurityNumber,
        ])
    })
    .unwrap();
    let text = "4111 1111 1111 1111 5555555555554444 support@example.com x@ourselves.example ab@x.example x@ourselves.example.org";
    let found: Vec<&str> = spans(&scanner, text)
        .iter()
        .map(|(start, end)| &text[*start as usize..*end as usize])
        .collect();
    assert_eq!(found, ["5555555555554444", "x@ourselves.example.org"]);
    let bad = crate::Allow {
        patterns: vec!["(".into()],
        ..crate::Allow::default()
    };
    let refused = Scanner::build(&Spec {
        allow: vec![bad],
        ..Spec::of(&[])
    });
    assert!(matches!(refused.err(), Some(SpecError::AllowedPattern { .. })));
}
