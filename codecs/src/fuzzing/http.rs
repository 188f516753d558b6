//! HTTP under arbitrary bytes: what is taken is cut the same for every way of arriving, and means the same once it is written anew.

use crate::http::h1::{BodyReader, HeadReader, parse_request, parse_response, write};
use crate::http::h2::HeadFields;
use crate::http::{BodyKind, RequestHead, Version};

/// Ways of cutting the input, bytes.
const STEPS: [usize; 4] = [1, 2, 5, 13];
const HEAD_BYTES_MAX: usize = crate::http::limits::HEAD_BYTES_MAX;

/// A request of HTTP/1.1 with its body.
pub fn http_h1_request(data: &[u8]) {
    let whole = head_end(data, data.len().max(1));
    for step in STEPS {
        assert_eq!(head_end(data, step), whole, "the head, cut every {step} bytes");
    }
    let Ok(Some(end)) = whole else { return };
    let Ok(head) = parse_request(&data[..end]) else { return };
    same_in_h1(&head);
    body(&data[end..], || BodyReader::request(head.body));
}

/// An answer of HTTP/1.1 with its body. The first byte chooses the request's method.
pub fn http_h1_response(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let method = if choice & 1 == 0 { "GET" } else { "HEAD" };
    let whole = head_end(data, data.len().max(1));
    for step in STEPS {
        assert_eq!(head_end(data, step), whole, "the head, cut every {step} bytes");
    }
    let Ok(Some(end)) = whole else { return };
    let Ok(head) = parse_response(&data[..end], method) else {
        return;
    };
    if method == "HEAD" {
        assert_eq!(head.body, BodyKind::Empty, "no answer to HEAD has a body");
    }
    body(&data[end..], || BodyReader::response(head.body));
}

/// A head of HTTP/2 as it comes out of HPACK: one byte that says whether a body follows, then name and value, each behind its length.
pub fn http_h2_head(data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else {
        return;
    };
    let mut fields = HeadFields::default();
    while let Some((name, value, after)) = field(rest) {
        fields.take(name, value, HEAD_BYTES_MAX);
        rest = after;
    }
    if let Ok(head) = fields.into_request(choice & 1 == 1) {
        assert_eq!(head.version, Version::Http2);
        same_in_h1(&head);
    }
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = part(bytes)?;
    let (value, rest) = part(rest)?;
    Some((name, value, rest))
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(length))
}

/// Where the head ends when `step` bytes come at a time; the error is as good as another.
fn head_end(data: &[u8], step: usize) -> Result<Option<usize>, ()> {
    let mut reader = HeadReader::new();
    let mut come = 0;
    loop {
        come = (come + step).min(data.len());
        match reader.find(&data[..come]) {
            Err(_) => return Err(()),
            Ok(Some(end)) => return Ok(Some(end)),
            Ok(None) if come == data.len() => return Ok(None),
            Ok(None) => {}
        }
    }
}

/// Writes a request as it goes to a target and reads it again: method, target, host, fields and framing are what was judged.
fn same_in_h1(head: &RequestHead) {
    let mut out = Vec::new();
    write::request_line(&mut out, &head.method, &head.target);
    let host = head.authority.as_deref().unwrap_or("none.example.com");
    write::field(&mut out, b"host", host.as_bytes());
    let mut fields = head.fields.clone();
    fields.remove("host");
    write::fields(&mut out, &fields);
    write::framing(&mut out, head.body);
    write::end(&mut out);
    // The writer adds framing and a host: at the bounds of a head that can be too much, which is refused, not misread.
    if out.len() > HEAD_BYTES_MAX || fields.len() + 2 > crate::http::limits::FIELDS_MAX {
        return;
    }
    let end = HeadReader::new().find(&out).expect("what we write has line ends");
    assert_eq!(end, Some(out.len()), "what we write is one head");
    let read = parse_request(&out).unwrap_or_else(|refused| panic!("we refuse what we wrote: {refused}"));
    assert_eq!((&read.method, &read.target), (&head.method, &head.target));
    assert_eq!(read.authority.as_deref(), Some(host));
    assert_eq!(read.body, head.body);
    let framing = |name: &[u8]| {
        matches!(
            name,
            b"host" | b"content-length" | b"transfer-encoding" | b"connection" | b"keep-alive"
        )
    };
    let kept = |head: &RequestHead| -> Vec<(Vec<u8>, Vec<u8>)> {
        let named = head.fields.iter().filter(|(name, _)| !framing(name));
        named.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    assert_eq!(kept(&read), kept(head));
}

/// Content and end of a body are the same however it arrives.
fn body(data: &[u8], reader: impl Fn() -> BodyReader) {
    let whole = content(data, data.len().max(1), reader());
    for step in STEPS {
        assert_eq!(content(data, step, reader()), whole, "the body, cut every {step} bytes");
    }
}

/// Content, whether the body ended, and after how many bytes; `None`: refused.
fn content(data: &[u8], step: usize, mut reader: BodyReader) -> Option<(Vec<u8>, bool, usize)> {
    let (mut out, mut at) = (Vec::new(), 0);
    for piece in data.chunks(step) {
        let mut left = piece;
        while !left.is_empty() && !reader.is_done() {
            let read = reader.read(left).ok()?;
            assert!(read.consumed > 0, "no byte was taken of {}", left.len());
            assert!(read.content.end <= read.consumed);
            out.extend_from_slice(&left[read.content]);
            at += read.consumed;
            left = &left[read.consumed..];
        }
    }
    Some((out, reader.is_done(), at))
}
