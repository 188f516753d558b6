//! Peers that break the rules: each gets an error, none gets memory, time or a panic.

use super::*;
use crate::frame::{Header, Kind, PREFACE};

fn frame_bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        len: payload.len() as u32,
        kind: Kind::from_byte(kind),
        flags,
        stream,
    };
    let mut bytes = header.encode().to_vec();
    bytes[3] = kind;
    bytes.extend_from_slice(payload);
    bytes
}

/// A server that has seen preface and SETTINGS.
fn server() -> End {
    let mut mux: End = Mux::server(Limits::default());
    feed(&mut mux, PREFACE).unwrap();
    feed(&mut mux, &frame_bytes(4, 0, 0, &[])).unwrap();
    mux
}

fn feed(mux: &mut End, bytes: &[u8]) -> Result<(), LinkError> {
    mux.feed(VecPayload(bytes.to_vec()), SECOND)
}

fn call(stream: u32, flags: u8) -> Vec<u8> {
    call_with(stream, flags, &mut hpack::Encoder::default(), &[])
}

fn call_with(stream: u32, flags: u8, hpack: &mut hpack::Encoder, metadata: &[(&str, &str)]) -> Vec<u8> {
    let block = hpack.encode(headers::request(SESSION_PATH, "a", metadata));
    frame_bytes(1, flags, stream, &block)
}

