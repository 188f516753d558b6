//! Memory that a caller lends to each scan, so that scanning allocates nothing once it is warm.

use crate::Finding;
use crate::hit::Raw;

/// One per thread; usable with any scanner.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) raws: Vec<Raw>,
    pub(crate) accepted: Vec<Raw>,
    pub(crate) joined: Vec<u8>,
    pub(crate) findings: Vec<Finding>,
    /// Scratch of the scans inside of encoded runs.
    pub(crate) nested: Option<Box<Scratch>>,
    pub(crate) counters: Counters,
}

impl Scratch {
    /// Empty scratch memory.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// What was counted since the last call of this function.
    pub fn take_counters(&mut self) -> Counters {
        std::mem::take(&mut self.counters)
    }
}

/// Counts of work done, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that were scanned; bytes that a stream keeps back count again with each call.
    pub scanned_bytes: u64,
    /// Places that were looked at more closely.
    pub candidates: u64,
    /// Candidates that are a match.
    pub verified: u64,
    /// Candidates whose verdict had to wait for more bytes.
    pub waiting: u64,
    /// Matches that are reported.
    pub findings: u64,
    /// Bytes that verifiers looked at.
    #[cfg(test)]
    pub(crate) steps: u64,
}
