//! The clock of the outbox: the system's, plus a distance that tests set, so that an hour need not be waited for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::store::now_micros;

/// Time as the outbox sees it.
#[derive(Debug)]
pub struct Clock {
    ahead_micros: AtomicI64,
    /// Development only: a file with the seconds that the clock is ahead.
    file: Option<PathBuf>,
}

impl Clock {
    /// The system's clock; with a file, ahead of it by the seconds in the file.
    pub fn new(file: Option<PathBuf>) -> Clock {
        if let Some(path) = &file {
            tracing::warn!(path = %path.display(), "dev_clock_file is set: pauses and ends of notifications follow that file");
        }
        let clock = Clock {
            ahead_micros: AtomicI64::new(0),
            file,
        };
        clock.look();
        clock
    }

    /// Microseconds since 1970.
    pub fn now_micros(&self) -> i64 {
        now_micros().saturating_add(self.ahead_micros.load(Ordering::Relaxed))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.ahead_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Reads the file, if there is one to read.
    pub(super) fn look(&self) {
        let Some(path) = &self.file else { return };
        let read = std::fs::read_to_string(path).ok();
        if let Some(seconds) = read.and_then(|text| text.trim().parse::<i64>().ok()) {
            self.ahead_micros
                .store(seconds.saturating_mul(1_000_000), Ordering::Relaxed);
        }
    }
}
