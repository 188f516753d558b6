//! Tests of cutting and sharing views.

use proptest::prelude::*;

use super::Buf;

#[test]
fn cuts_share_one_block_and_never_overlap() {
    let mut rest = Buf::from((0u8..100).collect::<Vec<_>>());
    let mut head = rest.split_to(10);
    let tail = rest.split_off(80);
    assert_eq!(&head[..], &(0u8..10).collect::<Vec<_>>()[..]);
    assert_eq!(&rest[..], &(10u8..90).collect::<Vec<_>>()[..]);
    assert_eq!(&tail[..], &(90u8..100).collect::<Vec<_>>()[..]);
    head[9] = 200;
    assert_eq!(rest[0], 10);
    drop(head);
    drop(rest);
    assert_eq!(tail[9], 99);
}

#[test]
fn cuts_beyond_the_end_take_what_is_there() {
    let mut buf = Buf::from(vec![1, 2, 3]);
    assert!(buf.split_off(7).is_empty());
    assert_eq!(buf.len(), 3);
    buf.advance(1);
    buf.truncate(1);
    assert_eq!(&buf[..], &[2]);
    assert_eq!(buf.split_to(9).to_vec(), vec![2]);
    assert!(buf.is_empty());
    buf.advance(5);
    assert_eq!(&buf[..], &[] as &[u8]);
    assert!(Buf::from(Vec::new()).is_empty());
}

#[test]
fn debug_output_hides_the_bytes() {
    assert_eq!(format!("{:?}", Buf::from(b"secret".to_vec())), "Buf(6 bytes)");
}

proptest! {
    /// Any sequence of cuts behaves like the same cuts on vectors.
    #[test]
    fn cuts_agree_with_vectors(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec((0u8..5, 0usize..60, any::<u8>()), 0..30),
    ) {
        let mut views = vec![(Buf::from(bytes.clone()), bytes)];
        for (action, n, byte) in cuts {
            let index = n % views.len();
            let (buf, model) = &mut views[index];
            let at = n.min(model.len());
            match action {
                0 => {
                    let rest = model.split_off(at);
                    let head = std::mem::replace(model, rest);
                    let cut = (buf.split_to(n), head);
                    views.push(cut);
                }
                1 => {
                    let cut = (buf.split_off(n), model.split_off(at));
                    views.push(cut);
                }
                2 => {
                    buf.advance(n);
                    model.drain(..at);
                }
                3 => {
                    buf.truncate(n);
                    model.truncate(n);
                }
                _ => {
                    buf.fill(byte);
                    model.fill(byte);
                }
            }
        }
        for (buf, model) in &views {
            prop_assert_eq!(&buf[..], &model[..]);
            prop_assert_eq!(buf.len(), model.len());
        }
    }
}
