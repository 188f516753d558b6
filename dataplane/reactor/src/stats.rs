//! Counters of one core, for metrics and tests.

/// What a core has done since it was built. All values only grow, except the ones named `*_now`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Loop turns.
    pub turns: u64,
    /// Calls of `io_uring_enter` or `epoll_wait`.
    pub waits: u64,
    /// Times the core was woken by another thread.
    pub wakeups: u64,
    /// Receives that delivered bytes, an end of stream or an error.
    pub receives: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Gathers sent.
    pub sends: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Send calls that wrote less than asked and were continued.
    pub short_sends: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Connects finished, well or badly.
    pub connects: u64,
    /// File appends and syncs finished.
    pub file_ops: u64,
    /// Operations cancelled because their future or socket was dropped.
    pub cancels: u64,
    /// Timers that fired.
    pub timers: u64,
    /// Task polls.
    pub polls: u64,
    /// Tasks that panicked and were ended.
    pub task_panics: u64,
    /// Times a receive found no buffer.
    pub pool_exhausted: u64,
    /// Times the submission queue was full and had to be flushed in the middle of a turn.
    pub ring_overflows: u64,
    /// Operations known to the kernel or queued for it.
    pub ops_now: u64,
    /// Receive buffers held by `Buf`s.
    pub buffers_now: u64,
    /// Receive buffers allocated, held or free.
    pub buffers_allocated_now: u64,
    /// Bytes of the receive buffers that are held.
    pub buffer_bytes_now: u64,
    /// Bytes of the receive buffers that are allocated, held or free.
    pub buffer_bytes_allocated_now: u64,
    /// Tasks alive, without the main future.
    pub tasks_now: u64,
}
