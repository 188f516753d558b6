//! The corpus of ambiguous messages, each with its stated outcome, and the reader's promises on arbitrary bytes.

use proptest::prelude::*;

use super::head::{HeadReader, parse_request, parse_response};
use super::{BodyReader, write};
use crate::http::{BodyKind, Fields, Refused, RequestHead};

fn request(text: &str) -> Result<RequestHead, Refused> {
    let end = HeadReader::new().find(text.as_bytes())?.ok_or(Refused::bad("no end"))?;
    parse_request(&text.as_bytes()[..end])
}

fn status(text: &str) -> u16 {
    request(text).map_or_else(|refused| refused.status, |_| 200)
}

/// A head with these fields besides its host.
fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// Every line is a message and the status that it must get; 200 is accepted.
fn outcomes(table: &[(&str, String, u16)]) {
    for (name, text, wanted) in table {
        assert_eq!(status(text), *wanted, "{name}");
    }
}

#[test]
fn ambiguous_framing_and_fields_have_stated_outcomes() {
    outcomes(&[
        ("plain", get(""), 200),
        (
            "length and chunked",
            get("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            400,
        ),
        (
            "chunked and length",
            get("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
            400,
        ),
        ("length twice", get("Content-Length: 3\r\nContent-Length: 3\r\n"), 400),
        ("length list", get("Content-Length: 3, 3\r\n"), 400),
        ("length signed", get("Content-Length: +3\r\n"), 400),
        ("length negative", get("Content-Length: -3\r\n"), 400),
        ("length hexadecimal", get("Content-Length: 0x3\r\n"), 400),
        ("length empty", get("Content-Length:\r\n"), 400),
        ("length overflows", get("Content-Length: 99999999999999999999\r\n"), 400),
        ("length with zeros before", get("Content-Length: 0003\r\n"), 200),
        ("length with a fraction", get("Content-Length: 3.0\r\n"), 400),
        ("length with a tab inside", get("Content-Length: 3\t3\r\n"), 400),
        (
            "length and an unknown coding",
            get("Content-Length: 3\r\nTransfer-Encoding: x\r\n"),
            501,
        ),
        ("length with space before colon", get("Content-Length : 3\r\n"), 400),
        ("length in another name", get("Content_Length: 3\r\n"), 200),
        ("length with space", get("Content-Length: 3 3\r\n"), 400),
        ("coding gzip", get("Transfer-Encoding: gzip, chunked\r\n"), 501),
        (
            "coding twice",
            get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            501,
        ),
        (
            "coding chunked and identity",
            get("Transfer-Encoding: chunked, identity\r\n"),
            501,
        ),
        (
            "coding identity and chunked",
            get("Transfer-Encoding: identity, chunked\r\n"),
            501,
        ),
        (
            "coding chunked twice in one",
            get("Transfer-Encoding: chunked, chunked\r\n"),
            501,
        ),
        (
            "coding with a parameter",
            get("Transfer-Encoding: chunked;a=b\r\n"),
            501,
        ),
        ("coding with a comma", get("Transfer-Encoding: ,chunked\r\n"), 501),
        ("coding empty", get("Transfer-Encoding:\r\n"), 501),
        ("coding of another length", get("Transfer-Encoding: xchunked\r\n"), 501),
        ("coding identity", get("Transfer-Encoding: identity\r\n"), 501),
        ("coding with tab", get("Transfer-Encoding:\tchunked\r\n"), 200),
        ("coding quoted", get("Transfer-Encoding: \"chunked\"\r\n"), 501),
        (
            "coding with vertical tab",
            get("Transfer-Encoding: \x0bchunked\r\n"),
            400,
        ),
        ("coding in capitals", get("Transfer-Encoding: CHUNKED\r\n"), 200),
        ("space before colon", get("Transfer-Encoding : chunked\r\n"), 400),
        ("folded line", get("A: b\r\n c\r\n"), 400),
        ("folded by tab", get("A: b\r\n\tc\r\n"), 400),
        ("folded coding", get("Transfer-Encoding:\r\n chunked\r\n"), 400),
        ("bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n".into(), 400),
        ("bare LF between fields", get("A: b\nB: c\r\n"), 400),
        ("bare CR in value", get("A: b\rB: c\r\n"), 400),
        ("NUL in value", get("A: b\0\r\n"), 400),
        ("NUL in name", get("A\0: b\r\n"), 400),
        ("no colon", get("AB\r\n"), 400),
        ("empty name", get(": b\r\n"), 400),
        ("name in parentheses", get("(a): b\r\n"), 400),
        ("underscore is a name", get("content_length: 5\r\n"), 200),
    ]);
}

#[test]
fn ambiguous_hosts_and_targets_have_stated_outcomes() {
    outcomes(&[
        ("no host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("host twice", get("Host: a\r\n"), 400),
        ("other host twice", get("Host: b\r\n"), 400),
        ("host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), 400),
        ("host with user", "GET / HTTP/1.1\r\nHost: x@a\r\n\r\n".into(), 400),
        ("host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into(), 400),
        ("host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), 400),
        ("host with port", "GET / HTTP/1.1\r\nHost: a:80\r\n\r\n".into(), 200),
        ("host with open port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n".into(), 400),
        (
            "host as address",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".into(),
            200,
        ),
        (
            "absolute, same host",
            "GET http://A/x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            200,
        ),
        (
            "absolute, other host",
            "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "absolute, other scheme",
            "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "absolute with user",
            "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
    ]);
}

#[test]
fn ambiguous_request_lines_and_sizes_have_stated_outcomes() {
    outcomes(&[
        ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
        ("trace", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405),
        (
            "trace by another name",
            "TRACK / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            405,
        ),
        ("asterisk of GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (
            "authority as target",
            "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        ("no slash", "GET x HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n".into(), 400),
        ("tab between words", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("space before method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("version 0.9", "GET /\r\nHost: a\r\n\r\n".into(), 400),
        ("version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(), 505),
        ("version 2.0", "PRI * HTTP/2.0\r\n\r\n".into(), 505),
        (
            "version in small letters",
            "GET / http/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "not ASCII in target",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "coding in version 1.0",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            400,
        ),
        ("version 1.0 without host", "GET / HTTP/1.0\r\n\r\n".into(), 200),
        ("method with colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (
            "long target",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
            414,
        ),
        ("many fields", get(&"a: b\r\n".repeat(200)), 431),
        ("large head", get(&format!("a: {}\r\n", "b".repeat(40_000))), 431),
    ]);
}

#[test]
fn an_endless_head_is_refused_when_the_bound_is_passed() {
    let mut reader = HeadReader::new();
    let bytes = vec![b'a'; crate::http::limits::HEAD_BYTES_MAX + 1];
    assert_eq!(reader.find(&bytes[..100]).unwrap(), None);
    assert_eq!(reader.find(&bytes).unwrap_err().status, 431);
}

#[test]
fn absolute_form_becomes_origin_form() {
    let head = request("GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.target.as_str(), head.authority.as_deref()), ("/?x", Some("a")));
}

/// Chunked bodies: the content, or that it is refused.
#[test]
fn ambiguous_chunks_have_stated_outcomes() {
    let table: &[(&str, &str, Option<&str>)] = &[
        ("one chunk", "3\r\nabc\r\n0\r\n\r\n", Some("abc")),
        ("capital digits", "A\r\n0123456789\r\n0\r\n\r\n", Some("0123456789")),
        ("leading zeros", "003\r\nabc\r\n0\r\n\r\n", Some("abc")),
        ("trailer", "1\r\na\r\n0\r\nX: y\r\n\r\n", Some("a")),
        ("size too small", "2\r\nabc\r\n0\r\n\r\n", None),
        ("size with 0x", "0x3\r\nabc\r\n0\r\n\r\n", None),
        ("size with plus", "+3\r\nabc\r\n0\r\n\r\n", None),
        ("size with minus", "-3\r\nabc\r\n0\r\n\r\n", None),
        ("size with space before", " 3\r\nabc\r\n0\r\n\r\n", None),
        ("size with space after", "3 \r\nabc\r\n0\r\n\r\n", None),
        ("size overflows", "1000000000000000\r\nabc\r\n0\r\n\r\n", None),
        ("size empty", "\r\nabc\r\n0\r\n\r\n", None),
        ("size with underscore", "1_0\r\nabc\r\n0\r\n\r\n", None),
        ("bare LF after size", "3\nabc\r\n0\r\n\r\n", None),
        ("bare LF after chunk", "3\r\nabc\n0\r\n\r\n", None),
        ("bare CR after size", "3\rabc\r\n0\r\n\r\n", None),
        ("extension", "3;a=b\r\nabc\r\n0\r\n\r\n", None),
        ("extension with LF", "3;a\nabc\r\n0\r\n\r\n", None),
        ("extension of the last", "3\r\nabc\r\n0;x\r\n\r\n", None),
        ("bare LF in trailers", "0\r\nX: y\n\r\n", None),
        ("folded trailer", "0\r\nX: y\r\n z\r\n\r\n", None),
    ];
    for (name, text, wanted) in table {
        assert_eq!(content(text.as_bytes(), 1).as_deref(), *wanted, "{name}, byte by byte");
        assert_eq!(content(text.as_bytes(), 1000).as_deref(), *wanted, "{name}, at once");
    }
    let mut target = BodyReader::response(BodyKind::Chunked);
    let text = b"3;a=b\r\nabc\r\n0\r\n\r\n";
    assert_eq!(
        target.read(text).unwrap().content,
        7..10,
        "a target's extensions are skipped"
    );
}

/// The content of a chunked request body, fed in steps; `None` if it is refused or does not end with the input.
fn content(bytes: &[u8], step: usize) -> Option<String> {
    let mut reader = BodyReader::request(BodyKind::Chunked);
    let mut out = Vec::new();
    for part in bytes.chunks(step) {
        let mut left = part;
        while !left.is_empty() && !reader.is_done() {
            let piece = reader.read(left).ok()?;
            out.extend_from_slice(&left[piece.content]);
            left = &left[piece.consumed..];
        }
        if !left.is_empty() {
            return None;
        }
    }
    reader.is_done().then(|| String::from_utf8(out).unwrap())
}

#[test]
fn answers_end_where_the_rfc_says() {
    let kind = |head: &str, method| parse_response(head.as_bytes(), method).map(|head| head.body);
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    assert_eq!(kind(&ok("Content-Length: 5\r\n"), "GET"), Ok(BodyKind::Length(5)));
    assert_eq!(kind(&ok("Content-Length: 5\r\n"), "HEAD"), Ok(BodyKind::Empty));
    assert_eq!(kind(&ok(""), "GET"), Ok(BodyKind::UntilClose));
    assert_eq!(
        kind(&ok("Transfer-Encoding: chunked\r\n"), "GET"),
        Ok(BodyKind::Chunked)
    );
    assert_eq!(
        kind("HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", "GET"),
        Ok(BodyKind::Empty)
    );
    assert_eq!(kind("HTTP/1.1 204\r\n\r\n", "GET"), Ok(BodyKind::Empty));
    for wrong in [
        ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ok("Content-Length: 5\r\nContent-Length: 6\r\n"),
        "HTTP/1.1 20 OK\r\n\r\n".into(),
        "HTTP/1.1 2000 OK\r\n\r\n".into(),
        "HTTP/1.1  200 OK\r\n\r\n".into(),
        "ICY 200 OK\r\n\r\n".into(),
        ok("A: b\rc\r\n"),
    ] {
        assert!(parse_response(wrong.as_bytes(), "GET").is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut fields = Fields::new();
    fields.push(b"A", b"b");
    fields.push(b"Content-Length", b"99");
    let mut out = Vec::new();
    write::request_line(&mut out, "PUT", "/x?y");
    write::field(&mut out, b"host", b"h:1");
    write::fields(&mut out, &fields);
    write::framing(&mut out, BodyKind::Length(3));
    write::end(&mut out);
    let head = parse_request(&out).unwrap();
    assert_eq!((head.method.as_str(), head.target.as_str()), ("PUT", "/x?y"));
    assert_eq!(head.body, BodyKind::Length(3));
    assert_eq!(head.fields.values("content-length").count(), 1);
}

proptest! {
    /// However bytes are cut, the end of a head is found at the same place or refused all the same.
    #[test]
    fn heads_do_not_depend_on_cuts(bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), Just(b':')], 0..60), step in 1usize..7) {
        let whole = HeadReader::new().find(&bytes);
        let mut reader = HeadReader::new();
        let mut cut = Ok(None);
        for end in (step..bytes.len() + step).step_by(step) {
            cut = reader.find(&bytes[..end.min(bytes.len())]);
            if !matches!(cut, Ok(None)) {
                break;
            }
        }
        prop_assert_eq!(cut, whole);
    }

    #[test]
    fn hostile_heads_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_request(&bytes);
        let _ = parse_response(&bytes, "GET");
    }

    /// A body written in chunks is read back whole, however it is cut.
    #[test]
    fn chunks_are_read_back(parts in proptest::collection::vec("[a-z]{1,20}", 0..6), step in 1usize..9) {
        let mut wire = Vec::new();
        for part in &parts {
            write::chunk_head(&mut wire, part.len());
            wire.extend_from_slice(part.as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
        write::last_chunk(&mut wire, &Fields::new());
        prop_assert_eq!(content(&wire, step), Some(parts.concat()));
    }
}
