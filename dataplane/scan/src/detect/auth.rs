//! BASIC_AUTH_HEADER and AUTH_TOKEN: the credentials behind `Basic` (RFC 7617) and `Bearer` (RFC 6750), wherever these words stand.
//!
//! Basic: base64 that decodes to printable text with a colon. Bearer: a `b64token` that cannot be a word, that is, of 16 or more
//! bytes with a digit among them, or of 40 or more.

use crate::Detector::{AuthToken, BasicAuthHeader};
use crate::class::{BASE64, TOKEN68};
use crate::detect::jwt::decode_base64;
use crate::engine::Engine;
use crate::hit::Hit;
use crate::limits::{BASIC_DECODED_BYTES_MAX, LONG_MATCH_BYTES};
use crate::text::Text;

const BLANKS_MAX: usize = 8;
const BASIC_BYTES_MIN: usize = 4;
const BEARER_BYTES_MIN: usize = 16;
const BEARER_WORDLESS_BYTES: usize = 40;

/// A `b` or `B` at a boundary.
pub(crate) fn candidate(engine: &mut Engine<'_, '_>, place: usize) {
    if engine.on(BasicAuthHeader) {
        engine.consider(BasicAuthHeader, place, |text| {
            basic(text, after_word(text, place, b"basic")?)
        });
    }
    if engine.on(AuthToken) {
        engine.consider(AuthToken, place, |text| {
            bearer(text, after_word(text, place, b"bearer")?)
        });
    }
}

/// Where the credentials start behind the word and its blanks.
fn after_word(text: &Text<'_>, place: usize, word: &[u8]) -> Option<usize> {
    if !text.has_any_case(place, word) {
        return None;
    }
    let blanks = place + word.len();
    let mut start = blanks;
    while start - blanks < BLANKS_MAX && text.at(start) == b' ' {
        start += 1;
    }
    (start > blanks).then_some(start)
}

fn basic(text: &Text<'_>, start: usize) -> Option<Hit> {
    let run = text.run(start, BASE64, LONG_MATCH_BYTES);
    if run - start < BASIC_BYTES_MIN {
        return None;
    }
    let head = run.min(start + BASIC_DECODED_BYTES_MAX / 3 * 4);
    let mut decoded = [0; BASIC_DECODED_BYTES_MAX];
    let decoded = decode_base64(&text.bytes()[start..head], &mut decoded)?;
    if !decoded.contains(&b':') || decoded.iter().any(u8::is_ascii_control) {
        return None;
    }
    if run - start == LONG_MATCH_BYTES {
        return Some(Hit::run(start, run, BASE64, 90));
    }
    let end = run + padding(text, run);
    ((end - start).is_multiple_of(4) || end == run).then_some(())?;
    text.boundary_at(end).then(|| Hit::new(start, end, 95))
}

fn padding(text: &Text<'_>, from: usize) -> usize {
    match (text.at(from), text.at(from + 1)) {
        (b'=', b'=') => 2,
        (b'=', _) => 1,
        _ => 0,
    }
}

fn bearer(text: &Text<'_>, start: usize) -> Option<Hit> {
    let run = text.run(start, TOKEN68, LONG_MATCH_BYTES);
    if run - start == LONG_MATCH_BYTES {
        return Some(Hit::run(start, run, TOKEN68, 85));
    }
    let mut end = run;
    while end > start && matches!(text.before(end, 1), b'.' | b'/' | b'~') {
        end -= 1;
    }
    let token = &text.bytes()[start..end];
    let tokenlike = token.len() >= BEARER_WORDLESS_BYTES
        || (token.len() >= BEARER_BYTES_MIN && token.iter().any(u8::is_ascii_digit));
    let padded = if end == run { end + padding(text, end) } else { end };
    tokenlike.then(|| Hit::new(start, padded, 85))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    #[test]
    fn basic_credentials_are_found() {
        assert_spans(
            BasicAuthHeader,
            &[
                "Authorization: Basic «QWxhZGRpbjpvcGVuIHNlc2FtZQ==»",
                "basic «YTpi»",
                "\"BASIC  «YTpiYw==»\"",
                "Basic «dXNlcjpwYXNz», x",
            ],
        );
        assert_misses(
            BasicAuthHeader,
            &[
                "Basic research",
                "basic instinct",
                "Basic YWJj",
                "BasicQWxhZGRpbjpvcGVu",
                "xBasic YTpi",
                "Basic  ",
                "basic YQ==",
            ],
        );
    }

    #[test]
    fn bearer_tokens_are_found() {
        assert_spans(
            AuthToken,
            &[
                "Authorization: Bearer «mF_9.B5f-4.1JqM1234»",
                "bearer «abcdefghij0123456789»=x".split("=x").next().unwrap(),
                "'Bearer «AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA»'",
                "Bearer «abcdef0123456789abcd==» x",
                "Bearer «abcdef0123456789abcd».",
            ],
        );
        assert_misses(
            AuthToken,
            &[
                "bearer of bad news",
                "Bearer responsibilities",
                "Bearer abc123",
                "forbearer abcdef0123456789abcd",
            ],
        );
    }
}
