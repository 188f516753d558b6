//! Matches longer than one piece: found whole, streamed in pieces, never kept back as a whole.

use super::properties::{default_on, everything, one_shot, streamed};
use crate::limits::LONG_MATCH_BYTES;
use crate::{Detector, DetectorId, Scanner, Spec};

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.";

fn long_values() -> Vec<(Detector, String, String)> {
    let fill = |bytes: usize| "aB3dE5gH7jK9mN1p".repeat(bytes / 16 + 1);
    let pem = |bytes: usize| {
        let body: String = fill(bytes)
            .as_bytes()
            .chunks(64)
            .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
            .collect();
        format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----")
    };
    let mut values = Vec::new();
    for bytes in [
        LONG_MATCH_BYTES - 100,
        LONG_MATCH_BYTES - 40,
        LONG_MATCH_BYTES,
        LONG_MATCH_BYTES + 50,
        20_000,
    ] {
        values.push((
            Detector::JsonWebToken,
            "x ".into(),
            format!("{JWT}{}.{}", fill(bytes), fill(40)),
        ));
        values.push((Detector::EncryptionKey, "key=\n".into(), pem(bytes)));
        values.push((Detector::Password, "password=".into(), fill(bytes)));
        values.push((Detector::AuthToken, "Bearer ".into(), fill(bytes)));
        values.push((Detector::SlackToken, "t ".into(), format!("xoxb-{}", fill(bytes))));
    }
    values
}

#[test]
fn long_values_are_found_whole_however_they_are_cut() {
    let scanner = everything();
    for (detector, before, value) in long_values() {
        let text = format!("{before}{value} mail bob@example.com end");
        let whole = one_shot(&scanner, text.as_bytes());
        let first = whole[0];
        assert_eq!(
            (first.start as usize, first.end as usize),
            (before.len(), before.len() + value.len()),
            "{detector:?}"
        );
        assert_eq!(first.detector, DetectorId::from(detector));
        assert_eq!(whole.len(), 2, "{detector:?} {whole:?}");
        for piece_bytes in [997, 1448, 4096, 5000] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece_bytes).collect();
            assert_eq!(
                streamed(&scanner, &pieces),
                whole,
                "{detector:?} {} by {piece_bytes}",
                value.len()
            );
        }
        let end = before.len() + value.len();
        for cut in (end - 40..end + 30).chain(LONG_MATCH_BYTES - 30..LONG_MATCH_BYTES + 60) {
            let (left, right) = text.as_bytes().split_at(cut.min(text.len()));
            assert_eq!(
                streamed(&scanner, &[left, right]),
                whole,
                "{detector:?} {} at {cut}",
                value.len()
            );
        }
    }
}

#[test]
fn single_bytes_of_a_long_key_are_released_as_they_come() {
    let scanner = Scanner::build(&Spec::of(&[Detector::EncryptionKey])).unwrap();
    let (_, before, value) = long_values()
        .into_iter()
        .filter(|(d, ..)| *d == Detector::EncryptionKey)
        .nth(3)
        .unwrap();
    let text = format!("{before}{value}\n");
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(streamed(&scanner, &pieces), one_shot(&scanner, text.as_bytes()));
}

#[test]
fn a_long_value_hides_what_it_contains() {
    let scanner = default_on();
    let value = "x1-4111111111111111-bob@example.com-".repeat(400);
    let text = format!("password={value}\ncard 4111111111111111");
    let found = one_shot(&scanner, text.as_bytes());
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].start, found[0].end as usize), (9, 9 + value.len()));
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(777).collect();
    assert_eq!(streamed(&scanner, &pieces), found);
}

#[test]
fn armour_behind_many_dashes_survives_every_cut() {
    let scanner = Scanner::build(&Spec::of(&[Detector::EncryptionKey])).unwrap();
    for dashes in [5, 40, 45, 46, 51, 64] {
        let text = format!(
            "key {}BEGIN RSA PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQ\\n415.55 and more",
            "-".repeat(dashes)
        );
        let whole = one_shot(&scanner, text.as_bytes());
        assert_eq!(whole.len(), 1, "{dashes}");
        for cut in 1..text.len() - 1 {
            for second in cut + 1..text.len() {
                let pieces = [&text[..cut], &text[cut..second], &text[second..]].map(str::as_bytes);
                assert_eq!(
                    streamed(&scanner, &pieces),
                    whole,
                    "{dashes} dashes, cut at {cut} and {second}"
                );
            }
        }
    }
}
