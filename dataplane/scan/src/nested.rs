//! Values inside of encoded runs: base64, hexadecimal and URL encoding are undone, looked at, and reported as whole runs.
//!
//! A run is decided by its first [`ENCODED_BYTES_MAX`] characters; what is longer is reported up to its end. Each line of
//! wrapped base64 is a run of its own.

use crate::Scratch;
use crate::class::{BASE64, BASE64URL, Class, HEX, is};
use crate::engine::Engine;
use crate::hit::Hit;
use crate::limits::{ENCODED_BYTES_MAX, ENCODED_BYTES_MIN, URL_ENCODED_BYTES_MIN};

const RUN: Class = BASE64 | BASE64URL;

/// Searches the haystack's encoded runs for everything that the policy looks for.
pub(crate) fn scan(engine: &mut Engine<'_, '_>, scratch: &mut Scratch) {
    if engine.depth() == 0 {
        return;
    }
    let mut nested = scratch.nested.take().unwrap_or_default();
    let mut decoded = std::mem::take(&mut nested.joined);
    runs(engine, &mut nested, &mut decoded);
    percent_runs(engine, &mut nested, &mut decoded);
    nested.joined = decoded;
    scratch.nested = Some(nested);
}

/// Runs of the base64 alphabets, of which hexadecimal digits are a part.
fn runs(engine: &mut Engine<'_, '_>, scratch: &mut Scratch, decoded: &mut Vec<u8>) {
    let bytes = engine.text().bytes();
    let mut place = engine.base();
    // What began before was decided before.
    if place > 0 && is(bytes[place - 1], RUN) {
        place = run_end(bytes, place, RUN);
    }
    while place < bytes.len() {
        if !is(bytes[place], RUN) {
            place += 1;
            continue;
        }
        let end = run_end(bytes, place, RUN);
        let padded = end + bytes[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
        let open = padded == bytes.len() && !engine.text().last();
        if open && end - place < ENCODED_BYTES_MAX {
            engine.wait_from(place);
        } else if end - place >= ENCODED_BYTES_MIN {
            let decisive = &bytes[place..end.min(place + ENCODED_BYTES_MAX)];
            let start = place + hex_mark(decisive);
            if decode(&bytes[start..place + decisive.len()], decoded) {
                judge(engine, scratch, decoded, Hit::run(start, padded, RUN, 70));
            }
        }
        place = end;
    }
}

/// Runs of characters that URLs need not encode, with encoded ones among them.
fn percent_runs(engine: &mut Engine<'_, '_>, scratch: &mut Scratch, decoded: &mut Vec<u8>) {
    let bytes = engine.text().bytes();
    let mut place = engine.base();
    if place > 0 && unreserved(bytes[place - 1]) {
        place += bytes[place..].iter().take_while(|byte| unreserved(**byte)).count();
    }
    while place < bytes.len() {
        let run = bytes[place..]
            .iter()
            .take(ENCODED_BYTES_MAX)
            .take_while(|byte| unreserved(**byte))
            .count();
        let end = place + run;
        let escaped = bytes[place..end].contains(&b'%');
        if end == bytes.len() && !engine.text().last() && run < ENCODED_BYTES_MAX {
            if run > 0 {
                engine.wait_from(place);
            }
        } else if escaped && run >= URL_ENCODED_BYTES_MIN && percent_decode(&bytes[place..end], decoded) {
            judge(engine, scratch, decoded, Hit::new(place, end, 70));
        }
        place = end.max(place + 1);
    }
}

/// Scans what was decoded; a finding in it makes the run one.
fn judge(engine: &mut Engine<'_, '_>, scratch: &mut Scratch, decoded: &[u8], hit: Hit) {
    let mut findings = std::mem::take(&mut scratch.findings);
    findings.clear();
    let inner = Engine::new(engine.scanner(), decoded, true, engine.field()).at_depth(engine.depth() - 1);
    inner.complete(scratch, &mut findings);
    if let Some(first) = findings.first() {
        let rank = engine.scanner().rank_of(first.detector);
        engine.found(first.detector.in_code(), rank, hit);
    }
    scratch.findings = findings;
}

/// Length of the `x` of `\\x` or the `0x` in front of hexadecimal digits.
fn hex_mark(run: &[u8]) -> usize {
    let mark = match run {
        [b'x', ..] => 1,
        [b'0', b'x', ..] => 2,
        _ => 0,
    };
    let digits = &run[mark..];
    if digits.len().is_multiple_of(2) && digits.iter().all(|byte| is(*byte, HEX)) {
        mark
    } else {
        0
    }
}

fn run_end(bytes: &[u8], start: usize, class: Class) -> usize {
    start + bytes[start..].iter().take_while(|byte| is(**byte, class)).count()
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'%' | b'.' | b'-' | b'_' | b'~' | b'+' | b'*' | b'\'' | b'(' | b')'
        )
}

