//! The inputs that the corpora start from: one conversation for every way through the login, one frame of every kind.

use zeroize::Zeroizing;

use super::{NONCE, SALT, TLS_MARK, TOKEN};
use crate::postgres::login::{CancelKey, cancel_request};
use crate::postgres::message::encode as e;
use crate::postgres::message::{FieldDescription, Format, Target, TransactionStatus, tag};
use crate::wire::scram::{Client, ITERATIONS_MIN, ScramVerifier, Server};

pub type Seed = (&'static str, &'static str, Vec<u8>);

/// Target, file name, bytes.
pub fn seeds() -> Vec<Seed> {
    let mut all = super::http_seeds::seeds();
    all.extend(framer().into_iter().map(|(name, bytes)| ("pg_framer", name, bytes)));
    all.extend(
        downstream()
            .into_iter()
            .map(|(name, bytes)| ("pg_login_downstream", name, bytes)),
    );
    all.extend(
        upstream()
            .into_iter()
            .map(|(name, bytes)| ("pg_login_upstream", name, bytes)),
    );
    all
}

fn join(choice: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[choice], parts.concat().as_slice()].concat()
}

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).expect("a seed that can be written");
    out
}

fn bare(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

const FRONTEND: u8 = 0;
const BACKEND: u8 = 1;

fn framer() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = framer_frontend();
    all.extend(framer_backend());
    let front = |bytes: &[u8]| join(FRONTEND, &[bytes]);
    let back = |bytes: &[u8]| join(BACKEND, &[bytes]);
    all.extend([
        ("hostile-length-zero", front(b"Q\0\0\0\0")),
        ("hostile-length-negative", front(b"Q\xff\xff\xff\xff")),
        ("hostile-length-2g", back(b"D\x7f\xff\xff\xff")),
        ("hostile-tag", front(b"\x16\x03\x01\x02\0")),
        ("hostile-cell-negative", back(b"D\0\0\0\x0a\0\x01\xff\xff\xff\xfe")),
        ("hostile-cell-2g", back(b"D\0\0\0\x0b\0\x01\x7f\xff\xff\xffx")),
        ("hostile-count", back(b"D\0\0\0\x06\xff\xff")),
        ("hostile-error-without-end", back(b"E\0\0\0\x08SERR")),
        ("login-password", join(2, &[&written(|o| e::password(o, b"secret"))])),
        (
            "login-server",
            join(
                3,
                &[
                    &bare(e::authentication_ok),
                    &written(|o| e::parameter_status(o, b"a", b"b")),
                ],
            ),
        ),
    ]);
    all
}

fn framer_frontend() -> Vec<(&'static str, Vec<u8>)> {
    let query = written(|o| e::query(o, b"select 1; select 2"));
    let parse = written(|o| e::parse(o, b"s", b"select $1::int", &[23]));
    let bind = written(|o| {
        e::bind(
            o,
            b"",
            b"s",
            &[Format::Binary],
            &[Some(b"\0\0\0\x01"), None],
            &[Format::Text],
        )
    });
    let describe = written(|o| e::describe(o, Target::Statement(b"s")));
    let execute = written(|o| e::execute(o, b"", 0));
    let sync = bare(e::sync);
    let call = written(|o| e::function_call(o, 1598, &[], &[Some(b"1")], Format::Text));
    let copy = written(|o| e::copy_data(o, b"1\tann\n"));
    let front = |parts: &[&[u8]]| join(FRONTEND, parts);
    vec![
        ("query", front(&[&query])),
        ("query-twice", front(&[&query, &query])),
        ("extended", front(&[&parse, &bind, &describe, &execute, &sync])),
        (
            "pipeline",
            front(&[&parse, &bind, &execute, &bind, &execute, &bare(e::flush), &sync]),
        ),
        (
            "close",
            front(&[&written(|o| e::close(o, Target::Portal(b"p"))), &sync]),
        ),
        ("function-call", front(&[&call])),
        ("copy-in", front(&[&copy, &copy, &bare(e::copy_done)])),
        ("copy-fail", front(&[&copy, &written(|o| e::copy_fail(o, b"no"))])),
        ("terminate", front(&[&bare(e::terminate)])),
    ]
}

