//! Faults that engines of this kind are known for, one test each, on every level.

use scan::{CellFinding, Cells, Context, Detector, Finding, Level, Scanner, Scratch, Spec, Stream};

fn scanners(spec: &Spec) -> Vec<Scanner> {
    let levels = Level::ALL.into_iter().filter(|level| level.available());
    levels
        .map(|level| {
            Scanner::build(spec)
                .and_then(|scanner| scanner.on_level(level))
                .unwrap()
        })
        .collect()
}

fn found(scanner: &Scanner, text: &[u8]) -> Vec<Finding> {
    let mut out = Vec::new();
    scanner.scan(text, Context::NONE, &mut Scratch::new(), &mut out);
    out
}

fn spans(scanner: &Scanner, text: &[u8]) -> Vec<(usize, usize)> {
    let found = found(scanner, text);
    found
        .iter()
        .map(|finding| (finding.start as usize, finding.end as usize))
        .collect()
}

/// The detectors find exactly the parts between `<` and `>`, at every distance from the start of the text.
fn assert_found(detectors: &[Detector], marked: &str) {
    let plain = marked.replace(['<', '>'], "");
    let starts = marked
        .match_indices('<')
        .enumerate()
        .map(|(count, (at, _))| at - 2 * count);
    let ends = marked
        .match_indices('>')
        .enumerate()
        .map(|(count, (at, _))| at - 2 * count - 1);
    let wanted: Vec<(usize, usize)> = starts.zip(ends).collect();
    for scanner in scanners(&Spec::of(detectors)) {
        for distance in [
            0, 1, 30, 50, 62, 63, 64, 65, 220, 223, 224, 225, 255, 256, 470, 478, 479, 480, 481, 511, 512, 700,
        ] {
            let text = format!("{}{plain}", "~".repeat(distance));
            let wanted: Vec<_> = wanted
                .iter()
                .map(|(start, end)| (start + distance, end + distance))
                .collect();
            assert_eq!(
                spans(&scanner, text.as_bytes()),
                wanted,
                "{} {distance} {plain:?}",
                scanner.level().name()
            );
        }
    }
}

#[test]
fn two_channels_of_one_type_do_not_hide_each_other() {
    assert_found(
        &[Detector::MacAddress],
        "<00:1A:2b:3C:4D:5E> <00-1a-2b-3c-4d-5e> <02:00:00:00:00:01>",
    );
    assert_found(
        &[Detector::PhoneNumber],
        "<+14155550132> <(415) 555-0132> <415-555-0132>",
    );
}

#[test]
fn a_filter_is_no_boundary_check() {
    assert_found(&[Detector::CreditCardNumber], "<4111 1111 1111 1111> 22x");
    assert_found(&[Detector::CreditCardNumber], "<4111-1111-1111-1111>-1a");
}

#[test]
fn bytes_next_to_the_digits_are_no_digits() {
    assert_found(&[Detector::IpAddress], "1.2.3./ 1.2.3.: 12/.1.1.1 1,2.3.4 <10.0.0.1>");
}

#[test]
fn bytes_beyond_ascii_are_nobodys_alias() {
    // 0xB5 without its topmost bit is `5`, 0xE1 is `a`, 0xAD is `-`.
    for scanner in scanners(&Spec::default()) {
        for text in [&b"\xb536-22-1234"[..], b"536\xad22\xad1234", b"4111111111111\xb111"] {
            assert_eq!(spans(&scanner, text), [], "{} {text:?}", scanner.level().name());
        }
        assert_eq!(spans(&scanner, b"\xe1536-22-1234\xe1"), [(1, 12)]);
        assert_eq!(spans(&scanner, b"\xe9\xe9tel 0171 355 0132"), [(6, 19)]);
    }
}

#[test]
fn shapes_that_end_with_the_text_are_seen() {
    let scanners = scanners(&Spec::default());
    for value in ["536-22-1234", "4111111111111111", "a@b.co", "+14155550132"] {
        for bytes in (0..70).chain(180..260).chain(440..520) {
            let text = format!("{}{value}", " ".repeat(bytes));
            for scanner in &scanners {
                assert_eq!(
                    spans(scanner, text.as_bytes()),
                    [(bytes, bytes + value.len())],
                    "{}",
                    scanner.level().name()
                );
            }
        }
    }
}

