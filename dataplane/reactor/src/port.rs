//! What a back end is to the rest of the core: operations in, completions out.

use std::io;
use std::os::fd::RawFd;

use socket2::SockAddr;

use crate::Buf;
use crate::epoll::Epoll;
use crate::send_state::SendState;
use crate::uring::Uring;

/// Names an operation to a back end: slot (32 bits), generation (24 bits) and, for receives, the buffer group (1 bit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) u64);

impl Token {
    pub(crate) const GENERATION_MASK: u32 = (1 << 24) - 1;

    pub(crate) fn new(slot: u32, generation: u32) -> Token {
        Token(u64::from(generation & Self::GENERATION_MASK) << 32 | u64::from(slot))
    }

    /// The token of a receive into `group`.
    pub(crate) fn with_group(self, group: u8) -> Token {
        Token(self.0 | u64::from(group & 1) << 56)
    }

    pub(crate) fn group(self) -> u8 {
        (self.0 >> 56) as u8 & 1
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & Self::GENERATION_MASK
    }
}

/// Who is interested in the end of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Nobody awaits it yet: its success alone need not end a wait.
    Unattended,
    /// A task awaits it.
    Awaited,
    /// It found the socket full: it waits for room.
    Blocked,
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) token: Token,
    /// Bytes or descriptor, or a negative error number. `-EAGAIN` asks for the operation to be started again.
    pub(crate) result: i32,
    /// Received bytes.
    pub(crate) buf: Option<Buf>,
    /// More completions of this operation will follow.
    pub(crate) more: bool,
    /// The socket held more bytes when this receive ended.
    pub(crate) nonempty: bool,
}

/// Results of one wait beside the completions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    /// The kernel timer fired.
    pub(crate) timer: bool,
    /// Another thread signalled the core.
    pub(crate) wake: bool,
}

/// A back end. Dispatch is one predictable branch; a simulated back end becomes one more variant.
///
/// Contract: an operation started with a token gets completions with that token until one without `more`. Memory
/// handed over (`SendState`, write bytes, address) stays in place until then. Nothing started is visible to a peer
/// before `wait` or, for the epoll back end, before the call returns, so the core starts sends only after the
/// pre-submit hook has run.
pub(crate) enum Port {
    Uring(Box<Uring>),
    Epoll(Box<Epoll>),
}

macro_rules! dispatch {
    ($self:ident, $port:ident => $call:expr) => {
        match $self {
            Port::Uring($port) => $call,
            Port::Epoll($port) => $call,
        }
    };
}

impl Port {
    /// Starts a receive into a buffer of the token's group; `drained` says that the socket was seen empty.
    pub(crate) fn recv(&mut self, token: Token, fd: RawFd, drained: bool) {
        dispatch!(self, port => port.recv(token, fd, drained));
    }

    /// Starts a send of what `state` has prepared.
    pub(crate) fn send(&mut self, token: Token, fd: RawFd, state: &mut SendState, urgency: Urgency) {
        match self {
            Port::Uring(port) => port.send(token, fd, state, urgency),
            Port::Epoll(port) => port.send(token, fd, state),
        }
    }

    /// Starts to accept connections, many if the back end can.
    pub(crate) fn accept(&mut self, token: Token, fd: RawFd) {
        dispatch!(self, port => port.accept(token, fd));
    }

    /// Starts a connect; `addr` stays in place until the completion.
    pub(crate) fn connect(&mut self, token: Token, fd: RawFd, addr: &SockAddr) {
        dispatch!(self, port => port.connect(token, fd, addr));
    }

    /// Starts to append `bytes`, which stay in place until the completion.
    pub(crate) fn write(&mut self, token: Token, fd: RawFd, bytes: &[u8]) {
        dispatch!(self, port => port.write(token, fd, bytes));
    }

    /// Starts to make a file's data durable.
    pub(crate) fn sync(&mut self, token: Token, fd: RawFd) {
        dispatch!(self, port => port.sync(token, fd));
    }

    /// Asks for an early end of an operation; its last completion still comes.
    pub(crate) fn cancel(&mut self, token: Token, fd: RawFd) {
        dispatch!(self, port => port.cancel(token, fd));
    }

    /// Forgets what is known about a descriptor that leaves the core; `closing` says that it is closed next.
    pub(crate) fn forget(&mut self, fd: RawFd, closing: bool) {
        match self {
            Port::Uring(_) => {}
            Port::Epoll(port) => port.forget(fd, closing),
        }
    }

    /// Lets the kernel timer fire at `at_nanos` of the monotonic clock, or earlier.
    pub(crate) fn arm_timer(&mut self, at_nanos: u64) {
        dispatch!(self, port => port.arm_timer(at_nanos));
    }

    /// Hands everything started to the kernel and collects completions; sleeps for the first one if `block`.
    pub(crate) fn wait(&mut self, block: bool, out: &mut Vec<Completion>) -> io::Result<Waited> {
        dispatch!(self, port => port.wait(block, out))
    }

    /// Asks for an early end of everything.
    pub(crate) fn cancel_all(&mut self) {
        dispatch!(self, port => port.cancel_all());
    }

    /// Calls of the kernel's waiting function, and times the submission queue was full.
    pub(crate) fn counts(&self) -> (u64, u64) {
        dispatch!(self, port => (port.waits, port.overflows))
    }
}
