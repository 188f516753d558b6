//! JSON_WEB_TOKEN: base64url parts joined by dots whose first one decodes to a JSON object with `alg` (RFC 7515, 7516, 7519).

use crate::Detector::JsonWebToken;
use crate::class::{BASE64URL, DOTTED};
use crate::engine::Engine;
use crate::hit::Hit;
use crate::limits::{JWT_HEADER_BYTES_MAX, LONG_MATCH_BYTES};
use crate::text::Text;

/// Parts of an encrypted token (RFC 7516 section 3.1); a signed one has three.
const PARTS_MAX: usize = 5;

/// An `e` at a boundary.
pub(crate) fn candidate(engine: &mut Engine<'_, '_>, place: usize) {
    if engine.on(JsonWebToken) {
        engine.consider(JsonWebToken, place, |text| verify(text, place));
    }
}

fn verify(text: &Text<'_>, start: usize) -> Option<Hit> {
    if !text.has(start, b"eyJ") {
        return None;
    }
    let header_end = text.run(start, BASE64URL, JWT_HEADER_BYTES_MAX + 1);
    if text.at(header_end) != b'.' {
        return None;
    }
    let mut header = [0; JWT_HEADER_BYTES_MAX];
    let header = decode(&text.bytes()[start..header_end], &mut header)?;
    let algorithm = algorithm(header)?;
    let cap = start + LONG_MATCH_BYTES;
    let mut from = header_end + 1;
    for part in 2..=PARTS_MAX {
        let end = text.run(from, BASE64URL, cap.saturating_sub(from));
        if end >= cap {
            return Some(Hit::run(start, cap, DOTTED, 95));
        }
        // An unsecured token has an empty signature; otherwise a dot without a part behind it ends the sentence.
        let empty = end == from && !(part == 3 && algorithm == b"none");
        if empty {
            return (part > 3).then(|| Hit::new(start, from - 1, 99));
        }
        if part == PARTS_MAX || text.at(end) != b'.' {
            return (part >= 3).then(|| Hit::new(start, end, 99));
        }
        from = end + 1;
    }
    None
}

/// Decodes base64url without padding. `out` has room for `text.len()` bytes.
fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let mut filled = 0;
    let mut bits = 0u32;
    let mut count = 0;
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            *out.get_mut(filled)? = (bits >> count) as u8;
            filled += 1;
        }
    }
    out.get(..filled)
}

/// Decodes base64 in either alphabet without padding, for other detectors.
pub(crate) fn decode_base64<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    decode(text, out)
}

/// Value of the member `alg` of a JSON object; nothing when this is no JSON object or has no such member.
fn algorithm(header: &[u8]) -> Option<&[u8]> {
    std::str::from_utf8(header).ok()?;
    let mut depth = 0usize;
    let mut found = None;
    let mut place = 0;
    let mut last_string: &[u8] = b"";
    let mut after_colon = false;
    while let Some(byte) = header.get(place) {
        match byte {
            b'"' => {
                let end = string_end(header, place + 1)?;
                let string = &header[place + 1..end];
                if after_colon && depth == 1 && last_string == b"alg" {
                    found = Some(string);
                }
                (last_string, after_colon) = (string, false);
                place = end;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && place + 1 != header.trim_ascii_end().len() {
                    return None;
                }
            }
            b':' => after_colon = true,
            b',' => after_colon = false,
            b if b.is_ascii_alphanumeric() || b" \t\r\n+-.".contains(b) => {}
            _ => return None,
        }
        place += 1;
    }
    let object = header.first() == Some(&b'{') && depth == 0;
    found.filter(|_| object)
}

fn string_end(header: &[u8], from: usize) -> Option<usize> {
    let mut place = from;
    loop {
        match header.get(place)? {
            b'"' => return Some(place),
            b'\\' => place += 2,
            0..0x20 => return None,
            _ => place += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{assert_misses, assert_spans};

    const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

    #[test]
    fn tokens_are_found_with_exact_spans() {
        assert_spans(
            JsonWebToken,
            &[
                &format!("«{HEADER}.eyJzdWIiOiIxIn0.abc-DEF_123»"),
                &format!("Bearer «{HEADER}.e30.abc». Next"),
                &format!("'«{HEADER}.a.b.c.d»'"),
                &format!("x «{HEADER}.a.b.c.d».e"),
                "«eyJhbGciOiJub25lIn0.e30.» end",
                "号«eyJhbGciOiJIUzI1NiJ9.e30.c2ln»号",
            ],
        );
    }

    #[test]
    fn what_does_not_decode_to_a_header_is_not_taken() {
        assert_misses(
            JsonWebToken,
            &[
                "eyJ.e30.abc",
                "eyJ0eXAiOiJKV1QifQ.e30.abc",
                &format!("{HEADER}.e30"),
                &format!("{HEADER}.e30. Next"),
                &format!("{HEADER}..abc"),
                &format!("x{HEADER}.e30.abc"),
                "eyJhbGciOiJIUzI1NiI.e30.abc",
                "eyJhbGciOjF9.e30.abc",
                HEADER,
            ],
        );
    }

    #[test]
    fn only_the_outer_alg_counts() {
        assert_eq!(algorithm(br#"{"alg":"HS256"}"#), Some(&b"HS256"[..]));
        assert_eq!(
            algorithm(br#"{ "x" : {"alg":"no"}, "alg" : "RS256" }"#),
            Some(&b"RS256"[..])
        );
        assert_eq!(algorithm(br#"{"x":{"alg":"no"}}"#), None);
        assert_eq!(algorithm(br#"{"x":"alg","y":"alg"}"#), None);
        assert_eq!(algorithm(br#"{"alg":"HS256"}}"#), None);
        assert_eq!(algorithm(br#"{"alg":"HS256""#), None);
        assert_eq!(algorithm(br#"["alg","x"]"#), None);
    }
}
