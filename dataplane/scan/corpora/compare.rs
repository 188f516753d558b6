//! Compares the levels with the reference: whole texts, any cut, any packing.

#![allow(dead_code)]

use scan::{CellFinding, Cells, Context, Finding, Level, Scanner, Scratch, Spec, Stream};

use super::adversary::Numbers;

/// The scanners of one policy: the reference, then the levels under test.
pub struct Policy {
    pub name: &'static str,
    pub scanners: Vec<Scanner>,
}

impl Policy {
    pub fn build(name: &'static str, spec: &Spec, levels: &[Level]) -> Policy {
        let on = |level: Level| Scanner::build(spec).and_then(|scanner| scanner.on_level(level));
        let levels = std::iter::once(&Level::Reference).chain(levels);
        Policy {
            name,
            scanners: levels.map(|level| on(*level).expect("the policy compiles")).collect(),
        }
    }
}

/// What was compared.
#[derive(Default)]
pub struct Tally {
    pub bytes: u64,
    pub hits: u64,
    pub comparisons: u64,
    pub differences: u64,
}

impl Tally {
    pub fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, text: &[u8], wanted: &[T], got: &[T]) {
        self.comparisons += 1;
        if wanted == got {
            return;
        }
        self.differences += 1;
        if self.differences <= 5 {
            let place = wanted.iter().zip(got).take_while(|(a, b)| a == b).count();
            println!("DIFFERS {what}: {} wanted, {} found", wanted.len(), got.len());
            println!("  wanted {:?}\n  found  {:?}", wanted.get(place), got.get(place));
            if text.len() < 4000 {
                println!("  text {:?}", String::from_utf8_lossy(text));
            }
            std::fs::write(std::env::temp_dir().join(format!("differs-{}", self.differences)), text).ok();
        }
    }
}

pub fn one_shot(scanner: &Scanner, text: &[u8], context: Context, scratch: &mut Scratch) -> Vec<Finding> {
    let mut out = Vec::new();
    scanner.scan(text, context, scratch, &mut out);
    out
}

/// Feeds a text in pieces of random lengths, a long natural one not in the shortest; pieces of one match are joined.
fn streamed(
    scanner: &Scanner,
    text: &[u8],
    scratch: &mut Scratch,
    numbers: &mut Numbers,
    natural: bool,
) -> Vec<Finding> {
    let mut stream = Stream::new();
    let (mut found, mut out): (Vec<Finding>, Vec<Finding>) = Default::default();
    let (mut released, mut fed) = (0, 0);
    let pieces: &[usize] = if natural {
        &[700, 1500, 20_000]
    } else {
        &[3, 64, 700, 1500, 20_000]
    };
    let piece_max = numbers.pick(pieces);
    while released < text.len() {
        fed = (fed + 1 + numbers.below(piece_max)).min(text.len());
        out.clear();
        let decided = stream.advance(
            scanner,
            Context::NONE,
            scratch,
            &text[released..fed],
            fed == text.len(),
            &mut out,
        );
        for finding in &out {
            let (start, end) = (finding.start + released as u32, finding.end + released as u32);
            match found.last_mut() {
                Some(whole) if finding.offset > 0 => whole.end = end,
                _ => found.push(Finding {
                    start,
                    end,
                    open: false,
                    ..*finding
                }),
            }
        }
        released += decided;
    }
    found
}

fn packed(scanner: &Scanner, cells: &Cells, scratch: &mut Scratch) -> Vec<CellFinding> {
    let mut out = Vec::new();
    scanner.scan_cells(cells, scratch, &mut out);
    out
}

/// Every cell by itself, as the reference sees it.
fn unpacked(scanner: &Scanner, texts: &[(&[u8], Context)], scratch: &mut Scratch) -> Vec<CellFinding> {
    let mut out = Vec::new();
    for (cell, (text, context)) in texts.iter().enumerate() {
        let found = one_shot(scanner, text, *context, scratch);
        out.extend(found.iter().map(|found| CellFinding {
            cell: cell as u32,
            detector: found.detector,
            start: found.start,
            end: found.end,
            confidence: found.confidence,
        }));
    }
    out
}

/// Compares all levels of a policy on one text: whole, in pieces, in cells.
pub fn check(
    policy: &Policy,
    text: &[u8],
    natural: bool,
    tally: &mut Tally,
    scratch: &mut Scratch,
    numbers: &mut Numbers,
) {
    let (reference, levels) = policy.scanners.split_first().expect("a reference");
    let context = match numbers.below(4) {
        0 => reference.context_of(numbers.pick(&["phone", "ssn", "aws_secret"])),
        _ => Context::NONE,
    };
    let wanted = one_shot(reference, text, context, scratch);
    tally.bytes += text.len() as u64;
    tally.hits += wanted.len() as u64;
    // The reference takes its time over natural text, of which there is much: each part is packed or streamed now and then.
    let turn = if natural { numbers.below(4) } else { 0 };
    let (in_cells, in_pieces) = (turn < 2, matches!(turn, 0 | 3));
    let texts = if in_cells {
        split(reference, text, numbers)
    } else {
        Vec::new()
    };
    let wanted_cells = unpacked(reference, &texts, scratch);
    let mut cells = Cells::new();
    texts.iter().for_each(|(text, context)| cells.push(text, 0, *context));
    let wanted_stream = match context == Context::NONE || !in_pieces {
        true => wanted.clone(),
        false => one_shot(reference, text, Context::NONE, scratch),
    };
    for scanner in levels {
        let name = |how: &str| format!("{} {} {how}", policy.name, scanner.level().name());
        tally.compare(&name("scan"), text, &wanted, &one_shot(scanner, text, context, scratch));
        if in_cells {
            tally.compare(&name("cells"), text, &wanted_cells, &packed(scanner, &cells, scratch));
        }
        if in_pieces {
            tally.compare(
                &name("stream"),
                text,
                &wanted_stream,
                &streamed(scanner, text, scratch, numbers, natural),
            );
        }
    }
}

/// Cuts a text into cells of random lengths, some of which stand in a column with a telling name.
fn split<'t>(scanner: &Scanner, text: &'t [u8], numbers: &mut Numbers) -> Vec<(&'t [u8], Context)> {
    let phone = scanner.context_of("phone");
    let cell_max = numbers.pick(&[8, 40, 200]);
    let mut rest = text;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (cell, behind) = rest.split_at(numbers.below(cell_max + 1).min(rest.len()));
        texts.push((cell, if numbers.below(9) == 0 { phone } else { Context::NONE }));
        rest = behind;
    }
    texts
}

/// Compares all levels of a policy on every way to cut a short text in two.
pub fn check_two_way_splits(policy: &Policy, text: &[u8], tally: &mut Tally, scratch: &mut Scratch) {
    let (reference, levels) = policy.scanners.split_first().expect("a reference");
    let wanted = one_shot(reference, text, Context::NONE, scratch);
    tally.bytes += text.len() as u64;
    tally.hits += wanted.len() as u64;
    for scanner in levels {
        for cut in 0..=text.len() {
            let (mut stream, mut out) = (Stream::new(), Vec::new());
            let decided = stream.advance(scanner, Context::NONE, scratch, &text[..cut], false, &mut out);
            let first = out.len();
            stream.advance(scanner, Context::NONE, scratch, &text[decided..], true, &mut out);
            out[first..].iter_mut().for_each(|finding| {
                finding.start += decided as u32;
                finding.end += decided as u32;
            });
            let what = format!("{} {} cut at {cut}", policy.name, scanner.level().name());
            tally.compare(&what, text, &wanted, &out);
        }
    }
}
