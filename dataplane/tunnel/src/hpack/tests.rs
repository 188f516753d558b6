//! The Huffman decoder against the library's, and blocks that are wrong.

use super::*;
use proptest::prelude::*;

type List = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<List, BadBlock> {
    let mut list = Vec::new();
    decoder.decode(block, |n, v| list.push((n.to_vec(), v.to_vec())))?;
    Ok(list)
}

#[test]
fn examples_of_the_rfc() {
    // RFC 7541, C.4.1 and C.4.2: Huffman, and the dynamic table of the first block used by the second.
    let first = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
    let mut decoder = Decoder::default();
    let list = decode(&mut decoder, &first).unwrap();
    assert_eq!(list[3], (b":authority".to_vec(), b"www.example.com".to_vec()));
    let list = decode(&mut decoder, &second).unwrap();
    assert_eq!(list[3], (b":authority".to_vec(), b"www.example.com".to_vec()));
    assert_eq!(list[4], (b"cache-control".to_vec(), b"no-cache".to_vec()));
}

#[test]
fn bad_blocks_are_refused() {
    for block in [
        &[0x80][..],                           // index 0
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // endless integer
        &[0xc0],                               // beyond both tables
        &[0x40],                               // cut
        &[0x40, 5, b'a'],
        &[0x40, 0x81, 0xff, 0],                   // padding of eight ones
        &[0x40, 0x81, 0x18, 0],                   // padding of zeros
        &[0x40, 0x84, 0xff, 0xff, 0xff, 0xff, 0], // end of string
        &[0x3f, 0xe2, 0x1f],                      // table of 4097 bytes
    ] {
        assert!(decode(&mut Decoder::default(), block).is_err(), "{block:x?}");
    }
    let many = vec![0x82; FIELDS_MAX + 1];
    assert!(decode(&mut Decoder::default(), &many).is_err());
}

#[test]
fn a_field_that_is_never_indexed_leaves_the_tables_as_they_are() {
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::default();
    for _ in 0..3 {
        let mut block = encoder.encode([(&b"a"[..], &b"b"[..])]);
        let long = vec![b's'; 300];
        put_never_indexed(&mut block, b"private-token", &long);
        let list = decode(&mut decoder, &block).unwrap();
        assert_eq!(
            list,
            [(b"a".to_vec(), b"b".to_vec()), (b"private-token".to_vec(), long)]
        );
    }
}

#[test]
fn a_smaller_table_is_announced_and_kept() {
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::default();
    let fields = || [(&b"x-one"[..], &b"1"[..]), (b"x-two", b"2")];
    let expected: List = fields().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    for size in [4096u32, 40, 0, 100, 1 << 30] {
        encoder.resize(size);
        for _ in 0..3 {
            let block = encoder.encode(fields());
            assert_eq!(decode(&mut decoder, &block).unwrap(), expected, "table {size}");
        }
    }
}

proptest! {
    #[test]
    fn huffman_as_the_library(input in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut out = Vec::new();
        let ours = huffman(&input, &mut out).ok().map(|()| out);
        let theirs = loona_hpack::huffman::HuffmanDecoder::new().decode(&input).ok();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn noise_never_panics(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5)) {
        let mut decoder = Decoder::default();
        for block in blocks {
            if decode(&mut decoder, &block).is_err() {
                break;
            }
        }
    }
}
