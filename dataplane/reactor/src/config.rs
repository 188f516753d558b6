//! What a core is built from: back end, ring size, buffers, pinning.

use std::fmt;

use crate::limits;

/// Which back end the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// io_uring when `probe` finds it usable, else epoll (the reason is in `probe()` and in `Core::fallback`).
    #[default]
    Auto,
    /// io_uring or an error.
    Uring,
    /// epoll.
    Epoll,
}

/// Which back end a core runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Uring,
    Epoll,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Uring => "uring",
            Backend::Epoll => "epoll",
        })
    }
}

/// Configuration of one core.
#[derive(Clone, Debug)]
pub struct Config {
    pub backend: BackendChoice,
    /// Submission queue entries, a power of two up to `limits::RING_ENTRIES_MAX`.
    pub ring_entries: u32,
    /// Number and size in bytes of the buffers for interactive streams: the set that stays in the processor's cache.
    pub small_buffers: (u32, u32),
    /// Number and size in bytes of the buffers for streams that move bulk data.
    pub large_buffers: (u32, u32),
    /// Bound in bytes for all buffers of one size, in use or not; receives beyond it wait for a buffer to return.
    pub pool_bytes_max: usize,
    /// Processor the thread is bound to.
    pub pin: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            backend: BackendChoice::Auto,
            ring_entries: limits::RING_ENTRIES,
            small_buffers: limits::SMALL_BUFFERS,
            large_buffers: limits::LARGE_BUFFERS,
            pool_bytes_max: limits::POOL_BYTES_MAX,
            pin: None,
        }
    }
}
