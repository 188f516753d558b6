//! HTTP/2 frames of the agent's link, both ends: a small query and its answer, and a piece of a large result.

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use tunnel::{Event, Limits, Mux, StreamId, open::SESSION_PATH};

use crate::{Case, Make, case};

pub const CASES: &[(&str, Make)] = &[
    ("tunnel/small turn", || turn("tunnel/small turn", 40, 120)),
    ("tunnel/16 KB answer", || turn("tunnel/16 KB answer", 40, 16_000)),
];

const SESSIONS: usize = 50;
const WRITE_BYTES_MAX: usize = 64 * 1024;

struct Pair {
    client: Mux<BytesMut>,
    server: Mux<BytesMut>,
    ids: Vec<StreamId>,
}

fn turn(name: &'static str, up: usize, down: usize) -> Case {
    let mut pair = Pair::open();
    let (query, answer) = (vec![1; up], vec![2; down]);
    let mut number = 0;
    case(name, 0, move || {
        let id = pair.ids[number % SESSIONS];
        number += 1;
        one_way(&mut pair.client, &mut pair.server, id, &query);
        one_way(&mut pair.server, &mut pair.client, id, &answer);
    })
}

impl Pair {
    fn open() -> Self {
        let mut pair = Self {
            client: Mux::client(Limits::default()),
            server: Mux::server(Limits::default()),
            ids: Vec::new(),
        };
        pair.ids = (0..SESSIONS)
            .map(|_| pair.client.open(SESSION_PATH, &[]).expect("room for a stream"))
            .collect();
        for _ in 0..4 {
            carry(&mut pair.client, &mut pair.server);
            carry(&mut pair.server, &mut pair.client);
        }
        while pair.server.poll_event().is_some() {}
        while pair.client.poll_event().is_some() {}
        pair
    }
}

fn one_way(from: &mut Mux<BytesMut>, to: &mut Mux<BytesMut>, id: StreamId, message: &[u8]) {
    from.send_data(id, BytesMut::from(message));
    carry(from, to);
    let mut got = 0;
    while let Some(event) = to.poll_event() {
        if let Event::Data { stream, data } = event {
            got += data.len();
            to.release(stream, data.len());
            black_box(&data);
        }
    }
    assert_eq!(got, message.len());
}

/// Stands for the socket: gathers the pieces and hands them over.
fn carry(from: &mut Mux<BytesMut>, to: &mut Mux<BytesMut>) {
    let mut wire = BytesMut::new();
    while from.poll_transmit(&mut |piece: BytesMut| wire.extend_from_slice(&piece), WRITE_BYTES_MAX) {}
    if !wire.is_empty() {
        to.feed(wire, Duration::from_secs(1)).expect("two ends of our own");
    }
}
