//! Tests of the timer heap.

use std::task::Waker;

use super::Timers;

/// Deadlines in a fixed disorder; removal of every third; what is left comes in order, equal ones first-come.
#[test]
fn timers_come_in_order_after_removals() {
    let mut timers = Timers::default();
    let deadlines: Vec<u64> = (0..1000u64).map(|i| (i * 7919) % 257).collect();
    let keys: Vec<usize> = (deadlines.iter())
        .map(|&deadline| timers.insert(deadline, Waker::noop().clone()))
        .collect();
    let mut left: Vec<(u64, usize)> = Vec::new();
    for (i, (&key, &deadline)) in keys.iter().zip(&deadlines).enumerate() {
        if i % 3 == 0 {
            timers.remove(key);
        } else {
            left.push((deadline, i));
        }
    }
    left.sort_unstable();
    let expected: Vec<usize> = left.iter().map(|&(_, i)| keys[i]).collect();
    assert_eq!(timers.earliest(), left.first().map(|&(deadline, _)| deadline));
    let mut popped = Vec::new();
    while let Some((key, waker)) = timers.pop_due(u64::MAX) {
        assert!(waker.is_some());
        popped.push(key);
    }
    assert_eq!(popped, expected);
    assert_eq!(timers.earliest(), None);
}

#[test]
fn nothing_is_due_before_its_deadline() {
    let mut timers = Timers::default();
    timers.insert(10, Waker::noop().clone());
    assert!(timers.pop_due(9).is_none());
    assert!(timers.pop_due(10).is_some());
}
