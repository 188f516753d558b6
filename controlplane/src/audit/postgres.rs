//! Turns the recorded wire bytes of a PostgreSQL result into lines for people.
//!
//! Source: PostgreSQL documentation, chapter "Message Formats". Only what the client got is recorded, so only messages of
//! the server are read. What cannot be read is left out: a recording is shown as far as it goes.

/// Longest line shown, in characters.
const LINE_CHARS_MAX: usize = 10_000;
/// Bytes of a message before its body: type and length.
const HEAD_BYTES: usize = 5;

/// Lines of all whole messages in `bytes`.
pub fn lines(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some((tag, body, after)) = message(rest) {
        rest = after;
        let line = match tag {
            b'T' => columns(body),
            b'D' => row(body),
            b'C' => body.split_last().map(|(_, text)| text_of(text)),
            b'E' => notice("ERROR", body),
            b'N' => notice("NOTICE", body),
            b'd' => Some(text_of(body).trim_end_matches('\n').to_owned()),
            _ => None,
        };
        lines.extend(line.map(|line| line.chars().take(LINE_CHARS_MAX).collect::<String>()));
    }
    lines
}

fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let tag = *bytes.first()?;
    let length = u32::from_be_bytes(bytes.get(1..HEAD_BYTES)?.try_into().ok()?) as usize;
    let end = length.checked_add(1)?;
    Some((tag, bytes.get(HEAD_BYTES..end)?, bytes.get(end..)?))
}

/// RowDescription: a count, then per column a name and 18 bytes.
fn columns(body: &[u8]) -> Option<String> {
    const COLUMN_REST_BYTES: usize = 18;
    let (count, mut rest) = count_of(body)?;
    let mut names = Vec::new();
    for _ in 0..count {
        let end = rest.iter().position(|byte| *byte == 0)?;
        names.push(text_of(rest.get(..end)?));
        rest = rest.get(end + 1 + COLUMN_REST_BYTES..)?;
    }
    Some(names.join("\t"))
}

/// DataRow: a count, then per cell a length (-1 for NULL) and bytes.
fn row(body: &[u8]) -> Option<String> {
    let (count, mut rest) = count_of(body)?;
    let mut cells = Vec::new();
    for _ in 0..count {
        let length = i32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        rest = rest.get(4..)?;
        let Ok(length) = usize::try_from(length) else {
            cells.push("NULL".to_owned());
            continue;
        };
        cells.push(cell(rest.get(..length)?));
        rest = rest.get(length..)?;
    }
    Some(cells.join("\t"))
}

/// Text as it is; binary values in hexadecimal.
fn cell(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') => text.replace(['\n', '\t'], " "),
        _ => format!("\\x{}", crate::pki::hex(bytes)),
    }
}

/// ErrorResponse and NoticeResponse: fields of a type byte and a text, ended by NUL.
fn notice(what: &str, body: &[u8]) -> Option<String> {
    let field = |wanted: u8| {
        body.split(|byte| *byte == 0)
            .find_map(|f| f.strip_prefix(&[wanted]))
            .map(text_of)
    };
    let (code, message) = (field(b'C')?, field(b'M')?);
    Some(format!("{what} {code}: {message}"))
}

fn count_of(body: &[u8]) -> Option<(u16, &[u8])> {
    Some((u16::from_be_bytes(body.get(..2)?.try_into().ok()?), body.get(2..)?))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn a_result_becomes_lines() {
        let mut bytes = framed(b'T', &[&[0, 2][..], b"id\0", &[0; 18], b"email\0", &[0; 18]].concat());
        bytes.extend(framed(
            b'D',
            &[&[0, 2, 0, 0, 0, 1][..], b"7", &[255, 255, 255, 255]].concat(),
        ));
        bytes.extend(framed(b'D', &[0, 1, 0, 0, 0, 2, 1, 255]));
        bytes.extend(framed(b'C', b"SELECT 1\0"));
        bytes.extend(framed(b'E', b"SERROR\0C42501\0Mno\0\0"));
        bytes.extend(framed(b'Z', b"I"));
        assert_eq!(
            lines(&bytes),
            ["id\temail", "7\tNULL", "\\x01ff", "SELECT 1", "ERROR 42501: no"]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = lines(&bytes);
            for tag in [b'T', b'D', b'C', b'E', b'd'] {
                let _ = lines(&framed(tag, &bytes));
            }
        }
    }
}
