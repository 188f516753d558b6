//! The public surface, ahead of its bodies.
#![allow(missing_docs, unused, clippy::all)]

use crate::{Backend, Buf, Config, Gather, Stats};
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

type Local = PhantomData<*const ()>;

/// Result of trying what the kernel allows.
pub struct Probe {
    pub uring: Result<UringFeatures, Forbidden>,
}
#[derive(Clone, Debug)]
pub struct UringFeatures {
    pub defer_taskrun: bool,
    pub no_sqarray: bool,
    pub buffer_ring: bool,
    pub multishot_accept: bool,
    pub registered_ring: bool,
}
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}; {mend}")]
pub struct Forbidden {
    pub why: String,
    pub mend: String,
}
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
pub fn probe() -> Probe {
    unimplemented!()
}

pub struct Core(Local);
impl Core {
    pub fn new(config: Config) -> io::Result<Core> {
        unimplemented!()
    }
    pub fn backend(&self) -> Backend {
        unimplemented!()
    }
    /// Why `Auto` took epoll.
    pub fn fallback(&self) -> Option<&Forbidden> {
        unimplemented!()
    }
    pub fn run<F: Future<Output = T>, T>(self, main: F) -> T {
        unimplemented!()
    }
    /// Valid inside a running core; replaces an earlier hook.
    pub fn set_pre_submit(hook: impl FnMut() -> io::Result<()> + 'static) {
        unimplemented!()
    }
}

pub struct Task(Local);
impl Task {
    pub fn abort(&self) {
        unimplemented!()
    }
    pub fn is_finished(&self) -> bool {
        unimplemented!()
    }
}
pub fn spawn(future: impl Future<Output = ()> + 'static) -> Task {
    unimplemented!()
}
pub fn now() -> Instant {
    unimplemented!()
}
pub async fn sleep(duration: Duration) {
    unimplemented!()
}
pub async fn sleep_until(deadline: Instant) {
    unimplemented!()
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is up")]
pub struct Elapsed;
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    unimplemented!()
}
pub async fn yield_now() {
    unimplemented!()
}
pub fn stats() -> Stats {
    unimplemented!()
}

#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    pub reuse_port: bool,
    pub backlog: i32,
}
impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            reuse_port: false,
            backlog: crate::limits::LISTEN_BACKLOG,
        }
    }
}
pub struct Listener(Local);
impl Listener {
    pub fn bind(addr: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        unimplemented!()
    }
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        unimplemented!()
    }
    pub async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        unimplemented!()
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
}

pub struct Socket(Local);
impl Socket {
    pub async fn connect(addr: SocketAddr) -> io::Result<Socket> {
        unimplemented!()
    }
    pub fn from_fd(fd: OwnedFd) -> io::Result<Socket> {
        unimplemented!()
    }
    /// Errs with `ResourceBusy` while an operation is in flight or received bytes wait to be taken.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        unimplemented!()
    }
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    /// Receives; empty = end of stream. Dropping the future loses no byte: the next receive gets them.
    pub async fn recv(&self) -> io::Result<Buf> {
        unimplemented!()
    }
    /// As `recv`, armed before the first poll.
    pub fn recv_start(&self) -> RecvFuture {
        unimplemented!()
    }
    /// Queues at once (before the first poll); dropping the future cancels what was not sent.
    pub fn send(&self, gather: Gather) -> SendFuture {
        unimplemented!()
    }
    /// After what was queued for sending.
    pub fn shutdown_write(&self) {
        unimplemented!()
    }
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        unimplemented!()
    }
    pub fn close_hard(&self) {
        unimplemented!()
    }
}
#[must_use]
pub struct RecvFuture(Local);
impl Future for RecvFuture {
    type Output = io::Result<Buf>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}
#[must_use]
pub struct SendFuture(Local);
impl Future for SendFuture {
    type Output = io::Result<()>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}

pub struct File(Local);
impl File {
    /// Fails when the file exists. Mode 0600.
    pub fn create_append(path: impl AsRef<Path>) -> io::Result<File> {
        unimplemented!()
    }
    /// Opens for appending; fails when the file does not exist.
    pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
        unimplemented!()
    }
    /// Returns the (cleared) vector for reuse.
    pub async fn append(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        unimplemented!()
    }
    pub async fn sync_data(&self) -> io::Result<()> {
        unimplemented!()
    }
    /// Plain write(2), for the pre-submit hook.
    pub fn append_now(&mut self, bytes: &[u8]) -> io::Result<()> {
        unimplemented!()
    }
}
