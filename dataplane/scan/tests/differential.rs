//! Every level of this processor finds what the reference finds; the example of the same name does this for longer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scan::{Detector, Level, Scanner, Scratch, Spec};

#[path = "../corpora/adversary.rs"]
mod adversary;
#[path = "../corpora/compare.rs"]
mod compare;
#[path = "../corpora/speed.rs"]
mod speed;

use adversary::Numbers;
use compare::{Policy, Tally, check, check_two_way_splits};

/// What compares as long as it is given takes a minute together, and the rest seconds.
const HOSTILE_SECONDS: u64 = 18;
const SPLIT_SECONDS: u64 = 12;

/// A difference was found: the other comparisons need not go on.
static DIFFERS: AtomicBool = AtomicBool::new(false);

fn over(tally: &Tally, deadline: Instant) -> bool {
    if tally.differences > 0 {
        DIFFERS.store(true, Ordering::Relaxed);
    }
    DIFFERS.load(Ordering::Relaxed) || Instant::now() > deadline
}

fn levels() -> Vec<Level> {
    Level::ALL[1..]
        .iter()
        .copied()
        .filter(|level| level.available())
        .collect()
}

fn everything() -> Spec {
    Spec::of(&Detector::all().filter(|detector| detector.built()).collect::<Vec<_>>())
}

fn assert_none(tally: &Tally, hits_min: u64) {
    DIFFERS.fetch_or(tally.differences > 0, Ordering::Relaxed);
    assert_eq!(tally.differences, 0);
    assert!(
        !DIFFERS.load(Ordering::Relaxed),
        "another comparison found a difference"
    );
    assert!(tally.hits >= hits_min, "{} hits in {} bytes", tally.hits, tally.bytes);
}

fn default_on() -> Policy {
    Policy::build("default", &Spec::default(), &levels())
}

fn all_by_choice() -> Policy {
    Policy::build("everything", &everything(), &levels())
}

#[test]
fn every_level_of_this_processor_is_compared() {
    let compared: Vec<Level> = default_on().scanners.iter().map(Scanner::level).collect();
    let available: Vec<Level> = Level::ALL.into_iter().filter(|level| level.available()).collect();
    assert_eq!(compared, available);
}

fn hostile(policy: &Policy, seed: u64) {
    let deadline = Instant::now() + Duration::from_secs(HOSTILE_SECONDS);
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(seed), Scratch::new(), Tally::default());
    let mut text = Vec::new();
    while !over(&tally, deadline) {
        text.clear();
        let limit = numbers.pick(&[70, 70, 300, 300, 1000, 3000]);
        let bytes = 1 + numbers.below(limit);
        adversary::write(&mut text, &mut numbers, bytes);
        check(policy, &text, false, &mut tally, &mut scratch, &mut numbers);
    }
    assert_none(&tally, 100);
}

#[test]
fn hostile_text_is_judged_alike() {
    hostile(&default_on(), 20_261_122);
}

#[test]
fn hostile_text_is_judged_alike_with_all_detectors() {
    hostile(&all_by_choice(), 20_261_123);
}

#[test]
fn every_value_behind_every_glue_is_judged_alike() {
    let policies = [default_on(), all_by_choice()];
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(3), Scratch::new(), Tally::default());
    // Values at all distances from the ends of blocks and windows.
    for (number, value) in adversary::VALUES.iter().enumerate() {
        let mut text = Vec::new();
        for (step, glue) in adversary::GLUE.iter().enumerate() {
            text.extend(std::iter::repeat_n(b'~', (number * 7 + step * 13) % 64));
            text.extend_from_slice(glue.as_bytes());
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(adversary::GLUE[(step + number) % adversary::GLUE.len()].as_bytes());
        }
        for policy in &policies {
            check(policy, &text, false, &mut tally, &mut scratch, &mut numbers);
        }
    }
    assert_none(&tally, 1000);
}

#[test]
fn rows_prose_and_json_are_judged_alike() {
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(4), Scratch::new(), Tally::default());
    for policy in [default_on(), all_by_choice()] {
        for text in [
            speed::rows(60_000, 5, 1),
            speed::notes(30_000, 2),
            speed::json(60_000, 5, 3),
            speed::prose(60_000, 4),
        ] {
            check(&policy, &text, false, &mut tally, &mut scratch, &mut numbers);
        }
        for (_, unit) in speed::POISON {
            let text = speed::poison(unit, 3000);
            check(&policy, &text, false, &mut tally, &mut scratch, &mut numbers);
        }
    }
    assert_none(&tally, 1000);
}

fn cut_in_two(policy: &Policy, seed: u64) {
    let deadline = Instant::now() + Duration::from_secs(SPLIT_SECONDS);
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(seed), Scratch::new(), Tally::default());
    let mut text = Vec::new();
    for value in adversary::VALUES.iter().cycle() {
        text.clear();
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(numbers.pick(adversary::GLUE).as_bytes());
        let bytes = 20 + numbers.below(150);
        adversary::write(&mut text, &mut numbers, bytes);
        check_two_way_splits(policy, &text, &mut tally, &mut scratch);
        if over(&tally, deadline) {
            break;
        }
    }
    assert_none(&tally, 100);
}

#[test]
fn cuts_in_two_do_not_matter_on_any_level() {
    cut_in_two(&default_on(), 5);
}

#[test]
fn cuts_in_two_do_not_matter_with_all_detectors() {
    cut_in_two(&all_by_choice(), 6);
}
