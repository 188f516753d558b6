//! Message framing: what is written is read, however it is cut.

use super::*;
use proptest::prelude::*;
use prost::Message;
use proto::tunnel::{SessionFrame, session_frame::Kind};

#[derive(Debug, PartialEq)]
enum Seen {
    Message(Vec<u8>),
    Payload(Vec<u8>),
}

fn read(decoder: &mut Decoder, mut bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), BadMessage> {
    while !bytes.is_empty() {
        let used = match decoder.step(bytes)? {
            Step::Skip(n) => n,
            Step::Message(n, message) => {
                seen.push(Seen::Message(message));
                n
            }
            Step::Payload(skip, n) => {
                let piece = &bytes[skip..skip + n];
                match seen.last_mut() {
                    Some(Seen::Payload(have)) => have.extend_from_slice(piece),
                    _ if n > 0 => seen.push(Seen::Payload(piece.to_vec())),
                    _ => {}
                }
                skip + n
            }
        };
        bytes = &bytes[used..];
    }
    Ok(())
}

#[test]
fn the_prefix_is_what_protobuf_writes() {
    for n in [1usize, 127, 128, 16_383, 16_384, 300_000] {
        let (prefix, end) = data_prefix(n as u32);
        let ours = [&prefix[..usize::from(end)], &vec![7; n]].concat();
        let theirs = framed(
            &SessionFrame {
                kind: Some(Kind::Data(vec![7; n])),
            }
            .encode_to_vec(),
        );
        assert_eq!(ours, theirs);
    }
}

#[test]
fn status_messages_are_percent_encoded() {
    assert_eq!(percent_encode("a b%ü\n"), "a b%25%C3%BC%0A");
    assert_eq!(percent_decode(b"a b%25%C3%BC%0A"), "a b%ü\n");
    assert_eq!(percent_decode(b"100% %zz %4"), "100% %zz %4");
    assert_eq!(GrpcStatus::from_code(16), GrpcStatus::Unauthenticated);
    assert_eq!(GrpcStatus::from_code(17), GrpcStatus::Unknown);
    for code in 0..17 {
        assert_eq!(u32::from(GrpcStatus::from_code(code).code()), code);
    }
}

proptest! {
    #[test]
    fn messages_do_not_depend_on_cuts(
        messages in prop::collection::vec((any::<bool>(), 0usize..400), 1..12),
        cuts in prop::collection::vec(1usize..40, 1..30),
    ) {
        let mut bytes = Vec::new();
        for (data, n) in &messages {
            if *data && *n > 0 {
                let (prefix, end) = data_prefix(*n as u32);
                bytes.extend_from_slice(&prefix[..usize::from(end)]);
                bytes.extend(std::iter::repeat_n(1, *n));
            } else {
                bytes.extend(framed(&vec![0x12; *n]));
            }
        }
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        read(&mut Decoder::new(true, 1000), &bytes, &mut whole).unwrap();
        let mut decoder = Decoder::new(true, 1000);
        let mut rest = &bytes[..];
        for n in cuts.iter().cycle() {
            let (piece, tail) = rest.split_at((*n).min(rest.len()));
            read(&mut decoder, piece, &mut cut).unwrap();
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(decoder.at_boundary());
        prop_assert_eq!(whole, cut);
    }
}
