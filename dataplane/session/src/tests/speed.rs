//! What the core costs: run by hand with `cargo test --release -p session speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement, not a check"]
fn prepared_queries_and_bulk_rows() {
    const ROUNDS: u32 = 200_000;
    let mut talk = Talk::new();
    talk.client(
        &[
            parse("s", "select abalance from pgbench_accounts where aid = $1"),
            sync(),
        ]
        .concat(),
    );
    talk.target(&[bare(b'1'), ready()].concat());
    let shape = columns(&[("abalance", 16_000, 3, 23, Format::Text)]);
    let request = [bind("", "s", &["42"], &[]), describe(b'P', ""), execute("", 0), sync()].concat();
    let answer = [bare(b'2'), shape, row(&[Some(b"1234")]), complete("SELECT 1"), ready()].concat();
    let (mut up, mut down) = (request.clone(), answer.clone());
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let fed = talk
            .session
            .feed(Direction::ToUpstream, &mut up, &mut talk.scratch, NOW);
        assert_eq!(fed.consumed, request.len());
        let fed = talk
            .session
            .feed(Direction::ToDownstream, &mut down, &mut talk.scratch, NOW);
        assert_eq!(fed.consumed, answer.len());
        talk.scratch.tap().clear();
    }
    println!("prepared query, both directions: {:?}", start.elapsed() / ROUNDS);

    talk.client(&query("select 1"));
    let shape = columns(&[
        ("id", 1, 1, 23, Format::Text),
        ("t", 1, 2, 1184, Format::Text),
        ("n", 1, 3, 701, Format::Text),
    ]);
    talk.target(&shape);
    let one = row(&[
        Some(b"123456"),
        Some(b"2024-01-01 10:00:00.123456+00"),
        Some(b"3.14159"),
    ]);
    let mut rows = one.repeat(65_536 / one.len());
    let start = Instant::now();
    let rounds = 4_000;
    for _ in 0..rounds {
        let fed = talk
            .session
            .feed(Direction::ToDownstream, &mut rows, &mut talk.scratch, NOW);
        assert_eq!(fed.consumed, rows.len());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "typed rows: {:.2} GB/s",
        rows.len() as f64 * f64::from(rounds) / seconds / 1e9
    );
}
