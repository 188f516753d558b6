//! Listening sockets: connections are accepted ahead up to a bound and handed out in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use crate::Backend;
use crate::core::{current_id, try_with_core, with_core};
use crate::limits;
use crate::port::Token;
use crate::socket::{Socket, inet};
use crate::sys::{self, LateFd};

/// How a listening socket is made.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// `SO_REUSEPORT`: every core has a socket of its own on the same address and the kernel spreads connections.
    pub reuse_port: bool,
    /// Connections the kernel keeps until they are accepted.
    pub backlog: i32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            reuse_port: false,
            backlog: limits::LISTEN_BACKLOG,
        }
    }
}

pub(crate) struct ListenerState {
    pub(crate) fd: LateFd,
    core: u16,
    pub(crate) op: Cell<Option<Token>>,
    pub(crate) cancelled: Cell<bool>,
    accepted: RefCell<VecDeque<io::Result<OwnedFd>>>,
    pub(crate) wakers: RefCell<Vec<Waker>>,
}

impl ListenerState {
    pub(crate) fn push_accepted(&self, fd: i32, orphan: bool) {
        // Closed at once when the listener is gone.
        let fd = sys::accepted(fd);
        if !orphan {
            self.accepted.borrow_mut().push_back(Ok(fd));
        }
    }

    pub(crate) fn push_error(&self, error: io::Error) {
        self.accepted.borrow_mut().push_back(Err(error));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.accepted.borrow().len()
    }
}

/// A listening TCP socket of one core.
pub struct Listener {
    state: Rc<ListenerState>,
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    /// When the address is in use or not ours, or the process has no descriptor left.
    ///
    /// # Panics
    /// Outside a running core.
    pub fn bind(addr: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let domain = Domain::for_address(addr);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&SockAddr::from(addr))?;
        socket.listen(options.backlog)?;
        Listener::from_fd(socket.into())
    }

    /// Takes a listening socket over, for instance one that was inherited.
    ///
    /// # Errors
    /// When the descriptor does not allow its mode to be changed.
    ///
    /// # Panics
    /// Outside a running core.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let (core, backend) = with_core(|core| (core.id, core.backend));
        SockRef::from(&fd).set_nonblocking(backend == Backend::Epoll)?;
        Ok(Listener {
            state: Rc::new(ListenerState {
                fd: LateFd::new(fd, core),
                core,
                op: Cell::new(None),
                cancelled: Cell::new(false),
                accepted: RefCell::new(VecDeque::new()),
                wakers: RefCell::new(Vec::new()),
            }),
        })
    }

    /// The next connection and its address. Dropping the future loses none.
    ///
    /// # Errors
    /// When the process or the system has no descriptor or memory left: wait a little before the next call.
    pub async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        loop {
            let fd = poll_fn(|cx| {
                let first = self.state.accepted.borrow_mut().pop_front();
                if let Some(first) = first {
                    return Poll::Ready(first);
                }
                with_core(|core| core.with_driver(|driver| driver.start_accept(&self.state)));
                let mut wakers = self.state.wakers.borrow_mut();
                if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    wakers.push(cx.waker().clone());
                }
                Poll::Pending
            })
            .await?;
            // A peer that is gone again has no address any more: the next connection may be good.
            let Ok(peer) = SockRef::from(&fd).peer_addr().and_then(inet) else {
                continue;
            };
            return Ok((Socket::from_accepted(fd, self.state.core), peer));
        }
    }

    /// The address that is listened on, with the port the kernel chose.
    ///
    /// # Errors
    /// When the kernel does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        inet(SockRef::from(&self.state.fd).local_addr()?)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if current_id() == Some(self.state.core) {
            try_with_core(|core| {
                core.with_driver(|driver| driver.cancel_accept(&self.state, true));
            });
        }
    }
}
