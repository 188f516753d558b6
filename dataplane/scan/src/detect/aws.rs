//! AWS_CREDENTIALS: access key ids by their prefix, and secret access keys (40 characters of base64) with a hot word.
//!
//! Prefixes of ids that can be used to sign requests: the IAM User Guide, "IAM identifiers, unique prefixes".

use crate::Detector::AwsCredentials;
use crate::class::{ALNUM, BASE64, WORD, is};
use crate::engine::Engine;
use crate::hit::Hit;
use crate::text::Text;

pub(crate) const HOT_WORDS: &[&str] = &[
    "aws",
    "secret access key",
    "secret key",
    "aws secret",
    "access key",
    "secret",
    "secretkey",
    "akid",
    "amazon",
    "sk",
];

const PREFIXES: [&[u8; 4]; 4] = [b"AKIA", b"ASIA", b"ABIA", b"ACCA"];
const KEY_ID_BYTES: usize = 20;
const SECRET_BYTES: usize = 40;

/// An `A` at a boundary.
pub(crate) fn key_id(engine: &mut Engine<'_, '_>, place: usize) {
    if engine.on(AwsCredentials) {
        engine.consider(AwsCredentials, place, |text| verify_key_id(text, place));
    }
}

fn verify_key_id(text: &Text<'_>, start: usize) -> Option<Hit> {
    PREFIXES.iter().find(|prefix| text.has(start, &prefix[..]))?;
    let end = text.short_run(start, ALNUM, KEY_ID_BYTES + 1);
    let upper = !text.bytes()[start..end].iter().any(u8::is_ascii_lowercase);
    (end - start == KEY_ID_BYTES && upper && text.boundary_at(end)).then(|| Hit::new(start, end, 98))
}

/// Looks for runs of exactly forty base64 characters: every such run covers one of the places that are probed.
pub(crate) fn secret_runs(engine: &mut Engine<'_, '_>, from: usize) {
    let bytes = engine.text().bytes();
    let mut place = from + SECRET_BYTES - 1;
    while let Some(byte) = bytes.get(place) {
        if is(*byte, BASE64) {
            let start = engine.text().run_back(place, BASE64, SECRET_BYTES + 1);
            secret(engine, start);
        }
        place += SECRET_BYTES;
    }
}

/// Judges the run that begins at `start`.
pub(crate) fn secret(engine: &mut Engine<'_, '_>, start: usize) {
    engine.consider_weak(AwsCredentials, start, |text| verify_secret(text, start));
}

fn verify_secret(text: &Text<'_>, start: usize) -> Option<Hit> {
    let end = text.short_run(start, BASE64, SECRET_BYTES + 1);
    let before = text.before(start, 1);
    if end - start != SECRET_BYTES || is(before, WORD | BASE64) || text.at(end) == b'=' || !text.boundary_at(end) {
        return None;
    }
    let secret = &text.bytes()[start..end];
    let upper = secret.iter().any(u8::is_ascii_uppercase);
    let lower = secret.iter().any(u8::is_ascii_lowercase);
    let other = secret.iter().any(|byte| !byte.is_ascii_alphabetic());
    (upper && lower && other).then(|| Hit::new(start, end, 80))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn key_ids_and_secrets_are_found() {
        assert_spans(
            AwsCredentials,
            &[
                "«AKIAIOSFODNN7EXAMPLE»",
                "id=«ASIAIOSFODNN7EXAMPLE»,",
                "键«AKIAIOSFODNN7EXAMPLE»键",
                "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
                "{\"SecretAccessKey\": \"«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»\"}",
            ],
        );
    }

    #[test]
    fn near_misses_are_not_taken() {
        assert_misses(
            AwsCredentials,
            &[
                "AKIAIOSFODNN7EXAMPL",
                "AKIAIOSFODNN7EXAMPLEE",
                "akiaiosfodnn7example",
                "xAKIAIOSFODNN7EXAMPLE",
                "AKIAIOSFODNN7EXAMPLe",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE",
                "secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEYx",
                "secret 0123456789abcdef0123456789abcdef01234567",
            ],
        );
    }
}
