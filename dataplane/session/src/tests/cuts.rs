//! What goes out, and what is noted, never depends on how the bytes were cut.

use proptest::prelude::*;

use super::*;

/// Turns of a conversation: who speaks, and what.
type Turns = Vec<(Direction, Vec<u8>)>;

fn conversation() -> Turns {
    use Direction::{ToDownstream, ToUpstream};
    let email: &[u8] = b"alice@example.com";
    let group = [
        parse("s", "select email, $1"),
        bind("", "s", &["bob@example.org"], &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    let answer = [
        bare(b'1'),
        bare(b'2'),
        text_column("e"),
        row(&[Some(email)]),
        row(&[None]),
        complete("SELECT 2"),
        ready(),
    ];
    let copy = [
        frame(b'H', &[0, 0, 2, 0, 0, 0, 0]),
        frame(b'd', b"1\talice@exam"),
        frame(b'd', b"ple.com\n2\tx\n"),
    ];
    vec![
        (ToUpstream, query("select email from t; select 2")),
        (
            ToDownstream,
            [text_column("e"), row(&[Some(email)]), complete("SELECT 1")].concat(),
        ),
        (
            ToDownstream,
            [text_column("e"), row(&[Some(b"2")]), complete("SELECT 1"), ready()].concat(),
        ),
        (ToUpstream, group),
        (ToDownstream, answer.concat()),
        (
            ToUpstream,
            [query("drop table t"), query("select 'carol@example.net'")].concat(),
        ),
        (
            ToDownstream,
            [
                error("42601", "x"),
                ready(),
                error("22012", "bad alice@example.com"),
                ready(),
            ]
            .concat(),
        ),
        (ToUpstream, query("copy t (a, b) to stdout")),
        (
            ToDownstream,
            [copy.concat(), bare(b'c'), complete("COPY 2"), ready()].concat(),
        ),
    ]
}

/// A large row, streamed: cut less densely.
fn large() -> Turns {
    let mut value = vec![b'x'; 270 * 1024];
    for at in [100, 65_530, 131_066, 200_000] {
        value[at..at + 19].copy_from_slice(b" alice@example.com ");
    }
    let answer = [text_column("e"), row(&[Some(&value)]), complete("SELECT 1"), ready()].concat();
    vec![
        (Direction::ToUpstream, query("select e")),
        (Direction::ToDownstream, answer),
    ]
}

fn final_events(talk: &mut Talk) -> Vec<Kind> {
    let kinds = talk.events().into_iter().filter_map(|event| event.kind);
    kinds
        .filter(|kind| !matches!(kind, Kind::Statement(statement) if statement.interim))
        .collect()
}

fn run(turns: &Turns, mut cut: impl FnMut(usize) -> Vec<usize>) -> (Vec<u8>, Vec<u8>, Vec<Kind>) {
    let mut talk = Talk::new();
    for (direction, bytes) in turns {
        let mut at = 0;
        for end in cut(bytes.len()).into_iter().chain([bytes.len()]) {
            let piece = &bytes[at..end.max(at)];
            match direction {
                Direction::ToUpstream => talk.client(piece),
                Direction::ToDownstream => talk.target(piece),
            };
            at = end.max(at);
        }
    }
    assert!(talk.close.is_none(), "{:?}", talk.close);
    talk.end();
    let events = final_events(&mut talk);
    (talk.to_target, talk.to_client, events)
}

#[test]
fn every_single_byte_and_every_single_cut() {
    let turns = conversation();
    let whole = run(&turns, |_| Vec::new());
    assert!(!String::from_utf8_lossy(&whole.1).contains("alice@"));
    assert_eq!(run(&turns, |len| (0..len).collect()), whole);
    let longest = turns.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    for cut in 0..longest {
        assert_eq!(run(&turns, |len| vec![cut.min(len)]), whole, "cut at {cut}");
    }
}

#[test]
fn large_rows_in_pieces_of_many_sizes() {
    let turns = large();
    let whole = run(&turns, |_| Vec::new());
    assert!(!String::from_utf8_lossy(&whole.1).contains("alice@"));
    for size in [1_000, 1_021, 4_096, 16_384, 65_536, 65_537] {
        assert_eq!(
            run(&turns, |len| (0..len).step_by(size).collect()),
            whole,
            "pieces of {size}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn random_cuts(mut cuts in prop::collection::vec(0usize..400, 0..12)) {
        cuts.sort_unstable();
        let turns = conversation();
        let whole = run(&turns, |_| Vec::new());
        prop_assert_eq!(run(&turns, |len| cuts.iter().map(|cut| *cut.min(&len)).collect()), whole);
    }
}
