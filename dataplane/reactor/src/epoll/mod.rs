//! The epoll back end: edge-triggered readiness turned into the same completions as io_uring gives.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use socket2::{SockAddr, SockRef};

use crate::buf::pool::Pool;
use crate::executor::SharedInbox;
use crate::limits;
use crate::port::{Completion, Token, Waited};
use crate::send_state::SendState;
use crate::sys;

mod file_thread;

use file_thread::FileThread;

/// Event data of the descriptors that belong to the back end itself; sockets carry `generation << 32 | fd`.
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// What waits for a descriptor to become readable.
#[derive(Clone, Copy)]
enum Reading {
    Recv(Token),
    Accept(Token),
}

impl Reading {
    fn token(self) -> Token {
        match self {
            Reading::Recv(token) | Reading::Accept(token) => token,
        }
    }
}

/// What waits for a descriptor to become writable.
#[derive(Clone, Copy)]
enum Writing {
    Send(Token),
    Connect(Token),
}

impl Writing {
    fn token(self) -> Token {
        match self {
            Writing::Send(token) | Writing::Connect(token) => token,
        }
    }
}

/// Readiness as last seen, by descriptor number.
#[derive(Clone, Copy, Default)]
struct Known {
    generation: u32,
    registered: bool,
    readable: bool,
    writable: bool,
    /// The peer has ended or reset the stream: reading never blocks again.
    ended: bool,
    reading: Option<Reading>,
    writing: Option<Writing>,
}

pub(crate) struct Epoll {
    epoll: OwnedFd,
    timer: OwnedFd,
    timer_at: Option<u64>,
    inbox: SharedInbox,
    pool: Rc<Pool>,
    known: Vec<Known>,
    completions: Vec<Completion>,
    files: Option<FileThread>,
    /// Turns served from `completions` since events were last asked for.
    turns_without_events: usize,
    events: Vec<libc::epoll_event>,
    pub(crate) waits: u64,
    pub(crate) overflows: u64,
}

fn failed(token: Token, error: &io::Error) -> Completion {
    finished(token, -error.raw_os_error().unwrap_or(libc::EIO))
}

fn finished(token: Token, result: i32) -> Completion {
    Completion {
        token,
        result,
        buf: None,
        more: false,
        nonempty: false,
    }
}

