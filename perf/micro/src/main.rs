//! `micro CASE RUNS`: runs one case so many times inside of `counted`, for callgrind; `micro --list` names the cases.

use std::hint::black_box;

use micro::{Case, cases};

/// Runs before counting begins: tables, caches and buffers reach their size.
const WARM_RUNS: usize = 20;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [list] if list == "--list" => cases().iter().for_each(|(name, _)| println!("{name}")),
        [name, runs] => {
            let made = cases().into_iter().find(|(known, _)| known == name);
            let (Some((_, make)), Ok(runs)) = (made, runs.parse::<usize>()) else {
                eprintln!("no case {name}, or {runs} is no number");
                std::process::exit(2);
            };
            let mut case = make();
            for _ in 0..WARM_RUNS {
                (case.run)();
            }
            counted(&mut case, runs);
            println!("{}", case.bytes);
        }
        _ => {
            eprintln!("usage: micro CASE RUNS | micro --list");
            std::process::exit(2);
        }
    }
}

/// What callgrind counts: `--toggle-collect=*counted*`.
#[inline(never)]
fn counted(case: &mut Case, runs: usize) {
    for _ in 0..runs {
        (case.run)();
    }
    black_box(case);
}