/// Undoes hexadecimal or one of the two base64 alphabets (RFC 4648 sections 4, 5 and 8). Says whether something like text came out.
fn decode(run: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if run.len().is_multiple_of(2) && run.iter().all(|byte| is(*byte, HEX)) {
        out.extend(run.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])));
        if like_text(out) {
            return true;
        }
        out.clear();
    }
    let url = run.iter().any(|byte| matches!(byte, b'-' | b'_'));
    if url && run.iter().any(|byte| matches!(byte, b'+' | b'/')) {
        return false;
    }
    for quantum in run.chunks(4) {
        let bits = quantum
            .iter()
            .fold(0u32, |bits, byte| bits << 6 | u32::from(sextet(*byte)));
        let bits = bits << (6 * (4 - quantum.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..quantum.len().max(1)]);
    }
    like_text(out)
}

fn percent_decode(run: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut place = 0;
    while place < run.len() {
        let escape = run
            .get(place + 1..place + 3)
            .filter(|pair| run[place] == b'%' && pair.iter().all(|byte| is(*byte, HEX)));
        match escape {
            Some(pair) => {
                out.push(nibble(pair[0]) << 4 | nibble(pair[1]));
                place += 3;
            }
            None => {
                out.push(run[place]);
                place += 1;
            }
        }
    }
    out.len() < run.len()
}

/// Three of five bytes are printable ASCII, or all of it is UTF-8 without control characters. Of random bytes few are.
fn like_text(bytes: &[u8]) -> bool {
    let printable = bytes.iter().filter(|byte| (b' '..=b'~').contains(*byte)).count();
    let text = || {
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return false,
        };
        !valid.is_empty()
            && !valid
                .chars()
                .any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
    };
    printable * 5 >= bytes.len() * 3 || text()
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        letter => (letter | 0x20).wrapping_sub(b'a').wrapping_add(10) & 15,
    }
}

fn sextet(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{scan, unmark};
    use crate::{Detector, Scanner, Spec, SpecError};

    fn scanner(depth: usize) -> Scanner {
        let spec = Spec {
            decode_depth: depth,
            ..Spec::of(&[Detector::EmailAddress, Detector::UsSocialSecurityNumber])
        };
        Scanner::build(&spec).unwrap()
    }

    fn check(depth: usize, marked: &str) {
        let (plain, spans) = unmark(marked);
        let found = scan(&scanner(depth), plain.as_bytes());
        let found: Vec<_> = found.iter().map(|f| (f.start as usize, f.end as usize)).collect();
        assert_eq!(found, spans, "{plain:?} at depth {depth}");
    }

    #[test]
    fn encoded_values_are_found_as_whole_runs() {
        check(1, "x=«YWRhIGxvdmVsYWNlIDxhZGFAZXhhbXBsZS5jb20+»;");
        check(1, "\"«bWFpbCBhZGFAZXhhbXBsZS5jb20gbm93IQ==»\"");
        check(1, "\\x«6d61696c20616461406578616d706c652e636f6d»");
        check(1, "?q=«ada.lovelace%40example.com»&x=1");
        check(1, "plain «ada@example.com» stays");
        check(0, "x=YWRhIGxvdmVsYWNlIDxhZGFAZXhhbXBsZS5jb20+;");
    }

    #[test]
    fn what_holds_nothing_is_left() {
        for text in [
            "550e8400e29b41d4a716446655440000",
            "d41d8cd98f00b204e9800998ecf8427e",
            "aHR0cHM6Ly93d3cucnVzdC1sYW5nLm9yZy8",
            "/usr/share/doc/libfoo/examples/readme",
            "YWRhQGV4YW1wbGUuY29t",
            "100%25+of+all+the+things",
        ] {
            check(1, text);
        }
    }

    #[test]
    fn two_levels_need_two() {
        // base64 of base64 of "mail ada@example.com now"
        let twice = "YldGcGJDQmhaR0ZBWlhoaGJYQnNaUzVqYjIwZ2JtOTM=";
        check(1, twice);
        check(2, &format!("«{twice}»"));
        let refused = Scanner::build(&Spec {
            decode_depth: 3,
            ..Spec::of(&[])
        });
        assert_eq!(refused.err(), Some(SpecError::DecodeDepth { depth: 3 }));
    }

    #[test]
    fn findings_say_that_they_are_encoded() {
        let scanner = scanner(1);
        let found = scan(&scanner, b"bWFpbCBhZGFAZXhhbXBsZS5jb20gbm93IQ== ada@example.com");
        assert_eq!(
            found.iter().map(|f| f.detector.is_in_code()).collect::<Vec<_>>(),
            [true, false]
        );
        assert!(found.iter().all(|f| scanner.name(f.detector) == "EMAIL_ADDRESS"));
    }
}
