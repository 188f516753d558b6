//! Operations in flight: who waits for them, in which order sends leave, what happens when nobody waits any more.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use socket2::SockAddr;

use crate::buf::pool::{Pool, SMALL};
use crate::file::FileState;
use crate::limits;
use crate::listener::ListenerState;
use crate::port::{Completion, Port, Token, Urgency};
use crate::send_state::SendState;
use crate::socket::{NO_OP, SocketState};
use crate::{Buf, Gather};

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for the end of the turn, for its predecessor on the socket, or for a buffer.
    Queued,
    /// The back end has it.
    Started,
    /// Its result waits to be taken.
    Done,
}

/// What an operation holds until its last completion: this keeps descriptors open and memory in place.
enum Kind {
    Free {
        next: u32,
    },
    Recv {
        socket: Rc<SocketState>,
        result: io::Result<Buf>,
    },
    Send {
        socket: Rc<SocketState>,
        state: Option<Box<SendState>>,
        result: io::Result<()>,
        /// The pre-submit hook has run since this was queued.
        hooked: bool,
    },
    Accept {
        listener: Rc<ListenerState>,
    },
    Connect {
        socket: Rc<SocketState>,
        addr: Box<SockAddr>,
        result: io::Result<()>,
    },
    Write {
        file: Rc<FileState>,
        bytes: Vec<u8>,
        done: usize,
        result: io::Result<()>,
    },
    Sync {
        /// Only held: the descriptor stays open.
        _file: Rc<FileState>,
        result: io::Result<()>,
    },
}

struct Op {
    generation: u32,
    phase: Phase,
    /// Nobody waits for the result: it is dropped when it comes.
    orphan: bool,
    waker: Option<Waker>,
    kind: Kind,
}

/// Things to be done once the driver is not borrowed any more: wakers and destructors may call back into it.
#[derive(Default)]
pub(crate) struct Aftermath {
    wakers: Vec<Waker>,
    kinds: Vec<Kind>,
    bufs: Vec<Buf>,
}

impl Aftermath {
    fn is_empty(&self) -> bool {
        self.wakers.is_empty() && self.kinds.is_empty() && self.bufs.is_empty()
    }

    /// Wakes and drops; the vectors keep their memory.
    pub(crate) fn run(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
        self.kinds.clear();
        self.bufs.clear();
    }
}

/// Counters of finished operations.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) receives: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sends: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) short_sends: u64,
    pub(crate) accepts: u64,
    pub(crate) connects: u64,
    pub(crate) file_ops: u64,
    pub(crate) cancels: u64,
}

