//! Per-core reactor: io_uring and epoll behind one surface, with a small executor for tasks of one core.

pub mod limits;

mod buf;
mod config;
mod gather;
mod mailbox;
mod stats;
mod surface;
pub mod sync;

pub use buf::Buf;
pub use config::{Backend, BackendChoice, Config};
pub use gather::Gather;
pub use mailbox::{Full, Receiver, Sender, mailbox};
pub use stats::Stats;
pub use surface::*;