fn framer_backend() -> Vec<(&'static str, Vec<u8>)> {
    let column = FieldDescription {
        offset: 0,
        name: b"email",
        table_oid: 16_384,
        attribute: 2,
        type_oid: 25,
        type_bytes: -1,
        type_modifier: -1,
        format: Format::Text,
    };
    let columns = written(|o| e::row_description(o, &[column, column]));
    let row = written(|o| e::data_row(o, &[Some(b"ann@example.com"), None]));
    let complete = written(|o| e::command_complete(o, b"SELECT 1"));
    let ready = bare(|o| e::ready_for_query(o, TransactionStatus::Idle));
    let error = written(|o| e::error_response(o, &[(b'S', b"ERROR"), (b'C', b"42601"), (b'M', b"syntax error")]));
    let notify = written(|o| e::notification_response(o, 9, b"jobs", b"1"));
    let copy_out = written(|o| e::copy_response(o, tag::backend::COPY_OUT_RESPONSE, Format::Text, &[Format::Text]));
    let types = written(|o| e::parameter_description(o, &[23]));
    let bodiless = |tag| bare(|o| e::bodiless(o, tag));
    let back = |parts: &[&[u8]]| join(BACKEND, parts);
    vec![
        ("rows", back(&[&columns, &row, &row, &complete, &ready])),
        ("row-empty", back(&[&written(|o| e::data_row(o, &[]))])),
        ("error", back(&[&error, &ready])),
        (
            "notice-and-notify",
            back(&[&written(|o| e::notice_response(o, &[(b'M', b"hm")])), &notify]),
        ),
        (
            "copy-out",
            back(&[
                &copy_out,
                &written(|o| e::copy_data(o, b"1\n")),
                &bodiless(tag::backend::COPY_DONE),
            ]),
        ),
        (
            "prepared",
            back(&[
                &bodiless(tag::backend::PARSE_COMPLETE),
                &types,
                &bodiless(tag::backend::NO_DATA),
            ]),
        ),
        ("suspended", back(&[&row, &bodiless(tag::backend::PORTAL_SUSPENDED)])),
        (
            "function-result",
            back(&[&written(|o| e::function_call_response(o, Some(b"42")))]),
        ),
        ("key-v32", back(&[&written(|o| e::backend_key_data(o, 7, &[9; 32]))])),
        (
            "negotiate",
            back(&[&written(|o| e::negotiate_protocol_version(o, 3 << 16, &[b"_pq_.x"]))]),
        ),
    ]
}

/// A packet without a tag.
pub fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
    let length = (8 + rest.len()) as u32;
    [length.to_be_bytes().as_slice(), &code.to_be_bytes(), rest].concat()
}

pub const SSL: u32 = 80_877_103;
pub const GSS: u32 = 80_877_104;
pub const CANCEL: u32 = 80_877_102;

fn startup(minor: u32, rest: &[u8]) -> Vec<u8> {
    packet(3 << 16 | minor, rest)
}

/// The client's messages of a login with this secret against the fuzz target's verifier, and the server's.
fn exchange(secret: &[u8], flag: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let verifier = ScramVerifier::derive(TOKEN, SALT, ITERATIONS_MIN).expect("not zero");
    let mut server = Server::new(&[verifier], NONCE).expect("one verifier");
    let mut client = Client::new("", Zeroizing::new(secret.to_vec()), NONCE);
    let mut first = client.first();
    first[0] = flag.as_bytes()[0];
    let server_first = server.client_first(&first).expect("a well-formed message");
    let last = client.server_first(&server_first).expect("a well-formed message");
    let server_final = server.client_final(&last).map(|a| a.server_final).unwrap_or_default();
    let initial = written(|o| e::sasl_initial_response(o, b"SCRAM-SHA-256", Some(&first)));
    let response = written(|o| e::sasl_response(o, &last));
    (vec![initial, response], vec![server_first, server_final])
}

