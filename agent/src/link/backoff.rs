//! How long to wait before the next try: exponential, with full jitter, small again after success.

use std::time::Duration;

/// Pauses between tries of one thing.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses up to `min` at first, doubling up to `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// Notes a success: the next pause is small again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure and gives the pause before the next try: a random share of the ceiling, which doubles each time,
    /// so that many agents cut off at once do not come back at once.
    pub fn failed(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random_share())
    }

    fn ceiling(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX);
        self.min
            .checked_mul(doubled)
            .map_or(self.max, |ceiling| ceiling.min(self.max))
    }
}

/// A number in 0..=1 from the system's randomness; a failing source gives the full pause, which is always right.
fn random_share() -> f64 {
    let mut bytes = [0_u8; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    //! Tests of the back-off.

    use super::*;

    #[test]
    fn pauses_stay_below_a_doubling_ceiling_and_start_again_after_success() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(15));
        let mut backoff = Backoff::new(min, max);
        for round in 0..100_u32 {
            let ceiling = (min * 2_u32.pow(round.min(10))).min(max);
            assert_eq!(backoff.ceiling(), ceiling);
            assert!(backoff.failed() <= ceiling);
        }
        backoff.succeeded();
        assert!(backoff.failed() <= min);
    }

    #[test]
    fn pauses_are_not_all_alike() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| backoff.failed()).collect();
        assert!(pauses.len() > 10);
    }
}
