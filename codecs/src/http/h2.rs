//! Heads of HTTP/2: what would mean something else once it is written as HTTP/1.1 is refused (RFC 9113 sections 8.2, 8.3).

use super::h1::head::{authority, is_token, is_value_byte};
use super::limits::{FIELDS_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX};
use super::{BodyKind, Fields, RequestHead, ResponseHead, Version, is_refused_method};

/// Fields of one block as they come out of the decoder.
#[derive(Default)]
pub struct HeadFields {
    method: Option<String>,
    path: Option<String>,
    scheme: bool,
    authority: Option<Vec<u8>>,
    status: Option<u16>,
    fields: Fields,
    bytes: usize,
    wrong: Option<&'static str>,
}

/// RFC 9113 section 6.5.2: what a field costs besides its bytes.
const FIELD_BYTES: usize = 32;

impl HeadFields {
    /// Takes one field.
    pub fn take(&mut self, name: &[u8], value: &[u8], bytes_max: usize) {
        self.bytes += name.len() + value.len() + FIELD_BYTES;
        if self.bytes > bytes_max || self.fields.len() >= FIELDS_MAX {
            self.wrong = Some("the head is too large");
        }
        if self.wrong.is_none()
            && let Err(reason) = self.checked(name, value)
        {
            self.wrong = Some(reason);
        }
    }

    fn checked(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let spaced = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        if !value.iter().all(|b| is_value_byte(*b)) || spaced(value.first()) || spaced(value.last()) {
            return Err("a field's value that HTTP/1.1 would cut");
        }
        let Some(pseudo) = name.strip_prefix(b":") else {
            return self.regular(name, value);
        };
        if !self.fields.is_empty() {
            return Err("a pseudo-header after other fields");
        }
        let text = || String::from_utf8(value.to_vec()).map_err(|_| "a pseudo-header that is no text");
        let twice = match pseudo {
            b"method" => self.method.replace(text()?).is_some(),
            b"path" => self.path.replace(text()?).is_some(),
            b"scheme" => std::mem::replace(&mut self.scheme, true),
            b"authority" => self.authority.replace(value.to_vec()).is_some(),
            b"status" => self.status.replace(status(value)?).is_some(),
            _ => return Err("a pseudo-header that is not known"),
        };
        if pseudo == b"scheme" && !matches!(value, b"http" | b"https") {
            return Err("a scheme that is not served");
        }
        if twice {
            return Err("a pseudo-header twice");
        }
        Ok(())
    }

    fn regular(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if name.is_empty() || !name.iter().all(|b| is_token(*b) && !b.is_ascii_uppercase()) {
            return Err("a field's name that is no token in lower case");
        }
        match name {
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return Err("a field that belongs to HTTP/1.1 sockets");
            }
            b"te" if value != b"trailers" => return Err("a te other than trailers"),
            _ => {}
        }
        self.fields.push(name, value);
        Ok(())
    }

    /// The request, once all fields are there. `ended`: it has no body.
    pub fn into_request(self, ended: bool) -> Result<RequestHead, &'static str> {
        if let Some(reason) = self.wrong {
            return Err(reason);
        }
        if self.status.is_some() {
            return Err("a status in a request");
        }
        let (Some(method), Some(target), true) = (self.method, self.path, self.scheme) else {
            return Err("a pseudo-header is missing");
        };
        let is_token = method.bytes().all(is_token);
        if method.is_empty() || method.len() > METHOD_BYTES_MAX || !is_token || is_refused_method(&method) {
            return Err("a method that is not served");
        }
        let visible = target.bytes().all(|b| (0x21..0x7f).contains(&b));
        if !target.starts_with('/') || !visible || target.len() > TARGET_BYTES_MAX {
            return Err("a path that is none");
        }
        let mut hosts = self.fields.values("host");
        let (host, second) = (hosts.next(), hosts.next());
        let named = match (&self.authority, host, second) {
            (_, _, Some(_)) => return Err("Host twice"),
            (Some(named), Some(host), None) if !named.eq_ignore_ascii_case(host) => {
                return Err("Host and :authority differ");
            }
            (Some(named), _, None) => named.as_slice(),
            (None, Some(host), None) => host,
            (None, None, None) => return Err("no host"),
        };
        let named = authority(named).map_err(|refused| refused.reason)?;
        drop(hosts);
        let body = body(&self.fields, ended)?;
        Ok(RequestHead {
            method,
            target,
            authority: Some(named),
            version: Version::Http2,
            fields: self.fields,
            body,
        })
    }
}