fn downstream() -> Vec<(&'static str, Vec<u8>)> {
    let (right, _) = exchange(TOKEN, "n");
    let (wrong, _) = exchange(b"slu_wrong", "n");
    let (binding, _) = exchange(TOKEN, "y");
    let usual = startup(0, b"user\0alice\0database\0orders\0application_name\0psql\0\0");
    let newer = startup(2, b"user\0alice#orders\0\0");
    let newest = startup(9_999, b"user\0alice\0_pq_.test\0on\0\0");
    let (ssl, gss) = (packet(SSL, b""), packet(GSS, b""));
    let key = CancelKey {
        pid: 7,
        secret: vec![1, 2, 3, 4],
    };
    let first_apart = [
        written(|o| e::sasl_initial_response(o, b"SCRAM-SHA-256", None)),
        written(|o| e::sasl_response(o, b"n,,n=,r=WlpaWlpaWlpaWlpaWlpaWlpa")),
    ];
    let plus = written(|o| e::sasl_initial_response(o, b"SCRAM-SHA-256-PLUS", Some(b"p=x,,n=,r=a")));
    let no = |parts: &[&[u8]]| join(0, parts);
    let yes = |parts: &[&[u8]]| join(1, parts);
    vec![
        ("login", no(&[&usual, &right[0], &right[1]])),
        ("login-v32", no(&[&newer, &right[0], &right[1]])),
        ("login-newest", no(&[&newest, &right[0], &right[1]])),
        ("login-tls", yes(&[&ssl, TLS_MARK, &usual, &right[0], &right[1]])),
        (
            "login-tls-required",
            join(2, &[&ssl, TLS_MARK, &usual, &right[0], &right[1]]),
        ),
        ("login-after-no", no(&[&gss, &ssl, &usual, &right[0], &right[1]])),
        (
            "login-gss-then-tls",
            yes(&[&gss, &ssl, TLS_MARK, &usual, &right[0], &right[1]]),
        ),
        (
            "login-and-a-query",
            no(&[&usual, &right[0], &right[1], b"Q\0\0\0\x0dselect 1\0"]),
        ),
        ("binding-mismatch", no(&[&usual, &binding[0], &binding[1]])),
        ("wrong-secret", no(&[&usual, &wrong[0], &wrong[1]])),
        (
            "first-apart",
            no(&[&usual, &first_apart[0], &first_apart[1], &right[1]]),
        ),
        ("plus", no(&[&usual, &plus])),
        ("plain-where-tls-is-required", join(2, &[&usual])),
        ("stuffed", yes(&[&ssl, &usual])),
        ("ssl-too-long", yes(&[&packet(SSL, b"\0"), b"x"])),
        ("ssl-twice", no(&[&ssl, &ssl])),
        ("ssl-in-tls", yes(&[&ssl, TLS_MARK, &ssl])),
        ("gss-twice", no(&[&gss, &gss])),
        ("cancel", no(&[&cancel_request(&key)])),
        ("cancel-v32", no(&[&packet(CANCEL, &[7; 4 + 32])])),
        ("cancel-short", no(&[&packet(CANCEL, b"\0\0\0\x01ab")])),
        ("version-2", no(&[&packet(2 << 16, b"user\0a\0\0")])),
        ("no-user", no(&[&startup(0, b"database\0x\0\0")])),
        ("replication", no(&[&startup(0, b"user\0a\0replication\0database\0\0")])),
        ("user-twice", no(&[&startup(0, b"user\0a\0USER\0b\0\0")])),
        ("no-end", no(&[&startup(0, b"user\0alice\0")])),
        ("behind-the-end", no(&[&startup(0, b"user\0alice\0\0x")])),
        ("not-utf8", no(&[&startup(0, b"user\0\xff\0\0")])),
        ("length-2g", no(&[b"\x7f\xff\xff\xff\0\x03\0\0"])),
        ("length-negative", no(&[b"\xff\xff\xff\xff\0\x03\0\0"])),
        ("length-4", no(&[b"\0\0\0\x04"])),
        ("direct-tls", yes(&[b"\x16\x03\x01\x02\0\x01\0\x01\xfc"])),
        ("http", yes(&[b"GET / HTTP/1.1\r\n\r\n"])),
        ("query-for-password", no(&[&usual, b"Q\0\0\0\x0dselect 1\0"])),
        ("password-length", no(&[&usual, b"p\x7f\xff\xff\xff"])),
    ]
}

