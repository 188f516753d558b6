//! How often one caller may ask: a bucket for each that fills steadily. Kept in this process: each replica has its own.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::limits::{RATE_BURST_DIVISOR, RATE_CALLERS_MAX};

/// Buckets of all callers that asked lately.
#[derive(Debug)]
pub struct Rates {
    per_minute: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at_micros: i64,
}

impl Rates {
    /// Allows each caller so many requests a minute; 0: no bound.
    pub fn new(per_minute: u32) -> Rates {
        Rates {
            per_minute,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request of a caller.
    ///
    /// # Errors
    /// Seconds to wait.
    pub fn take(&self, caller: &str, now_micros: i64) -> Result<(), u64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let full = f64::from((self.per_minute / RATE_BURST_DIVISOR).max(1));
        let per_micro = f64::from(self.per_minute) / 60e6;
        let refilled = |bucket: &Bucket| {
            let passed = now_micros.saturating_sub(bucket.at_micros).max(0) as f64;
            (bucket.tokens + passed * per_micro).min(full)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if buckets.len() >= RATE_CALLERS_MAX && !buckets.contains_key(caller) {
            // Full buckets say nothing; when there are none, strangers share what is left: nobody's memory grows.
            buckets.retain(|_, bucket| refilled(bucket) < full);
            if buckets.len() >= RATE_CALLERS_MAX {
                return Err(1);
            }
        }
        let present = buckets.get(caller).map_or(full, refilled);
        let enough = present >= 1.0;
        let bucket = Bucket {
            tokens: if enough { present - 1.0 } else { present },
            at_micros: now_micros,
        };
        buckets.insert(caller.to_owned(), bucket);
        if enough {
            return Ok(());
        }
        Err(((1.0 - present) / per_micro / 1e6).ceil().max(1.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate_holds() {
        let rates = Rates::new(60);
        let burst = 60 / RATE_BURST_DIVISOR;
        for _ in 0..burst {
            assert_eq!(rates.take("a", 0), Ok(()));
        }
        assert_eq!(rates.take("a", 0), Err(1));
        assert_eq!(rates.take("b", 0), Ok(()));
        assert_eq!(rates.take("a", 999_999), Err(1));
        assert_eq!(rates.take("a", 1_000_001), Ok(()));
        assert_eq!(rates.take("a", 1_000_002), Err(1));
        assert_eq!(Rates::new(0).take("a", 0), Ok(()));
    }

    #[test]
    fn callers_beyond_the_bound_cost_no_memory() {
        let rates = Rates::new(60);
        for n in 0..RATE_CALLERS_MAX {
            assert_eq!(rates.take(&n.to_string(), 0), Ok(()));
        }
        assert_eq!(rates.take("one more", 0), Err(1));
        // A minute later the old ones are forgotten.
        assert_eq!(rates.take("one more", 60_000_000), Ok(()));
        assert_eq!(rates.buckets.lock().unwrap().len(), 1);
    }
}
