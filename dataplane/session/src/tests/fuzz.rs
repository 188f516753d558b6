//! Arbitrary bytes in both directions: the committed corpus and mutations of it from a fixed seed.

/// Small, fast, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below.max(1)
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/pg_session");
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn corpus_and_its_mutations_never_panic() {
    let corpus = corpus();
    assert!(corpus.len() >= 5);
    let mut random = Random(7);
    for entry in &corpus {
        crate::fuzzing::pg_session(entry);
        for _ in 0..2_000 {
            let mut mutated = entry.clone();
            for _ in 0..=random.next(6) {
                let at = random.next(mutated.len());
                match random.next(4) {
                    0 => mutated[at] = random.next(256) as u8,
                    1 => mutated[at] ^= 1 << random.next(8),
                    2 => drop(mutated.remove(at)),
                    _ => mutated.insert(at, b"QPBDESXdcCZTHGnt12sIE\x00\xff"[random.next(23)]),
                }
                if mutated.is_empty() {
                    mutated.push(0);
                }
            }
            crate::fuzzing::pg_session(&mutated);
        }
    }
}
