//! TCP streams: receives armed on request, gathered sends in order, connect and close.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use crate::buf::pool::{LARGE, SMALL};
use crate::core::{current_id, try_with_core, with_core};
use crate::limits;
use crate::plain::PlainOp;
use crate::port::Token;
use crate::sys::{self, LateFd};
use crate::{Backend, Buf, Gather};

/// No operation.
pub(crate) const NO_OP: u32 = u32::MAX;

/// What a socket needs besides its operations: the reason an idle one costs little.
pub(crate) struct SocketState {
    pub(crate) fd: LateFd,
    core: u16,
    pub(crate) recv_op: Cell<u32>,
    /// Sends queued, waiting or started.
    pub(crate) unsent: Cell<u32>,
    pub(crate) recv_group: Cell<u8>,
    streak: Cell<u8>,
    /// The last receive left nothing behind.
    pub(crate) drained: Cell<bool>,
    pub(crate) sending: Cell<bool>,
    /// A send was cut in the middle: nothing may follow it.
    pub(crate) torn: Cell<bool>,
    shutdown_due: Cell<bool>,
    /// The handle was dropped.
    closed: Cell<bool>,
    /// Sends that wait for the one that is started.
    pub(crate) waiting: RefCell<VecDeque<Token>>,
}

impl SocketState {
    fn new(fd: OwnedFd, core: u16) -> Rc<SocketState> {
        Rc::new(SocketState {
            fd: LateFd::new(fd, core),
            core,
            recv_op: Cell::new(NO_OP),
            unsent: Cell::new(0),
            recv_group: Cell::new(SMALL),
            streak: Cell::new(0),
            drained: Cell::new(true),
            sending: Cell::new(false),
            torn: Cell::new(false),
            shutdown_due: Cell::new(false),
            closed: Cell::new(false),
            waiting: RefCell::new(VecDeque::new()),
        })
    }

    /// Learns from a receive whether the stream is bulk and whether the socket is empty now.
    pub(crate) fn note_received(&self, n: usize, room: usize, small: usize, nonempty: bool) {
        self.drained.set(!nonempty && n < room);
        let large = self.recv_group.get() == LARGE;
        let against = if large { n < small } else { n == room };
        if !against {
            self.streak.set(0);
            return;
        }
        let streak = self.streak.get() + 1;
        self.streak.set(streak);
        let (turn, group) = if large {
            (limits::SMALL_AFTER_SHORT, SMALL)
        } else {
            (limits::BULK_AFTER_FULL, LARGE)
        };
        if streak >= turn {
            self.recv_group.set(group);
            self.streak.set(0);
        }
    }

    /// One send less; a shutdown that waited for the last one is done now.
    pub(crate) fn note_sent(&self) {
        let unsent = self.unsent.get().saturating_sub(1);
        self.unsent.set(unsent);
        if unsent == 0 && self.shutdown_due.take() {
            self.shutdown_now();
        }
    }

    /// A shutdown waits for the last send.
    pub(crate) fn shutdown_due(&self) -> bool {
        self.shutdown_due.get()
    }

    fn shutdown_now(&self) {
        // The only error is that the connection is gone already.
        let _ = SockRef::from(&self.fd).shutdown(Shutdown::Write);
    }
}

/// A TCP stream that belongs to one core. Dropping it cancels its receive and closes it when the sends that are
/// still awaited elsewhere are done.
pub struct Socket {
    state: Rc<SocketState>,
}

impl Socket {
    /// Connects to an address. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// What the network says: refused, unreachable, timed out; or no descriptor left.
    pub async fn connect(addr: SocketAddr) -> io::Result<Socket> {
        let addr = SockAddr::from(addr);
        let domain = Domain::from(i32::from(addr.family()));
        let fd = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        let socket = Socket::from_fd(fd.into())?;
        let token = with_core(|core| core.with_driver(|driver| driver.start_connect(&socket.state, addr)));
        PlainOp::new(token).await.0?;
        Ok(socket)
    }

