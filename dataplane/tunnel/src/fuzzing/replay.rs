//! Replays the committed corpora, and mutations of them from a fixed seed, in every test run.

use super::*;
use std::path::PathBuf;

const MUTATIONS_PER_INPUT: usize = 300;

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../fuzz/corpus", target]
        .iter()
        .collect()
}

/// xorshift64*: the same mutations on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }

    fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(out.len());
            match self.roll(6) {
                0 if !out.is_empty() => out[at] ^= 1 << self.roll(8),
                1 if !out.is_empty() => out[at] = [0, 1, 0x7f, 0x80, 0xff][self.roll(5)],
                2 => out.truncate(at),
                3 => out.insert(at.min(out.len()), self.roll(256) as u8),
                4 if !out.is_empty() => drop(out.remove(at)),
                _ => {
                    let from = self.roll(other.len());
                    let piece = &other[from..(from + self.roll(200)).min(other.len())];
                    let at = at.min(out.len());
                    out.splice(at..at, piece.iter().copied());
                }
            }
        }
        out
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let mut names: Vec<PathBuf> = std::fs::read_dir(corpus(target))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "corpus of {target} is there");
    let inputs: Vec<Vec<u8>> = names.iter().map(|p| std::fs::read(p).unwrap()).collect();
    let mut dice = Dice(0x51ce);
    for (i, input) in inputs.iter().enumerate() {
        run(input);
        for _ in 0..MUTATIONS_PER_INPUT {
            let other = &inputs[(i + dice.roll(inputs.len())) % inputs.len()];
            run(&dice.mutate(input, other));
        }
    }
}

#[test]
fn frames_corpus() {
    replay("tunnel_frames", frames);
}

#[test]
fn mux_corpus() {
    replay("tunnel_mux", mux);
}

/// Writes the seeds anew: `cargo test -p tunnel write_seeds -- --ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    for (name, bytes) in seeds() {
        std::fs::create_dir_all(corpus("tunnel_mux")).unwrap();
        std::fs::create_dir_all(corpus("tunnel_frames")).unwrap();
        std::fs::write(corpus("tunnel_mux").join(name), &bytes).unwrap();
        std::fs::write(corpus("tunnel_frames").join(name), &bytes[1..]).unwrap();
    }
}

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

/// What client and server of an ordinary conversation send.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let mut client: Mux<VecPayload> = Mux::client(Limits::default());
    let mut server: Mux<VecPayload> = Mux::server(Limits::default());
    let (mut up, mut down) = (vec![], vec![]);
    let ids = [SESSION_PATH, HELLO_PATH, SESSION_PATH].map(|path| client.open(path, &[("x-a", "b")]).unwrap());
    let mut step = |client: &mut Mux<VecPayload>, server: &mut Mux<VecPayload>| {
        let sent = transmit(client);
        up.extend_from_slice(&sent);
        server.feed(VecPayload(sent), NOW).unwrap();
        let sent = transmit(server);
        down.extend_from_slice(&sent);
        client.feed(VecPayload(sent), NOW).unwrap();
    };
    for n in [3usize, 130, 900] {
        client.send_message(ids[1], &vec![9; n]);
        client.send_data(ids[0], VecPayload(vec![1; n]));
        server.send_data(ids[2], VecPayload(vec![2; n]));
        server.send_message(ids[0], &[0x22, 0]);
        step(&mut client, &mut server);
    }
    client.finish(ids[0], GrpcStatus::Ok, "");
    step(&mut client, &mut server);
    server.finish(ids[0], GrpcStatus::Aborted, "why not");
    client.reset(ids[2], crate::ErrorCode::CANCEL);
    server.drain();
    step(&mut client, &mut server);
    step(&mut client, &mut server);
    (up, down)
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (up, down) = conversation();
    let mut seeds = vec![
        ("client-bytes", [&[SERVER][..], &up[PREFACE.len()..]].concat()),
        ("server-bytes", [&[CLIENT][..], &down].concat()),
    ];
    let settings = frame_bytes(4, 0, 0, &[0, 4, 0, 0, 0, 9, 0, 1, 0, 0, 0, 50]);
    let block = crate::hpack::Encoder::default().encode(crate::headers::request(SESSION_PATH, "a", &[]));
    let call = frame_bytes(1, 4, 1, &block);
    let server = |name, frames: &[Vec<u8>]| (name, [&[SERVER][..], &settings, &call, &frames.concat()].concat());
    seeds.push(server(
        "window-tiny",
        &[
            frame_bytes(8, 0, 1, &[0, 0, 0, 40]),
            frame_bytes(0, 0, 1, &[0, 0, 0, 0, 3, 10, 1, 7]),
        ],
    ));
    seeds.push(server(
        "settings-shrink",
        &[frame_bytes(4, 0, 0, &[0, 4, 0, 0, 0, 0]), frame_bytes(4, 1, 0, &[])],
    ));
    seeds.push(server(
        "padded",
        &[frame_bytes(0, 9, 1, &[2, 0, 0, 0, 0, 3, 10, 1, 7, 0, 0])],
    ));
    seeds.push(server(
        "ping",
        &[frame_bytes(6, 0, 0, b"pingpong"), frame_bytes(6, 1, 0, b"drain?\0\0")],
    ));
    seeds.push(server(
        "goaway",
        &[frame_bytes(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0, b'x'])],
    ));
    seeds.push(server(
        "goaway-error",
        &[frame_bytes(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])],
    ));
    seeds.push(server(
        "reset",
        &[frame_bytes(3, 0, 1, &[0, 0, 0, 8]), frame_bytes(0, 0, 1, b"late")],
    ));
    seeds.push(server(
        "priority-unknown",
        &[frame_bytes(2, 0, 3, &[0; 5]), frame_bytes(0x1f, 7, 9, b"extension")],
    ));
    seeds.push(server(
        "field-longer",
        &[frame_bytes(0, 0, 1, &[0, 0, 0, 0, 9, 10, 0xff, 0xff, 3, 1, 1, 1, 1, 1])],
    ));
    let (a, b) = block.split_at(20);
    let cut = [frame_bytes(1, 0, 3, a), frame_bytes(9, 4, 3, b)];
    seeds.push(server("continuation", &cut));
    let huffman = [
        0x82, 0x87, 0x44, 0x83, 0x60, 0x75, 0x99, 0x5f, 0x8b, 0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x4d,
        0x65, 0x64,
    ];
    seeds.push(server("huffman", &[frame_bytes(1, 5, 3, &huffman)]));
    seeds
}
