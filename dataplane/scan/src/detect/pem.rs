//! ENCRYPTION_KEY: private keys in PEM (RFC 7468) and OpenPGP armour (RFC 9580 section 6.2), also when line ends are escaped as `\n`.
//!
//! ```text
//! -----BEGIN … PRIVATE KEY-----   header, then optional `Name: value` lines
//! base64, blanks, line ends       body: at least 16 base64 characters in its first line
//! -----END … PRIVATE KEY-----     or until something that no body contains
//! ```

use crate::class::{ALNUM, BASE64, SPACE, is};
use crate::hit::{Hit, Strength, Tail};
use crate::limits::LONG_MATCH_BYTES;
use crate::text::Text;

const DASHES: &[u8] = b"-----";
const DASH_RUN_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 64;
const HEADER_LINES_MAX: usize = 8;
const HEADER_LINE_BYTES_MAX: usize = 128;
const BLANKS_MAX: usize = 64;
const FIRST_LINE_BYTES_MIN: usize = 16;

/// A cheap necessary condition on the first dash of a run.
#[inline(always)]
pub(crate) fn possible(text: &Text<'_>, place: usize) -> bool {
    text.bytes().get(place + 1).is_none_or(|next| *next == b'-')
}

/// Judges the run of dashes that starts at `place`.
pub(crate) fn verify(text: &Text<'_>, place: usize) -> Option<Hit> {
    let mut head = place;
    while head - place < DASH_RUN_MAX && text.at(head) == b'-' {
        head += 1;
    }
    let start = head.checked_sub(DASHES.len()).filter(|start| *start >= place)?;
    if !text.has(head, b"BEGIN ") {
        return None;
    }
    let body = body_start(text, marker_end(text, head + 6)?)?;
    let (end, stop) = walk(text, body, start + LONG_MATCH_BYTES);
    match stop {
        Stop::EndLine => Some(Hit::new(start, end, 99)),
        Stop::Foreign | Stop::Edge => Some(Hit::new(start, without_blanks(text, body, end), 90)),
        Stop::Limit => Some(Hit {
            start,
            end,
            confidence: 95,
            strength: Strength::Strong,
            tail: Tail::Pem,
        }),
    }
}

/// Follows a body from `from`: where it is known to reach, and whether it ends there.
pub(crate) fn extend(text: &Text<'_>, from: usize) -> (usize, bool) {
    let (end, stop) = walk(text, from, usize::MAX);
    (end, stop != Stop::Edge || text.last())
}

/// End of the rest of a `BEGIN` or `END` line for a private key; `from` is where its label starts.
fn marker_end(text: &Text<'_>, from: usize) -> Option<usize> {
    let mut end = from;
    while end - from < LABEL_BYTES_MAX && matches!(text.at(end), b'A'..=b'Z' | b'0'..=b'9' | b' ') {
        end += 1;
    }
    let label = &text.bytes()[from..end.min(text.len())];
    let private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    (private && text.has(end, DASHES)).then_some(end + DASHES.len())
}

/// Start of the base64 text behind line ends and header lines.
fn body_start(text: &Text<'_>, from: usize) -> Option<usize> {
    let mut place = skip_blanks(text, from);
    for _ in 0..=HEADER_LINES_MAX {
        let word_end = text.short_run(place, ALNUM, FIRST_LINE_BYTES_MIN);
        if word_end - place == FIRST_LINE_BYTES_MIN {
            return Some(place);
        }
        let base64_end = text.short_run(place, BASE64, FIRST_LINE_BYTES_MIN);
        if base64_end - place == FIRST_LINE_BYTES_MIN {
            return Some(place);
        }
        place = skip_blanks(text, header_line_end(text, place)?);
    }
    None
}

/// End of a `Name: value` line.
fn header_line_end(text: &Text<'_>, from: usize) -> Option<usize> {
    let mut name_end = from;
    while name_end - from < HEADER_LINE_BYTES_MAX && (text.is(name_end, ALNUM) || text.at(name_end) == b'-') {
        name_end += 1;
    }
    if name_end == from || text.at(name_end) != b':' {
        return None;
    }
    let limit = from + HEADER_LINE_BYTES_MAX;
    (name_end..limit).find(|place| {
        let byte = text.at(*place);
        byte == b'\n' || byte == 0 || (byte == b'\\' && matches!(text.at(place + 1), b'n' | b'r'))
    })
}