impl Epoll {
    /// Sets the epoll instance, its timer and its wake-up event up.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub(crate) fn new(pool: Rc<Pool>, inbox: SharedInbox) -> io::Result<Epoll> {
        // SAFETY: no pointer is passed; the returned descriptor is new and owned here alone.
        let epoll = unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let timer = sys::timer_fd()?;
        let mut port = Epoll {
            epoll,
            timer,
            timer_at: None,
            inbox,
            pool,
            known: Vec::new(),
            completions: Vec::new(),
            files: None,
            turns_without_events: 0,
            events: Vec::with_capacity(limits::EPOLL_EVENTS_MAX),
            waits: 0,
            overflows: 0,
        };
        port.add(port.inbox.event.as_raw_fd(), libc::EPOLLIN, WAKE)?;
        port.add(port.timer.as_raw_fd(), libc::EPOLLIN, TIMER)?;
        Ok(port)
    }

    fn add(&mut self, fd: RawFd, events: i32, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (events | libc::EPOLLET) as u32,
            u64: data,
        };
        // SAFETY: the pointer is to a live event; the kernel only reads it.
        let result = unsafe {
            let epoll = self.epoll.as_raw_fd();
            libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event)
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// What is known about a descriptor, registered with epoll on first use.
    fn known(&mut self, fd: RawFd) -> io::Result<&mut Known> {
        let index = fd as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, Known::default());
        }
        if !self.known[index].registered {
            let generation = self.known[index].generation;
            let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP;
            self.add(fd, events, u64::from(generation) << 32 | fd as u64)?;
            let known = &mut self.known[index];
            known.registered = true;
            // Registration reports what is readable already; for writing it is tried at once.
            known.readable = false;
            known.writable = true;
        }
        Ok(&mut self.known[index])
    }

    pub(crate) fn recv(&mut self, token: Token, fd: RawFd, _drained: bool) {
        match self.known(fd) {
            Ok(known) if known.readable => self.try_recv(token, fd),
            Ok(known) => known.reading = Some(Reading::Recv(token)),
            Err(error) => self.completions.push(failed(token, &error)),
        }
    }

    fn try_recv(&mut self, token: Token, fd: RawFd) {
        let Some(mut buf) = self.pool.take(token.group()) else {
            self.completions.push(finished(token, -libc::ENOBUFS));
            return;
        };
        // SAFETY: the descriptor is open: whoever started the operation holds its socket until the completion.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let room = buf.spare_mut().len();
        let result = SockRef::from(&socket).recv(buf.spare_mut());
        let known = &mut self.known[fd as usize];
        let n = match result {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                known.readable = false;
                known.reading = Some(Reading::Recv(token));
                return;
            }
            Err(error) => {
                self.completions.push(failed(token, &error));
                return;
            }
        };
        // A short read has emptied the socket, and more bytes will be a new edge; an end that was already reported
        // will not be.
        known.readable = n == room || n == 0 || known.ended;
        // SAFETY: `recv` has written the first `n` bytes of `spare_mut`.
        unsafe { buf.extend(n) };
        self.completions.push(Completion {
            token,
            result: n as i32,
            buf: (n > 0).then_some(buf),
            more: false,
            nonempty: n == room,
        });
    }

    pub(crate) fn send(&mut self, token: Token, fd: RawFd, state: &mut SendState) {
        match self.known(fd) {
            Ok(known) if known.writable => {}
            Ok(known) => {
                known.writing = Some(Writing::Send(token));
                return;
            }
            Err(error) => {
                self.completions.push(failed(token, &error));
                return;
            }
        }
        state.prepare();
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: the header and the vectors it names are filled by `prepare` from pieces that `state` owns.
        let n = unsafe {
            match state.single() {
                Some((bytes, len)) => libc::send(fd, bytes.cast(), len as usize, flags),
                None => libc::sendmsg(fd, state.header(), flags),
            }
        };
        if n >= 0 {
            self.completions.push(finished(token, n as i32));
            return;
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock {
            let known = &mut self.known[fd as usize];
            known.writable = false;
            known.writing = Some(Writing::Send(token));
        } else {
            self.completions.push(failed(token, &error));
        }
    }

    pub(crate) fn accept(&mut self, token: Token, fd: RawFd) {
        match self.known(fd) {
            Ok(known) => {
                known.reading = Some(Reading::Accept(token));
                if known.readable {
                    self.try_accept(token, fd);
                }
            }
            Err(error) => self.completions.push(failed(token, &error)),
        }
    }

    fn try_accept(&mut self, token: Token, fd: RawFd) {
        // SAFETY: the descriptor is open: its listener is held by the operation.
        let listener = unsafe { BorrowedFd::borrow_raw(fd) };
        for _ in 0..limits::ACCEPTS_PER_TURN_MAX {
            match SockRef::from(&listener).accept() {
                Ok((socket, _)) => {
                    if let Err(error) = socket.set_nonblocking(true) {
                        self.completions.push(failed(token, &error));
                        self.known[fd as usize].reading = None;
                        return;
                    }
                    self.completions.push(Completion {
                        more: true,
                        ..finished(token, socket.into_raw_fd())
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.known[fd as usize].readable = false;
                    return;
                }
                // The connection was gone before it was taken: the next one may be good.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.known[fd as usize].reading = None;
                    self.completions.push(failed(token, &error));
                    return;
                }
            }
        }
        // More may wait: end this operation so that the core starts it again after the others had their turn.
        self.known[fd as usize].reading = None;
        self.completions.push(finished(token, -libc::EAGAIN));
    }

    pub(crate) fn connect(&mut self, token: Token, fd: RawFd, addr: &SockAddr) {
        // SAFETY: the descriptor is open: its socket is held by the operation.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        match SockRef::from(&socket).connect(addr) {
            Ok(()) => self.completions.push(finished(token, 0)),
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => match self.known(fd) {
                Ok(known) => {
                    known.writable = false;
                    known.writing = Some(Writing::Connect(token));
                }
                Err(error) => self.completions.push(failed(token, &error)),
            },
            Err(error) => self.completions.push(failed(token, &error)),
        }
    }

    fn finish_connect(&mut self, token: Token, fd: RawFd) {
        // SAFETY: the descriptor is open: its socket is held by the operation.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let completion = match SockRef::from(&socket).take_error() {
            Ok(None) => finished(token, 0),
            Ok(Some(error)) | Err(error) => failed(token, &error),
        };
        self.completions.push(completion);
    }

    pub(crate) fn write(&mut self, token: Token, fd: RawFd, bytes: &[u8]) {
        self.file_job(token, fd, Some(bytes.to_vec()));
    }

    pub(crate) fn sync(&mut self, token: Token, fd: RawFd) {
        self.file_job(token, fd, None);
    }

    /// Files are always ready for epoll but may block for long: a thread of their own takes them.
    fn file_job(&mut self, token: Token, fd: RawFd, bytes: Option<Vec<u8>>) {
        let inbox = &self.inbox;
        let files = (self.files).get_or_insert_with(|| FileThread::start(inbox.clone()));
        // SAFETY: the descriptor is open: its file is held by the operation.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        match files.submit(token, file, bytes) {
            Ok(None) => {}
            Ok(Some(result)) => self.completions.push(finished(token, result)),
            Err(error) => self.completions.push(failed(token, &error)),
        }
    }

    pub(crate) fn cancel(&mut self, token: Token, fd: RawFd) {
        let Some(known) = self.known.get_mut(fd as usize) else {
            return;
        };
        if known.reading.is_some_and(|reading| reading.token() == token) {
            known.reading = None;
        } else if known.writing.is_some_and(|writing| writing.token() == token) {
            known.writing = None;
        } else {
            return;
        }
        self.completions.push(finished(token, -libc::ECANCELED));
    }

    pub(crate) fn cancel_all(&mut self) {
        for known in &mut self.known {
            let reading = known.reading.take().map(Reading::token);
            let writing = known.writing.take().map(Writing::token);
            for token in [reading, writing].into_iter().flatten() {
                self.completions.push(finished(token, -libc::ECANCELED));
            }
        }
    }

    pub(crate) fn forget(&mut self, fd: RawFd, closing: bool) {
        let Some(known) = self.known.get_mut(fd as usize) else {
            return;
        };
        let registered = known.registered;
        *known = Known {
            generation: known.generation.wrapping_add(1) & (u32::MAX >> 1),
            ..Known::default()
        };
        if registered && !closing {
            // SAFETY: deleting needs no event; the descriptors are open.
            unsafe {
                let (epoll, none) = (self.epoll.as_raw_fd(), std::ptr::null_mut());
                libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, none);
            }
        }
    }

    pub(crate) fn arm_timer(&mut self, at_nanos: u64) {
        if self.timer_at.is_some_and(|armed| armed <= at_nanos) {
            return;
        }
        if sys::timer_arm(self.timer.as_fd(), at_nanos).is_ok() {
            self.timer_at = Some(at_nanos);
        }
    }

    pub(crate) fn wait(&mut self, block: bool, out: &mut Vec<Completion>) -> io::Result<Waited> {
        // What the sends and receives of this turn completed at once is served first, without a system call.
        let ready = !self.completions.is_empty();
        if ready && self.turns_without_events < limits::TURNS_WITHOUT_EVENTS_MAX {
            self.turns_without_events += 1;
            out.append(&mut self.completions);
            return Ok(Waited::default());
        }
        self.turns_without_events = 0;
        self.waits += 1;
        let timeout = if block && !ready { -1 } else { 0 };
        // SAFETY: the pointer and capacity describe the vector's memory; the kernel writes at most that many events.
        let count = unsafe {
            let (first, capacity) = (self.events.as_mut_ptr(), self.events.capacity());
            libc::epoll_wait(self.epoll.as_raw_fd(), first, capacity as i32, timeout)
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // SAFETY: the kernel has written `count` events, none when it failed.
        unsafe { self.events.set_len(count.max(0) as usize) };
        let events = std::mem::take(&mut self.events);
        let mut waited = Waited::default();
        for event in &events {
            self.event(event.events as i32, event.u64, &mut waited);
        }
        self.events = events;
        self.events.clear();
        out.append(&mut self.completions);
        Ok(waited)
    }

    fn event(&mut self, events: i32, data: u64, waited: &mut Waited) {
        match data {
            WAKE => {
                waited.wake = true;
                if let Some(files) = &self.files {
                    files.collect(&mut self.completions);
                }
                return;
            }
            TIMER => {
                waited.timer = true;
                self.timer_at = None;
                return;
            }
            _ => {}
        }
        let fd = data as u32 as RawFd;
        let Some(known) = self.known.get_mut(fd as usize) else {
            return;
        };
        // An event of a descriptor that was closed in the meantime, its number perhaps in use again.
        if u64::from(known.generation) != data >> 32 {
            return;
        }
        let ended = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
        known.ended |= events & ended != 0;
        if events & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) != 0 {
            known.writable = true;
            match known.writing.take() {
                // The send is started again by the core, which owns what it sends.
                Some(Writing::Send(token)) => {
                    self.completions.push(finished(token, -libc::EAGAIN));
                }
                Some(Writing::Connect(token)) => self.finish_connect(token, fd),
                None => {}
            }
        }
        if events & (libc::EPOLLIN | ended) != 0 {
            let known = &mut self.known[fd as usize];
            known.readable = true;
            match known.reading {
                Some(Reading::Recv(token)) => {
                    known.reading = None;
                    self.try_recv(token, fd);
                }
                Some(Reading::Accept(token)) => self.try_accept(token, fd),
                None => {}
            }
        }
    }
}
