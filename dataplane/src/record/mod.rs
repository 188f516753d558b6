//! The audit spool: what sessions noted is on its way to disk before what they answered is on its way to a client.

pub mod recover;
pub mod spool;
pub mod syncer;
pub mod tail;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the cores' spools share: room on disk, and whether writing works.
#[derive(Debug)]
pub struct SpoolState {
    bytes: AtomicU64,
    bytes_max: u64,
    failed: AtomicBool,
    appends: AtomicU64,
    /// Events written since the process started.
    pub events_written: AtomicU64,
    /// Events that the control plane has stored since the process started.
    pub events_shipped: AtomicU64,
}

impl SpoolState {
    pub fn new(bytes_max: u64, bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicU64::new(bytes),
            bytes_max,
            failed: AtomicBool::new(false),
            appends: AtomicU64::new(0),
            events_written: AtomicU64::new(0),
            events_shipped: AtomicU64::new(0),
        })
    }

    /// Why no work may be taken on, if so: what cannot be recorded must not happen.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.failed.load(Ordering::Relaxed) {
            Some("the audit spool cannot be written; see the data plane's log")
        } else if self.bytes.load(Ordering::Relaxed) >= self.bytes_max {
            Some("the audit spool is full because the control plane has not taken its records")
        } else {
            None
        }
    }

    /// Bytes on disk that the control plane may not have yet.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn grown(&self, by: usize) {
        self.bytes.fetch_add(by as u64, Ordering::Relaxed);
    }

    /// A segment was removed after all of it was stored elsewhere.
    pub fn shrunk(&self, by: u64) {
        self.bytes.fetch_sub(by, Ordering::Relaxed);
    }

    /// Times that records were appended to any segment: while it stays the same there is nothing to make durable.
    pub fn appends(&self) -> u64 {
        self.appends.load(Ordering::Acquire)
    }

    fn appended(&self) {
        self.failed.store(false, Ordering::Relaxed);
        self.appends.fetch_add(1, Ordering::Release);
    }

    fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn set_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

/// Directory of all spools.
pub fn spool_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("spool")
}

fn core_dir(spool: &Path, core: u32) -> PathBuf {
    spool.join(format!("core-{core}"))
}

fn segment_path(core_dir: &Path, segment: u64) -> PathBuf {
    core_dir.join(format!("{segment:012}.seg"))
}

/// Where a core's records stand before they are appended to its segment.
fn stage_path(core_dir: &Path) -> PathBuf {
    core_dir.join("staged")
}

/// Numbers of the segments in a core's directory, ascending.
pub fn segments(core_dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(core_dir)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(".seg"))
            .and_then(|stem| stem.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Cores that have a directory in the spool.
pub fn cores(spool: &Path) -> std::io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(spool)? {
        let name = entry?.file_name();
        numbers.extend(
            name.to_str()
                .and_then(|name| name.strip_prefix("core-"))
                .and_then(|n| n.parse::<u32>().ok()),
        );
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests;