pub(crate) struct Driver {
    pub(crate) port: Port,
    pool: Rc<Pool>,
    ops: Vec<Op>,
    free: u32,
    live: usize,
    started: usize,
    /// Sends queued since the pre-submit hook ran last.
    fresh: Vec<Token>,
    /// Sends that are the first of their socket, to be started when all of the turn are known.
    launches: Vec<Token>,
    /// Receives to start at the end of the turn, after the sends.
    arms: Vec<Token>,
    /// Receives that found no buffer: started again when one returns.
    starved: VecDeque<Token>,
    /// Boxed because the kernel holds their addresses; the boxes themselves are what is reused.
    #[expect(clippy::vec_box)]
    spare_states: Vec<Box<SendState>>,
    aftermath: Aftermath,
    pub(crate) counters: Counters,
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

fn os_error(result: i32) -> io::Error {
    io::Error::from_raw_os_error(result.wrapping_neg())
}

fn interrupted(result: i32) -> bool {
    result == -libc::EINTR || result == -libc::EAGAIN
}

impl Driver {
    pub(crate) fn new(port: Port, pool: Rc<Pool>) -> Driver {
        Driver {
            port,
            pool,
            ops: Vec::new(),
            free: NO_OP,
            live: 0,
            started: 0,
            fresh: Vec::new(),
            launches: Vec::new(),
            arms: Vec::new(),
            starved: VecDeque::new(),
            spare_states: Vec::new(),
            aftermath: Aftermath::default(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Operations whose last completion the back end still owes.
    pub(crate) fn started(&self) -> usize {
        self.started
    }

    /// Swaps the collected aftermath for an empty one; `None` when there is none.
    pub(crate) fn take_aftermath(&mut self, spare: &mut Aftermath) -> bool {
        if self.aftermath.is_empty() {
            return false;
        }
        std::mem::swap(&mut self.aftermath, spare);
        true
    }

    fn insert(&mut self, kind: Kind) -> Token {
        let op = |generation| Op {
            generation,
            phase: Phase::Queued,
            orphan: false,
            waker: None,
            kind,
        };
        self.live += 1;
        if self.free == NO_OP {
            self.ops.push(op(0));
            return Token::new((self.ops.len() - 1) as u32, 0);
        }
        let slot = self.free;
        let entry = &mut self.ops[slot as usize];
        if let Kind::Free { next } = entry.kind {
            self.free = next;
        }
        let generation = entry.generation;
        *entry = op(generation);
        Token::new(slot, generation)
    }

    /// Frees a slot; what it held is dropped after the borrow ends.
    fn remove(&mut self, slot: u32) -> Kind {
        self.live -= 1;
        let next = self.free;
        let entry = &mut self.ops[slot as usize];
        entry.generation = (entry.generation + 1) & Token::GENERATION_MASK;
        entry.waker = None;
        self.free = slot;
        std::mem::replace(&mut entry.kind, Kind::Free { next })
    }

    fn discard(&mut self, slot: u32) {
        let mut kind = self.remove(slot);
        if let Kind::Send { state, .. } = &mut kind {
            let state = state.take();
            self.recycle(state);
        }
        self.aftermath.kinds.push(kind);
    }

    fn op(&mut self, token: Token) -> Option<&mut Op> {
        let op = self.ops.get_mut(token.slot() as usize)?;
        let alive = op.generation == token.generation() && !matches!(op.kind, Kind::Free { .. });
        alive.then_some(op)
    }

    fn set_started(&mut self, slot: u32) {
        self.ops[slot as usize].phase = Phase::Started;
        self.started += 1;
    }

    fn finish(&mut self, slot: u32) {
        let op = &mut self.ops[slot as usize];
        op.phase = Phase::Done;
        if op.orphan {
            self.discard(slot);
        } else if let Some(waker) = op.waker.take() {
            self.aftermath.wakers.push(waker);
        }
    }

    fn recycle(&mut self, state: Option<Box<SendState>>) {
        let Some(mut state) = state else { return };
        state.clear();
        if self.spare_states.len() < limits::SEND_STATES_SPARE_MAX {
            self.spare_states.push(state);
        }
    }

    /// Handles one completion.
    pub(crate) fn complete(&mut self, completion: Completion) {
        let slot = completion.token.slot();
        let Some(op) = self.op(completion.token) else {
            debug_assert!(false, "completion of a freed operation");
            self.aftermath.bufs.extend(completion.buf);
            return;
        };
        if !completion.more {
            op.phase = Phase::Queued;
            self.started -= 1;
        }
        match &mut self.ops[slot as usize].kind {
            Kind::Recv { .. } => self.complete_recv(slot, completion),
            Kind::Send { .. } => self.complete_send(slot, completion.result),
            Kind::Accept { .. } => self.complete_accept(slot, &completion),
            Kind::Connect { result, .. } => {
                if completion.result < 0 {
                    *result = Err(os_error(completion.result));
                } else {
                    *result = Ok(());
                }
                self.counters.connects += 1;
                self.finish(slot);
            }
            Kind::Write { .. } => self.complete_write(slot, completion.result),
            Kind::Sync { result, .. } => {
                if completion.result < 0 {
                    *result = Err(os_error(completion.result));
                } else {
                    *result = Ok(());
                }
                self.counters.file_ops += 1;
                self.finish(slot);
            }
            Kind::Free { .. } => {}
        }
    }

    // --- receive ---

    /// Arms a receive at the end of the turn; a socket has at most one, so a second call joins the first.
    pub(crate) fn start_recv(&mut self, socket: &Rc<SocketState>) {
        if socket.recv_op.get() != NO_OP {
            return;
        }
        let token = self.insert(Kind::Recv {
            socket: socket.clone(),
            result: Err(would_block()),
        });
        socket.recv_op.set(token.slot());
        self.arms.push(token);
    }

    /// The result of the socket's receive, or notes who waits for it.
    pub(crate) fn poll_recv(&mut self, socket: &SocketState, waker: &Waker) -> Poll<io::Result<Buf>> {
        let slot = socket.recv_op.get();
        let Some(op) = self.ops.get_mut(slot as usize) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if op.phase != Phase::Done {
            if !op.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
                op.waker = Some(waker.clone());
            }
            return Poll::Pending;
        }
        socket.recv_op.set(NO_OP);
        match self.remove(slot) {
            Kind::Recv { socket, result } => {
                // The caller holds the socket too, so this is never the last reference.
                drop(socket);
                Poll::Ready(result)
            }
            other => {
                self.aftermath.kinds.push(other);
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    /// Ends the socket's receive because the socket is going: what it would deliver is dropped.
    pub(crate) fn drop_recv(&mut self, socket: &SocketState) {
        let slot = socket.recv_op.replace(NO_OP);
        let Some(op) = self.ops.get_mut(slot as usize) else {
            return;
        };
        let generation = op.generation;
        if op.phase == Phase::Started {
            op.orphan = true;
            // Whoever still awaits it learns that the socket is gone.
            self.aftermath.wakers.extend(op.waker.take());
            self.counters.cancels += 1;
            let token = Token::new(slot, generation).with_group(socket.recv_group.get());
            self.port.cancel(token, socket.fd.as_raw_fd());
        } else {
            self.aftermath.wakers.extend(op.waker.take());
            self.discard(slot);
        }
    }

    /// Whether the socket's receive is with the back end, or its bytes wait to be taken.
    pub(crate) fn recv_busy(&self, socket: &SocketState) -> bool {
        socket.recv_op.get() != NO_OP
    }

    fn arm(&mut self, token: Token) {
        let slot = token.slot();
        let Some(op) = self.op(token) else { return };
        let Kind::Recv { socket, .. } = &op.kind else {
            return;
        };
        let group = socket.recv_group.get();
        let (fd, drained) = (socket.fd.as_raw_fd(), socket.drained.get());
        self.set_started(slot);
        self.port.recv(token.with_group(group), fd, drained);
    }

    fn complete_recv(&mut self, slot: u32, completion: Completion) {
        let Completion {
            token,
            result,
            buf,
            nonempty,
            ..
        } = completion;
        let op = &mut self.ops[slot as usize];
        let Kind::Recv { socket, result: out } = &mut op.kind else {
            return;
        };
        if op.orphan {
            self.aftermath.bufs.extend(buf);
            self.discard(slot);
            return;
        }
        if result == -libc::ENOBUFS && buf.is_none() {
            let token = Token::new(slot, op.generation);
            if self.pool.widen(socket.recv_group.get()) {
                self.arms.push(token);
            } else {
                self.starved.push_back(token);
            }
            return;
        }
        if interrupted(result) {
            let token = Token::new(slot, op.generation);
            self.arms.push(token);
            return;
        }
        let room = self.pool.bytes(token.group());
        *out = match buf {
            _ if result < 0 => Err(os_error(result)),
            Some(buf) => {
                socket.note_received(buf.len(), room, self.pool.bytes(SMALL), nonempty);
                Ok(buf)
            }
            None => Ok(Buf::new()),
        };
        self.counters.receives += 1;
        self.counters.received_bytes += result.max(0) as u64;
        self.finish(slot);
    }

    /// Starts receives that waited for a buffer, as many as there are buffers.
    fn feed_starved(&mut self) {
        let mut budget = self.starved.len();
        while budget > 0 {
            budget -= 1;
            let Some(token) = self.starved.pop_front() else {
                return;
            };
            let Some(op) = self.op(token) else { continue };
            let Kind::Recv { socket, .. } = &op.kind else {
                continue;
            };
            let group = socket.recv_group.get();
            if self.pool.available(group) > 0 {
                self.arms.push(token);
            } else {
                self.starved.push_back(token);
            }
        }
    }

    // --- send ---

    /// Queues a send for the end of the turn.
    pub(crate) fn start_send(&mut self, socket: &Rc<SocketState>, gather: Gather) -> Token {
        let mut state = self.spare_states.pop().unwrap_or_else(SendState::new);
        state.load(gather);
        socket.unsent.set(socket.unsent.get() + 1);
        let token = self.insert(Kind::Send {
            socket: socket.clone(),
            state: Some(state),
            result: Err(would_block()),
            hooked: false,
        });
        self.fresh.push(token);
        token
    }

    pub(crate) fn poll_send(&mut self, token: Token, waker: &Waker) -> Poll<io::Result<()>> {
        let Some(op) = self.op(token) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if op.phase != Phase::Done {
            if !op.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
                op.waker = Some(waker.clone());
            }
            return Poll::Pending;
        }
        match self.remove(token.slot()) {
            Kind::Send { socket, result, .. } => {
                drop(socket);
                Poll::Ready(result)
            }
            other => {
                self.aftermath.kinds.push(other);
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }

    /// The future of a send was dropped: what did not leave yet does not leave.
    pub(crate) fn drop_send(&mut self, token: Token) {
        let slot = token.slot();
        let Some(op) = self.op(token) else { return };
        op.waker = None;
        let Kind::Send { socket, .. } = &op.kind else {
            return;
        };
        match op.phase {
            Phase::Done => self.discard(slot),
            Phase::Started => {
                op.orphan = true;
                let fd = socket.fd.as_raw_fd();
                self.counters.cancels += 1;
                self.port.cancel(token, fd);
            }
            Phase::Queued => {
                let socket = socket.clone();
                self.counters.cancels += 1;
                self.discard(slot);
                socket.note_sent();
            }
        }
    }

    /// Takes the sends that the hook has not seen yet.
    pub(crate) fn take_fresh(&mut self, fresh: &mut Vec<Token>) {
        std::mem::swap(&mut self.fresh, fresh);
    }

    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Starts a send that the hook has let through, when it is the socket's turn.
    pub(crate) fn release_send(&mut self, token: Token, hook: &io::Result<()>) {
        let slot = token.slot();
        let Some(op) = self.op(token) else { return };
        let Kind::Send {
            socket, result, hooked, ..
        } = &mut op.kind
        else {
            return;
        };
        if let Err(error) = hook {
            *result = Err(copy_error(error));
            let socket = socket.clone();
            self.end_send(slot, &socket);
            return;
        }
        *hooked = true;
        if socket.sending.get() {
            socket.waiting.borrow_mut().push_back(token);
            return;
        }
        socket.sending.set(true);
        self.launches.push(token);
    }

    /// Starts the sends that were released. Only here, after all of the turn are known and before the kernel is
    /// entered, can be told that nothing waits for a send: no task, no later send, no shutdown, no starved receive.
    pub(crate) fn flush_sends(&mut self) {
        let mut launches = std::mem::take(&mut self.launches);
        for token in launches.drain(..) {
            let Some(op) = self.op(token) else { continue };
            let Kind::Send {
                socket,
                state: Some(state),
                ..
            } = &op.kind
            else {
                continue;
            };
            let socket = socket.clone();
            let needed = op.waker.is_some()
                || state.needs_more_calls()
                || socket.shutdown_due()
                || !socket.waiting.borrow().is_empty()
                || !self.starved.is_empty();
            let urgency = if needed { Urgency::Awaited } else { Urgency::Unattended };
            socket.sending.set(false);
            self.launch_send(token, &socket, urgency);
            self.launch_waiting(&socket);
        }
        self.launches = launches;
    }

    fn launch_send(&mut self, token: Token, socket: &Rc<SocketState>, urgency: Urgency) {
        let slot = token.slot();
        if self.op(token).is_none() {
            return;
        }
        let op = &mut self.ops[slot as usize];
        let Kind::Send {
            state: Some(state),
            result,
            ..
        } = &mut op.kind
        else {
            return;
        };
        if socket.torn.get() {
            *result = Err(torn());
            self.end_send(slot, socket);
            return;
        }
        if state.remaining() == 0 {
            *result = Ok(());
            self.end_send(slot, socket);
            return;
        }
        socket.sending.set(true);
        op.phase = Phase::Started;
        self.started += 1;
        self.port.send(token, socket.fd.as_raw_fd(), state, urgency);
    }

    fn complete_send(&mut self, slot: u32, n: i32) {
        let op = &mut self.ops[slot as usize];
        let token = Token::new(slot, op.generation);
        let Kind::Send {
            socket,
            state: Some(state),
            result,
            ..
        } = &mut op.kind
        else {
            return;
        };
        let socket = socket.clone();
        if n > 0 {
            state.advance(n as usize);
            self.counters.sent_bytes += n as u64;
        }
        let unfinished = state.remaining() > 0;
        if unfinished && !op.orphan && (n > 0 || interrupted(n)) {
            self.counters.short_sends += u64::from(n > 0);
            op.phase = Phase::Started;
            self.started += 1;
            self.port.send(token, socket.fd.as_raw_fd(), state, Urgency::Blocked);
            return;
        }
        // A stream that misses the middle of a message must not be continued.
        if unfinished && state.sent > 0 {
            socket.torn.set(true);
        }
        *result = match n {
            _ if !unfinished => Ok(()),
            0.. => Err(io::ErrorKind::WriteZero.into()),
            _ => Err(os_error(n)),
        };
        self.counters.sends += 1;
        socket.sending.set(false);
        self.end_send(slot, &socket);
        self.launch_waiting(&socket);
    }

    fn launch_waiting(&mut self, socket: &Rc<SocketState>) {
        while !socket.sending.get() {
            let Some(token) = socket.waiting.borrow_mut().pop_front() else {
                return;
            };
            // Tasks run before the kernel is entered next, and may come to wait for it.
            self.launch_send(token, socket, Urgency::Awaited);
        }
    }

    fn end_send(&mut self, slot: u32, socket: &Rc<SocketState>) {
        if let Kind::Send { state, .. } = &mut self.ops[slot as usize].kind {
            let state = state.take();
            self.recycle(state);
        }
        self.finish(slot);
        socket.note_sent();
    }

    // --- accept ---

    /// Starts to accept, unless an accept is in flight.
    pub(crate) fn start_accept(&mut self, listener: &Rc<ListenerState>) {
        if listener.op.get().is_some() {
            return;
        }
        let token = self.insert(Kind::Accept {
            listener: listener.clone(),
        });
        listener.op.set(Some(token));
        self.set_started(token.slot());
        self.port.accept(token, listener.fd.as_raw_fd());
    }

    /// Ends the accept in flight; connections that still arrive are kept while the listener lives.
    pub(crate) fn cancel_accept(&mut self, listener: &ListenerState, orphan: bool) {
        let Some(token) = listener.op.get() else {
            return;
        };
        let Some(op) = self.op(token) else { return };
        op.orphan |= orphan;
        if !listener.cancelled.replace(true) {
            self.counters.cancels += 1;
            self.port.cancel(token, listener.fd.as_raw_fd());
        }
    }

    fn complete_accept(&mut self, slot: u32, completion: &Completion) {
        let op = &mut self.ops[slot as usize];
        let Kind::Accept { listener } = &op.kind else {
            return;
        };
        let (listener, orphan) = (listener.clone(), op.orphan);
        let result = completion.result;
        if result >= 0 {
            self.counters.accepts += 1;
            listener.push_accepted(result, orphan);
        }
        if completion.more {
            if listener.waiting() >= limits::ACCEPTED_WAITING_MAX {
                self.cancel_accept(&listener, false);
            }
        } else {
            listener.op.set(None);
            let cancelled = listener.cancelled.replace(false);
            self.discard(slot);
            match -result {
                libc::EINVAL if !orphan && self.single_shot_accepts() => self.start_accept(&listener),
                libc::EAGAIN | libc::EINTR | libc::ECONNABORTED if !orphan && !cancelled => {
                    self.start_accept(&listener);
                }
                libc::ECANCELED => {}
                error if error > 0 && !interrupted(result) => listener.push_error(os_error(result)),
                _ => {}
            }
        }
        self.aftermath.wakers.append(&mut listener.wakers.borrow_mut());
    }

    /// Switches a kernel without multishot accept to single ones; false when that is so already.
    fn single_shot_accepts(&mut self) -> bool {
        match &mut self.port {
            Port::Uring(port) => std::mem::take(&mut port.features.multishot_accept),
            Port::Epoll(_) => false,
        }
    }

    // --- connect, files ---

    pub(crate) fn start_connect(&mut self, socket: &Rc<SocketState>, addr: SockAddr) -> Token {
        let token = self.insert(Kind::Connect {
            socket: socket.clone(),
            addr: Box::new(addr),
            result: Err(would_block()),
        });
        self.set_started(token.slot());
        let op = &self.ops[token.slot() as usize];
        if let Kind::Connect { socket, addr, .. } = &op.kind {
            self.port.connect(token, socket.fd.as_raw_fd(), addr);
        }
        token
    }

    pub(crate) fn start_write(&mut self, file: &Rc<FileState>, bytes: Vec<u8>) -> Token {
        let token = self.insert(Kind::Write {
            file: file.clone(),
            bytes,
            done: 0,
            result: Err(would_block()),
        });
        self.write_on(token);
        token
    }

    fn write_on(&mut self, token: Token) {
        let slot = token.slot();
        let op = &mut self.ops[slot as usize];
        let Kind::Write { file, bytes, done, .. } = &op.kind else {
            return;
        };
        op.phase = Phase::Started;
        self.started += 1;
        self.port
            .write(token, file.fd.as_raw_fd(), bytes.get(*done..).unwrap_or_default());
    }

    fn complete_write(&mut self, slot: u32, n: i32) {
        let op = &mut self.ops[slot as usize];
        let token = Token::new(slot, op.generation);
        let Kind::Write {
            bytes, done, result, ..
        } = &mut op.kind
        else {
            return;
        };
        *done += n.max(0) as usize;
        if *done < bytes.len() && (n > 0 || interrupted(n)) {
            self.write_on(token);
            return;
        }
        *result = match n {
            _ if *done >= bytes.len() => Ok(()),
            0.. => Err(io::ErrorKind::WriteZero.into()),
            _ => Err(os_error(n)),
        };
        self.counters.file_ops += 1;
        self.finish(slot);
    }

    pub(crate) fn start_sync(&mut self, file: &Rc<FileState>) -> Token {
        let token = self.insert(Kind::Sync {
            _file: file.clone(),
            result: Err(would_block()),
        });
        self.set_started(token.slot());
        self.port.sync(token, file.fd.as_raw_fd());
        token
    }

    /// The result of a connect, write or sync; a write gives its vector back.
    pub(crate) fn poll_plain(&mut self, token: Token, waker: &Waker) -> Poll<(io::Result<()>, Vec<u8>)> {
        let Some(op) = self.op(token) else {
            return Poll::Ready((Err(io::ErrorKind::NotConnected.into()), Vec::new()));
        };
        if op.phase != Phase::Done {
            op.waker = Some(waker.clone());
            return Poll::Pending;
        }
        let mut kind = self.remove(token.slot());
        let output = match &mut kind {
            Kind::Connect { result, .. } | Kind::Sync { result, .. } => (std::mem::replace(result, Ok(())), Vec::new()),
            Kind::Write { result, bytes, .. } => (std::mem::replace(result, Ok(())), std::mem::take(bytes)),
            _ => (Err(io::ErrorKind::NotConnected.into()), Vec::new()),
        };
        self.aftermath.kinds.push(kind);
        Poll::Ready(output)
    }

    /// The future of a connect, write or sync was dropped. A connect is cancelled; file operations run to their end.
    pub(crate) fn drop_plain(&mut self, token: Token) {
        let slot = token.slot();
        let Some(op) = self.op(token) else { return };
        op.waker = None;
        if op.phase == Phase::Done {
            self.discard(slot);
            return;
        }
        op.orphan = true;
        if let Kind::Connect { socket, .. } = &op.kind {
            let fd = socket.fd.as_raw_fd();
            self.counters.cancels += 1;
            self.port.cancel(token, fd);
        }
    }

    // --- end of a turn ---

    /// Starts the receives of this turn.
    pub(crate) fn flush_receives(&mut self) {
        if !self.starved.is_empty() {
            self.feed_starved();
        }
        let mut arms = std::mem::take(&mut self.arms);
        for token in arms.drain(..) {
            self.arm(token);
        }
        self.arms = arms;
    }

    /// Whether something was put off to the next flush.
    pub(crate) fn has_queued(&self) -> bool {
        let feedable = |token: &Token| {
            let op = self.ops.get(token.slot() as usize);
            op.is_some_and(|op| match &op.kind {
                Kind::Recv { socket, .. } => self.pool.available(socket.recv_group.get()) > 0,
                _ => true,
            })
        };
        !self.arms.is_empty() || !self.fresh.is_empty() || self.starved.iter().any(feedable)
    }

    /// Leaks what operations hold that the kernel would not end: it may still write to it.
    pub(crate) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.ops));
    }
}

fn torn() -> io::Error {
    let text = "an earlier send was cancelled in the middle of its bytes";
    io::Error::new(io::ErrorKind::BrokenPipe, text)
}

/// One error for many sends.
fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
