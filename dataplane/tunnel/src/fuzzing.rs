//! Entry points that the fuzz targets and the replay of their corpora share; no part of the public interface.
//!
//! Each takes arbitrary bytes and panics if a promise is broken: no panic on hostile input, the same events and answers for
//! every way of cutting the input, answers and queues bounded. The first byte of an input for the mux chooses the role.

use crate::{
    Event, GrpcStatus, Limits, Mux, VecPayload,
    frame::{self, HEADER_BYTES, Header, Kind, PREFACE},
    grpc::PREFIX_BYTES,
    open::{HELLO_PATH, SESSION_PATH},
};
use std::time::Duration;

#[cfg(test)]
mod replay;

/// Choice of the client role, with three streams open.
pub const CLIENT: u8 = 1;
/// Choice of the server role; the preface is given before the input.
pub const SERVER: u8 = 0;

const NOW: Duration = Duration::from_secs(1);
/// What may be answered at most, per byte of input and in any case.
const ANSWER_FACTOR: usize = 10;
const ANSWER_BYTES: usize = 4096;

/// Frame headers one after another, and the views of their payload.
pub fn frames(data: &[u8]) {
    let mut rest = data;
    while let Some(bytes) = rest.first_chunk::<HEADER_BYTES>() {
        let header = Header::parse(bytes);
        if header.kind != Kind::Unknown {
            let again = Header::parse(&header.encode());
            assert_eq!(again, header);
        }
        let end = (HEADER_BYTES + header.len as usize).min(rest.len());
        let payload = &rest[HEADER_BYTES..end];
        if header.check(65_536).is_ok() {
            views(&header, payload);
        }
        rest = &rest[end..];
    }
}

fn views(header: &Header, payload: &[u8]) {
    match header.kind {
        Kind::Headers => {
            if let Ok(fragment) = frame::headers_fragment(header, payload) {
                assert!(fragment.len() <= payload.len());
                let _ = crate::hpack::Decoder::default().decode(fragment, |_, _| {});
            }
        }
        Kind::Settings => frame::settings(payload).for_each(|s| assert!(s.is_ok() || s.is_err())),
        _ => assert!(frame::u31(payload) <= crate::limits::STREAM_ID_MAX),
    }
}

/// Bytes from the peer of a link in either role.
pub fn mux(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let whole = observe(choice, bytes, bytes.len().max(1));
    for step in [1, 2, 7, 100] {
        assert!(observe(choice, bytes, step) == whole, "cut every {step} bytes");
    }
    assert!(
        whole.1.len() <= ANSWER_BYTES + ANSWER_FACTOR * bytes.len(),
        "answer out of proportion"
    );
    converse(choice, bytes);
}

fn link(choice: u8) -> Mux<VecPayload> {
    let mut mux: Mux<VecPayload>;
    if choice & 1 == CLIENT {
        mux = Mux::client(Limits::default());
        for path in [SESSION_PATH, HELLO_PATH, SESSION_PATH] {
            assert!(mux.open(path, &[]).is_ok());
        }
    } else {
        mux = Mux::server(Limits::default());
        assert!(mux.feed(VecPayload(PREFACE.to_vec()), NOW).is_ok());
    }
    mux
}

type Seen = (Vec<Event<VecPayload>>, Vec<u8>);

/// What a passive user sees and what is answered, when `step` bytes come at a time. Pieces of data are joined.
fn observe(choice: u8, bytes: &[u8], step: usize) -> Seen {
    let mut mux = link(choice);
    for piece in bytes.chunks(step) {
        if mux.feed(VecPayload(piece.to_vec()), NOW).is_err() {
            break;
        }
    }
    let mut events: Vec<Event<VecPayload>> = Vec::new();
    while let Some(event) = mux.poll_event() {
        match (events.last_mut(), event) {
            (Some(Event::Data { stream: s, data: have }), Event::Data { stream, data }) if *s == stream => {
                have.0.extend(data.0);
            }
            (_, event) => events.push(event),
        }
    }
    (events, transmit(&mut mux))
}

fn transmit(mux: &mut Mux<VecPayload>) -> Vec<u8> {
    let mut out = Vec::new();
    while mux.poll_transmit(&mut |piece: VecPayload| out.extend(piece.0), 10_000) {}
    out
}

/// A user that answers everything: echoes data, acknowledges messages, ends what the peer ends. Then time passes.
fn converse(choice: u8, bytes: &[u8]) {
    let mut mux = link(choice);
    for piece in bytes.chunks(50) {
        let _ = mux.feed(VecPayload(piece.to_vec()), NOW);
        while let Some(event) = mux.poll_event() {
            match event {
                Event::Data { stream, data } => {
                    mux.release(stream, data.0.len());
                    if mux.capacity(stream) >= data.0.len() {
                        let n = data.0.len();
                        let sent = mux.send_data(stream, data);
                        assert!(sent == n, "capacity was promised");
                    }
                }
                Event::Message { stream, message } => mux.send_message(stream, &message),
                Event::Half { stream } => mux.finish(stream, GrpcStatus::Ok, ""),
                _ => {}
            }
        }
        let out = transmit(&mut mux);
        assert!(
            out.len() <= (1 << 20) + PREFIX_BYTES,
            "one chunk caused a flood of answers"
        );
    }
    mux.drain();
    // The clock starts, is silent for too long, and stays so.
    for seconds in [20, 40, 60] {
        mux.handle_timeout(NOW * seconds);
    }
    transmit(&mut mux);
    assert!(mux.is_closed() && mux.streams() == 0, "silence ends every link");
}