fn skip_blanks(text: &Text<'_>, from: usize) -> usize {
    let mut place = from;
    while place - from < BLANKS_MAX {
        match text.at(place) {
            b' ' | b'\t' | b'\r' | b'\n' => place += 1,
            b'\\' if matches!(text.at(place + 1), b'n' | b'r') => place += 2,
            _ => break,
        }
    }
    place
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The end line is part of what was walked over.
    EndLine,
    /// A byte that no body contains.
    Foreign,
    Limit,
    /// The end of the haystack, perhaps inside an end line.
    Edge,
}

/// Walks over a body from `from` until it ends or `limit` is reached.
fn walk(text: &Text<'_>, from: usize, limit: usize) -> (usize, Stop) {
    let mut place = from;
    while place < limit {
        if place >= text.len() {
            text.at(place);
            return (place, Stop::Edge);
        }
        match text.at(place) {
            byte if is(byte, BASE64 | SPACE) || byte == b'=' => place += 1,
            b'\\' => match text.at(place + 1) {
                b'n' | b'r' => place += 2,
                _ if text.needs_more() => return (place, Stop::Edge),
                _ => return (place, Stop::Foreign),
            },
            b'-' => {
                let end = text
                    .has(place, b"-----END ")
                    .then(|| marker_end(text, place + 9))
                    .flatten();
                return match end {
                    _ if text.needs_more() => (place, Stop::Edge),
                    Some(end) => (end, Stop::EndLine),
                    None => (place, Stop::Foreign),
                };
            }
            _ => return (place, Stop::Foreign),
        }
    }
    (place, Stop::Limit)
}

/// Leaves out white space (also escaped) at the end of a body that has no end line.
fn without_blanks(text: &Text<'_>, from: usize, end: usize) -> usize {
    let mut end = end;
    while end > from {
        let last = text.before(end, 1);
        if is(last, SPACE) {
            end -= 1;
        } else if matches!(last, b'n' | b'r') && text.before(end, 2) == b'\\' {
            end -= 2;
        } else {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use crate::Detector::EncryptionKey;
    use crate::tests::{assert_misses, assert_spans};

    const BODY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    #[test]
    fn keys_are_found_whole() {
        for label in [
            "PRIVATE KEY",
            "RSA PRIVATE KEY",
            "EC PRIVATE KEY",
            "OPENSSH PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
        ] {
            assert_spans(
                EncryptionKey,
                &[
                    &format!("x «-----BEGIN {label}-----\n{BODY}\n{BODY}==\n-----END {label}-----»\ny"),
                    &format!("{{\"key\":\"«-----BEGIN {label}-----\\n{BODY}\\n-----END {label}-----»\\n\"}}"),
                ],
            );
        }
        assert_spans(
            EncryptionKey,
            &[
                &format!(
                    "«-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2 (x)\n\n{BODY}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----»"
                ),
                &format!(
                    "«-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{BODY}\n-----END RSA PRIVATE KEY-----»"
                ),
            ],
        );
    }

    #[test]
    fn a_key_without_end_line_reaches_as_far_as_its_body() {
        assert_spans(
            EncryptionKey,
            &[
                &format!("«-----BEGIN PRIVATE KEY-----\n{BODY}»\n\n"),
                &format!("«-----BEGIN PRIVATE KEY-----\n{BODY}»\", \"next\": 1"),
                &format!("«-----BEGIN PRIVATE KEY-----\n{BODY}»\n-----BEGIN CERTIFICATE-----"),
            ],
        );
    }

    #[test]
    fn other_blocks_are_not_taken() {
        assert_misses(
            EncryptionKey,
            &[
                &format!("-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----"),
                &format!("-----BEGIN PUBLIC KEY-----\n{BODY}\n-----END PUBLIC KEY-----"),
                "-----BEGIN PRIVATE KEY----- is the first line of such a file",
                "----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ",
                "-----BEGIN PRIVATE KEY-----",
                "-----",
                "--",
            ],
        );
    }
}
