//! The inputs that the corpora of HTTP start from: every framing, and every known way of saying two things at once.

use super::seeds::Seed;

/// Target, file name, bytes.
pub fn seeds() -> Vec<Seed> {
    let mut all = Vec::new();
    for (name, text) in REQUESTS {
        all.push(("http_h1_request", *name, text.as_bytes().to_vec()));
    }
    for (name, text) in RESPONSES {
        all.push(("http_h1_response", *name, [b"\0", text.as_bytes()].concat()));
    }
    all.push((
        "http_h1_response",
        "head",
        b"\x01HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec(),
    ));
    for (name, ended, fields) in H2_HEADS {
        let mut bytes = vec![u8::from(*ended)];
        for (name, value) in GET.iter().filter(|_| !name.starts_with("bare")).chain(*fields) {
            for part in [name.as_bytes(), value.as_bytes()] {
                bytes.push(part.len() as u8);
                bytes.extend_from_slice(part);
            }
        }
        all.push(("http_h2_head", *name, bytes));
    }
    all
}

const REQUESTS: &[(&str, &str)] = &[
    ("get", "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("http-1-0", "GET / HTTP/1.0\r\n\r\n"),
    ("length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
    (
        "chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "trailers",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n",
    ),
    ("absolute-form", "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute-form-other-host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("authority-form", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "cl-te",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "te-cl",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "te-te",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    ),
    (
        "te-list",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "te-vertical-tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "cl-twice",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ),
    (
        "cl-list",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    ),
    (
        "cl-plus",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    ),
    (
        "cl-huge",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ),
    ("obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    ("space-before-colon", "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n"),
    ("bare-lf", "GET / HTTP/1.1\nHost: a\n\n"),
    ("bare-cr", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    ("nul", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    ("host-twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("host-none", "GET / HTTP/1.1\r\n\r\n"),
    ("host-odd", "GET / HTTP/1.1\r\nHost: a@b/c?d\r\n\r\n"),
    (
        "chunk-extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk-size-0x",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk-size-long",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000005\r\nhello\r\n",
    ),
    (
        "chunk-wrong-end",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk-lf",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    ),
    (
        "two-requests",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("tabs", "GET\t/\tHTTP/1.1\r\nHost:\ta\t\r\n\r\n"),
];

const RESPONSES: &[(&str, &str)] = &[
    ("length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("length-zero", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    (
        "chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunked-extension",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunked-space",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunked-trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n",
    ),
    ("until-close", "HTTP/1.1 200 OK\r\n\r\nhello"),
    ("http-1-0", "HTTP/1.0 200 OK\r\n\r\nhello"),
    (
        "http-1-0-chunked",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "continue",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    ("early-hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    (
        "switching",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x01",
    ),
    ("no-content", "HTTP/1.1 204 No Content\r\n\r\n"),
    (
        "no-content-with-length",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("not-modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    (
        "cl-te",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "cl-twice",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ),
    (
        "cl-same-twice",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    ),
    ("te-gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"),
    ("no-reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    ("status-two-digits", "HTTP/1.1 20 OK\r\n\r\n"),
    ("status-zero", "HTTP/1.1 000 OK\r\n\r\n"),
    ("obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\n\r\n"),
    ("bare-lf", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    ("bare-cr", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n"),
    ("other-protocol", "SSH-2.0-OpenSSH\r\n\r\n"),
];

type Pair = (&'static str, &'static str);

const GET: [Pair; 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/a?b"),
    (":authority", "h"),
];

const H2_HEADS: &[(&str, bool, &[Pair])] = &[
    ("get", true, &[]),
    ("get-fields", true, &[("accept", "a"), ("cookie", "a"), ("cookie", "b")]),
    ("body", false, &[]),
    ("body-length", false, &[("content-length", "5")]),
    ("length-without-body", true, &[("content-length", "5")]),
    (
        "length-twice",
        false,
        &[("content-length", "5"), ("content-length", "5")],
    ),
    ("length-plus", false, &[("content-length", "+5")]),
    ("host-same", true, &[("host", "h")]),
    ("host-other", true, &[("host", "other")]),
    ("transfer-encoding", false, &[("transfer-encoding", "chunked")]),
    ("connection", true, &[("connection", "close")]),
    ("upgrade", true, &[("upgrade", "h2c")]),
    ("te-trailers", true, &[("te", "trailers")]),
    ("te-gzip", true, &[("te", "gzip")]),
    ("name-upper", true, &[("X-A", "b")]),
    ("name-crlf", true, &[("a\r\nx", "b")]),
    ("name-colon", true, &[("a:b", "c")]),
    ("name-empty", true, &[("", "c")]),
    ("value-crlf", true, &[("a", "b\r\nHost: c")]),
    ("value-nul", true, &[("a", "b\0")]),
    ("value-space", true, &[("a", " b ")]),
    ("path-twice", true, &[(":path", "/b")]),
    ("pseudo-late", true, &[("a", "b"), (":path", "/b")]),
    ("pseudo-status", true, &[(":status", "200")]),
    ("pseudo-protocol", true, &[(":protocol", "websocket")]),
    ("bare-none", true, &[]),
    ("bare-connect", true, &[(":method", "CONNECT"), (":authority", "h:443")]),
    (
        "bare-path-crlf",
        true,
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/ HTTP/1.1\r\nx: y"),
            (":authority", "h"),
        ],
    ),
    (
        "bare-method-crlf",
        true,
        &[
            (":method", "GET / HTTP/1.1\r\nx:"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "h"),
        ],
    ),
    (
        "bare-authority-user",
        true,
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "u@h"),
        ],
    ),
    (
        "bare-path-star",
        true,
        &[
            (":method", "OPTIONS"),
            (":scheme", "http"),
            (":path", "*"),
            (":authority", "h"),
        ],
    ),
    (
        "bare-no-authority",
        true,
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "h")],
    ),
];