fn upstream() -> Vec<(&'static str, Vec<u8>)> {
    let settled = settled();
    let (_, server) = exchange(TOKEN, "n");
    let ok = bare(e::authentication_ok);
    let sasl = written(|o| e::authentication_sasl(o, &[b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]));
    let next = written(|o| e::authentication(o, 11, &server[0]));
    let last = written(|o| e::authentication(o, 12, &server[1]));
    let scram = [sasl.clone(), next.clone(), last.clone(), ok.clone(), settled.clone()].concat();
    let auth = |code: u32, data: &[u8]| written(|o| e::authentication(o, code, data));
    let refused = written(|o| {
        e::error_response(
            o,
            &[
                (b'S', b"FATAL"),
                (b'C', b"28P01"),
                (b'M', b"password authentication failed"),
            ],
        )
    });
    let notice = written(|o| e::notice_response(o, &[(b'S', b"NOTICE"), (b'C', b"00000"), (b'M', b"hello")]));
    let plain = |parts: &[&[u8]]| join(0, parts);
    let mut all = vec![
        ("trust", plain(&[&ok, &settled])),
        ("cleartext", plain(&[&auth(3, b""), &ok, &settled])),
        ("md5", plain(&[&auth(5, b"salt"), &ok, &settled])),
        ("scram", plain(&[&scram])),
        (
            "scram-notices",
            plain(&[&sasl, &notice, &next, &notice, &last, &ok, &notice, &settled]),
        ),
        ("scram-after-no", join(1, &[b"N", &scram])),
        ("scram-tls", join(1, &[b"S", TLS_MARK, &scram])),
        (
            "cleartext-tls",
            join(3, &[b"S", TLS_MARK, &auth(3, b""), &ok, &settled]),
        ),
        ("cleartext-after-no", join(1, &[b"N", &auth(3, b""), &ok, &settled])),
        ("require-no", join(2, &[b"N"])),
        ("ssl-error", join(1, &[b"E\0\0\0\x08SX\0\0"])),
        ("ssl-garbage", join(2, &[b"HTTP/1.1 400"])),
        ("stuffed", join(2, &[b"S", &ok])),
        ("scram-unproven", plain(&[&sasl, &next, &ok])),
        ("scram-skipped", plain(&[&sasl, &ok])),
        (
            "scram-wrong-signature",
            plain(&[&sasl, &next, &auth(12, b"v=AAAA"), &ok]),
        ),
        (
            "scram-iterations",
            plain(&[&sasl, &auth(11, b"r=WlpaWlpaWlpaWlpaWlpaWlpax,s=AAAA,i=2147483647")]),
        ),
        ("scram-error", plain(&[&sasl, &next, &auth(12, b"e=invalid-proof")])),
        ("gssapi", plain(&[&auth(7, b"")])),
        (
            "no-mechanism",
            plain(&[&written(|o| e::authentication_sasl(o, &[b"OAUTHBEARER"]))]),
        ),
        ("refused", plain(&[&auth(3, b""), &refused])),
        ("twice", plain(&[&auth(3, b""), &auth(3, b"")])),
        (
            "negotiate",
            plain(&[&written(|o| e::negotiate_protocol_version(o, 3 << 16, &[])), &ok]),
        ),
        ("row-before-login", plain(&[&written(|o| e::data_row(o, &[]))])),
        ("length-negative", plain(&[b"R\xff\xff\xff\xff"])),
        ("length-2g", plain(&[b"E\x7f\xff\xff\xff"])),
    ];
    all.extend(look_ups(&[&ok[..], &settled].concat(), &notice, &refused));
    all
}

/// Settings, key and ReadyForQuery.
fn settled() -> Vec<u8> {
    [
        written(|o| e::parameter_status(o, b"server_version", b"15.18")),
        written(|o| e::parameter_status(o, b"client_encoding", b"UTF8")),
        written(|o| e::backend_key_data(o, 4242, &[1, 2, 3, 4])),
        bare(|o| e::ready_for_query(o, TransactionStatus::Idle)),
    ]
    .concat()
}

/// Answers to the catalogue look-up; `before` is what comes up to the first ReadyForQuery.
fn look_ups(before: &[u8], notice: &[u8], refused: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    const RESOLVE: u8 = 4;
    let column = FieldDescription {
        offset: 0,
        name: b"i",
        table_oid: 0,
        attribute: 0,
        type_oid: 23,
        type_bytes: 4,
        type_modifier: -1,
        format: Format::Text,
    };
    let row = |a: &[u8], b: &[u8], c: &[u8]| written(|o| e::data_row(o, &[Some(a), Some(b), Some(c)]));
    let columns = written(|o| e::row_description(o, &[column; 3]));
    let highest = row(b"-1", b"16500", b"0");
    let end = [
        written(|o| e::command_complete(o, b"SELECT 2")),
        bare(|o| e::ready_for_query(o, TransactionStatus::Idle)),
    ]
    .concat();
    let of = |parts: &[&[u8]]| join(RESOLVE, &[before, &columns, &parts.concat()]);
    vec![
        (
            "look-up",
            of(&[&row(b"0", b"16400", b"2"), &row(b"1", b"16400", b"3"), &highest, &end]),
        ),
        ("look-up-notice", of(&[notice, &highest, &end])),
        ("look-up-error", of(&[refused])),
        ("look-up-index", of(&[&row(b"2", b"16400", b"2"), &highest, &end])),
        ("look-up-attribute", of(&[&row(b"0", b"16400", b"-2"), &highest, &end])),
        ("look-up-empty", of(&[&end])),
        (
            "look-up-null",
            of(&[&written(|o| e::data_row(o, &[None, None, None])), &end]),
        ),
    ]
}
