//! Operations in flight: who waits for them, in which order sends leave, what happens when nobody waits any more.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::Waker;

use socket2::SockAddr;

use crate::Buf;
use crate::buf::pool::Pool;
use crate::file::FileState;
use crate::limits;
use crate::listener::ListenerState;
use crate::port::{Completion, Port, Token};
use crate::send_state::SendState;
use crate::socket::{NO_OP, SocketState};

mod accept;
mod receive;
mod send;
mod single;

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
