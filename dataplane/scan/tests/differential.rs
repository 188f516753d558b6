//! Every level of this processor finds what the reference finds; the example of the same name does this for longer.

use std::time::{Duration, Instant};

use scan::{Detector, Level, Scratch, Spec};

#[path = "../corpora/adversary.rs"]
mod adversary;
#[path = "../corpora/compare.rs"]
mod compare;
#[path = "../corpora/speed.rs"]
mod speed;

use adversary::Numbers;
use compare::{Policy, Tally, check, check_two_way_splits};

/// All tests of this file together stay below a minute.
const SECONDS_MAX: u64 = 15;

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
    assert_eq!(tally.differences, 0);
    assert!(tally.hits >= hits_min, "{} hits in {} bytes", tally.hits, tally.bytes);
}

#[test]
fn hostile_text_is_judged_alike() {
    let policies = [
        Policy::build("default", &Spec::default(), &levels()),
        Policy::build("everything", &everything(), &levels()),
    ];
    let deadline = Instant::now() + Duration::from_secs(SECONDS_MAX);
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(20_261_122), Scratch::new(), Tally::default());
    let mut text = Vec::new();
    for round in 0..4000 {
        text.clear();
        let limit = numbers.pick(&[70, 70, 300, 300, 1000, 3000]);
        let bytes = 1 + numbers.below(limit);
        adversary::write(&mut text, &mut numbers, bytes);
        // The default policy is what its own shapes decide; with everything on, much is looked at by the reference's rule.
        let policy = &policies[usize::from(round % 4 == 0)];
        check(policy, &text, false, &mut tally, &mut scratch, &mut numbers);
        if tally.differences > 0 || Instant::now() > deadline {
            break;
        }
    }
    assert_none(&tally, 100);
}

#[test]
fn every_value_behind_every_glue_is_judged_alike() {
    let policy = Policy::build("default", &Spec::default(), &levels());
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
        check(&policy, &text, false, &mut tally, &mut scratch, &mut numbers);
    }
    assert_none(&tally, 1000);
}

#[test]
fn rows_prose_and_json_are_judged_alike() {
    let policy = Policy::build("default", &Spec::default(), &levels());
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(4), Scratch::new(), Tally::default());
    for text in [
        speed::rows(60_000, 5, 1),
        speed::notes(30_000, 2),
        speed::json(60_000, 5, 3),
        speed::prose(60_000, 4),
    ] {
        check(&policy, &text, false, &mut tally, &mut scratch, &mut numbers);
    }
    for (_, unit) in speed::POISON {
        check(
            &policy,
            &speed::poison(unit, 3000),
            false,
            &mut tally,
            &mut scratch,
            &mut numbers,
        );
    }
    assert_none(&tally, 1000);
}

#[test]
fn cuts_in_two_do_not_matter_on_any_level() {
    let policy = Policy::build("default", &Spec::default(), &levels());
    let (mut numbers, mut scratch, mut tally) = (Numbers::new(5), Scratch::new(), Tally::default());
    let mut text = Vec::new();
    for value in adversary::VALUES {
        text.clear();
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(numbers.pick(adversary::GLUE).as_bytes());
        let bytes = 20 + numbers.below(150);
        adversary::write(&mut text, &mut numbers, bytes);
        check_two_way_splits(&policy, &text, &mut tally, &mut scratch);
    }
    assert_none(&tally, 100);
}