impl HeadFields {
    /// The head of an answer to a request of this method. `ended`: nothing follows it. [`BodyKind::Chunked`]: a body of a length that is
    /// not told.
    pub fn into_response(self, ended: bool, method: &str) -> Result<ResponseHead, &'static str> {
        if let Some(reason) = self.wrong {
            return Err(reason);
        }
        if self.method.is_some() || self.path.is_some() || self.scheme || self.authority.is_some() {
            return Err("a pseudo-header of requests in an answer");
        }
        let status = self.status.ok_or("an answer without status")?;
        if status < 200 && (ended || status == 101) {
            return Err("an interim answer that HTTP/2 has not");
        }
        let length = length(&self.fields)?;
        let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let body = match length {
            _ if bodiless => BodyKind::Empty,
            Some(1..) if ended => return Err("an answer shorter than announced"),
            _ if ended => BodyKind::Empty,
            Some(length @ 1..) => BodyKind::Length(length),
            _ => BodyKind::Chunked,
        };
        Ok(ResponseHead {
            status,
            version: Version::Http2,
            fields: self.fields,
            body,
        })
    }

    /// Fields after a body.
    pub fn into_trailers(self) -> Result<Fields, &'static str> {
        if let Some(reason) = self.wrong {
            return Err(reason);
        }
        let pseudo = self.method.is_some() || self.path.is_some() || self.scheme || self.authority.is_some();
        if pseudo || self.status.is_some() {
            return Err("a pseudo-header in trailers");
        }
        Ok(self.fields)
    }
}

fn status(value: &[u8]) -> Result<u16, &'static str> {
    match value {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Ok(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => Err("a status that is none"),
    }
}

fn body(fields: &Fields, ended: bool) -> Result<BodyKind, &'static str> {
    match (length(fields)?, ended) {
        (None | Some(0), true) => Ok(BodyKind::Empty),
        (Some(_), true) => Err("Content-Length of a request without body"),
        (Some(length), false) => Ok(BodyKind::Length(length)),
        (None, false) => Ok(BodyKind::Chunked),
    }
}

