//! The few PostgreSQL messages that a benchmark client and a replayed server write, and the cutting of frames.
//!
//! PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats".

use anyhow::{Result, bail};

/// Tag and length.
pub const HEADER_BYTES: usize = 5;
/// Protocol 3.0.
const VERSION: i32 = 196_608;
/// SSLRequest and GSSENCRequest.
pub const TLS_REQUEST: i32 = 80_877_103;
pub const GSS_REQUEST: i32 = 80_877_104;
pub const CANCEL_REQUEST: i32 = 80_877_102;
/// Longest frame that either side collects.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Writes one message: `body` appends what follows the length.
pub fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at) as i32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a string and its NUL.
pub fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// StartupMessage.
pub fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend_from_slice(&VERSION.to_be_bytes());
    for word in ["user", user, "database", database, "application_name", "perf"] {
        text(&mut out, word);
    }
    out.push(0);
    let length = (out.len() as i32).to_be_bytes();
    out[..4].copy_from_slice(&length);
    out
}

/// The tag and the whole length of the frame at the front of `bytes`, when its header is there.
pub fn header(bytes: &[u8]) -> Result<Option<(u8, usize)>> {
    let Some(&[tag, a, b, c, d]) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes([a, b, c, d]);
    if length < 4 || length as usize > FRAME_BYTES_MAX {
        bail!("a message '{}' announces {length} bytes", char::from(tag));
    }
    Ok(Some((tag, length as usize + 1)))
}

/// Severity, code and text of an ErrorResponse's body.
pub fn error_text(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let shown: Vec<String> = fields
        .filter(|field| matches!(field.first(), Some(b'S' | b'C' | b'M')))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_its_length_but_not_its_tag() {
        let mut out = Vec::new();
        message(&mut out, b'Q', |out| text(out, "ab"));
        assert_eq!(out, b"Q\0\0\0\x07ab\0");
        assert_eq!(header(&out).unwrap(), Some((b'Q', 8)));
        assert_eq!(header(&out[..4]).unwrap(), None);
    }

    #[test]
    fn impossible_lengths_are_errors() {
        assert!(header(b"Q\0\0\0\x03").is_err());
        assert!(header(b"Q\xff\xff\xff\xff").is_err());
    }
}
