//! Requests per minute of an access token on a connection, over all cores: the generic cell rate algorithm on one number per token.

use super::limits::RATES_MAX;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const MINUTE_MICROS: u64 = 60_000_000;
/// So much of a minute's requests may come at once.
const BURST: u64 = 6;

static RATES: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// Counts a request of `key` at `now` (microseconds).
///
/// # Errors
/// How long to wait when it comes too early; then it is not counted.
pub fn take(key: &str, per_minute: u32, now_micros: u64) -> Result<(), Duration> {
    let mut rates = RATES.lock().unwrap_or_else(PoisonError::into_inner);
    let rates = rates.get_or_insert_default();
    if rates.len() >= RATES_MAX {
        rates.retain(|_, due| *due > now_micros);
    }
    let due = rates.entry(key.to_owned()).or_insert(0);
    step(due, per_minute, now_micros)
}

/// `due` is when the next request would come at an even pace.
fn step(due: &mut u64, per_minute: u32, now: u64) -> Result<(), Duration> {
    let interval = MINUTE_MICROS / u64::from(per_minute.max(1));
    let burst = interval * (u64::from(per_minute) / BURST).max(1);
    let next = (*due).max(now) + interval;
    if next > now + burst + interval {
        return Err(Duration::from_micros(next - now - burst));
    }
    *due = next;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn a_burst_passes_and_then_an_even_pace() {
        let mut due = 0;
        let now = 1_000_000_000;
        let passed = (0..100).filter(|_| step(&mut due, 60, now).is_ok()).count();
        assert_eq!(passed, 11, "ten at once, and the one that is due");
        assert!(step(&mut due, 60, now).is_err());
        assert!(step(&mut due, 60, now + 1_000_000).is_ok());
        assert!(step(&mut due, 60, now + 1_000_000).is_err());
        let mut due = 0;
        let minute = (0..600)
            .filter(|i| step(&mut due, 60, now + i * 100_000).is_ok())
            .count();
        assert!((60..=71).contains(&minute), "{minute}");
    }
}
