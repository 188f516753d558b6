//! One stream of a link as a task sees it: what arrived, and the calls that answer it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::BytesMut;
use prost::Message as _;
use proto::tunnel::SessionFrame;
use proto::tunnel::session_frame::Kind;
use tokio::sync::Notify;
use tunnel::{ErrorCode, GrpcStatus, StreamId};

use super::drive::Link;
use crate::limits::MESSAGES_QUEUED_MAX;

/// What arrived on a stream, in order.
#[derive(Debug)]
pub enum Incoming {
    /// A gRPC message (protobuf bytes).
    Message(Vec<u8>),
    /// A piece of the session's payload; [`Stream::release`] gives its credit back.
    Data(BytesMut),
    /// The peer will send nothing more.
    Half,
    /// The stream is over.
    Closed {
        /// Status, as far as the peer gave one.
        status: GrpcStatus,
        /// For people.
        message: String,
    },
}

/// The stream is over; nothing can be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is over")]
pub struct StreamGone;

/// What the link's driver and the stream's task share.
#[derive(Default)]
pub(super) struct Inbox {
    queue: RefCell<VecDeque<Incoming>>,
    messages: Cell<usize>,
    arrived: Notify,
    writable: Notify,
    over: Cell<bool>,
}

impl Inbox {
    /// Hands over what arrived. Data is bounded by the stream's window; messages by their number: `false` when there are too many.
    pub(super) fn push(&self, incoming: Incoming) -> bool {
        match incoming {
            Incoming::Message(_) if self.messages.get() >= MESSAGES_QUEUED_MAX => return false,
            Incoming::Message(_) => self.messages.set(self.messages.get() + 1),
            Incoming::Closed { .. } => {
                self.over.set(true);
                self.writable.notify_one();
            }
            Incoming::Data(_) | Incoming::Half => {}
        }
        self.queue.borrow_mut().push_back(incoming);
        self.arrived.notify_one();
        true
    }

    /// The peer gave credit after there was none.
    pub(super) fn writable(&self) {
        self.writable.notify_one();
    }
}

/// A stream that the gateway (server role) or this agent (client role) opened. Dropping it resets what is not finished.
pub struct Stream {
    link: Rc<Link>,
    id: StreamId,
    inbox: Rc<Inbox>,
    finished: Cell<bool>,
}

impl Stream {
    pub(super) fn new(link: Rc<Link>, id: StreamId, inbox: Rc<Inbox>) -> Self {
        Self {
            link,
            id,
            inbox,
            finished: Cell::new(false),
        }
    }

    /// The next thing that arrived; after `Closed` nothing more comes and this never returns.
    pub async fn next(&self) -> Incoming {
        loop {
            if let Some(incoming) = self.inbox.queue.borrow_mut().pop_front() {
                if matches!(incoming, Incoming::Message(_)) {
                    self.inbox.messages.set(self.inbox.messages.get().saturating_sub(1));
                }
                return incoming;
            }
            self.inbox.arrived.notified().await;
        }
    }

    /// The next piece of payload, when it is the next thing and has already arrived.
    pub fn next_data(&self) -> Option<BytesMut> {
        let mut queue = self.inbox.queue.borrow_mut();
        match queue.pop_front()? {
            Incoming::Data(data) => Some(data),
            other => {
                queue.push_front(other);
                None
            }
        }
    }

    /// Sends one message of the session's contract.
    pub fn send(&self, kind: Kind) {
        self.send_message(&SessionFrame { kind: Some(kind) }.encode_to_vec());
    }

    /// Sends one gRPC message.
    pub fn send_message(&self, message: &[u8]) {
        self.link.with(|mux| mux.send_message(self.id, message));
    }

    /// Waits until payload may be sent, and says how many bytes of it will leave without waiting for the peer.
    ///
    /// # Errors
    /// [`StreamGone`] when the stream is over.
    pub async fn capacity(&self) -> Result<usize, StreamGone> {
        loop {
            if self.inbox.over.get() {
                return Err(StreamGone);
            }
            match self.link.peek(|mux| mux.capacity(self.id)) {
                0 => self.inbox.writable.notified().await,
                bytes => return Ok(bytes),
            }
        }
    }

    /// Queues payload; ask [`Stream::capacity`] before reading it.
    ///
    /// # Errors
    /// [`StreamGone`] when the stream is over.
    pub fn send_data(&self, data: BytesMut) -> Result<(), StreamGone> {
        let bytes = data.len();
        match self.link.with(|mux| mux.send_data(self.id, data)) {
            taken if taken == bytes => Ok(()),
            _ => Err(StreamGone),
        }
    }

    /// Gives back the credit of payload that the far side has taken.
    pub fn release(&self, bytes: usize) {
        self.link.with(|mux| mux.release(self.id, bytes));
    }

    /// Ends this side in order.
    pub fn finish(&self, status: GrpcStatus, message: &str) {
        self.finished.set(true);
        self.link.with(|mux| mux.finish(self.id, status, message));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.finished.get() && !self.inbox.over.get() {
            self.link.with(|mux| mux.reset(self.id, ErrorCode::CANCEL));
        }
        self.link.forget(self.id);
    }
}
