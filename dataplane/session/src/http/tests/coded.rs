//! Every detector over every border and every coding, tables by their columns, and encoded bodies that are broken or grow.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::super::decode::{Coded, Decoder};
use super::super::limits::{CSV_FIELD_BYTES_MAX, DECODED_FREE_BYTES, DECODED_RATIO_MAX, DECODED_STEP_BYTES};
use super::*;

const CASES: &str = include_str!("../../../../scan/tests/cases/detectors.txt");
const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

fn rules_of(change: impl FnOnce(&mut wire::Redaction)) -> Arc<RuleSet> {
    let mut snapshot = snapshot();
    snapshot.redactions[0].json.clear();
    change(&mut snapshot.redactions[0]);
    let policy = crate::policy::compile(&snapshot).expect("the snapshot is right");
    let connection = policy.connection("web").unwrap();
    connection.rule_set(&["web".to_owned()]).unwrap().clone()
}

/// The body as a target would send it.
fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        "gzip" => written(GzEncoder::new(Vec::new(), level), body, GzEncoder::finish),
        "deflate" => written(ZlibEncoder::new(Vec::new(), level), body, ZlibEncoder::finish),
        "raw deflate" => written(DeflateEncoder::new(Vec::new(), level), body, DeflateEncoder::finish),
        "zstd" => compress_to_vec(body, CompressionLevel::Fastest),
        "br" => brotli_stored(body),
        _ => body.to_vec(),
    }
}

fn written<W: std::io::Write>(mut writer: W, body: &[u8], end: fn(W) -> std::io::Result<Vec<u8>>) -> Vec<u8> {
    writer.write_all(body).unwrap();
    end(writer).unwrap()
}

/// Brotli with stored parts alone (RFC 7932 section 9.2), least significant bit first.
fn brotli_stored(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut first = true;
    for part in body.chunks(1 << 16) {
        // WBITS 16 (a zero, before the first part); not the last; four nibbles of length - 1; stored; zeros up to a byte.
        let length = part.len() as u32 - 1;
        let shift = u32::from(first);
        first = false;
        let head = (length << 3 | 1 << 19) << shift;
        out.extend_from_slice(&head.to_le_bytes()[..3]);
        out.extend_from_slice(part);
    }
    // The last part, empty (behind WBITS where nothing came before it).
    out.push(if first { 0b110 } else { 0b11 });
    out
}

/// What leaves of a body that came in these pieces.
fn through(rules: &Arc<RuleSet>, media: Media, coding: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, Unreadable> {
    let name = if coding == "raw deflate" { "deflate" } else { coding };
    let mut decoder = Decoder::of(name);
    let mut filter = BodyFilter::new(rules.clone(), media);
    let (mut scratch, mut out, mut room) = (Scratch::new(), Vec::new(), Vec::new());
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        let mut rest = *piece;
        loop {
            let over = match &mut decoder {
                None => filter.feed(piece, last, &mut scratch, &mut out).map(|()| true)?,
                Some(decoder) => {
                    let over = decoder.step(&mut rest, last, &mut room)?;
                    filter.feed(&room, last && over, &mut scratch, &mut out)?;
                    over
                }
            };
            if over {
                break;
            }
        }
    }
    Ok(out)
}

/// The body with a value in it, for each way of reading one.
fn bodies(text: &str) -> Vec<(Media, String)> {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            '\n' => "\\n".to_owned(),
            '@' | '-' | '4' => format!("\\u{:04x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    let mut bodies = vec![
        (Media::Text, text.to_owned()),
        (Media::Json, format!("{{\"k\": [\"{escaped}\"]}}")),
        (Media::Csv, format!("a,b\n1,\"{}\"\n", text.replace('"', "\"\""))),
    ];
    if !text.contains('\n') {
        bodies.push((Media::Events, format!("event: e\ndata: {text}\n\n")));
        bodies.push((Media::Events, format!("data: {{\"k\": \"{escaped}\"}}\n\n")));
    }
    bodies
}

