//! The committed cases of every detector: recall and precision, for forms that count by themselves, for checksums, for weak forms.

use std::collections::{BTreeMap, BTreeSet};

use scan::{Context, Detector, Scanner, Scratch, Spec};

const CASES: &str = include_str!("cases/detectors.txt");

/// Least macro-averaged recall and precision, in percent.
const SHARE_MIN: f64 = 99.0;
/// Least recall and precision of any one detector, in percent.
const WORST_MIN: f64 = 95.0;

struct Case<'a> {
    detector: &'a str,
    kind: &'a str,
    text: String,
    spans: Vec<(usize, usize)>,
}

#[derive(Default, Clone, Copy)]
struct Score {
    right: usize,
    missed: usize,
    wrong: usize,
}

impl Score {
    fn add(&mut self, found: &[(usize, usize)], expected: &[(usize, usize)]) {
        self.right += found.iter().filter(|span| expected.contains(span)).count();
        self.wrong += found.iter().filter(|span| !expected.contains(span)).count();
        self.missed += expected.iter().filter(|span| !found.contains(span)).count();
    }

    fn recall(&self) -> f64 {
        share(self.right, self.right + self.missed)
    }

    fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 {
        100.0
    } else {
        100.0 * part as f64 / of as f64
    }
}

fn cases() -> Vec<Case<'static>> {
    let parse = |line: &'static str| {
        let mut parts = line.splitn(3, '\t');
        let (detector, kind, marked) = (parts.next()?, parts.next()?, parts.next()?);
        let (mut text, mut spans, mut start) = (String::new(), Vec::new(), 0);
        for c in marked.replace("\\n", "\n").chars() {
            match c {
                '«' => start = text.len(),
                '»' => spans.push((start, text.len())),
                other => text.push(other),
            }
        }
        Some(Case {
            detector,
            kind,
            text,
            spans,
        })
    };
    CASES
        .lines()
        .map(|line| parse(line).unwrap_or_else(|| panic!("not a case: {line}")))
        .collect()
}

fn find(scanner: &Scanner, text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    scanner.scan(text.as_bytes(), Context::NONE, &mut Scratch::new(), &mut out);
    out.iter().map(|f| (f.start as usize, f.end as usize)).collect()
}

fn mean(scores: &BTreeMap<&str, Score>, of: fn(&Score) -> f64) -> f64 {
    scores.values().map(of).sum::<f64>() / scores.len() as f64
}

#[test]
fn recall_and_precision_hold_for_every_detector() {
    let cases = cases();
    let names: BTreeSet<&str> = cases
        .iter()
        .map(|case| case.detector)
        .filter(|name| *name != "*")
        .collect();
    let mut by_kind: BTreeMap<&str, BTreeMap<&str, Score>> = BTreeMap::new();
    let mut all: BTreeMap<&str, Score> = BTreeMap::new();
    let mut report = String::new();
    for name in &names {
        let detector = Detector::from_name(name).unwrap_or_else(|| panic!("{name} is no detector"));
        let as_written = Scanner::build(&Spec::of(&[detector])).unwrap();
        let word_required = Spec {
            word_required: vec![detector],
            ..Spec::of(&[detector])
        };
        let word_required = Scanner::build(&word_required).unwrap();
        for case in cases
            .iter()
            .filter(|case| case.detector == *name || case.detector == "*")
        {
            // Bare cases hold numbers, some with a right check digit, that are to stay where a word is required.
            let scanner = if case.kind == "bare" {
                &word_required
            } else {
                &as_written
            };
            let found = find(scanner, &case.text);
            all.entry(name).or_default().add(&found, &case.spans);
            by_kind
                .entry(case.kind)
                .or_default()
                .entry(name)
                .or_default()
                .add(&found, &case.spans);
            if found != case.spans {
                report += &format!(
                    "{name} [{}] {:?}: expected {:?}, found {found:?}\n",
                    case.kind, case.text, case.spans
                );
            }
        }
    }
    println!("{report}");
    for kind in ["structure", "checksum", "weak"] {
        let recall = mean(&by_kind[kind], Score::recall);
        println!("{kind}: {} detectors, recall {recall:.2} %", by_kind[kind].len());
        assert!(recall >= SHARE_MIN, "{kind}: recall {recall:.2} %\n{report}");
    }
    let precision = mean(&all, Score::precision);
    println!(
        "all: {} detectors, {} cases, precision {precision:.2} %",
        all.len(),
        cases.len()
    );
    assert!(precision >= SHARE_MIN, "precision {precision:.2} %\n{report}");
    for (name, score) in &all {
        assert!(
            score.recall() >= WORST_MIN && score.precision() >= WORST_MIN,
            "{name}: recall {:.1} %, precision {:.1} %\n{report}",
            score.recall(),
            score.precision()
        );
    }
}

#[test]
fn every_detector_that_finds_by_content_and_has_forms_has_cases() {
    /// Tokens and headers whose cases stand in the tests of their files.
    const ELSEWHERE: &[&str] = &[
        "ENCRYPTION_KEY",
        "GITHUB_TOKEN",
        "GITLAB_TOKEN",
        "SLACK_TOKEN",
        "STRIPE_TOKEN",
        "GCP_API_KEY",
        "NPM_TOKEN",
        "BASIC_AUTH_HEADER",
        "AUTH_TOKEN",
        "PASSWORD",
        "URL_WITH_CREDENTIALS",
    ];
    let cases = cases();
    let without: Vec<&str> = Detector::all()
        .filter(|detector| detector.built())
        .map(Detector::name)
        .filter(|name| !ELSEWHERE.contains(name) && !cases.iter().any(|case| case.detector == *name))
        .collect();
    assert_eq!(without, [""; 0]);
}

#[test]
fn the_page_on_detectors_names_exactly_the_catalogue() {
    let page = include_str!("../../../docs/detectors.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: BTreeSet<&str> = rows
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .collect();
    let by_content: BTreeSet<&str> = Detector::all()
        .filter(|detector| detector.built())
        .map(Detector::name)
        .collect();
    assert_eq!(listed, by_content);
    let section = page
        .split("## By column or dictionary only")
        .nth(1)
        .and_then(|rest| rest.split("##").next());
    let section = section.expect("the page has the section");
    for detector in Detector::all().filter(|detector| !detector.built()) {
        assert!(
            section.contains(&format!("`{}`", detector.name())),
            "{}",
            detector.name()
        );
    }
}