fn length(fields: &Fields) -> Result<Option<u64>, &'static str> {
    let mut lengths = fields.values("content-length");
    let (length, second) = (lengths.next(), lengths.next());
    match (length, second) {
        (_, Some(_)) => Err("Content-Length twice"),
        (None, None) => Ok(None),
        (Some(text), None) => {
            if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
                return Err("Content-Length is no number");
            }
            let value = text
                .iter()
                .fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
            Ok(Some(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)], ended: bool) -> Result<RequestHead, &'static str> {
        let mut head = HeadFields::default();
        for (name, value) in fields {
            head.take(name.as_bytes(), value.as_bytes(), 32 * 1024);
        }
        head.into_request(ended)
    }

    const GET: [(&str, &str); 4] = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/a"),
        (":authority", "h"),
    ];

    #[test]
    fn what_would_smuggle_is_refused() {
        assert!(read(&GET, true).is_ok());
        for more in [
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("X-Upper", "a"),
            ("a b", "c"),
            ("a:b", "c"),
            ("a\r\nx", "c"),
            ("", "c"),
            ("a", "b\r\nHost: c"),
            ("a", "b\nc"),
            ("a", "b\0"),
            ("a", " b"),
            ("a", "b\t"),
            ("host", "other"),
            (":path", "/b"),
            (":method", "PUT"),
            (":status", "200"),
            (":protocol", "websocket"),
            ("content-length", "5"),
            ("content-length", "+0"),
        ] {
            let mut fields = GET.to_vec();
            fields.push(more);
            assert!(read(&fields, true).is_err(), "{more:?}");
        }
        for (index, value) in [
            (0, "GET / HTTP/1.1\r\nX:"),
            (0, "CONNECT"),
            (0, "TRACE"),
            (0, ""),
            (1, "ftp"),
            (2, ""),
            (2, "a"),
            (2, "*"),
            (2, "/a b"),
            (2, "/a HTTP/1.1\r\nx: y"),
            (3, "h\r\nx: y"),
            (3, "u@h"),
            (3, ""),
        ] {
            let mut fields = GET.to_vec();
            fields[index].1 = value;
            assert!(read(&fields, true).is_err(), "{index} {value:?}");
        }
        for missing in 0..4 {
            let mut fields = GET.to_vec();
            fields.remove(missing);
            assert!(read(&fields, true).is_err(), "without {missing}");
        }
        let mut late = vec![("a", "b")];
        late.extend(GET);
        assert!(read(&late, true).is_err(), "pseudo-headers come first");
    }

    #[test]
    fn bodies_have_one_length() {
        let with = |length: &'static str, ended| {
            let mut fields = GET.to_vec();
            fields.push(("content-length", length));
            read(&fields, ended).map(|head| head.body)
        };
        assert_eq!(with("5", false), Ok(BodyKind::Length(5)));
        assert_eq!(with("0", true), Ok(BodyKind::Empty));
        assert_eq!(read(&GET, false).map(|head| head.body), Ok(BodyKind::Chunked));
        assert!(with("x", false).is_err());
    }

    fn answer(fields: &[(&str, &str)], ended: bool, method: &str) -> Result<ResponseHead, &'static str> {
        let mut head = HeadFields::default();
        for (name, value) in fields {
            head.take(name.as_bytes(), value.as_bytes(), 32 * 1024);
        }
        head.into_response(ended, method)
    }

    #[test]
    fn answers_have_one_status_and_one_length() {
        let kind = |fields: &[(&str, &str)], ended, method| answer(fields, ended, method).map(|head| head.body);
        let ok = (":status", "200");
        assert_eq!(kind(&[ok], true, "GET"), Ok(BodyKind::Empty));
        assert_eq!(kind(&[ok], false, "GET"), Ok(BodyKind::Chunked));
        assert_eq!(
            kind(&[ok, ("content-length", "5")], false, "GET"),
            Ok(BodyKind::Length(5))
        );
        assert_eq!(kind(&[ok, ("content-length", "5")], true, "HEAD"), Ok(BodyKind::Empty));
        assert_eq!(
            kind(&[(":status", "304"), ("content-length", "5")], true, "GET"),
            Ok(BodyKind::Empty)
        );
        for wrong in [
            &[][..],
            &[ok, ok],
            &[(":status", "20")],
            &[(":status", "2000")],
            &[(":status", "+20")],
            &[(":status", "099")],
            &[ok, (":method", "GET")],
            &[ok, ("connection", "close")],
            &[ok, ("transfer-encoding", "chunked")],
            &[ok, ("content-length", "1"), ("content-length", "1")],
            &[ok, ("X", "y")],
            &[ok, ("x", "y\nz")],
            &[("x", "y"), ok],
        ] {
            assert!(answer(wrong, false, "GET").is_err(), "{wrong:?}");
        }
        assert!(
            answer(&[ok, ("content-length", "5")], true, "GET").is_err(),
            "shorter than announced"
        );
        assert!(answer(&[(":status", "101")], false, "GET").is_err());
        assert!(answer(&[(":status", "103")], true, "GET").is_err());
    }

    #[test]
    fn trailers_have_no_pseudo_headers() {
        let mut fields = HeadFields::default();
        fields.take(b"grpc-status", b"0", 1024);
        assert_eq!(fields.into_trailers().map(|fields| fields.len()), Ok(1));
        let mut fields = HeadFields::default();
        fields.take(b":status", b"200", 1024);
        assert!(fields.into_trailers().is_err());
    }

    #[test]
    fn a_head_is_bounded() {
        let mut head = HeadFields::default();
        for (name, value) in GET {
            head.take(name.as_bytes(), value.as_bytes(), 32 * 1024);
        }
        for _ in 0..300 {
            head.take(b"a", b"b", 32 * 1024);
        }
        assert!(head.into_request(true).is_err());
    }
}
