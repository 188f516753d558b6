//! The audit spool: what sessions noted is on its way to disk before what they answered is on its way to a client.

pub mod recover;
pub mod spool;
pub mod syncer;
pub mod tail;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// What the cores' spools share: room on disk, and whether writing works.
#[derive(Debug)]
pub struct SpoolState {
    bytes: AtomicU64,
    bytes_max: u64,
    failed: AtomicBool,
    appends: AtomicU64,
    /// Somebody sleeps until the next append.
    awaited: AtomicBool,
    sleeper: Mutex<Option<Waker>>,
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
            awaited: AtomicBool::new(false),
            sleeper: Mutex::new(None),
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
        self.appends.load(Ordering::SeqCst)
    }

    /// Sleeps until something is appended after the append number `seen`, on any thread. One task may wait.
    pub async fn appended_after(&self, seen: u64) {
        std::future::poll_fn(|context| {
            if self.appends() == seen {
                *self.sleeper() = Some(context.waker().clone());
                // Seen by an append that comes after the look below; one that came before is seen by that look.
                self.awaited.store(true, Ordering::SeqCst);
            }
            if self.appends() == seen {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    fn appended(&self) {
        self.failed.store(false, Ordering::Relaxed);
        self.appends.fetch_add(1, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) && self.awaited.swap(false, Ordering::SeqCst) {
            let sleeper = self.sleeper().take();
            if let Some(sleeper) = sleeper {
                sleeper.wake();
            }
        }
    }

    fn sleeper(&self) -> MutexGuard<'_, Option<Waker>> {
        // Nothing that can panic runs under the lock.
        self.sleeper.lock().unwrap_or_else(PoisonError::into_inner)
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
