//! Per-core reactor: io_uring and epoll behind one surface, with a small executor for tasks of one core.
//!
//! A thread builds a [`Core`] and runs a future on it; everything else (sockets, files, timers, [`spawn`]) works on
//! the core of the calling thread and belongs to it. Each loop turn:
//!
//! ```text
//! run ready tasks -> pre-submit hook (if sends were queued) -> sends, then receives of this turn
//!      ^             -> one io_uring_enter: submit and wait -> completions wake tasks -> timers ─┐
//!      └─────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A receive owns no buffer while it waits. Dropping a future never frees memory the kernel may write to: the
//! operation keeps its buffer and descriptor until its last completion. `unsafe` is confined to `buf`, `uring`,
//! `epoll`, `stage`, `sys` and `waker`.

pub mod limits;
pub mod sync;

mod buf;
mod config;
mod core;
mod driver;
mod epoll;
mod executor;
mod file;
mod gather;
mod listener;
mod mailbox;
mod plain;
mod port;
mod probe;
mod send_state;
mod socket;
mod stage;
mod stats;
mod sys;
mod timer;
mod uring;
mod waker;

pub use crate::core::{Core, stats};
pub use buf::Buf;
pub use config::{Backend, BackendChoice, Config};
pub use executor::{Task, spawn, yield_now};
pub use file::File;
pub use gather::Gather;
pub use listener::{ListenOptions, Listener};
pub use mailbox::{Full, Receiver, Sender, mailbox};
pub use probe::{Forbidden, Probe, Switch, UringFeatures, probe};
pub use socket::{RecvFuture, SendFuture, Socket};
pub use stage::{Stage, Staged};
pub use stats::Stats;
pub use sys::forgo_huge_pages;
pub use timer::{Elapsed, Sleep, now, sleep, sleep_until, timeout};

#[cfg(test)]
mod tests;
