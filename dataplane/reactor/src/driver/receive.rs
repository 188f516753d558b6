//! Receives: armed at the end of a turn, one per socket, parked while no buffer is free.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::{Driver, Kind, Phase, interrupted, os_error, would_block};
use crate::Buf;
use crate::buf::pool::SMALL;
use crate::port::{Completion, Token};
use crate::socket::{NO_OP, SocketState};

impl Driver {
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

    /// Whether the socket's receive has nothing yet: the back end waits for bytes, or will, and the last receive left none behind.
    pub(crate) fn recv_waits(&self, socket: &SocketState) -> bool {
        match self.ops.get(socket.recv_op.get() as usize).map(|op| op.phase) {
            Some(Phase::Started) => true,
            Some(Phase::Queued) => socket.drained.get(),
            Some(Phase::Done) | None => false,
        }
    }

    /// Whether the socket's receive is with the back end, or its bytes wait to be taken.
    pub(crate) fn recv_busy(&self, socket: &SocketState) -> bool {
        socket.recv_op.get() != NO_OP
    }

    pub(super) fn arm(&mut self, token: Token) {
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

    pub(super) fn complete_recv(&mut self, slot: u32, completion: Completion) {
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
            socket.drained.set(false);
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
    pub(super) fn feed_starved(&mut self) {
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
}
