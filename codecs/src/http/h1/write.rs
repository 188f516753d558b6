//! Writes HTTP/1.1 messages: heads from checked parts, bodies framed anew.

use std::io::Write;

use super::super::fields::Fields;
use super::super::{BodyKind, reason_phrase};

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends a request line.
pub fn request_line(out: &mut Vec<u8>, method: &str, target: &str) {
    for part in [method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends a status line.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    // Writing into memory cannot fail.
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason_phrase(status));
}

/// Appends one field.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Appends all fields but those that say how the body is framed and how the socket is used: these are the writer's alone.
pub fn fields(out: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields.iter() {
        if !matches!(
            name,
            b"content-length" | b"transfer-encoding" | b"connection" | b"keep-alive"
        ) {
            field(out, name, value);
        }
    }
}

/// Appends the field that says how the body is framed.
pub fn framing(out: &mut Vec<u8>, body: BodyKind) {
    match body {
        BodyKind::Empty | BodyKind::UntilClose => {}
        BodyKind::Length(length) => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
        BodyKind::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// Ends a head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Appends what stands before a chunk of `len` bytes; the chunk is followed by CRLF.
pub fn chunk_head(out: &mut Vec<u8>, len: usize) {
    let _ = write!(out, "{len:x}\r\n");
}

/// Appends the last chunk with trailers.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    fields(out, trailers);
    end(out);
}