#[test]
fn neighbouring_cells_do_not_leak() {
    let texts = [
        "5",
        "36-22-1234",
        "phone",
        "4155550132",
        "a",
        "@b.co",
        "536-22-1234",
        "-",
        "password",
        "=hunter2",
        "\"pwd\":\"x\\",
        "y\"",
    ];
    for scanner in scanners(&Spec::default()) {
        let mut cells = Cells::new();
        texts
            .iter()
            .for_each(|text| cells.push(text.as_bytes(), 0, Context::NONE));
        let mut out: Vec<CellFinding> = Vec::new();
        scanner.scan_cells(&cells, &mut Scratch::new(), &mut out);
        let cells: Vec<u32> = out.iter().map(|finding| finding.cell).collect();
        assert_eq!(cells, [6], "{}", scanner.level().name());
    }
}

#[test]
fn a_context_belongs_to_its_cell_only() {
    for scanner in scanners(&Spec::default()) {
        let phone = scanner.context_of("phone");
        let mut cells = Cells::new();
        for number in 0..200 {
            cells.push(b"4155550132", 0, if number % 7 == 3 { phone } else { Context::NONE });
        }
        let mut out = Vec::new();
        scanner.scan_cells(&cells, &mut Scratch::new(), &mut out);
        let wanted: Vec<u32> = (0..200).filter(|number| number % 7 == 3).collect();
        let found: Vec<u32> = out.iter().map(|finding| finding.cell).collect();
        assert_eq!(found, wanted, "{}", scanner.level().name());
    }
}

#[test]
fn an_empty_area_and_empty_cells_are_nothing() {
    for scanner in scanners(&Spec::default()) {
        let mut cells = Cells::new();
        let mut out = Vec::new();
        scanner.scan_cells(&cells, &mut Scratch::new(), &mut out);
        (0..1000).for_each(|_| cells.push(b"", 0, Context::NONE));
        scanner.scan_cells(&cells, &mut Scratch::new(), &mut out);
        assert!(out.is_empty());
        assert_eq!(spans(&scanner, b""), []);
    }
}

#[test]
fn what_opens_before_a_window_counts_inside_of_it() {
    // An underscore rules the parenthesis out, so that only the digit behind it triggers.
    assert_found(&[Detector::PhoneNumber], "._(<06) 12 34 56 78>]");
    assert_found(&[Detector::Password], "password        =        <hunter2>");
    assert_found(&[Detector::PhoneNumber], "phone number:                <4155550132>");
    assert_found(&[Detector::EncryptionKey], "-----------");
}

#[test]
fn bytes_that_never_repeat_are_scanned_like_those_that_do() {
    for scanner in scanners(&Spec::default()) {
        let text: Vec<u8> = (0..5000u32)
            .flat_map(|n| format!("{n};{:03}-22-1{:03}\n", 100 + n % 500, n % 1000).into_bytes())
            .collect();
        assert_eq!(found(&scanner, &text).len(), 5000, "{}", scanner.level().name());
    }
}

#[test]
fn an_idle_stream_is_small_and_keeps_back_little() {
    assert!(size_of::<Stream>() <= 320, "{} bytes", size_of::<Stream>());
    for scanner in scanners(&Spec::default()) {
        let (mut stream, mut out) = (Stream::new(), Vec::new());
        let text = b"42;pending;some words here;2024-01-15;12.50\n".repeat(40);
        let decided = stream.advance(&scanner, Context::NONE, &mut Scratch::new(), &text, false, &mut out);
        assert!(
            text.len() - decided <= 32,
            "{} held on {}",
            text.len() - decided,
            scanner.level().name()
        );
    }
}

#[test]
fn every_level_names_itself_and_is_found_by_its_name() {
    for level in Level::ALL {
        assert_eq!(Level::from_name(level.name()), Some(level));
    }
    assert_eq!(Level::from_name("sse9"), None);
    assert!(Level::best().available() && Level::best() != Level::Reference);
}

#[test]
fn one_megabyte_of_one_byte_takes_no_time() {
    for scanner in scanners(&Spec::default())
        .iter()
        .filter(|scanner| scanner.level() > Level::Portable)
    {
        for byte in b"1aA@-.:(+='\"/ eyx\\\0" {
            let text = vec![*byte; 1 << 20];
            let start = std::time::Instant::now();
            found(scanner, &text);
            assert!(
                start.elapsed().as_secs() < 10,
                "{:?} on {}",
                char::from(*byte),
                scanner.level().name()
            );
        }
    }
}

#[test]
fn decimal_numbers_are_no_telephone_numbers_unless_they_are_too_long_for_one() {
    assert_found(&[Detector::PhoneNumber], "phone 41555501.1234567 kg");
    assert_found(&[Detector::PhoneNumber], "phone 4155.5501 kg");
    assert_found(&[Detector::PhoneNumber], "phone <41555501>.12345678 kg");
    assert_found(&[Detector::PhoneNumber], "phone x(<41555501>.1234567 kg");
    assert_found(&[Detector::PhoneNumber], "phone <12.34567890> 55 kg");
}