/// A text for each detector, and the value in it that must not leave.
fn examples() -> Vec<(&'static str, String, String)> {
    let mut examples: Vec<(&str, String, String)> = Vec::new();
    for line in CASES.lines() {
        let mut parts = line.splitn(3, '\t');
        let (Some(detector), Some(_), Some(marked)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let Some((_, value)) = marked.split_once('«') else {
            continue;
        };
        let Some((value, _)) = value.split_once('»') else {
            continue;
        };
        if examples.iter().all(|(known, _, _)| *known != detector) {
            let plain = |text: &str| text.replace(['«', '»'], "").replace("\\n", "\n");
            examples.push((detector, plain(marked), plain(value)));
        }
    }
    examples
}

#[test]
fn each_detector_finds_its_value_across_every_border_in_every_coding() {
    let examples = examples();
    assert!(examples.len() > 60, "{}", examples.len());
    let mut found = 0;
    for (detector, text, value) in examples {
        let rules = rules_of(|rule| {
            rule.detect = vec![detector.to_owned()];
            rule.checksum_suffices = true;
        });
        for (media, body) in bodies(&text) {
            let whole = through(&rules, media, "identity", &[body.as_bytes()]).unwrap();
            let shown = String::from_utf8_lossy(&whole);
            assert!(!shown.contains(&value), "{detector}, {media:?}: {shown}");
            found += usize::from(whole != body.as_bytes());
            for coding in ["identity", "gzip", "deflate", "raw deflate", "br", "zstd"] {
                // One way of reading is enough to see that decoding changes nothing.
                if coding != "identity" && media != Media::Text {
                    continue;
                }
                let sent = encoded(coding, body.as_bytes());
                for at in 0..=sent.len() {
                    let (left, right) = sent.split_at(at);
                    let seen = through(&rules, media, coding, &[left, right]);
                    assert_eq!(
                        seen.as_deref(),
                        Ok(&whole[..]),
                        "{detector}, {media:?}, {coding} cut at {at}"
                    );
                }
            }
        }
    }
    assert!(found > 300, "{found}");
}

#[test]
fn encoded_json_is_redacted_however_it_is_cut() {
    let rules = rules();
    let body = format!(
        "{{\"to\": \"alice\\u0040example.com\", \"n\": \"{}\"}}",
        "lorem ipsum ".repeat(20_000)
    );
    let whole = through(&rules, Media::Json, "identity", &[body.as_bytes()]).unwrap();
    assert!(!String::from_utf8_lossy(&whole).contains("alice"));
    for coding in CODINGS {
        let sent = encoded(coding, body.as_bytes());
        for step in [1, 2, 3, 7, 1000, sent.len()] {
            let pieces: Vec<&[u8]> = sent.chunks(step).collect();
            let seen = through(&rules, Media::Json, coding, &pieces).unwrap();
            assert!(seen == whole, "{coding} in steps of {step}");
        }
    }
}

#[test]
fn what_a_real_brotli_encoder_makes_is_read() {
    let body = format!(
        "{{\"to\": \"alice@example.com\", \"n\": \"{}\"}}",
        "lorem ipsum dolor sit amet ".repeat(8)
    );
    let seen = through(&rules(), Media::Json, "br", &[&hex(BROTLI)]).unwrap();
    assert_eq!(
        seen,
        through(&rules(), Media::Json, "identity", &[body.as_bytes()]).unwrap()
    );
}

/// Made by the encoder of the format's authors at its highest level.
const BROTLI: &str = "1bfb00e015a1d2d56da98e956832d5230f87df8bde24c2061c380416a0c60bca21ea022b66331e2bd940711bda9d32afca69796e0dd83a37faffef6305092d203f";

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn several_members_and_frames_are_one_body() {
    for coding in ["gzip", "zstd"] {
        let mut sent = encoded(coding, b"alice@exam");
        sent.extend(encoded(coding, b"ple.com"));
        if coding == "zstd" {
            // A frame to skip, and one more.
            sent.extend_from_slice(&[0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        }
        for at in 0..=sent.len() {
            let (left, right) = sent.split_at(at);
            let seen = through(&rules(), Media::Text, coding, &[left, right]).unwrap();
            assert!(seen.starts_with(b"[EMAIL]") && seen.len() == 17, "{coding} cut at {at}");
        }
    }
}

#[test]
fn broken_and_short_encodings_end_in_an_error_and_never_in_a_panic() {
    let body = "alice@example.com and some more of it ".repeat(40);
    for coding in CODINGS {
        let sent = encoded(coding, body.as_bytes());
        for cut in 1..sent.len() {
            let seen = through(&rules(), Media::Text, coding, &[&sent[..cut]]);
            assert!(seen.is_err(), "{coding} ends after {cut} of {}", sent.len());
        }
        for at in 0..sent.len() {
            for bit in 0..8 {
                let mut broken = sent.clone();
                broken[at] ^= 1 << bit;
                // Whatever it is, it is redacted or refused.
                let seen = through(&rules(), Media::Text, coding, &[&broken]);
                // Stored parts of brotli have no checksum: there the text is another one.
                if let (Ok(seen), true) = (seen, coding != "br") {
                    assert!(
                        !seen.windows(17).any(|w| w == b"alice@example.com"),
                        "{coding}, byte {at}, bit {bit}"
                    );
                }
            }
        }
        let mut longer = sent.clone();
        longer.extend_from_slice(b"<script>");
        assert!(through(&rules(), Media::Text, coding, &[&longer]).is_err(), "{coding}");
        assert!(
            through(
                &rules(),
                Media::Text,
                coding,
                &[&longer[..sent.len()], &longer[sent.len()..]]
            )
            .is_err()
        );
        assert_eq!(
            through(&rules(), Media::Text, coding, &[b""]).as_deref(),
            Ok(&b""[..]),
            "{coding}"
        );
    }
}

#[test]
fn bombs_are_stopped_and_cost_no_memory() {
    // A gigabyte of zeros by hand: runs of 128 KiB, four bytes each (RFC 8878 section 3.1.1.2).
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    for _ in 0..8192 {
        let header: u32 = (128 << 10) << 3 | 1 << 1;
        zstd.extend_from_slice(&header.to_le_bytes()[..3]);
        zstd.push(0);
    }
    let gzip = encoded("gzip", &vec![0; 64 << 20]);
    for (coding, sent) in [("zstd", zstd), ("gzip", gzip)] {
        let mut decoder = Decoder::of(coding).unwrap();
        let (mut rest, mut room, mut all) = (&sent[..], Vec::new(), 0u64);
        let error = loop {
            match decoder.step(&mut rest, true, &mut room) {
                Ok(over) => {
                    all += room.len() as u64;
                    assert!(!over, "{coding} came to its end after {all}");
                    assert!(room.len() <= DECODED_STEP_BYTES);
                }
                Err(error) => break error,
            }
        };
        assert!(error.0.contains("beyond every measure"), "{coding}: {error}");
        assert!(
            all <= DECODED_FREE_BYTES + DECODED_RATIO_MAX * sent.len() as u64,
            "{coding}: {all}"
        );
    }
    // A window of a gigabyte is not laid out.
    let mut decoder = Decoder::of("zstd").unwrap();
    let huge = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0];
    assert!(decoder.step(&mut &huge[..], true, &mut Vec::new()).is_err());
    // Nor is that of brotli beyond RFC 7932.
    let mut decoder = Decoder::of("br").unwrap();
    assert!(
        decoder
            .step(&mut &[0x11, 0x1e, 0, 0][..], true, &mut Vec::new())
            .is_err()
    );
}

#[test]
fn codings_are_read_from_all_fields() {
    let coded = |values: &[&[u8]]| {
        let mut fields = Fields::new();
        for value in values {
            fields.push(b"content-encoding", value);
        }
        match Coded::of(&fields) {
            Coded::Plain => "plain",
            Coded::By(_) => "by",
            Coded::Unknown => "unknown",
        }
    };
    assert_eq!(coded(&[]), "plain");
    assert_eq!(coded(&[b"identity", b""]), "plain");
    for one in [&b"gzip"[..], b"X-Gzip", b"deflate", b"br", b"ZSTD", b" identity , br"] {
        assert_eq!(coded(&[one]), "by");
    }
    for odd in [
        &[&b"gzip, br"[..]][..],
        &[b"gzip", b"gzip"],
        &[b"compress"],
        &[b"gz\xff"],
        &[b"identity", b"aes128gcm"],
    ] {
        assert_eq!(coded(odd), "unknown");
    }
}

fn table(rules: &Arc<RuleSet>, body: &str) -> String {
    let whole = through(rules, Media::Csv, "identity", &[body.as_bytes()]).unwrap();
    for at in 0..=body.len() {
        let (left, right) = body.as_bytes().split_at(at);
        let seen = through(rules, Media::Csv, "identity", &[left, right]);
        assert_eq!(seen.as_deref(), Ok(&whole[..]), "cut at {at}");
    }
    String::from_utf8(whole).unwrap()
}

#[test]
fn columns_of_tables_are_masked_by_their_names() {
    let rules = rules_of(|rule| rule.csv = vec!["Name".into(), "salary".into()]);
    assert_eq!(
        table(
            &rules,
            "id,name,salary,note\r\n1,Alice Smith,4200,ok\r\n2,\"Smith, \"\"Bob\"\"\",,\"x\ny\"\r\n"
        ),
        "id,name,salary,note\r\n1,[NAME]*****,[SAL,ok\r\n2,\"[NAME]******\",,\"x\ny\"\r\n",
        "quoted fields, doubled quotes, empty fields and line ends in fields"
    );
    assert_eq!(
        table(&rules, "\u{feff}name;x\nAl;b\n"),
        "\u{feff}name;x\n[N;b\n",
        "semicolons, a byte order mark"
    );
    assert_eq!(
        table(&rules, "a\tname\nx\ty"),
        "a\tname\nx\t[",
        "tabs, no last line end"
    );
    assert_eq!(table(&rules, "name\nAlice\n"), "name\n[NAME\n", "one column");
    assert_eq!(table(&rules, ""), "");
    let seen = table(
        &rules,
        "x,mail\n1,alice@example.com\n\"alice@example.com\",\"to \"\"alice@example.com\"\"\"\n",
    );
    assert_eq!(
        seen,
        "x,mail\n1,[EMAIL]**********\n\"[EMAIL]**********\",\"to \"\"[EMAIL]**********\"\"\"\n"
    );
    let replaced = rules_of(|rule| {
        rule.csv = vec!["name".into()];
        rule.mask = Some(wire::Mask {
            kind: wire::MaskKind::Replace as i32,
            text: "not, \"here\"".into(),
            ..Default::default()
        });
    });
    assert_eq!(
        table(&replaced, "name,b\nAl,c\n"),
        "name,b\n\"not, \"\"here\"\"\",c\n",
        "what needs quotes gets them"
    );
}

#[test]
fn a_field_without_end_is_refused() {
    let body = format!("a,b\n\"{}", "x".repeat(CSV_FIELD_BYTES_MAX + 1));
    assert!(through(&rules(), Media::Csv, "identity", &[body.as_bytes()]).is_err());
}
