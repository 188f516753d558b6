//! Heads of HTTP/1.1 messages, read strictly: what two readers could understand differently is refused.
//!
//! Stated outcomes (RFC 9112 sections 2 to 6): a line ends with CRLF, a bare CR or LF is refused; folded lines, space before the
//! colon, and control characters are refused; exactly one Host; a length or a chunked body, never both, never twice.

use super::super::fields::Fields;
use super::super::limits::{HEAD_BYTES_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use super::super::{BodyKind, Refused, RequestHead, ResponseHead, Version, is_refused_method};

/// Finds the end of a head in bytes that arrive in parts; looks at each byte once.
#[derive(Debug, Default, Clone)]
pub struct HeadReader {
    scanned: usize,
    line_start: usize,
}

impl HeadReader {
    pub fn new() -> HeadReader {
        HeadReader::default()
    }

    /// Looks at what there is of a message, from its first byte. `Some(n)`: the head is the first `n` bytes. An empty line before
    /// the first is skipped by the caller (RFC 9112 section 2.2).
    ///
    /// # Errors
    /// 400 for a line that does not end with CRLF, 431 for a head above [`HEAD_BYTES_MAX`].
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        while let Some(at) = memchr::memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()) {
            let newline = self.scanned + at;
            self.scanned = newline + 1;
            if newline == self.line_start || bytes.get(newline - 1) != Some(&b'\r') {
                return Err(Refused::bad("a line of the head ends without CR"));
            }
            if newline == self.line_start + 1 {
                return self.bounded(newline + 1).map(Some);
            }
            self.line_start = newline + 1;
        }
        self.scanned = bytes.len().max(self.scanned);
        self.bounded(bytes.len())?;
        Ok(None)
    }

    fn bounded(&self, bytes: usize) -> Result<usize, Refused> {
        if bytes > HEAD_BYTES_MAX {
            return Err(Refused {
                status: 431,
                reason: "the head is too large",
            });
        }
        Ok(bytes)
    }
}

/// Reads a request's head as [`HeadReader::find`] cut it.
///
/// # Errors
/// [`Refused`] with the status for the client.
pub fn parse_request(head: &[u8]) -> Result<RequestHead, Refused> {
    let (line, rest) = first_line(head)?;
    let mut words = line.splitn(3, |b| *b == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(Refused::bad("the request line has not three words"));
    };
    let version = version_of(version)?;
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.iter().all(|b| is_token(*b)) {
        return Err(Refused::bad("the method is no token"));
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refused {
            status: 414,
            reason: "the request target is too long",
        });
    }
    if target.is_empty() || !target.iter().all(|b| (0x21..0x7f).contains(b)) {
        return Err(Refused::bad("the request target holds a character that it may not"));
    }
    let method = text(method)?;
    if is_refused_method(&method) {
        return Err(Refused {
            status: 405,
            reason: "CONNECT and TRACE are not served",
        });
    }
    let mut fields = Fields::new();
    parse_fields(rest, &mut fields)?;
    let host = host_of(&fields, version)?;
    let target = text(target)?;
    let (target, authority) = target_of(&target, host)?;
    let body = request_body(&fields, version)?;
    Ok(RequestHead {
        method,
        target,
        authority,
        version,
        fields,
        body,
    })
}

/// Reads the head of an answer to a request of this method.
///
/// # Errors
/// [`Refused`]: the target's fault, told to the client as 502.
pub fn parse_response(head: &[u8], method: &str) -> Result<ResponseHead, Refused> {
    let (line, rest) = first_line(head)?;
    let version = version_of(line.get(..8).unwrap_or_default())?;
    let status = match line.get(8..12) {
        Some([b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(Refused::bad("the status line holds no status")),
    };
    if !matches!(line.get(12), None | Some(b' ')) {
        return Err(Refused::bad("the status line holds no status"));
    }
    let mut fields = Fields::new();
    parse_fields(rest, &mut fields)?;
    let body = response_body(&fields, version, status, method)?;
    Ok(ResponseHead {
        status,
        version,
        fields,
        body,
    })
}

/// Reads the fields of a head or trailer section, up to its empty line.
pub(super) fn parse_fields(mut rest: &[u8], fields: &mut Fields) -> Result<(), Refused> {
    loop {
        let Some(end) = memchr::memchr(b'\r', rest) else {
            return Err(Refused::bad("the head ends too early"));
        };
        if rest.get(end + 1) != Some(&b'\n') {
            return Err(Refused::bad("a bare CR in the head"));
        }
        let line = rest.get(..end).unwrap_or_default();
        rest = rest.get(end + 2..).unwrap_or_default();
        if line.is_empty() {
            return Ok(());
        }
        if fields.is_full() {
            return Err(Refused {
                status: 431,
                reason: "too many fields",
            });
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Err(Refused::bad("a field without a colon"));
        };
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            // A folded line begins with a space, which no name may hold either.
            return Err(Refused::bad("a field's name is no token"));
        }
        let value = trimmed(value.get(1..).unwrap_or_default());
        if !value.iter().all(|b| is_value_byte(*b)) {
            return Err(Refused::bad("a field's value holds a control character"));
        }
        fields.push(name, value);
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
pub fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

const TOKEN: [bool; 256] = {
    let signs = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut sign = 0;
    while sign < signs.len() {
        table[signs[sign] as usize] = true;
        sign += 1;
    }
    table
};

/// A byte that a field's value may hold (RFC 9110 section 5.5).
pub fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn first_line(head: &[u8]) -> Result<(&[u8], &[u8]), Refused> {
    let end = memchr::memchr(b'\r', head).ok_or(Refused::bad("the head ends too early"))?;
    if head.get(end + 1) != Some(&b'\n') {
        return Err(Refused::bad("a bare CR in the head"));
    }
    Ok((
        head.get(..end).unwrap_or_default(),
        head.get(end + 2..).unwrap_or_default(),
    ))
}

fn version_of(word: &[u8]) -> Result<Version, Refused> {
    match word {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refused {
            status: 505,
            reason: "this version of HTTP is not served",
        }),
        _ => Err(Refused::bad("no version of HTTP in the first line")),
    }
}

fn text(bytes: &[u8]) -> Result<String, Refused> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Refused::bad("not ASCII"))
}

