//! What a small query and its answer cost in both ends of a link: `cargo run -p tunnel --features bytes --example turn`.

use bytes::{Bytes, BytesMut};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tunnel::{Event, Limits, Mux, StreamId, open::SESSION_PATH};

const SESSIONS: usize = 50;

const TURNS: usize = 100_000;
/// The quickest of so many rounds counts: what else the machine does only makes them slower.
const ROUNDS: usize = 7;

fn main() {
    for (up, down) in [(40, 120), (200, 2_000), (200, 16_000)] {
        let mut pair = Pair::new();
        pair.run(20_000, up, down);
        let ns = (0..ROUNDS)
            .map(|_| {
                let before = cpu_time();
                pair.run(TURNS, up, down);
                (cpu_time() - before).as_nanos() as usize / TURNS
            })
            .min()
            .unwrap_or(0);
        println!("query {up:>5} B, answer {down:>6} B: {ns:>6} ns CPU per turn, both ends, both directions");
    }
}

/// Time on a processor; where the kernel does not tell, time on the wall.
fn cpu_time() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    std::fs::read_to_string("/proc/self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| STARTED.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

struct Pair {
    client: Mux<BytesMut>,
    server: Mux<BytesMut>,
    ids: Vec<StreamId>,
    spare: Vec<BytesMut>,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            client: Mux::client(Limits::default()),
            server: Mux::server(Limits::default()),
            ids: Vec::new(),
            spare: Vec::new(),
        };
        pair.ids = (0..SESSIONS)
            .filter_map(|_| pair.client.open(SESSION_PATH, &[]).ok())
            .collect();
        for _ in 0..4 {
            carry(&mut pair.client, &mut pair.server, &mut pair.spare);
            carry(&mut pair.server, &mut pair.client, &mut pair.spare);
        }
        while pair.server.poll_event().is_some() {}
        while pair.client.poll_event().is_some() {}
        pair
    }

    fn run(&mut self, turns: usize, up: usize, down: usize) {
        let (query, answer) = (Bytes::from(vec![1; up]), Bytes::from(vec![2; down]));
        for turn in 0..turns {
            let id = self.ids[turn % self.ids.len()];
            one_way(&mut self.client, &mut self.server, id, &query, &mut self.spare);
            one_way(&mut self.server, &mut self.client, id, &answer, &mut self.spare);
        }
    }
}

/// One message from one end to the other, and its credit.
fn one_way(from: &mut Mux<BytesMut>, to: &mut Mux<BytesMut>, id: StreamId, message: &[u8], spare: &mut Vec<BytesMut>) {
    // Stands for a buffer that a socket was read into.
    from.send_data(id, BytesMut::from(message));
    carry(from, to, spare);
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

/// Stands for the socket: gathers the pieces into one buffer and hands it over.
fn carry(from: &mut Mux<BytesMut>, to: &mut Mux<BytesMut>, _spare: &mut Vec<BytesMut>) {
    let mut wire = BytesMut::with_capacity(64);
    let mut first = true;
    while from.poll_transmit(
        &mut |piece: BytesMut| {
            if first {
                wire = piece;
                first = false;
            } else {
                wire.extend_from_slice(&piece);
            }
        },
        64 * 1024,
    ) {}
    if !wire.is_empty() {
        to.feed(wire, Duration::from_secs(1)).expect("two ends of our own");
    }
}
