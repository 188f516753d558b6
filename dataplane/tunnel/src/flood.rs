//! Token buckets against frames that cost us more than the peer.

use crate::limits::{Bucket, FloodLimits};
use std::time::Duration;

/// The buckets of a link.
#[derive(Debug)]
pub(crate) struct Floods {
    pub resets: Tokens,
    pub pings: Tokens,
    pub settings: Tokens,
    pub empty: Tokens,
}

impl Floods {
    pub(crate) fn new(limits: &FloodLimits) -> Self {
        Self {
            resets: Tokens::new(limits.resets),
            pings: Tokens::new(limits.pings),
            settings: Tokens::new(limits.settings),
            empty: Tokens::new(limits.empty),
        }
    }
}

/// A token bucket in virtual time, in thousandths of a token.
#[derive(Debug)]
pub(crate) struct Tokens {
    bucket: Bucket,
    milli: u64,
    at: Duration,
}

impl Tokens {
    fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            milli: u64::from(bucket.burst) * 1000,
            at: Duration::ZERO,
        }
    }

    /// Takes one token; false when there is none: it is a flood.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let passed = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        if passed > 0 {
            self.at = now;
            let back = passed.saturating_mul(u64::from(self.bucket.per_second));
            self.milli = self.milli.saturating_add(back).min(u64::from(self.bucket.burst) * 1000);
        }
        match self.milli.checked_sub(1000) {
            Some(left) => {
                self.milli = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_run_out_and_come_back() {
        let mut t = Tokens::new(Bucket {
            burst: 2,
            per_second: 10,
        });
        let at = |ms: u64| Duration::from_millis(5000 + ms);
        assert!(t.take(at(0)) && t.take(at(0)));
        assert!(!t.take(at(0)));
        assert!(!t.take(at(99)));
        assert!(t.take(at(100)));
        assert!(!t.take(at(101)));
    }
}