    /// Takes a connected socket over, for instance from another core. Its blocking mode is set as the back end
    /// needs it.
    ///
    /// # Errors
    /// When the descriptor does not allow its mode to be changed.
    ///
    /// # Panics
    /// Outside a running core.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Socket> {
        let (core, backend) = with_core(|core| (core.id, core.backend));
        // io_uring answers EAGAIN on non-blocking descriptors instead of waiting for readiness.
        SockRef::from(&fd).set_nonblocking(backend == Backend::Epoll)?;
        Ok(Socket::from_accepted(fd, core))
    }

    /// A socket whose blocking mode is right already.
    pub(crate) fn from_accepted(fd: OwnedFd, core: u16) -> Socket {
        Socket {
            state: SocketState::new(fd, core),
        }
    }

    /// Takes the descriptor out of the reactor, for instance to move it to another core.
    ///
    /// # Errors
    /// `ResourceBusy` while a receive is armed or its bytes were not taken, or a send is not finished: the stream
    /// would lose bytes. The socket is closed then.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        with_core(|core| {
            let busy = core.with_driver(|driver| driver.recv_busy(&self.state));
            if busy || self.state.unsent.get() > 0 {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            core.with_driver(|driver| driver.port.forget(self.state.fd.as_raw_fd(), false));
            // A duplicate: the state may still be referred to by a future that was not dropped yet.
            self.state.fd.as_fd().try_clone_to_owned()
        })
    }

    /// Address of the other end.
    ///
    /// # Errors
    /// When the socket is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        inet(SockRef::from(&self.state.fd).peer_addr()?)
    }

    /// Address of this end.
    ///
    /// # Errors
    /// When the kernel does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        inet(SockRef::from(&self.state.fd).local_addr()?)
    }

    /// Receives what is there, at most one buffer; an empty `Buf` is the end of the stream. The buffer is taken when
    /// bytes arrive, not before. Dropping the future loses nothing: the receive stays armed and the next one gets
    /// its bytes. One task at a time may receive.
    ///
    /// # Errors
    /// What the network says, `ConnectionReset` above all.
    pub async fn recv(&self) -> io::Result<Buf> {
        self.recv_start().await
    }

    /// As `recv`, armed at once: it goes to the kernel in the same call as sends queued in this turn.
    pub fn recv_start(&self) -> RecvFuture {
        with_core(|core| core.with_driver(|driver| driver.start_recv(&self.state)));
        RecvFuture {
            state: self.state.clone(),
        }
    }

    /// Sends all pieces in order, after what was queued before; queued at once, before the first poll, and handed to
    /// the kernel at the end of the turn, after the pre-submit hook. Dropping the future cancels what has not left;
    /// if that cuts the bytes in the middle, every later send fails.
    ///
    /// A relay is cheapest when it keeps the future and awaits it only after its next receive: a send that nobody
    /// awaits yet needs no turn of its own to be noticed.
    ///
    /// # Errors
    /// What the network says, or the pre-submit hook's error.
    pub fn send(&self, gather: Gather) -> SendFuture {
        let token = with_core(|core| core.with_driver(|driver| driver.start_send(&self.state, gather)));
        SendFuture { token: Some(token) }
    }

    /// Arms a receive whose bytes nobody waits for yet: the next `recv` gets them, and [`Socket::is_quiet`] needs no look at the
    /// socket.
    pub fn listen(&self) {
        drop(self.recv_start());
    }

    /// Whether the peer is there and silent: nothing waits to be taken, and nothing has arrived, neither bytes nor the end of the
    /// stream. For a stream on which only an answer may come, before the next question is put. Takes nothing. While a receive is
    /// armed it tells what the back end has reported so far; else the socket is looked at.
    pub fn is_quiet(&self) -> bool {
        if self.state.recv_op.get() != NO_OP {
            return with_core(|core| core.with_driver(|driver| driver.recv_waits(&self.state)));
        }
        let looks = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        SockRef::from(&self.state.fd)
            .recv_with_flags(&mut [MaybeUninit::uninit()], looks)
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ends our direction of the stream, after what was queued for sending.
    pub fn shutdown_write(&self) {
        if self.state.unsent.get() > 0 {
            self.state.shutdown_due.set(true);
        } else {
            self.state.shutdown_now();
        }
    }

    /// Sends small segments at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        SockRef::from(&self.state.fd).set_tcp_nodelay(on)
    }

    /// Ends the connection at once with a reset; operations in flight fail. Unsent bytes are lost.
    pub fn close_hard(&self) {
        // Errors mean that the connection is gone already, which is what was asked for.
        let _ = SockRef::from(&self.state.fd).set_linger(Some(Duration::ZERO));
        let _ = sys::disconnect(self.state.fd.as_raw_fd());
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.state.closed.set(true);
        if self.state.recv_op.get() != NO_OP && current_id() == Some(self.state.core) {
            try_with_core(|core| {
                core.with_driver(|driver| driver.drop_recv(&self.state));
            });
        }
    }
}

/// Future of a receive.
#[must_use = "a receive is of no use unless it is awaited"]
pub struct RecvFuture {
    state: Rc<SocketState>,
}

impl Future for RecvFuture {
    type Output = io::Result<Buf>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.state.closed.get() {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        with_core(|core| {
            core.with_driver(|driver| {
                // Armed by another future whose result was taken since: this one asks anew.
                driver.start_recv(&self.state);
                driver.poll_recv(&self.state, cx.waker())
            })
        })
    }
}

/// Future of a send.
#[must_use = "a send is cancelled unless it is awaited"]
pub struct SendFuture {
    token: Option<Token>,
}

impl Future for SendFuture {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(token) = self.token else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let polled = with_core(|core| core.with_driver(|d| d.poll_send(token, cx.waker())));
        if polled.is_ready() {
            self.token = None;
        }
        polled
    }
}

impl Drop for SendFuture {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            try_with_core(|core| core.with_driver(|driver| driver.drop_send(token)));
        }
    }
}

pub(crate) fn inet(addr: SockAddr) -> io::Result<SocketAddr> {
    (addr.as_socket()).ok_or_else(|| io::Error::other("not an internet address"))
}
