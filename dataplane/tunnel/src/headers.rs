//! The header lists of gRPC over HTTP/2: building ours, judging the peer's.

use crate::{
    GrpcStatus,
    grpc::{percent_decode, percent_encode},
};

const CONTENT_TYPE: &str = "application/grpc";
const USER_AGENT: &str = concat!("grpc-rust-sluice/", env!("CARGO_PKG_VERSION"));

/// Headers of HTTP/2 and gRPC itself, which are no metadata.
const NOT_METADATA: [&[u8]; 10] = [
    b"content-type",
    b"te",
    b"user-agent",
    b"grpc-encoding",
    b"grpc-accept-encoding",
    b"accept-encoding",
    b"grpc-timeout",
    b"content-length",
    b"grpc-status-details-bin",
    b"date",
];

/// Headers that HTTP/2 forbids (RFC 9113, 8.2.2).
const FORBIDDEN: [&[u8]; 5] = [
    b"connection",
    b"proxy-connection",
    b"keep-alive",
    b"transfer-encoding",
    b"upgrade",
];

type Field<'a> = (&'a [u8], &'a [u8]);

/// The header list of a call.
pub(crate) fn request<'a>(
    path: &'a str,
    authority: &'a str,
    metadata: &'a [(&'a str, &'a str)],
) -> impl Iterator<Item = Field<'a>> {
    [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", CONTENT_TYPE),
        ("user-agent", USER_AGENT),
    ]
    .into_iter()
    .chain(metadata.iter().copied())
    .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
}

/// The header list before the first message of an answer.
pub(crate) fn response() -> [Field<'static>; 2] {
    [(b":status", b"200"), (b"content-type", CONTENT_TYPE.as_bytes())]
}

/// The trailers as owned values: status and, unless empty, message.
pub(crate) struct Trailers {
    status: String,
    message: String,
}

impl Trailers {
    pub(crate) fn new(status: GrpcStatus, message: &str) -> Self {
        Self {
            status: status.code().to_string(),
            message: percent_encode(message),
        }
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let message = (!self.message.is_empty()).then_some((&b"grpc-message"[..], self.message.as_bytes()));
        [(&b"grpc-status"[..], self.status.as_bytes())]
            .into_iter()
            .chain(message)
    }
}

/// Whether a path and metadata may be sent: the path starts with a slash, names are lower-case tokens that are not ours to
/// set, values printable.
pub(crate) fn sendable(path: &str, metadata: &[(&str, &str)]) -> bool {
    let reserved =
        |n: &str| n.starts_with("grpc-") || NOT_METADATA.contains(&n.as_bytes()) || FORBIDDEN.contains(&n.as_bytes());
    path.starts_with('/')
        && path.bytes().all(|b| b.is_ascii_graphic())
        && metadata
            .iter()
            .all(|(n, v)| name_ok(n.as_bytes()) && !reserved(n) && value_ok(v.as_bytes()))
}

/// Size of a list as SETTINGS_MAX_HEADER_LIST_SIZE counts it.
pub(crate) fn list_bytes<'a>(fields: impl Iterator<Item = Field<'a>>) -> usize {
    fields.map(|(n, v)| n.len() + v.len() + 32).sum()
}

/// What a received header list says. Filled field by field.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub method_post: bool,
    pub scheme: bool,
    pub path: Option<String>,
    pub status: Option<u16>,
    pub grpc_content: bool,
    pub grpc_status: Option<GrpcStatus>,
    pub grpc_message: String,
    pub metadata: Vec<(String, String)>,
    /// The list breaks HTTP/2: the stream is malformed (RFC 9113, 8.1.1).
    pub malformed: Option<&'static str>,
    /// The list is larger than we said we take.
    pub too_large: bool,
    seen_regular: bool,
    seen_pseudo: u8,
    bytes: usize,
}

