//! Frame headers and payload views.

use super::*;

#[test]
fn headers_are_written_as_read() {
    let header = Header {
        len: 0x01_02_03,
        kind: Kind::Data,
        flags: 9,
        stream: 0x7fff_fffe,
    };
    let bytes = header.encode();
    assert_eq!(bytes, [1, 2, 3, 0, 9, 0x7f, 0xff, 0xff, 0xfe]);
    assert_eq!(Header::parse(&bytes), header);
    // The reserved bit is ignored (RFC 9113, 4.1).
    let reserved = [0, 0, 0, 4, 0, 0x80, 0, 0, 0];
    assert_eq!(Header::parse(&reserved).stream, 0);
    assert_eq!(Header::parse(&[0, 0, 0, 200, 0, 0, 0, 0, 0]).kind, Kind::Unknown);
}

#[test]
fn long_blocks_continue_in_further_frames() {
    let mut out = Vec::new();
    put_headers(&mut out, 5, &[7; 25], true, 10);
    let kinds: Vec<(u32, Kind, u8)> = [0, 19, 38]
        .map(|at| Header::parse(out[at..at + 9].try_into().unwrap()))
        .map(|h| (h.len, h.kind, h.flags))
        .to_vec();
    assert_eq!(
        kinds,
        [
            (10, Kind::Headers, FLAG_END_STREAM),
            (10, Kind::Continuation, 0),
            (5, Kind::Continuation, FLAG_END_HEADERS)
        ]
    );
}

#[test]
fn padding_and_priority_are_stripped() {
    let header = |flags, len| Header {
        len,
        kind: Kind::Headers,
        flags,
        stream: 1,
    };
    let view = |flags, payload: &'static [u8]| headers_fragment(&header(flags, payload.len() as u32), payload);
    assert_eq!(view(0, b"abc"), Ok(&b"abc"[..]));
    assert_eq!(view(FLAG_PADDED, b"\x02abc"), Ok(&b"a"[..]));
    assert_eq!(view(FLAG_PADDED | FLAG_PRIORITY, b"\x01pppppabc"), Ok(&b"ab"[..]));
    assert!(view(FLAG_PADDED, b"").is_err());
    assert!(view(FLAG_PADDED, b"\x04abc").is_err());
    assert!(view(FLAG_PRIORITY, b"pppp").is_err());
}

#[test]
fn settings_are_checked() {
    let all = [
        Setting::HeaderTableSize(1),
        Setting::EnablePush(true),
        Setting::MaxConcurrentStreams(3),
        Setting::InitialWindowSize(4),
        Setting::MaxFrameSize(16_384),
        Setting::MaxHeaderListSize(6),
    ];
    let mut out = Vec::new();
    put_settings(&mut out, &all);
    let read: Vec<Setting> = settings(&out[9..]).map(Result::unwrap).collect();
    assert_eq!(read, all);
    assert_eq!(Setting::parse([0, 99, 0, 0, 0, 0]), Ok(Setting::Unknown));
}

#[test]
fn error_codes_have_names() {
    assert_eq!(ErrorCode::ENHANCE_YOUR_CALM.to_string(), "ENHANCE_YOUR_CALM");
    assert_eq!(ErrorCode(77).to_string(), "error code 0x4d");
}
