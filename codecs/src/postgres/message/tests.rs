//! Every message there and back, and bodies that break their format.

use proptest::prelude::*;

use super::encode as e;
use super::*;
use crate::postgres::framer::{Framed, Framer, HEADER_BYTES, Speaker};

type Encoder = Box<dyn Fn(&mut Vec<u8>)>;

fn ok(write: impl Fn(&mut Vec<u8>) -> Result<(), EncodeError> + 'static) -> Encoder {
    Box::new(move |out| write(out).unwrap())
}

fn field(name: &'static [u8]) -> FieldDescription<'static> {
    FieldDescription {
        offset: 0,
        name,
        table_oid: 16_400,
        attribute: 3,
        type_oid: 25,
        type_bytes: -1,
        type_modifier: -1,
        format: Format::Text,
    }
}

/// One of every message of a client.
fn frontend_samples() -> Vec<Encoder> {
    let two = [Format::Text, Format::Binary];
    vec![
        ok(|o| e::query(o, b"select 1")),
        ok(|o| e::parse(o, b"s1", b"select $1", &[23, 0])),
        ok(move |o| e::bind(o, b"p", b"s1", &two, &[Some(b"1"), None], &[Format::Binary])),
        ok(|o| e::bind(o, b"", b"", &[], &[], &[])),
        ok(|o| e::describe(o, Target::Statement(b"s1"))),
        ok(|o| e::describe(o, Target::Portal(b""))),
        ok(|o| e::execute(o, b"p", 50)),
        ok(|o| e::close(o, Target::Portal(b"p"))),
        Box::new(e::sync),
        Box::new(e::flush),
        ok(|o| e::function_call(o, 1598, &[Format::Text], &[Some(b"x"), None], Format::Binary)),
        Box::new(e::copy_done),
        ok(|o| e::copy_fail(o, b"stop")),
        Box::new(e::terminate),
    ]
}

/// One of every message of a server, without those that take any bytes (CopyData, SASL data).
fn backend_samples() -> Vec<Encoder> {
    use tag::backend as t;
    let bodiless = [
        t::BIND_COMPLETE,
        t::CLOSE_COMPLETE,
        t::COPY_DONE,
        t::EMPTY_QUERY_RESPONSE,
        t::NO_DATA,
        t::PARSE_COMPLETE,
        t::PORTAL_SUSPENDED,
    ];
    let mut all: Vec<Encoder> = vec![
        Box::new(e::authentication_ok),
        ok(|o| e::authentication(o, 3, b"")),
        ok(|o| e::authentication(o, 5, b"salt")),
        ok(|o| e::authentication_sasl(o, &[b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"])),
        ok(|o| e::parameter_status(o, b"TimeZone", b"UTC")),
        Box::new(|o| e::ready_for_query(o, TransactionStatus::Failed)),
        ok(|o| e::command_complete(o, b"INSERT 0 12")),
        ok(|o| e::row_description(o, &[field(b"a"), field(b"")])),
        ok(|o| e::data_row(o, &[Some(b"abc"), None, Some(b"")])),
        ok(|o| e::data_row(o, &[])),
        ok(|o| e::error_response(o, &[(b'S', b"ERROR"), (b'C', b"42601"), (b'M', b"syntax")])),
        ok(|o| e::notice_response(o, &[])),
        ok(|o| e::notification_response(o, 7, b"channel", b"payload")),
        ok(|o| e::copy_response(o, t::COPY_IN_RESPONSE, Format::Text, &[Format::Text; 3])),
        ok(|o| e::copy_response(o, t::COPY_OUT_RESPONSE, Format::Binary, &[Format::Binary])),
        ok(|o| e::copy_response(o, t::COPY_BOTH_RESPONSE, Format::Text, &[])),
        ok(|o| e::negotiate_protocol_version(o, 3 << 16, &[b"_pq_.a", b"_pq_.b"])),
        ok(|o| e::parameter_description(o, &[23, 25])),
        ok(|o| e::function_call_response(o, Some(b"42"))),
        ok(|o| e::function_call_response(o, None)),
    ];
    all.extend(bodiless.map(|tag| Box::new(move |o: &mut Vec<u8>| e::bodiless(o, tag)) as Encoder));
    all
}

fn framed(encode: &Encoder, speaker: Speaker) -> (u8, Vec<u8>) {
    let mut out = b"kept".to_vec();
    encode(&mut out);
    let frame = out.split_off(4);
    assert_eq!(out, b"kept");
    let tag = frame[0];
    assert_eq!(
        Framer::new(speaker).next(&frame),
        Ok(Framed::Frame { tag, len: frame.len() })
    );
    (tag, frame[HEADER_BYTES..].to_vec())
}

fn breaks(tag: u8, body: &[u8], backend: bool) -> bool {
    if backend {
        match Backend::parse(tag, body) {
            Ok(Backend::DataRow(row)) => row.check().is_err(),
            parsed => parsed.is_err(),
        }
    } else {
        Frontend::parse(tag, body).is_err()
    }
}

#[test]
fn every_sample_parses_and_no_shorter_or_longer_body_does() {
    let all = frontend_samples().into_iter().map(|s| (s, Speaker::Frontend));
    for (sample, speaker) in all.chain(backend_samples().into_iter().map(|s| (s, Speaker::Backend))) {
        let (tag, body) = framed(&sample, speaker);
        let backend = speaker == Speaker::Backend;
        assert!(!breaks(tag, &body, backend), "{}: {body:?}", tag as char);
        for len in 0..body.len() {
            assert!(
                breaks(tag, &body[..len], backend),
                "{} cut at {len} of {body:?}",
                tag as char
            );
        }
        let longer = [body.as_slice(), b"\0"].concat();
        assert!(breaks(tag, &longer, backend), "{} with one byte more", tag as char);
    }
}

#[test]
fn values_come_back() {
    let (tag, body) = framed(&frontend_samples()[2], Speaker::Frontend);
    let Ok(Frontend::Bind(bind)) = Frontend::parse(tag, &body) else {
        panic!()
    };
    assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s1"[..]));
    let cells: Vec<_> = bind.parameters.map(Result::unwrap).collect();
    assert_eq!(cells[0].bytes, Some(&b"1"[..]));
    assert_eq!(&body[cells[0].offset..cells[0].offset + 1], b"1");
    assert_eq!(cells[1].bytes, None);
    assert_eq!(bind.parameter_formats.of(1), Some(Format::Binary));
    assert_eq!(
        bind.result_formats.of(9),
        Some(Format::Binary),
        "one code holds for all"
    );

    let (tag, body) = framed(&backend_samples()[7], Speaker::Backend);
    let Ok(Backend::RowDescription(rows)) = Backend::parse(tag, &body) else {
        panic!()
    };
    let fields: Vec<_> = rows.fields().collect();
    assert_eq!(fields.len(), rows.columns());
    assert_eq!(
        fields[0],
        FieldDescription {
            offset: 2,
            ..field(b"a")
        }
    );
    assert_eq!(
        fields[1],
        FieldDescription {
            offset: 22,
            ..field(b"")
        }
    );

    let (tag, body) = framed(&backend_samples()[16], Speaker::Backend);
    let Ok(Backend::NegotiateProtocolVersion(v)) = Backend::parse(tag, &body) else {
        panic!()
    };
    assert_eq!(v.options().collect::<Vec<_>>(), [b"_pq_.a", b"_pq_.b"]);

    let (tag, body) = framed(&backend_samples()[3], Speaker::Backend);
    let Ok(Backend::Authentication(Authentication::Sasl { mechanisms })) = Backend::parse(tag, &body) else {
        panic!()
    };
    assert_eq!(
        mechanisms.iter().collect::<Vec<_>>(),
        [&b"SCRAM-SHA-256-PLUS"[..], b"SCRAM-SHA-256"]
    );
    assert!(mechanisms.contains(b"SCRAM-SHA-256") && !mechanisms.contains(b"SCRAM"));
}

#[test]
fn rows_of_a_command_tag() {
    let rows = |tag: &[u8]| CommandComplete { command_tag: tag }.rows();
    assert_eq!(rows(b"SELECT 5"), Some(5));
    assert_eq!(rows(b"INSERT 0 12"), Some(12));
    assert_eq!(rows(b"CREATE TABLE"), None);
    assert_eq!(rows(b""), None);
    assert_eq!(rows(b"SELECT 99999999999999999999999"), None);
}

#[test]
fn undefined_values_are_refused() {
    assert!(TransactionStatus::parse(b"X").is_err());
    assert!(Target::parse(b"Xname\0", "Describe").is_err());
    assert!(CopyResponse::parse(b"\x02\0\0", "CopyInResponse").is_err());
    assert!(Bind::parse(b"\0\0\0\x01\0\x02\0\0\0\0").is_err(), "format code 2");
    assert!(
        Bind::parse(b"\0\0\0\x02\0\0\0\x01\0\0\0\0").is_err(),
        "two formats for no parameter"
    );
    assert!(BackendKeyData::parse(b"\0\0\0\x01abc").is_err());
    assert!(BackendKeyData::parse(&[1; 4 + 257]).is_err());
    assert_eq!(BackendKeyData::parse(&[1; 4 + 256]).unwrap().secret.len(), 256);
    assert!(Frontend::parse(b'?', b"").is_err());
    assert!(Backend::parse(b'?', b"").is_err());
}

#[test]
fn a_row_is_checked_to_its_end() {
    let negative = b"\0\x01\xff\xff\xff\xfe";
    assert!(DataRow::parse(negative).unwrap().cells().next().unwrap().is_err());
    let huge = b"\0\x02\x7f\xff\xff\xffabc";
    let mut cells = DataRow::parse(huge).unwrap().cells();
    assert!(cells.next().unwrap().is_err());
    assert!(cells.next().is_none(), "an error ends the walk");
    let trailing = b"\0\x01\0\0\0\x01ab";
    let cells: Vec<_> = DataRow::parse(trailing).unwrap().cells().collect();
    assert!(cells[0].is_ok() && cells[1].is_err() && cells.len() == 2);
}

#[test]
fn what_cannot_be_written_leaves_the_buffer_alone() {
    let mut out = b"kept".to_vec();
    assert_eq!(e::query(&mut out, b"a\0b"), Err(EncodeError::Nul));
    let many = vec![None; usize::from(u16::MAX) + 1];
    assert_eq!(e::data_row(&mut out, &many), Err(EncodeError::TooMany));
    assert_eq!(e::backend_key_data(&mut out, 1, b"abc"), Err(EncodeError::Secret));
    assert_eq!(out, b"kept");
    assert_eq!(e::length_code(1 << 31), Err(EncodeError::TooLong));
    assert_eq!(e::length_code((1 << 31) - 1), Ok(i32::MAX));
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", Frontend::parse(b'p', b"hunter2\0").unwrap());
    assert!(!printed.contains("104") && printed.contains("8 bytes"), "{printed}");
    assert_eq!(
        format!("{:?}", BackendKeyData::parse(b"\0\0\0\x01abcd").unwrap()),
        "BackendKeyData(1, 4 bytes)"
    );
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic(tag: u8, body: Vec<u8>) {
        if let Ok(Backend::DataRow(row)) = Backend::parse(tag, &body) {
            prop_assert_eq!(row.check().is_ok(), row.cells().all(|c| c.is_ok()));
        }
        let _ = Frontend::parse(tag, &body);
    }

    #[test]
    fn rows_round_trip(cells in prop::collection::vec(any::<Option<Vec<u8>>>(), 0..20)) {
        let borrowed: Vec<Option<&[u8]>> = cells.iter().map(|c| c.as_deref()).collect();
        let mut out = Vec::new();
        e::data_row(&mut out, &borrowed).unwrap();
        let row = DataRow::parse(&out[HEADER_BYTES..]).unwrap();
        prop_assert_eq!(row.columns(), cells.len());
        let back: Vec<_> = row.cells().map(|c| c.unwrap().bytes).collect();
        prop_assert_eq!(back, borrowed);
    }
}
