//! Prints precision and recall by detector on a file of cases: one JSON object per line with `entity`, `text`, `byte_spans`.
//!
//! Run with `cargo run -p scan --example cases -- FILE`. A case counts a found span as right when it is exactly one of the expected
//! ones. Cases are taken as they are: no field name, so weak shapes without a hot word are misses by design.

use std::collections::BTreeMap;

use scan::{Context, Detector, Scanner, Scratch, Spec};

/// The names that the cases use for detectors with another name here.
const NAMES: &[(&str, Detector)] = &[
    ("CREDIT_CARD", Detector::CreditCardNumber),
    ("US_SSN", Detector::UsSocialSecurityNumber),
    ("UK_NINO", Detector::UkNationalInsuranceNumber),
    ("UK_NHS", Detector::UkNationalHealthServiceNumber),
    ("AU_ABN", Detector::AustraliaBusinessNumber),
    ("AU_ACN", Detector::AustraliaCompanyNumber),
    ("AU_TFN", Detector::AustraliaTaxFileNumber),
    ("CA_SIN", Detector::CanadaSocialInsuranceNumber),
    ("IN_AADHAAR", Detector::IndiaAadhaarIndividual),
    ("PL_PESEL", Detector::PolandPeselNumber),
    ("TH_TNIN", Detector::ThailandNationalIdNumber),
    ("TR_NATIONAL_ID", Detector::TurkeyIdNumber),
    ("ZA_ID_NUMBER", Detector::SouthAfricaIdNumber),
    ("US_NPI", Detector::UsHealthcareNpi),
    ("ABA_ROUTING_NUMBER", Detector::UsBankRoutingMicr),
    ("TR_PHONE_NUMBER", Detector::PhoneNumber),
    ("PH_MOBILE_NUMBER", Detector::PhoneNumber),
];

#[derive(Default)]
struct Score {
    cases: usize,
    right: usize,
    missed: usize,
    wrong: usize,
}

fn main() {
    let path = std::env::args().nth(1).expect("usage: cases FILE");
    let file = std::fs::read_to_string(&path).expect("the file of cases is readable");
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for line in file.lines() {
        let case = Case::parse(line).unwrap_or_else(|| panic!("not a case: {line}"));
        let named = NAMES
            .iter()
            .find(|(name, _)| *name == case.entity)
            .map(|(_, detector)| *detector);
        let Some(detector) = named
            .or_else(|| Detector::from_name(&case.entity))
            .filter(|detector| detector.built())
        else {
            continue;
        };
        let scanner = Scanner::build(&Spec::of(&[detector])).expect("a built detector compiles");
        let mut out = Vec::new();
        scanner.scan(case.text.as_bytes(), Context::NONE, &mut Scratch::new(), &mut out);
        let found: Vec<(usize, usize)> = out.iter().map(|f| (f.start as usize, f.end as usize)).collect();
        let score = scores.entry(case.entity.clone()).or_default();
        score.cases += 1;
        score.right += found.iter().filter(|span| case.spans.contains(span)).count();
        score.wrong += found.iter().filter(|span| !case.spans.contains(span)).count();
        score.missed += case.spans.iter().filter(|span| !found.contains(span)).count();
        if found != case.spans {
            println!(
                "{} {:?}: expected {:?}, found {found:?}",
                case.entity, case.text, case.spans
            );
        }
    }
    println!("{:<32} {:>5} {:>9} {:>7}", "entity", "cases", "precision", "recall");
    for (entity, score) in &scores {
        let share = |of: usize| {
            if of == 0 {
                100.0
            } else {
                100.0 * score.right as f64 / of as f64
            }
        };
        let (precision, recall) = (share(score.right + score.wrong), share(score.right + score.missed));
        println!("{entity:<32} {:>5} {precision:>8.1}% {recall:>6.1}%", score.cases);
    }
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
