//! Moves bytes between an HTTP/2 connection's state (`tunnel::Mux`) and its socket, and events to whoever owns a stream.
//!
//! The control plane's connection and the agents' links run on the same driver: one task reads, one writes, one keeps time.

use crate::limits::{LINK_WRITE_BYTES_MAX, REFUSAL_WRITE_TIME_MAX};
use crate::transport::{self, Transport};
use reactor::sync::Notify;
use reactor::{Buf, Gather, Task};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tunnel::{ErrorCode, Event, GrpcStatus, Limits, Mux, OpenError, Payload, StreamId};

/// A received buffer as the tunnel sees it.
pub struct Chunk(pub Buf);

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Chunk {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Payload for Chunk {
    fn from_vec(bytes: Vec<u8>) -> Self {
        Self(Buf::from(bytes))
    }

    fn split_to(&mut self, n: usize) -> Self {
        Self(self.0.split_to(n.min(self.0.len())))
    }

    fn advance(&mut self, n: usize) {
        self.0.advance(n.min(self.0.len()));
    }
}

/// What arrives on a stream.
pub enum Incoming {
    /// A whole gRPC message.
    Message(Vec<u8>),
    /// A piece of the session's bytes; give its length back with [`Stream::release`] once it has gone on.
    Data(Buf),
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct StreamEnd {
    pub status: GrpcStatus,
    pub message: String,
}

#[derive(Default)]
struct Mailbox {
    inbox: RefCell<VecDeque<Incoming>>,
    arrived: Notify,
    writable: Notify,
    end: RefCell<Option<StreamEnd>>,
}

/// One HTTP/2 connection in client role.
pub struct Driver {
    transport: Transport,
    mux: RefCell<Mux<Chunk>>,
    streams: RefCell<HashMap<StreamId, Rc<Mailbox>>>,
    to_write: Notify,
    draining: Cell<bool>,
    ended: RefCell<Option<String>>,
    closed: Notify,
    began: Instant,
    tasks: RefCell<Vec<Task>>,
}

impl Driver {
    /// Takes over a connected transport and starts to drive it.
    pub fn start(transport: Transport, limits: Limits) -> Rc<Self> {
        let driver = Rc::new(Self {
            transport,
            mux: RefCell::new(Mux::client(limits)),
            streams: RefCell::default(),
            to_write: Notify::new(),
            draining: Cell::new(false),
            ended: RefCell::default(),
            closed: Notify::new(),
            began: reactor::now(),
            tasks: RefCell::default(),
        });
        let tasks = vec![
            reactor::spawn(read(driver.clone())),
            reactor::spawn(write(driver.clone())),
            reactor::spawn(keep_time(driver.clone())),
        ];
        *driver.tasks.borrow_mut() = tasks;
        driver
    }

    /// Opens a stream.
    pub fn open(self: &Rc<Self>, path: &str) -> Result<Stream, OpenError> {
        let id = self.mux.borrow_mut().open(path, &[])?;
        let mailbox = Rc::new(Mailbox::default());
        self.streams.borrow_mut().insert(id, mailbox.clone());
        self.to_write.notify_one();
        Ok(Stream {
            driver: self.clone(),
            id,
            mailbox,
        })
    }

    /// Whether new streams may be opened.
    pub fn is_usable(&self) -> bool {
        !self.draining.get() && self.ended.borrow().is_none() && self.mux.borrow().can_open()
    }

    /// Streams that are open.
    pub fn streams(&self) -> usize {
        self.streams.borrow().len()
    }

    /// Waits until the connection is over and says why.
    pub async fn closed(&self) -> String {
        loop {
            if let Some(why) = self.ended.borrow().clone() {
                return why;
            }
            self.closed.notified().await;
        }
    }

    /// Lets running streams end, refuses new ones.
    pub fn drain(&self) {
        self.draining.set(true);
        self.mux.borrow_mut().drain();
        self.to_write.notify_one();
    }

    /// Ends the connection now.
    pub fn abort(self: &Rc<Self>, why: &str) {
        self.end(why.to_owned());
    }

    fn elapsed(&self) -> Duration {
        reactor::now().duration_since(self.began)
    }

    fn dispatch(self: &Rc<Self>) {
        loop {
            let event = self.mux.borrow_mut().poll_event();
            match event {
                None => break,
                Some(Event::Message { stream, message }) => self.deliver(stream, Incoming::Message(message)),
                Some(Event::Data { stream, data }) => self.deliver(stream, Incoming::Data(data.0)),
                Some(Event::Writable { stream }) => self.with(stream, |mailbox| mailbox.writable.notify_one()),
                Some(Event::Closed {
                    stream,
                    status,
                    message,
                }) => self.close_stream(stream, StreamEnd { status, message }),
                Some(Event::Draining) => self.draining.set(true),
                Some(Event::LinkClosed { error }) => self.end(error.to_string()),
                Some(Event::Opened { stream, .. }) => self.mux.borrow_mut().reset(stream, ErrorCode::REFUSED_STREAM),
                Some(Event::Half { .. }) => {}
            }
        }
        if self.mux.borrow().wants_write() {
            self.to_write.notify_one();
        }
    }

    fn deliver(&self, stream: StreamId, incoming: Incoming) {
        self.with(stream, |mailbox| {
            mailbox.inbox.borrow_mut().push_back(incoming);
            mailbox.arrived.notify_one();
        });
    }

    fn with(&self, stream: StreamId, act: impl FnOnce(&Mailbox)) {
        let mailbox = self.streams.borrow().get(&stream).cloned();
        if let Some(mailbox) = mailbox {
            act(&mailbox);
        }
    }

    fn close_stream(&self, stream: StreamId, end: StreamEnd) {
        let mailbox = self.streams.borrow_mut().remove(&stream);
        if let Some(mailbox) = mailbox {
            mailbox.close(end);
        }
    }

    fn end(self: &Rc<Self>, why: String) {
        if self.ended.borrow().is_some() {
            return;
        }
        tracing::debug!(why, "connection over");
        *self.ended.borrow_mut() = Some(why.clone());
        let streams = std::mem::take(&mut *self.streams.borrow_mut());
        for mailbox in streams.into_values() {
            mailbox.close(StreamEnd {
                status: GrpcStatus::Unavailable,
                message: why.clone(),
            });
        }
        self.closed.notify_all();
        reactor::spawn(say_goodbye(self.clone()));
        for task in self.tasks.borrow_mut().drain(..) {
            task.abort();
        }
    }
}

impl Mailbox {
    fn close(&self, end: StreamEnd) {
        *self.end.borrow_mut() = Some(end);
        self.arrived.notify_one();
        self.writable.notify_one();
    }
}

/// One stream; dropped before its end, it is reset.
pub struct Stream {
    driver: Rc<Driver>,
    id: StreamId,
    mailbox: Rc<Mailbox>,
}

impl Stream {
    /// The next thing that arrives. What came before the end is delivered before it.
    pub async fn next(&self) -> Result<Incoming, StreamEnd> {
        loop {
            let incoming = self.mailbox.inbox.borrow_mut().pop_front();
            if let Some(incoming) = incoming {
                return Ok(incoming);
            }
            if let Some(end) = self.mailbox.end.borrow().clone() {
                return Err(end);
            }
            self.mailbox.arrived.notified().await;
        }
    }

    /// Whether the stream goes on and nothing has arrived on it that was not taken.
    pub fn is_quiet(&self) -> bool {
        self.mailbox.inbox.borrow().is_empty() && self.mailbox.end.borrow().is_none()
    }

    /// Queues a gRPC message.
    pub fn send_message(&self, message: &[u8]) {
        self.driver.mux.borrow_mut().send_message(self.id, message);
        self.driver.to_write.notify_one();
    }

    /// Whether the peer's credit covers so many session bytes.
    pub fn takes(&self, bytes: usize) -> bool {
        self.mailbox.end.borrow().is_none() && self.driver.mux.borrow().capacity(self.id) >= bytes
    }

    /// Queues session bytes that [`Stream::takes`].
    pub fn queue_data(&self, data: Buf) {
        self.driver.mux.borrow_mut().send_data(self.id, Chunk(data));
        self.driver.to_write.notify_one();
    }

    /// Queues session bytes, waiting for the peer's credit.
    pub async fn send_data(&self, mut data: Buf) -> Result<(), StreamEnd> {
        while !data.is_empty() {
            if let Some(end) = self.mailbox.end.borrow().clone() {
                return Err(end);
            }
            let capacity = self.driver.mux.borrow().capacity(self.id);
            if capacity == 0 {
                self.mailbox.writable.notified().await;
                continue;
            }
            let piece = if capacity >= data.len() {
                std::mem::replace(&mut data, Buf::from(Vec::new()))
            } else {
                data.split_to(capacity)
            };
            self.queue_data(piece);
        }
        Ok(())
    }

    /// `bytes` of what was received have gone on: the peer may send as much again.
    pub fn release(&self, bytes: usize) {
        self.driver.mux.borrow_mut().release(self.id, bytes);
        self.driver.to_write.notify_one();
    }

    /// Ends our side in order.
    pub fn finish(&self) {
        self.driver.mux.borrow_mut().finish(self.id, GrpcStatus::Ok, "");
        self.driver.to_write.notify_one();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let open = self.driver.streams.borrow_mut().remove(&self.id).is_some();
        if open && self.mailbox.end.borrow().is_none() {
            self.driver.mux.borrow_mut().reset(self.id, ErrorCode::CANCEL);
            self.driver.to_write.notify_one();
        }
    }
}

/// Sends what the peer should still hear (GOAWAY, with the reason) and closes the socket.
async fn say_goodbye(driver: Rc<Driver>) {
    let mut gather = Gather::new();
    driver
        .mux
        .borrow_mut()
        .poll_transmit(&mut |chunk: Chunk| gather.push(chunk.0), LINK_WRITE_BYTES_MAX);
    // The peer may be gone, which is often why we are here.
    let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, async {
        driver.transport.send(gather).await?;
        driver.transport.shutdown().await;
        std::io::Result::Ok(())
    })
    .await;
}

async fn read(driver: Rc<Driver>) {
    loop {
        let received = match driver.transport.recv().await {
            Ok(received) if received.is_empty() => {
                return driver.end("the peer closed the connection".into());
            }
            Ok(received) => received,
            Err(error) => return driver.end(error.to_string()),
        };
        let now = driver.elapsed();
        // An error is also the last event, which `dispatch` handles.
        let _ = driver.mux.borrow_mut().feed(Chunk(received), now);
        driver.dispatch();
    }
}

async fn write(driver: Rc<Driver>) {
    let mut sending = None;
    loop {
        if !driver.mux.borrow().wants_write() {
            driver.to_write.notified().await;
            continue;
        }
        // Awaited only now: a write that nobody waits for needs no turn of its own, and while the socket is full more gathers.
        if let Err(error) = transport::finish(sending.take()).await {
            return driver.end(error.to_string());
        }
        let mut gather = Gather::new();
        driver
            .mux
            .borrow_mut()
            .poll_transmit(&mut |chunk: Chunk| gather.push(chunk.0), LINK_WRITE_BYTES_MAX);
        if gather.is_empty() {
            driver.to_write.notified().await;
            continue;
        }
        match driver.transport.send_start(gather).await {
            Ok(queued) => sending = queued,
            Err(error) => return driver.end(error.to_string()),
        }
        driver.dispatch();
    }
}

async fn keep_time(driver: Rc<Driver>) {
    loop {
        let due = driver.mux.borrow().poll_timeout();
        let wait = due.map_or(Duration::from_secs(1), |due| due.saturating_sub(driver.elapsed()));
        reactor::sleep(wait.max(Duration::from_millis(1))).await;
        let now = driver.elapsed();
        driver.mux.borrow_mut().handle_timeout(now);
        driver.dispatch();
    }
}