impl Fields {
    /// Takes the next field; `bytes_max` bounds the whole list.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8], bytes_max: usize) {
        self.bytes = self.bytes.saturating_add(name.len() + value.len() + 32);
        if self.bytes > bytes_max {
            self.too_large = true;
            return;
        }
        let (plain_name, pseudo) = match name.strip_prefix(b":") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        if !name_ok(plain_name) || !value_ok(value) {
            self.malformed = Some("character not allowed in a header");
        } else if pseudo {
            self.take_pseudo(plain_name, value);
        } else {
            self.seen_regular = true;
            self.take_regular(name, value);
        }
    }

    fn take_pseudo(&mut self, name: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        let bit = match name {
            b"method" => {
                self.method_post = value == b"POST";
                1
            }
            b"scheme" => {
                self.scheme = true;
                2
            }
            b"path" => {
                self.path = Some(text());
                4
            }
            b"authority" => 8,
            b"status" => {
                self.status = text().parse().ok();
                16
            }
            _ => {
                self.malformed = Some("unknown pseudo-header");
                return;
            }
        };
        if self.seen_regular || self.seen_pseudo & bit != 0 {
            self.malformed = Some("pseudo-header twice or after others");
        }
        self.seen_pseudo |= bit;
    }

    fn take_regular(&mut self, name: &[u8], value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"content-type" => {
                let rest = value.strip_prefix(CONTENT_TYPE.as_bytes());
                self.grpc_content = rest.is_some_and(|r| matches!(r.first(), None | Some(b'+' | b';')));
            }
            b"te" if value != b"trailers" => self.malformed = Some("te other than trailers"),
            b"grpc-status" => {
                let code = text().parse().unwrap_or(u32::MAX);
                self.grpc_status = Some(GrpcStatus::from_code(code));
            }
            b"grpc-message" => self.grpc_message = percent_decode(value),
            _ if FORBIDDEN.contains(&name) => self.malformed = Some("connection header in HTTP/2"),
            _ if NOT_METADATA.contains(&name) => {}
            _ => self.metadata.push((String::from_utf8_lossy(name).into_owned(), text())),
        }
    }

    /// Checks the pseudo-headers of a request.
    pub(crate) fn check_request(&mut self) {
        if self.malformed.is_none() && (self.seen_pseudo & 7 != 7 || self.seen_pseudo & 16 != 0) {
            self.malformed = Some("request without its pseudo-headers");
        }
    }

    /// Checks the pseudo-headers of a response (`true`) or of trailers.
    pub(crate) fn check_answer(&mut self, head: bool) {
        let wanted = if head { 16 } else { 0 };
        if self.malformed.is_none() && (self.seen_pseudo != wanted || (head && self.status.is_none())) {
            self.malformed = Some("pseudo-headers of an answer are wrong");
        }
    }
}

/// RFC 9113, 8.2.1: a token in lower case.
fn name_ok(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~'))
}

/// RFC 9113, 8.2.1, and printable ASCII as gRPC asks.
fn value_ok(value: &[u8]) -> bool {
    value.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &[(&str, &str)]) -> Fields {
        let mut f = Fields::default();
        list.iter().for_each(|(n, v)| f.take(n.as_bytes(), v.as_bytes(), 4096));
        f
    }

    #[test]
    fn a_request_of_ours_is_read_back() {
        let metadata = [("x-a", "1")];
        let mut f = Fields::default();
        for (n, v) in request("/s/M", "host", &metadata) {
            f.take(n, v, 4096);
        }
        f.check_request();
        assert!(f.malformed.is_none() && f.method_post && f.grpc_content);
        assert_eq!(f.path.as_deref(), Some("/s/M"));
        assert_eq!(f.metadata, [("x-a".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn malformed_lists_are_noticed() {
        let good = [(":method", "POST"), (":scheme", "https"), (":path", "/a")];
        let with = |more: (&'static str, &'static str)| {
            let mut list = good.to_vec();
            list.push(more);
            let mut f = read(&list);
            f.check_request();
            f.malformed
        };
        assert_eq!(with(("x", "y")), None);
        for bad in [
            ("X", "y"),
            ("", "y"),
            ("x", "\0"),
            ("x", "a\r\nb"),
            (":path", "/b"),
            (":status", "200"),
            (":new", "1"),
            ("connection", "close"),
            ("te", "gzip"),
            ("x y", "1"),
            ("x", "é"),
        ] {
            assert!(with(bad).is_some(), "{bad:?}");
        }
        let mut late = read(&[("x", "y"), (":method", "POST"), (":scheme", "https"), (":path", "/a")]);
        late.check_request();
        assert!(late.malformed.is_some());
        assert!(read(&[("x", &"y".repeat(5000))]).too_large);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert!(sendable("/a/B", &[("x-y", "1")]));
        for (path, name, value) in [
            ("a", "x", "1"),
            ("/a b", "x", "1"),
            ("/a", "X", "1"),
            ("/a", "te", "1"),
            ("/a", "x", "\n"),
            ("/a", ":x", "1"),
        ] {
            assert!(!sendable(path, &[(name, value)]), "{path} {name}");
        }
    }
}
