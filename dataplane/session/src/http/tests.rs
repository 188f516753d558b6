//! Redaction of bodies at every cut, JSON in all its spellings, who is let in, and what becomes of headers.

use std::net::IpAddr;
use std::sync::Arc;

use codecs::http::h1::{parse_request, parse_response};
use codecs::http::{Fields, RequestHead};
use proptest::prelude::*;
use proto::policy as wire;

use super::body::{BodyFilter, Media, Unreadable};
use super::headers::{self, Client};
use super::judge::{self, Asked, Denial};
use super::policy::{JsonPath, Level};
use crate::policy::{Policy, RuleSet};
use crate::session::Scratch;

mod coded;

const TOKEN: &str = "slu_alice";

fn snapshot() -> wire::Snapshot {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, TOKEN.as_bytes());
    wire::Snapshot {
        generation: 1,
        installation_key: vec![7; 32],
        users: vec![wire::User {
            id: "u1".into(),
            name: "alice".into(),
            groups: vec!["web".into()],
            salt: vec![1; 16],
            iterations: 4096,
            tokens: vec![wire::Token {
                id: "t1".into(),
                stored_key: vec![2; 32],
                server_key: vec![3; 32],
                sha256: digest.as_ref().to_vec(),
                ..Default::default()
            }],
        }],
        connections: vec![wire::Connection {
            id: "c1".into(),
            name: "web".into(),
            protocol: "http".into(),
            groups: vec!["web".into()],
            redact: vec!["pii".into()],
            http: Some(wire::Http {
                hosts: vec!["web.example.com".into()],
                key_header: "x-key".into(),
                credential_header: "authorization".into(),
                routes: vec![wire::HttpRoute {
                    methods: vec!["GET".into()],
                    path: "/a/{id:int}".into(),
                    ..Default::default()
                }],
                authority: "target.example.com".into(),
                https: true,
                ..Default::default()
            }),
            ..Default::default()
        }],
        redactions: vec![wire::Redaction {
            name: "pii".into(),
            detect: vec![
                "EMAIL_ADDRESS".into(),
                "CREDIT_CARD_NUMBER".into(),
                "ENCRYPTION_KEY".into(),
            ],
            json: vec!["$..secret".into(), "$.user.name".into()],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn compiled() -> Policy {
    crate::policy::compile(&snapshot()).expect("the snapshot is right")
}

fn rules() -> Arc<RuleSet> {
    let policy = compiled();
    policy
        .connection("web")
        .unwrap()
        .rule_set(&["web".to_owned()])
        .unwrap()
        .clone()
}

/// The body after redaction, fed in steps.
fn redacted(media: Media, body: &[u8], step: usize) -> Result<String, Unreadable> {
    let mut filter = BodyFilter::new(rules(), media);
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    for piece in body.chunks(step) {
        filter.feed(piece, false, &mut scratch, &mut out)?;
    }
    filter.feed(&[], true, &mut scratch, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// The same for every step.
fn everywhere(media: Media, body: &str) -> Result<String, Unreadable> {
    let whole = redacted(media, body.as_bytes(), body.len().max(1));
    for step in 1..body.len().min(80) {
        assert_eq!(redacted(media, body.as_bytes(), step), whole, "cut every {step} bytes");
    }
    whole
}

#[test]
fn text_is_masked_at_every_cut() {
    let text = "mail alice@example.com, card 4111 1111 1111 1111.";
    let seen = everywhere(Media::Text, text).unwrap();
    assert!(seen.starts_with("mail [EMAIL]**********, card ["), "{seen}");
    assert!(seen.ends_with('.') && seen.len() == text.len(), "{seen}");
    assert!(!seen.contains("alice") && !seen.contains("4111"), "{seen}");
}

#[test]
fn json_without_findings_leaves_as_it_came() {
    for text in [
        r#"{"a": "x\u00e4\/\n", "b": [1, -2.5e+3, true, null], "c": {}}"#,
        " \n[]\r\n",
        r#""only a string \ud83d\ude00 \ud800""#,
        "{\"a\":1}\n{\"b\":2}\n",
        "17",
        "",
    ] {
        assert_eq!(everywhere(Media::Json, text).as_deref(), Ok(text));
    }
}

#[test]
fn json_is_masked_in_every_spelling() {
    for text in [
        r#"{"a": "alice@example.com"}"#,
        r#"{"a": "alice\u0040example.com"}"#,
        r#"{"a": "\u0061lice@example\u002ecom"}"#,
        r#"{"alice@example.com": 1}"#,
        r#"{"a": 4111111111111111}"#,
        r#"["4111\u00201111\u00201111\u00201111"]"#,
    ] {
        let seen = everywhere(Media::Json, text).unwrap();
        assert!(
            !seen.contains("alice") && !seen.contains("4111") && !seen.contains("u0061"),
            "{seen}"
        );
    }
    assert_eq!(
        everywhere(Media::Json, r#"{"a": "to \"alice@example.com\" now\n"}"#).unwrap(),
        r#"{"a": "to \"[EMAIL]**********\" now\n"}"#
    );
}

#[test]
fn paths_hide_whole_values() {
    let seen = everywhere(
        Media::Json,
        r#"{"user": {"name": "Al", "nick": "A"}, "x": [{"secret": {"a": ["b", 12, false]}}, "c"], "name": "stays"}"#,
    );
    assert_eq!(
        seen.unwrap(),
        r#"{"user": {"name": "[N", "nick": "A"}, "x": [{"secret": {"a": ["[", 0, null]}}, "c"], "name": "stays"}"#
    );
}

#[test]
fn what_is_no_json_is_refused_and_what_never_began_as_json_is_text() {
    for text in [
        "{\"a\": alice@example.com}",
        "[1, 2",
        "[\"open",
        "[1}",
        "{\"a\": \"\\x\"}",
        "[\"a\nb\"]",
    ] {
        let seen = redacted(Media::Json, text.as_bytes(), 3);
        assert!(seen.is_err() || text == "[1, 2", "{text}: {seen:?}");
    }
    let html = everywhere(Media::Json, "<p>alice@example.com</p>").unwrap();
    assert_eq!(html, "<p>[EMAIL]**********</p>");
    assert!(redacted(Media::Json, "\u{feff}".as_bytes(), 1).is_ok());
    assert!(redacted(Media::Json, b"\xff\xfe[\0", 1).is_err(), "UTF-16");
    let deep = "[".repeat(300);
    assert!(redacted(Media::Json, deep.as_bytes(), 64).is_err());
}

#[test]
fn long_strings_are_streams_and_stay_bounded() {
    let long = format!(
        r#"{{"a": "{}alice\u0040example.com{}"}}"#,
        "x \\n".repeat(60_000),
        " y".repeat(60_000)
    );
    let whole = redacted(Media::Json, long.as_bytes(), long.len()).unwrap();
    assert!(!whole.contains("alice") && whole.contains("[EMAIL]"));
    for step in [7, 4096, 65_537] {
        assert!(
            redacted(Media::Json, long.as_bytes(), step).unwrap() == whole,
            "cut every {step} bytes"
        );
    }
    let hidden = format!(r#"{{"secret": "{}"}}"#, "abc ".repeat(40_000));
    let seen = redacted(Media::Json, hidden.as_bytes(), 1000).unwrap();
    assert!(!seen.contains("abc"));
}

#[test]
fn encoded_runs_stay_decodable_however_they_are_cut() {
    let mut snapshot = snapshot();
    snapshot.redactions[0].decode_depth = 1;
    let policy = crate::policy::compile(&snapshot).unwrap();
    let rules = policy
        .connection("web")
        .unwrap()
        .rule_set(&["web".to_owned()])
        .unwrap()
        .clone();
    // "mail alice@example.com now", and a run that begins so and is longer than what is reported in one piece.
    let short = "bWFpbCBhbGljZUBleGFtcGxlLmNvbSBub3c=";
    let long = "bWFpbCBhbGljZUBleGFtcGxlLmNvbSBub3cg".repeat(300);
    for (media, body) in [
        (Media::Text, format!("x {short}; {long}; end")),
        (Media::Json, format!(r#"{{"a": "{short}", "b": "{long}"}}"#)),
    ] {
        let masked = body
            .replace(short, &("A".repeat(short.len() - 1) + "="))
            .replace(&long, &"A".repeat(long.len()));
        for step in [3, 700, 4096, body.len()] {
            let mut filter = BodyFilter::new(rules.clone(), media);
            let (mut scratch, mut out) = (Scratch::new(), Vec::new());
            for piece in body.as_bytes().chunks(step) {
                filter.feed(piece, false, &mut scratch, &mut out).unwrap();
            }
            filter.feed(&[], true, &mut scratch, &mut out).unwrap();
            assert!(
                out == masked.as_bytes(),
                "{media:?} by {step}: {}",
                String::from_utf8_lossy(&out)
            );
        }
    }
}

#[test]
fn events_are_masked_line_by_line() {
    let seen = everywhere(
        Media::Events,
        "event: x\ndata: {\"to\": \"alice\\u0040example.com\"}\n\ndata: {broken alice@example.com\n\n: bob@example.com",
    );
    let seen = seen.unwrap();
    assert!(!seen.contains("alice") && !seen.contains("bob"), "{seen}");
    assert!(seen.starts_with("event: x\ndata: {\"to\": \"[EMAIL]"));
    let mut filter = BodyFilter::new(rules(), Media::Events);
    let mut out = Vec::new();
    filter
        .feed(b"data: now\n\n", false, &mut Scratch::new(), &mut out)
        .unwrap();
    assert_eq!(out, b"data: now\n\n", "an event leaves when it is complete");
}

#[test]
fn media_types_say_how_a_body_is_read() {
    for (text, media) in [
        ("application/json", Media::Json),
        ("application/problem+json; charset=UTF-8", Media::Json),
        ("text/event-stream", Media::Events),
        ("text/html; charset=\"utf-8\"", Media::Text),
        ("text/plain; charset=utf-16", Media::Unreadable),
        ("image/png", Media::Opaque),
        ("image/svg+xml", Media::Text),
        ("application/octet-stream", Media::Text),
    ] {
        assert_eq!(Media::of(Some(text)), media, "{text}");
    }
    assert_eq!(Media::of(None), Media::Text);
}

proptest! {
    /// However JSON-like bytes are cut, the same comes out or the same is refused.
    #[test]
    fn json_does_not_depend_on_cuts(
        parts in proptest::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just("\""), Just(":"), Just(","), Just("a@b.example"), Just("\\"),
            Just("u0040"), Just("\"secret\""), Just("12"), Just("4111111111111111"), Just("true"), Just(" "), Just("\\\""),
        ], 0..24),
        step in 1usize..9,
    ) {
        let text = parts.concat();
        let whole = redacted(Media::Json, text.as_bytes(), text.len().max(1));
        let cut = redacted(Media::Json, text.as_bytes(), step);
        prop_assert_eq!(cut, whole);
    }
}

#[test]
fn json_paths_are_read_and_fit() {
    let fits = |path: &str, levels: &[Level<'_>]| JsonPath::parse(path).unwrap().fits(levels);
    let (a, b, e) = (Level::Name(b"a"), Level::Name(b"b"), Level::Element);
    assert!(fits("$.a", &[a]) && !fits("$.a", &[a, b]) && !fits("$.a", &[b]));
    assert!(fits("$..b", &[b]) && fits("$..b", &[a, e, b]) && !fits("$..b", &[b, a]));
    assert!(fits("$.a[*].b", &[a, e, b]) && fits("$.*.b", &[a, b]) && fits("$['a']['b']", &[a, b]));
    assert!(fits("$..a..b", &[a, e, a, b, b]) && !fits("$..a..b", &[b, b]));
    for wrong in ["a", "$", "$.", "$..", "$[0]", "$.a[?(@.b)]", "$.a..", "$['a"] {
        assert!(JsonPath::parse(wrong).is_err(), "{wrong}");
    }
}

fn request(line: &str, fields: &str) -> RequestHead {
    parse_request(format!("{line} HTTP/1.1\r\nHost: web.example.com\r\n{fields}\r\n").as_bytes()).unwrap()
}

fn denied(head: &RequestHead, client: &str, private: bool, change: fn(&mut wire::Snapshot)) -> Option<Denial> {
    let mut snapshot = snapshot();
    change(&mut snapshot);
    let policy = crate::policy::compile(&snapshot).unwrap();
    let connection = policy.connection("web").unwrap();
    let asked = Asked {
        head,
        target: &head.target,
        client: client.parse().unwrap(),
        private,
        now_micros: 1_000_000,
    };
    let http = connection.http.as_ref().unwrap();
    let entered = judge::authenticate(&policy, connection, http, &asked);
    entered.err().map(|(denial, _)| denial)
}

#[test]
fn who_is_let_in() {
    let good = request("GET /a/1", "X-Key: slu_alice\r\n");
    let none = |_: &mut wire::Snapshot| {};
    assert_eq!(denied(&good, "127.0.0.1", true, none), None);
    assert_eq!(denied(&good, "127.0.0.1", false, none), Some(Denial::Plaintext));
    for fields in [
        "",
        "X-Key: slu_Alice\r\n",
        "X-Key: slu_alice\r\nX-Key: slu_alice\r\n",
        "Authorization: Bearer slu_alice\r\n",
    ] {
        assert_eq!(
            denied(&request("GET /a/1", fields), "127.0.0.1", true, none),
            Some(Denial::Key),
            "{fields}"
        );
    }
    let from_ten =
        |s: &mut wire::Snapshot| s.connections[0].http.as_mut().unwrap().allow_from = vec!["10.0.0.0/8".into()];
    assert_eq!(
        denied(&request("GET /a/1", ""), "127.0.0.1", true, from_ten),
        Some(Denial::Network)
    );
    assert_eq!(denied(&good, "10.1.1.1", true, from_ten), None);
    let no_group = |s: &mut wire::Snapshot| s.connections[0].groups.clear();
    assert_eq!(denied(&good, "127.0.0.1", true, no_group), Some(Denial::Key));
    let expired = |s: &mut wire::Snapshot| s.users[0].tokens[0].expires_at_ms = 999;
    assert_eq!(denied(&good, "127.0.0.1", true, expired), Some(Denial::Key));
    let bearer = |s: &mut wire::Snapshot| s.connections[0].http.as_mut().unwrap().key_header = "authorization".into();
    for fields in [
        "Authorization: bearer slu_alice\r\n",
        "Authorization: Basic eDpzbHVfYWxpY2U=\r\n",
    ] {
        assert_eq!(
            denied(&request("GET /a/1", fields), "127.0.0.1", true, bearer),
            None,
            "{fields}"
        );
    }
}

#[test]
fn queries_lose_their_secrets() {
    let policy = compiled();
    let http = policy.connection("web").unwrap().http.as_ref().unwrap();
    let head = request("GET /a/1?Private_Token=x&b=1&c=%20&sudo%5B%5D=root", "");
    let asked = Asked {
        head: &head,
        target: &head.target,
        client: IpAddr::from([127, 0, 0, 1]),
        private: true,
        now_micros: 0,
    };
    let granted = judge::route(http, &asked).unwrap();
    assert_eq!(
        (granted.target.as_str(), granted.shown.as_str()),
        ("/a/1?b=1&c=%20", "/a/1?b&c")
    );
}

#[test]
fn headers_of_requests_lose_credentials_and_hops() {
    let policy = compiled();
    let http = policy.connection("web").unwrap().http.as_ref().unwrap();
    let client = Client {
        address: IpAddr::from([10, 0, 0, 1]),
        https: true,
        authority: "gate.example.com",
        prefix: "/c/web",
        request_id: "id",
    };
    let head = request(
        "GET /a/1",
        "X-Key: k\r\nAuthorization: x\r\nCookie: x\r\nConnection: X-Hop\r\nX-Hop: x\r\nAccept: y\r\nRange: bytes=0-1\r\nX_Under: x\r\n",
    );
    let fields = headers::request(&head, http, &client, true, false);
    let names: Vec<String> = fields
        .iter()
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
    let answer = parse_response(
        b"HTTP/1.1 200 OK\r\nLocation: https://TARGET.example.com:443/x\r\nLink: <//target.example.com/y>\r\nSet-Cookie: a\r\nServer: s\r\n\r\n",
        "GET",
    );
    let fields: Fields = headers::response(&answer.unwrap(), http, &client, false, "v");
    assert_eq!(fields.text("location"), Some("https://gate.example.com/c/web/x"));
    assert_eq!(fields.text("link"), Some("<https://gate.example.com/c/web/y>"));
    assert!(!fields.has("set-cookie") && !fields.has("server"));
}
