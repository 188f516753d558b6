//! Sends: released by the hook, in order per socket, continued after short writes.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::{Driver, Kind, Phase, interrupted, os_error, would_block};
use crate::Gather;
use crate::port::{Token, Urgency};
use crate::send_state::SendState;
use crate::socket::SocketState;

impl Driver {
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

    pub(super) fn launch_send(&mut self, token: Token, socket: &Rc<SocketState>, urgency: Urgency) {
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

    pub(super) fn complete_send(&mut self, slot: u32, n: i32) {
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

    pub(super) fn launch_waiting(&mut self, socket: &Rc<SocketState>) {
        while !socket.sending.get() {
            let Some(token) = socket.waiting.borrow_mut().pop_front() else {
                return;
            };
            // Tasks run before the kernel is entered next, and may come to wait for it.
            self.launch_send(token, socket, Urgency::Awaited);
        }
    }

    pub(super) fn end_send(&mut self, slot: u32, socket: &Rc<SocketState>) {
        if let Kind::Send { state, .. } = &mut self.ops[slot as usize].kind {
            let state = state.take();
            self.recycle(state);
        }
        self.finish(slot);
        socket.note_sent();
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
