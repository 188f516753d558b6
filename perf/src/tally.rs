//! Latencies as a histogram with three significant digits, and their percentiles as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Latencies in nanoseconds, up to a minute.
pub struct Tally(Histogram<u64>);

impl Tally {
    /// Longest latency that is told apart; longer ones count as this.
    const MAX: Duration = Duration::from_secs(60);

    pub fn new() -> Self {
        let max = Self::MAX.as_nanos() as u64;
        Self(Histogram::new_with_bounds(1, max, 3).unwrap_or_else(|_| unreachable!("constant bounds are valid")))
    }

    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    pub fn add(&mut self, other: &Tally) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Percentiles in microseconds.
    pub fn to_json(&self) -> Value {
        let at = |percent: f64| self.0.value_at_percentile(percent) as f64 / 1e3;
        json!({
            "mean": self.0.mean() / 1e3, "p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "p99_9": at(99.9),
            "max": self.0.max() as f64 / 1e3,
        })
    }
}
