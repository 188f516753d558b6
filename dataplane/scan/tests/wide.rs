//! Text in UTF-16LE: the same findings as in UTF-8, in bytes of the original, however it is cut.

use proptest::prelude::*;
use scan::{
    Cells, Context, Custom, Detector, Finding, Scanner, Scratch, Spec, Stream, Wide, WideStream, original_span,
};

fn scanner() -> Scanner {
    let custom = vec![Custom::new("NAMES", "(?u:[\\p{Greek}é]{3,9})", None)];
    Scanner::build(&Spec {
        custom,
        ..Spec::default()
    })
    .unwrap()
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn spans(scanner: &Scanner, bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    scanner.scan_wide(bytes, Context::NONE, &mut Wide::new(), &mut scratch, &mut out);
    out.iter().map(|f| (f.start as usize, f.end as usize)).collect()
}

/// Spans of the text between `«` and `»`, in bytes of UTF-16LE, and the text without the marks.
fn unmark(marked: &str) -> (String, Vec<(usize, usize)>) {
    let (mut text, mut spans, mut start) = (String::new(), Vec::new(), 0);
    for character in marked.chars() {
        match character {
            '«' => start = wide(&text).len(),
            '»' => spans.push((start, wide(&text).len())),
            _ => text.push(character),
        }
    }
    (text, spans)
}

/// Feeds a stream; the findings have the text's coordinates, pieces of one match are joined.
fn streamed(scanner: &Scanner, bytes: &[u8], ends: &[usize]) -> (Vec<(usize, usize)>, u64) {
    let (mut stream, mut buffer, mut scratch) = (WideStream::new(), Wide::new(), Scratch::new());
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut released = 0;
    for (number, end) in ends.iter().enumerate() {
        let mut out: Vec<Finding> = Vec::new();
        let (window, last) = (&bytes[released..*end], number + 1 == ends.len());
        let decided = stream.advance(
            scanner,
            Context::NONE,
            &mut buffer,
            &mut scratch,
            window,
            last,
            &mut out,
        );
        assert!(decided <= window.len() && (!last || decided == window.len()));
        assert!(window.len() - decided <= 2 * scanner.report().hold_back_bytes_max + 4);
        for finding in &out {
            assert!(finding.end as usize <= decided);
            let (start, end) = (finding.start as usize + released, finding.end as usize + released);
            match found.last_mut() {
                Some(known) if finding.offset > 0 => {
                    assert_eq!((known.1 - known.0) as u64, finding.offset);
                    assert_eq!(known.1, start);
                    known.1 = end;
                }
                _ => found.push((start, end)),
            }
        }
        released += decided;
    }
    (found, buffer.malformed())
}

#[test]
fn values_are_found_where_they_stand() {
    let scanner = scanner();
    for marked in [
        "«ada@example.com»",
        "é 号 😀 «ada@example.com» 😀",
        "😀«4111 1111 1111 1111»号",
        "téléphone tel «030 1234567», ssn: «536221234»",
        "x «αβγ» é «éαβγ»😀«ηθι»",
        "pwd=«hünter2號😀»;",
        "nothing at all: 😀 é",
        "",
    ] {
        let (text, wanted) = unmark(marked);
        assert_eq!(spans(&scanner, &wide(&text)), wanted, "{marked}");
    }
}

#[test]
fn half_of_a_pair_and_half_of_a_unit_are_boundaries() {
    let scanner = scanner();
    let mail = wide("ada@example.com");
    let high = 0xd83du16.to_le_bytes();
    let low = 0xde00u16.to_le_bytes();
    for (before, after, malformed) in [
        (&high[..], &low[..], 2),
        (&low, &high, 2),
        (&[], &[0x41][..], 1),
        (&[high, high].concat(), &[low, low].concat(), 4),
        (&[high, low].concat(), &[high.as_slice(), &[0xd8]].concat(), 2),
    ] {
        let bytes = [before, mail.as_slice(), after].concat();
        let wanted = vec![(before.len(), before.len() + mail.len())];
        assert_eq!(spans(&scanner, &bytes), wanted, "{bytes:x?}");
        for cut in 0..=bytes.len() {
            assert_eq!(
                streamed(&scanner, &bytes, &[cut, bytes.len()]),
                (wanted.clone(), malformed),
                "{cut}"
            );
        }
        let each: Vec<usize> = (0..=bytes.len()).collect();
        assert_eq!(streamed(&scanner, &bytes, &each), (wanted, malformed), "{bytes:x?}");
    }
}

#[test]
fn long_values_are_reported_in_pieces_that_meet() {
    let scanner = Scanner::build(&Spec::of(&[Detector::Password, Detector::JsonWebToken])).unwrap();
    // A value of an assignment may be of any length and of any characters.
    let value = "p号😀é".repeat(1500);
    let bytes = wide(&format!("password={value} and more"));
    let wanted = vec![(18, 18 + wide(&value).len())];
    for step in [5, 64, 1000, 4096, 9001] {
        let mut ends: Vec<usize> = (0..bytes.len()).step_by(step).collect();
        ends.push(bytes.len());
        assert_eq!(streamed(&scanner, &bytes, &ends).0, wanted, "by {step}");
    }
}

#[test]
fn cells_are_scanned_as_text_and_mapped_back() {
    let scanner = scanner();
    let values = ["é ada@example.com", "", "😀 4111111111111111 號"].map(wide);
    let (mut cells, mut buffer, mut scratch, mut out) = (Cells::new(), Wide::new(), Scratch::new(), Vec::new());
    for (place, value) in values.iter().enumerate() {
        cells.push(buffer.text(value), place as u64, Context::NONE);
    }
    scanner.scan_cells(&cells, &mut scratch, &mut out);
    let found: Vec<_> = out
        .iter()
        .map(|f| (f.cell, original_span(&values[f.cell as usize], f.start..f.end)))
        .collect();
    assert_eq!(found, [(0, 4..34), (2, 6..38)]);
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(wide("ada@example.com")),
        Just(wide("pwd=hünter2號")),
        Just(wide("4111 1111 1111 1111")),
        Just(wide("536-22-1234")),
        Just(wide("tel 030 1234567")),
        Just(wide("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1")),
        Just(wide("αβγ")),
        "[ -~é号😀]{0,6}".prop_map(|text| wide(&text)),
        prop::collection::vec(any::<u8>(), 0..5),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_text_decides(bytes in pieces()) {
        let scanner = scanner();
        let mut buffer = Wide::new();
        let text = buffer.text(&bytes).to_vec();
        let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
        scanner.scan(&text, Context::NONE, &mut scratch, &mut plain);
        let wanted: Vec<_> = plain
            .iter()
            .map(|f| original_span(&bytes, f.start..f.end))
            .map(|span| (span.start as usize, span.end as usize))
            .collect();
        prop_assert_eq!(spans(&scanner, &bytes), wanted);
    }

    #[test]
    fn cuts_do_not_matter(bytes in pieces(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let scanner = scanner();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        prop_assert_eq!(streamed(&scanner, &bytes, &ends).0, spans(&scanner, &bytes));
    }
}

#[test]
fn a_stream_of_utf8_agrees() {
    // The lane adds nothing to what a stream of the same text finds.
    let scanner = scanner();
    let text = "phone 4155550132 ".repeat(50);
    let (mut stream, mut scratch, mut plain) = (Stream::new(), Scratch::new(), Vec::new());
    stream.advance(&scanner, Context::NONE, &mut scratch, text.as_bytes(), true, &mut plain);
    let wanted: Vec<_> = plain
        .iter()
        .map(|f| (2 * f.start as usize, 2 * f.end as usize))
        .collect();
    assert_eq!(wanted.len(), 50);
    let bytes = wide(&text);
    let ends: Vec<usize> = (1..=bytes.len()).collect();
    assert_eq!(streamed(&scanner, &bytes, &ends).0, wanted);
}
