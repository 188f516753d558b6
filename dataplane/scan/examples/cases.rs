//! Prints precision and recall by detector on a file of cases: one JSON object per line with `entity`, `text`, `byte_spans`.
//!
//! Run with `cargo run -p scan --example cases -- FILE`. A found span is right when it is exactly one of the expected ones. Each case
//! is judged three times: as it is; where a checksum alone does not count; and as a value of a field that is
//! named for what it holds, which is how a column of such values looks. A case of a detector whose shape is weak can only be
//! found the third way.

use std::collections::BTreeMap;

use scan::{Context, Detector, Region, Scanner, Scratch, Spec};

/// Entities that are one country's part of a detector, with that country.
const REGIONAL: &[(&str, Detector, &str)] = &[
    ("TR_PHONE_NUMBER", Detector::PhoneNumber, "TR"),
    ("PH_MOBILE_NUMBER", Detector::PhoneNumber, "PH"),
];

#[derive(Default, Clone, Copy)]
struct Score {
    cases: usize,
    right: usize,
    missed: usize,
    wrong: usize,
}

impl Score {
    fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    fn recall(&self) -> f64 {
        share(self.right, self.right + self.missed)
    }
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 {
        100.0
    } else {
        100.0 * part as f64 / of as f64
    }
}

const WAYS: [&str; 3] = ["as it is", "word required", "named field"];

fn main() {
    let path = std::env::args().nth(1).expect("usage: cases FILE");
    let file = std::fs::read_to_string(&path).expect("the file of cases is readable");
    let mut scores: BTreeMap<String, [Score; 3]> = BTreeMap::new();
    let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
    for line in file.lines().filter(|line| !line.trim().is_empty()) {
        let case = Case::parse(line).unwrap_or_else(|| panic!("not a case: {line}"));
        let Some((detector, region)) = detector_of(&case.entity) else {
            *skipped.entry(case.entity).or_default() += 1;
            continue;
        };
        for (way, name) in WAYS.iter().enumerate() {
            let found = found(detector, region, way, &case);
            let score = &mut scores.entry(case.entity.clone()).or_default()[way];
            score.cases += 1;
            score.right += found.iter().filter(|span| case.spans.contains(span)).count();
            score.wrong += found.iter().filter(|span| !case.spans.contains(span)).count();
            score.missed += case.spans.iter().filter(|span| !found.contains(span)).count();
            if found != case.spans && way != 1 {
                println!(
                    "[{name}] {} {:?}: expected {:?}, found {found:?}",
                    case.entity,
                    case.text.chars().take(100).collect::<String>(),
                    case.spans
                );
            }
        }
    }
    print(&scores);
    println!("cases of entities that are no detector here: {skipped:?}");
}

fn detector_of(entity: &str) -> Option<(Detector, Option<Region>)> {
    let regional = REGIONAL.iter().find(|(name, ..)| *name == entity);
    let named = regional.map(|(_, detector, code)| (*detector, Region::from_code(code)));
    named
        .or_else(|| Detector::from_name(entity).map(|detector| (detector, None)))
        .filter(|(detector, _)| detector.built())
}

fn found(detector: Detector, region: Option<Region>, way: usize, case: &Case) -> Vec<(usize, usize)> {
    let spec = Spec {
        word_required: if way == 1 { vec![detector] } else { Vec::new() },
        phone_regions: region.into_iter().collect(),
        ..Spec::of(&[detector])
    };
    let scanner = Scanner::build(&spec).expect("a built detector compiles");
    let context = match way {
        2 => detector
            .hot_words()
            .first()
            .map_or(Context::NONE, |word| scanner.context_of(word)),
        _ => Context::NONE,
    };
    let mut out = Vec::new();
    scanner.scan(case.text.as_bytes(), context, &mut Scratch::new(), &mut out);
    out.iter().map(|f| (f.start as usize, f.end as usize)).collect()
}

fn print(scores: &BTreeMap<String, [Score; 3]>) {
    println!(
        "{:<28} {:>5} {:>15} {:>18} {:>15}",
        "entity", "cases", WAYS[0], WAYS[1], WAYS[2]
    );
    for (entity, ways) in scores {
        print!("{entity:<28} {:>5}", ways[0].cases);
        for score in ways {
            print!(" {:>8.1} {:>6.1}", score.precision(), score.recall());
        }
        println!();
    }
    print!("{:<28} {:>5}", "macro average", "");
    for way in 0..WAYS.len() {
        let mean = |of: fn(&Score) -> f64| {
            scores.values().map(|ways| of(&ways[way])).sum::<f64>() / scores.len().max(1) as f64
        };
        print!(" {:>8.2} {:>6.2}", mean(Score::precision), mean(Score::recall));
    }
    println!();
}

struct Case {
    entity: String,
    text: String,
    spans: Vec<(usize, usize)>,
}

impl Case {
    fn parse(line: &str) -> Option<Case> {
        let spans = line.split("\"byte_spans\": [").nth(1)?.split("], \"source\"").next()?;
        let numbers: Vec<usize> = spans
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect();
        let spans = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Some(Case {
            entity: string(line, "entity")?,
            text: string(line, "text")?,
            spans,
        })
    }
}

/// The value of a string member, unescaped.
fn string(line: &str, name: &str) -> Option<String> {
    let mut chars = line.split(&format!("\"{name}\": \"")).nth(1)?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    value.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
