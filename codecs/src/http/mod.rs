//! HTTP: heads, bodies, paths and routes, of HTTP/1.1 and heads of HTTP/2; one strict reader and one writer, nothing is ever passed on as it came.

pub mod fields;
pub mod h1;
pub mod h2;
pub mod limits;
pub mod path;
pub mod proxy;
pub mod route;

use crate::spec::{Capabilities, Spec};

pub use fields::Fields;

/// HTTP, for the registry.
pub const SPEC: Spec = Spec {
    name: "http",
    aliases: &["https"],
    port_default: 443,
    listen_port_default: 18888,
    credential_keys: &["username", "password"],
    login_frame_bytes_max: limits::HEAD_BYTES_MAX,
    frame_bytes_max: limits::HEAD_BYTES_MAX,
    capabilities: Capabilities {
        redact: true,
        redact_columns: false,
        guard: true,
        login_by_verifier: false,
        cancel: false,
    },
};

/// Whether a method is never served: a tunnel to anywhere, or an echo of the request, which would show the target's credential
/// (RFC 9110 sections 9.3.6 and 9.3.8).
pub fn is_refused_method(method: &str) -> bool {
    matches!(method, "CONNECT" | "TRACE" | "TRACK")
}

/// Version of a message as its sender speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// Head of a request, whatever version carried it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// A token of RFC 9110 section 5.6.2; case counts.
    pub method: String,
    /// Path and query as they came: origin-form, begins with `/`, visible ASCII.
    pub target: String,
    /// `host` or `host:port` in lower case; none only in HTTP/1.0.
    pub authority: Option<String>,
    pub version: Version,
    /// Names in lower case.
    pub fields: Fields,
    pub body: BodyKind,
}

/// Head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    pub version: Version,
    pub fields: Fields,
    pub body: BodyKind,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    Empty,
    /// So many bytes.
    Length(u64),
    Chunked,
    /// Of an answer: until the peer closes.
    UntilClose,
}

/// A message that is refused. `status` is what a client is told (RFC 9110 section 15); the text names the rule, not the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    pub status: u16,
    pub reason: &'static str,
}

impl Refused {
    pub(crate) const fn bad(reason: &'static str) -> Refused {
        Refused { status: 400, reason }
    }
}

/// The reason phrase that we write (RFC 9110 section 15); a peer's own is never passed on.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
