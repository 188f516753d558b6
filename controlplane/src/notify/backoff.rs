//! How long to wait between tries: doubled each time, with a bound, and never quite the same for all. Pure.

use crate::limits::{DELIVERY_RETRY_SECONDS_FIRST, DELIVERY_RETRY_SECONDS_MAX};

/// The pause after the `failures`th failure in a row, microseconds: between half of the step and the whole, by `random` from 0 to 1.
pub fn pause_micros(failures: u32, random: f64) -> i64 {
    let doubled = failures.saturating_sub(1).min(32);
    let step = DELIVERY_RETRY_SECONDS_FIRST
        .saturating_mul(1 << doubled)
        .min(DELIVERY_RETRY_SECONDS_MAX);
    let share = 0.5 + random.clamp(0.0, 1.0) / 2.0;
    (step as f64 * share * 1_000_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        assert_eq!(pause_micros(1, 1.0), 5_000_000);
        assert_eq!(pause_micros(2, 1.0), 10_000_000);
        assert_eq!(pause_micros(4, 0.0), 20_000_000);
        assert_eq!(pause_micros(u32::MAX, 1.0), 900_000_000);
    }

    proptest! {
        #[test]
        fn a_pause_is_never_shorter_than_half_the_first_nor_longer_than_the_bound(failures in any::<u32>(), random in any::<f64>()) {
            let pause = pause_micros(failures, random);
            prop_assert!((2_500_000..=900_000_000).contains(&pause), "{pause}");
        }
    }
}