fn code(result: Result<(), LinkError>) -> ErrorCode {
    match result {
        Err(LinkError::Protocol { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_out_of_order_or_size_end_the_link() {
    let cases: Vec<(Vec<u8>, ErrorCode)> = vec![
        (frame_bytes(0, 0, 1, b"x"), ErrorCode::PROTOCOL_ERROR), // DATA, idle stream
        (frame_bytes(0, 0, 0, b"x"), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(1, 4, 2, &[0x83]), ErrorCode::PROTOCOL_ERROR), // even stream
        (frame_bytes(1, 4, 0, &[0x83]), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(1, 4, 1, &[0xff; 20]), ErrorCode::COMPRESSION_ERROR),
        (frame_bytes(1, 0xc, 1, &[9, 1]), ErrorCode::PROTOCOL_ERROR), // padding too long
        (frame_bytes(1, 0x2c, 1, &[0, 1]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(2, 0, 1, &[0; 4]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(3, 0, 1, &[0; 4]), ErrorCode::PROTOCOL_ERROR), // reset of an idle stream
        (frame_bytes(3, 0, 1, &[0; 5]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(4, 0, 0, &[0; 5]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(4, 0, 1, &[]), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(4, 1, 0, &[0; 6]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(4, 0, 0, &[0, 2, 0, 0, 0, 2]), ErrorCode::PROTOCOL_ERROR),
        (
            frame_bytes(4, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            ErrorCode::FLOW_CONTROL_ERROR,
        ),
        (frame_bytes(4, 0, 0, &[0, 5, 0, 0, 0, 1]), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(5, 0, 1, &[0; 8]), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(6, 0, 0, &[0; 7]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(6, 0, 1, &[0; 8]), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(7, 0, 0, &[0; 7]), ErrorCode::FRAME_SIZE_ERROR),
        (frame_bytes(8, 0, 0, &[0; 4]), ErrorCode::PROTOCOL_ERROR),
        (
            frame_bytes(8, 0, 0, &[0x7f, 255, 255, 255]),
            ErrorCode::FLOW_CONTROL_ERROR,
        ),
        (frame_bytes(8, 0, 1, &[0, 0, 0, 1]), ErrorCode::PROTOCOL_ERROR),
        (frame_bytes(9, 4, 1, &[]), ErrorCode::PROTOCOL_ERROR),
        (
            [frame_bytes(1, 0, 1, &[0x83]), frame_bytes(6, 0, 0, &[0; 8])].concat(),
            ErrorCode::PROTOCOL_ERROR,
        ),
        (vec![0xff; 9], ErrorCode::FRAME_SIZE_ERROR),
    ];
    for (bytes, expected) in cases {
        let mut mux = server();
        events(&mut mux);
        drain_wire(&mut mux);
        assert_eq!(code(feed(&mut mux, &bytes)), expected, "{bytes:?}");
        assert!(matches!(&events(&mut mux)[..], [Event::LinkClosed { .. }]));
        let goaway = drain_wire(&mut mux);
        assert_eq!((goaway[3], goaway[16]), (7, expected.0 as u8), "{bytes:?}");
    }
    let mut mux: End = Mux::server(Limits::default());
    assert!(feed(&mut mux, b"GET / HTTP/1.1\r\n").is_err());
    let mut mux: End = Mux::client(Limits::default());
    assert!(
        feed(&mut mux, &frame_bytes(6, 0, 0, &[0; 8])).is_err(),
        "first frame is not SETTINGS"
    );
    let mut mux: End = Mux::client(Limits::default());
    feed(&mut mux, &frame_bytes(4, 0, 0, &[])).unwrap();
    assert!(
        feed(&mut mux, &frame_bytes(1, 4, 1, &[0x88])).is_err(),
        "answer to a stream never opened"
    );
}

#[test]
fn faults_of_one_stream_end_only_that() {
    let mut bad_window = Vec::new();
    for _ in 0..5 {
        bad_window.extend(frame_bytes(
            0,
            0,
            1,
            &[&[0, 0, 1, 0, 0, 0x12][..], &[0; 65_000]].concat(),
        ));
    }
    let cases: Vec<(Vec<u8>, u32)> = vec![
        (frame_bytes(8, 0, 1, &[0; 4]), 1),
        (frame_bytes(8, 0, 1, &[0x7f, 255, 255, 255]), 3),
        (frame_bytes(0, 0, 1, &[1, 0, 0, 0, 1, 0]), 2), // compressed message
        (frame_bytes(0, 0, 1, &[0, 0, 1, 0, 1, 0x12]), 2), // control message too large
        (frame_bytes(0, 0, 1, &[0, 0, 0, 0, 5, 0x0a, 2, 1, 1, 0x0a]), 2), // a second field behind the payload
        (frame_bytes(0, 0, 1, &[0, 0, 0, 0, 3, 0x0a, 0xff, 0xff]), 2),
        (
            frame_bytes(
                0,
                0,
                1,
                &[0, 0xff, 0xff, 0xff, 0xff, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            2,
        ),
        (frame_bytes(0, 1, 1, &[0, 0, 0]), 1), // ends inside a message
        (call(1, 4), 1),
        ([frame_bytes(0, 1, 1, &[]), frame_bytes(0, 0, 1, b"x")].concat(), 5),
        (bad_window, 3),
    ];
    for (bytes, expected) in cases {
        let mut mux = server();
        feed(&mut mux, &call(1, 4)).unwrap();
        let mut hpack = hpack::Encoder::default();
        hpack.encode(headers::request(SESSION_PATH, "a", &[]));
        feed(&mut mux, &call_with(3, 4, &mut hpack, &[])).unwrap();
        drain_wire(&mut mux);
        feed(&mut mux, &bytes).unwrap();
        let all = events(&mut mux);
        assert!(
            all.iter()
                .any(|e| matches!(e, Event::Closed { stream, .. } if stream.0 == 1)),
            "{all:?}"
        );
        let wire = drain_wire(&mut mux);
        let rst = wire
            .windows(13)
            .find(|w| w[..9] == frame_bytes(3, 0, 1, &[0; 4])[3 - 3..9]);
        assert_eq!(rst.map(|w| u32::from(w[12])), Some(expected), "{bytes:?} {wire:?}");
        assert_eq!(mux.streams(), 1);
        feed(&mut mux, &frame_bytes(0, 0, 3, &[0, 0, 0, 0, 3, 0x0a, 1, 7])).unwrap();
        assert_eq!(data_of(&events(&mut mux), StreamId(3)), [7]);
    }
}

#[test]
fn malformed_requests_are_refused() {
    let lists: Vec<Vec<(&[u8], &[u8])>> = vec![
        vec![(b":method", b"POST"), (b":scheme", b"https")],
        vec![
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", b"/"),
            (b"content-type", b"application/grpc"),
        ],
        vec![
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", b"/"),
            (b"X", b"y"),
        ],
        vec![
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":path", b"/"),
            (b"content-type", b"text/html"),
        ],
    ];
    for list in lists {
        let mut mux = server();
        let block = hpack::Encoder::default().encode(list);
        feed(&mut mux, &frame_bytes(1, 4, 1, &block)).unwrap();
        assert!(events(&mut mux).is_empty());
        assert_eq!(mux.streams(), 0);
    }
    let mut mux = server();
    let large = "v".repeat(9000);
    let bytes = call_with(
        1,
        4,
        &mut hpack::Encoder::default(),
        &[("a", &large), ("b", &large[..7000])],
    );
    feed(&mut mux, &bytes).unwrap();
    assert_eq!(mux.streams(), 0, "list of more than 16 KiB with its overhead");
}

#[test]
fn floods_end_the_link() {
    type Flood = fn(u32, &mut hpack::Encoder) -> Vec<u8>;
    let floods: Vec<(&str, Flood)> = vec![
        ("ping", |_, _| frame_bytes(6, 0, 0, &[0; 8])),
        ("settings", |_, _| frame_bytes(4, 0, 0, &[])),
        ("empty DATA", |i, h| {
            if i == 0 {
                call_with(1, 4, h, &[])
            } else {
                frame_bytes(0, 0, 1, &[])
            }
        }),
        ("priority", |i, _| frame_bytes(2, 0, i * 2 + 1, &[0; 5])),
        ("unknown", |_, _| frame_bytes(0x77, 0, 0, &[0; 50])),
        ("rapid reset", |i, h| {
            [call_with(i * 2 + 1, 4, h, &[]), frame_bytes(3, 0, i * 2 + 1, &[0; 4])].concat()
        }),
        ("refused", |i, h| call_with(i * 2 + 1, 4, h, &[(":", "")])),
        ("continuation", |i, _| {
            frame_bytes(if i == 0 { 1 } else { 9 }, 0, 1, &[])
        }),
        ("large block", |i, _| {
            frame_bytes(if i == 0 { 1 } else { 9 }, 0, 1, &[0; 4000])
        }),
    ];
    for (name, flood) in floods {
        let mut mux = server();
        let mut hpack = hpack::Encoder::default();
        let mut frames = 0;
        let error = loop {
            if let Err(error) = feed(&mut mux, &flood(frames, &mut hpack)) {
                break error;
            }
            events(&mut mux);
            frames += 1;
            assert!(frames < 20_000, "{name} goes on");
        };
        assert_eq!(code(Err(error)), ErrorCode::ENHANCE_YOUR_CALM, "{name} after {frames}");
        assert!(mux.control.len() < 64 * 1024, "{name}");
    }
}

#[test]
fn the_queue_of_answers_is_bounded() {
    let plenty = Bucket {
        burst: u32::MAX,
        per_second: 0,
    };
    let floods = FloodLimits {
        pings: plenty,
        settings: plenty,
        empty: plenty,
        resets: plenty,
    };
    let mut mux: End = Mux::server(Limits {
        floods,
        ..Limits::default()
    });
    feed(&mut mux, PREFACE).unwrap();
    feed(&mut mux, &frame_bytes(4, 0, 0, &[])).unwrap();
    let many: Vec<u8> = std::iter::repeat_n(frame_bytes(6, 0, 0, &[0; 8]), 500)
        .flatten()
        .collect();
    let mut rounds = 0;
    while feed(&mut mux, &many).is_ok() {
        rounds += 1;
        assert!(rounds < 200);
    }
    assert!(mux.control.len() < 2 * crate::limits::CONTROL_QUEUE_BYTES_MAX);
}

#[test]
fn padding_priority_and_extensions_are_taken() {
    let mut mux = server();
    let block = hpack::Encoder::default().encode(headers::request(SESSION_PATH, "a", &[]));
    let payload = [&[3, 0, 0, 0, 0, 16][..], &block, &[0; 3]].concat();
    feed(&mut mux, &frame_bytes(1, 0x2c, 1, &payload)).unwrap();
    feed(&mut mux, &frame_bytes(0xbe, 0xff, 7, &[1; 300])).unwrap();
    let data = frame_bytes(0, 0x8, 1, &[&[4, 0, 0, 0, 0, 4, 0x0a, 2, 5, 6][..], &[0; 4]].concat());
    for byte in [&data[..], &data[..]].concat() {
        feed(&mut mux, &[byte]).unwrap();
    }
    assert_eq!(data_of(&events(&mut mux), StreamId(1)), [5, 6, 5, 6]);
    assert!(feed(&mut mux, &frame_bytes(0, 0x8, 1, &[2, 0])).is_err());
}

#[test]
fn answers_that_are_not_grpc_are_understood() {
    let head: &[(&[u8], &[u8])] = &[(b":status", b"200"), (b"content-type", b"application/grpc")];
    let html: &[(&[u8], &[u8])] = &[(b":status", b"200"), (b"content-type", b"text/html")];
    let ok: &[(&[u8], &[u8])] = &[(b"grpc-status", b"0")];
    let odd: &[(&[u8], &[u8])] = &[(b"grpc-status", b"99")];
    let none: &[(&[u8], &[u8])] = &[(b"x", b"y")];
    let gateway: &[(&[u8], &[u8])] = &[(b":status", b"503")];
    type Block<'a> = (&'a [(&'a [u8], &'a [u8])], bool);
    let cases: Vec<(Vec<Block<'_>>, GrpcStatus)> = vec![
        (vec![(head, false), (ok, true)], GrpcStatus::Ok),
        (vec![(head, false), (odd, true)], GrpcStatus::Unknown),
        (vec![(head, false), (none, true)], GrpcStatus::Unknown),
        (vec![(head, false), (ok, false)], GrpcStatus::Internal),
        (vec![(head, true)], GrpcStatus::Unknown),
        (vec![(html, false)], GrpcStatus::Unknown),
        (vec![(gateway, false)], GrpcStatus::Unavailable),
        (vec![(gateway, true)], GrpcStatus::Unavailable),
        (vec![(ok, true)], GrpcStatus::Internal),
    ];
    for (blocks, expected) in cases {
        let mut mux: End = Mux::client(Limits::default());
        feed(&mut mux, &frame_bytes(4, 0, 0, &[])).unwrap();
        let id = mux.open(SESSION_PATH, &[]).unwrap();
        let mut hpack = hpack::Encoder::default();
        for (list, end) in &blocks {
            let block = hpack.encode(list.iter().copied());
            feed(&mut mux, &frame_bytes(1, 4 | u8::from(*end), id.0, &block)).unwrap();
        }
        let got = events(&mut mux);
        assert!(
            matches!(&got[..], [Event::Closed { status, .. }] if *status == expected),
            "{blocks:?} {got:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn noise_never_panics(noise in prop::collection::vec((0u8..11, any::<u8>(), 0u32..9, prop::collection::vec(any::<u8>(), 0..60)), 0..60)) {
        let mut mux = server();
        feed(&mut mux, &call(1, 4)).unwrap();
        for (kind, flags, stream, payload) in noise {
            if feed(&mut mux, &frame_bytes(kind, flags, stream, &payload)).is_err() {
                break;
            }
            events(&mut mux);
            drain_wire(&mut mux);
        }
    }
}