/// The one Host, in lower case (RFC 9112 section 3.2).
fn host_of(fields: &Fields, version: Version) -> Result<Option<String>, Refused> {
    let mut hosts = fields.values("host");
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Refused::bad("Host is given twice"));
    }
    match first {
        None if version == Version::Http10 => Ok(None),
        None => Err(Refused::bad("Host is missing")),
        Some(host) => authority(host).map(Some),
    }
}

/// Checks `host[:port]` and puts it in lower case.
///
/// # Errors
/// 400 when it is none.
pub fn authority(host: &[u8]) -> Result<String, Refused> {
    const WRONG: Refused = Refused::bad("Host is no host name");
    let (name, port) = match host.iter().rposition(|b| *b == b':') {
        Some(colon) if !host.ends_with(b"]") => (
            host.get(..colon).unwrap_or_default(),
            host.get(colon + 1..).unwrap_or_default(),
        ),
        _ => (host, &b""[..]),
    };
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    let is_address = |b: &u8| b.is_ascii_hexdigit() || b":.".contains(b);
    let plain = match name {
        [b'[', inner @ .., b']'] => !inner.is_empty() && inner.iter().all(is_address),
        name => !name.is_empty() && name.iter().all(is_name),
    };
    let port_fits = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    if !plain || name.len() > 253 || !port_fits || host.ends_with(b":") {
        return Err(WRONG);
    }
    Ok(text(host)?.to_ascii_lowercase())
}

/// Origin-form as it is; absolute-form only if it names the same host as Host does (RFC 9112 section 3.2.2 would let the
/// target win, which is where readers differ).
fn target_of(target: &str, host: Option<String>) -> Result<(String, Option<String>), Refused> {
    if target.starts_with('/') {
        return Ok((target.to_owned(), host));
    }
    let (scheme, rest) = target
        .split_once("://")
        .ok_or(Refused::bad("the request target is no path"))?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refused::bad("the request target is no path"));
    }
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (named, path) = rest.split_at(at);
    let named = authority(named.as_bytes())?;
    if host.as_ref() != Some(&named) {
        return Err(Refused::bad("the request target and Host name different hosts"));
    }
    match path {
        "" => Ok(("/".to_owned(), host)),
        path if path.starts_with('/') => Ok((path.to_owned(), host)),
        path => Ok((format!("/{path}"), host)),
    }
}

fn content_length(fields: &Fields) -> Result<Option<u64>, Refused> {
    let mut lengths = fields.values("content-length");
    let Some(length) = lengths.next() else {
        return Ok(None);
    };
    if lengths.next().is_some() {
        return Err(Refused::bad("Content-Length is given twice"));
    }
    let digits = !length.is_empty() && length.len() <= 18 && length.iter().all(u8::is_ascii_digit);
    if !digits {
        return Err(Refused::bad("Content-Length is no number"));
    }
    Ok(Some(
        length
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0')),
    ))
}

/// Whether the body is chunked. Any other coding, and any second one, is refused.
fn is_chunked(fields: &Fields, version: Version) -> Result<bool, Refused> {
    let mut codings = fields.values("transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(false);
    };
    if version == Version::Http10 {
        return Err(Refused::bad("Transfer-Encoding in HTTP/1.0"));
    }
    if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
        return Err(Refused {
            status: 501,
            reason: "Transfer-Encoding other than chunked, once",
        });
    }
    if fields.has("content-length") {
        return Err(Refused::bad("both Content-Length and Transfer-Encoding"));
    }
    Ok(true)
}

fn request_body(fields: &Fields, version: Version) -> Result<BodyKind, Refused> {
    if is_chunked(fields, version)? {
        return Ok(BodyKind::Chunked);
    }
    Ok(match content_length(fields)? {
        None | Some(0) => BodyKind::Empty,
        Some(length) => BodyKind::Length(length),
    })
}

/// RFC 9112 section 6.3.
fn response_body(fields: &Fields, version: Version, status: u16, method: &str) -> Result<BodyKind, Refused> {
    let chunked = is_chunked(fields, version)?;
    let length = content_length(fields)?;
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        return Ok(BodyKind::Empty);
    }
    Ok(match (chunked, length) {
        (true, _) => BodyKind::Chunked,
        (false, Some(0)) => BodyKind::Empty,
        (false, Some(length)) => BodyKind::Length(length),
        (false, None) => BodyKind::UntilClose,
    })
}
