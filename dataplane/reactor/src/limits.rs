//! Named bounds of the reactor: every queue, pool, batch and wait that could grow has its limit here.

use std::time::Duration;

/// Pieces gathered into one send call (the kernel's own limit is 1024; beyond 64 nothing is gained).
pub const SEND_PIECES_MAX: usize = 64;
/// Accepted connections that wait for `Listener::accept` before the reactor stops accepting.
pub const ACCEPTED_WAITING_MAX: usize = 128;
/// Connections the epoll back end accepts from one listener in one turn.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Default length of the kernel's queue of connections that wait to be accepted.
pub const LISTEN_BACKLOG: i32 = 4096;
/// Task polls in one loop turn before the kernel is asked for completions again.
pub const POLLS_PER_TURN_MAX: usize = 512;
/// Turns in a row the epoll back end may serve completions of its own before it asks the kernel for events.
pub const TURNS_WITHOUT_EVENTS_MAX: usize = 8;
/// Readiness events taken from epoll in one call.
pub const EPOLL_EVENTS_MAX: usize = 512;
/// Default submission queue entries; the completion queue has `CQ_PER_SQ` times as many.
pub const RING_ENTRIES: u32 = 1024;
/// Completion queue entries per submission queue entry.
pub const CQ_PER_SQ: u32 = 4;
/// Largest submission queue accepted in the configuration (the kernel's own limit is 32768).
pub const RING_ENTRIES_MAX: u32 = 16_384;

/// Default number and size in bytes of the small receive buffers of a core (its cache-resident set).
pub const SMALL_BUFFERS: (u32, u32) = (64, 16 * 1024);
/// Default number and size in bytes of the large receive buffers of a core.
pub const LARGE_BUFFERS: (u32, u32) = (16, 128 * 1024);
/// Default bound in bytes of all receive buffers of one size on one core, whoever holds them.
pub const POOL_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Buffers of one size on one core (a buffer id has 16 bits).
pub const POOL_BUFFERS_MAX: usize = 32_768;
/// Free buffers kept beyond the configured set, as a multiple of it; more are given back to the allocator.
pub const POOL_SPARE_FACTOR: usize = 4;
/// Largest receive buffer accepted in the configuration, bytes.
pub const BUFFER_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Receives in a row that fill the small buffer before a stream counts as bulk.
pub const BULK_AFTER_FULL: u8 = 2;
/// Receives in a row below a small buffer's size before a bulk stream counts as interactive again.
pub const SMALL_AFTER_SHORT: u8 = 2;

/// Send states kept for reuse on a core.
pub const SEND_STATES_SPARE_MAX: usize = 64;
/// Tasks alive on one core (a task reference has 24 bits of slot).
pub const TASKS_MAX: usize = 1 << 24;
/// Jobs that wait for the file thread of the epoll back end.
pub const FILE_JOBS_MAX: usize = 1024;
/// How long a core that ends waits for its cancelled operations before it leaks their memory.
pub const CLOSE_WAIT: Duration = Duration::from_secs(5);
