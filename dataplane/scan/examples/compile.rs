//! Milliseconds to compile policies: `cargo run --release -p scan --example compile -- [passes N]`.
//!
//! A connection's rules are united into one policy, so that two hundred rules are two hundred names of detectors, patterns and
//! dictionaries in one. Prints the median of the time that the thread ran, and the least.

use scan::{Allow, Custom, Detector, Scanner, Spec};

const RULES: usize = 200;

fn ran_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn built() -> Vec<Detector> {
    Detector::all().filter(|detector| detector.built()).collect()
}

/// Detectors as two hundred rules name them: each a few, most of them more than once.
fn named() -> Vec<Detector> {
    let all = built();
    (0..RULES * 3).map(|place| all[place * 11 % all.len()]).collect()
}

fn pattern(place: usize) -> Custom {
    let regex = match place % 5 {
        0 => format!("EMP{place}-[0-9]{{6}}"),
        1 => format!("[A-Z]{{2}}{place}[0-9]{{4,8}}"),
        2 => format!("(?:inv|ord)-{place}-[0-9a-f]{{8}}"),
        3 => format!("[0-9]{{3}}-{place}-[0-9]{{2}}"),
        _ => format!("k{place}[A-Za-z0-9]{{16}}"),
    };
    Custom::new(&format!("RULE_{place}"), &regex, None)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let passes = arguments.iter().position(|argument| argument == "passes");
    let passes = passes.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(9);
    let patterns = |count: usize| (0..count).map(pattern).collect::<Vec<_>>();
    let dictionary = (0..1000).map(|place| format!("Person {place}")).collect();
    let specs = [
        ("default detectors", Spec::default()),
        ("all detectors", Spec::of(&built())),
        ("200 rules that name detectors", Spec::of(&named())),
        (
            "the same, 20 of them patterns",
            Spec {
                custom: patterns(20),
                ..Spec::of(&named())
            },
        ),
        (
            "the same, all of them patterns",
            Spec {
                custom: patterns(RULES),
                ..Spec::of(&named())
            },
        ),
        (
            "a dictionary of 1,000 names, 1,000 allowed values",
            Spec {
                custom: vec![Custom::dictionary("NAMES", dictionary, true)],
                allow: vec![Allow {
                    values: (0..1000).map(|place| format!("{place}@example.com")).collect(),
                    ..Allow::default()
                }],
                ..Spec::default()
            },
        ),
    ];
    for (name, spec) in specs {
        let mut times: Vec<f64> = (0..passes)
            .map(|_| {
                let start = ran_seconds();
                std::hint::black_box(Scanner::build(&spec).expect("it compiles"));
                (ran_seconds() - start) * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{name:<52} {:>8.2} ms, at least {:.2}",
            times[times.len() / 2],
            times[0]
        );
    }
}
