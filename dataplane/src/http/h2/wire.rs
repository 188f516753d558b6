//! One HTTP/2 connection of either role: what waits to be written, windows of both directions, and the streams on it.

use super::super::limits::CLIENT_WRITE_TIME_MAX;
use super::super::pipe::Pipe;
use super::super::within;
use codecs::http::{Fields, ResponseHead};
use proto::tunnel::Put;
use reactor::sync::Notify;
use reactor::{Buf, Gather};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use tunnel::frame::{self, ErrorCode, FLAG_END_STREAM, Header, Kind};
use tunnel::hpack::Encoder;

/// Largest frame that we take and send, bytes.
pub const FRAME_BYTES: usize = 16 * 1024;
/// Bytes that wait to be written; whoever sends beyond this waits.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024;
/// Largest window (RFC 9113 section 6.9.1).
pub const WINDOW_MAX: i64 = (1 << 31) - 1;
/// Windows before anybody has said something else (RFC 9113 section 6.9.2), bytes.
pub const WINDOW_AT_FIRST: i64 = 65_535;
/// Content of smaller frames is gathered in one block, so that many small ones do not cost many times their bytes.
const PIECE_BYTES_MIN: usize = 2 * 1024;

/// Why a connection ends.
#[derive(Debug)]
pub struct Fault {
    pub code: ErrorCode,
    pub what: &'static str,
}

impl From<frame::Bad> for Fault {
    fn from(bad: frame::Bad) -> Fault {
        Fault {
            code: bad.code,
            what: bad.what,
        }
    }
}

pub fn fault<T>(code: ErrorCode, what: &'static str) -> Result<T, Fault> {
    Err(Fault { code, what })
}

/// A connection.
pub struct Wire {
    pub pipe: Pipe,
    pub flows: RefCell<HashMap<u32, Rc<Flow>>>,
    pub encoder: RefCell<Encoder>,
    queue: RefCell<Queue>,
    /// What was taken from the queue has not left yet.
    writing: Cell<bool>,
    queued: Notify,
    drained: Notify,
    pub send_window: Cell<i64>,
    /// The connection's window grew.
    pub opened: Notify,
    /// What the peer says about itself.
    pub peer_window: Cell<i64>,
    pub peer_frame: Cell<usize>,
    pub peer_streams_max: Cell<u32>,
    pub failed: Cell<bool>,
    /// DATA frames that we sent; each allows the peer a frame about it.
    pub data_frames: Cell<u32>,
}

/// What waits to be written, in order: parts, then the last bytes.
#[derive(Default)]
struct Queue {
    parts: VecDeque<Part>,
    last: Gather,
    bytes: usize,
}

enum Part {
    Bytes(Gather),
    /// The agent writes a frame here that we must not know.
    Put(Put),
}

impl Queue {
    fn put(&mut self, put: Put) {
        let before = std::mem::take(&mut self.last);
        if !before.is_empty() {
            self.parts.push_back(Part::Bytes(before));
        }
        self.parts.push_back(Part::Put(put));
    }

    fn pop(&mut self) -> Option<Part> {
        let part = match self.parts.pop_front() {
            Some(part) => part,
            None if self.last.is_empty() => return None,
            None => Part::Bytes(std::mem::take(&mut self.last)),
        };
        if let Part::Bytes(gather) = &part {
            self.bytes -= gather.len();
        }
        Some(part)
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.last.is_empty()
    }
}

/// One stream.
pub struct Flow {
    pub id: u32,
    inbox: RefCell<Inbox>,
    /// The peer has ended its side.
    pub ended: Cell<bool>,
    reset: Cell<Option<ErrorCode>>,
    /// The peer broke a rule on this stream.
    pub malformed: Cell<bool>,
    pub arrived: Notify,
    over: Notify,
    pub send_window: Cell<i64>,
    pub writable: Notify,
    /// Bytes the peer may still send.
    pub receive_window: Cell<i64>,
    /// Taken, and not given back to the peer yet.
    unreleased: Cell<usize>,
    /// Bytes of the body that are still announced.
    pub announced: Cell<Option<u64>>,
    /// We have ended our side.
    pub done: Cell<bool>,
    /// Of a request that we sent: it was HEAD, its answer has begun, and what came of that and was not taken.
    pub is_head: Cell<bool>,
    pub answered: Cell<bool>,
    pub heads: RefCell<VecDeque<ResponseHead>>,
    pub trailers: RefCell<Fields>,
}

/// Content in order: pieces, then what was too small to be one.
#[derive(Default)]
struct Inbox {
    pieces: VecDeque<Buf>,
    small: Vec<u8>,
}

impl Wire {
    pub fn new(pipe: Pipe) -> Rc<Wire> {
        Rc::new(Wire {
            pipe,
            flows: RefCell::default(),
            encoder: RefCell::default(),
            queue: RefCell::default(),
            writing: Cell::new(false),
            queued: Notify::new(),
            drained: Notify::new(),
            send_window: Cell::new(WINDOW_AT_FIRST),
            opened: Notify::new(),
            peer_window: Cell::new(WINDOW_AT_FIRST),
            peer_frame: Cell::new(FRAME_BYTES),
            peer_streams_max: Cell::new(u32::MAX),
            failed: Cell::new(false),
            data_frames: Cell::new(0),
        })
    }

    /// Begins a stream. `window`: what the peer may send on it.
    pub fn begin(&self, id: u32, window: u32, announced: Option<u64>) -> Rc<Flow> {
        let flow = Rc::new(Flow {
            id,
            inbox: RefCell::default(),
            ended: Cell::new(false),
            reset: Cell::new(None),
            malformed: Cell::new(false),
            arrived: Notify::new(),
            over: Notify::new(),
            send_window: Cell::new(self.peer_window.get()),
            writable: Notify::new(),
            receive_window: Cell::new(i64::from(window)),
            unreleased: Cell::new(0),
            announced: Cell::new(announced),
            done: Cell::new(false),
            is_head: Cell::new(false),
            answered: Cell::new(false),
            heads: RefCell::default(),
            trailers: RefCell::default(),
        });
        self.flows.borrow_mut().insert(id, flow.clone());
        flow
    }

    pub fn flow(&self, id: u32) -> Option<Rc<Flow>> {
        self.flows.borrow().get(&id).cloned()
    }

    /// Queues frames.
    pub fn control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        put(&mut bytes);
        let mut queue = self.queue.borrow_mut();
        queue.bytes += bytes.len();
        queue.last.push_vec(bytes);
        drop(queue);
        self.queued.notify_one();
    }

    /// Queues a frame that the agent writes.
    pub fn put(&self, put: Put) {
        self.queue.borrow_mut().put(put);
        self.queued.notify_one();
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// Ends a stream from our side.
    pub fn reset(&self, id: u32, code: ErrorCode) {
        if let Some(flow) = self.flow(id)
            && flow.reset.get().is_none()
        {
            flow.reset.set(Some(code));
            self.control(|out| frame::put_rst_stream(out, id, code));
            flow.wake();
        }
    }

    pub fn reset_by_peer(&self, id: u32, code: ErrorCode) {
        if let Some(flow) = self.flow(id) {
            flow.end(code);
        }
    }

    /// All streams are over.
    pub fn end_flows(&self, code: ErrorCode) {
        let flows: Vec<_> = self.flows.borrow().values().cloned().collect();
        for flow in flows {
            flow.end(code);
        }
    }

    /// The peer's new first window moves those of all streams (RFC 9113 section 6.9.2).
    pub fn peer_window_changed(&self, bytes: u32) -> Result<(), Fault> {
        let delta = i64::from(bytes) - self.peer_window.get();
        self.peer_window.set(i64::from(bytes));
        for flow in self.flows.borrow().values() {
            let window = flow.send_window.get() + delta;
            if window > WINDOW_MAX {
                return fault(ErrorCode::FLOW_CONTROL_ERROR, "a window is too large");
            }
            flow.send_window.set(window);
            flow.writable.notify_one();
        }
        Ok(())
    }

    /// Waits until the queue has room.
    pub async fn room(&self) -> io::Result<()> {
        while self.queued_bytes() > QUEUE_BYTES_MAX {
            if self.failed.get() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.drained.notified().await;
        }
        Ok(())
    }

    /// Waits until everything has left.
    pub async fn flushed(&self) {
        while (self.writing.get() || !self.queue.borrow().is_empty()) && !self.failed.get() {
            self.drained.notified().await;
        }
    }

    /// Sends content under flow control. `end`: it is the last.
    ///
    /// # Errors
    /// The stream is over, or the peer takes nothing.
    pub async fn data(&self, flow: &Flow, mut piece: Buf, end: bool) -> io::Result<()> {
        while !piece.is_empty() {
            self.room().await?;
            let bytes = self.credit(flow, piece.len()).await?;
            let part = piece.split_to(bytes);
            self.put_data(flow, part, end && piece.is_empty());
        }
        Ok(())
    }

    /// Ends our side with an empty frame.
    pub fn end(&self, flow: &Flow) {
        if !flow.done.replace(true) {
            let header = Header {
                len: 0,
                kind: Kind::Data,
                flags: FLAG_END_STREAM,
                stream: flow.id,
            };
            self.control(|out| out.extend_from_slice(&header.encode()));
        }
    }

    fn put_data(&self, flow: &Flow, part: Buf, end: bool) {
        let header = Header {
            len: part.len() as u32,
            kind: Kind::Data,
            flags: if end { FLAG_END_STREAM } else { 0 },
            stream: flow.id,
        };
        if end {
            flow.done.set(true);
        }
        self.data_frames.set(self.data_frames.get().saturating_add(1));
        let mut queue = self.queue.borrow_mut();
        queue.bytes += frame::HEADER_BYTES + part.len();
        queue.last.push_vec(header.encode().to_vec());
        queue.last.push(part);
        drop(queue);
        self.queued.notify_one();
    }

    /// Whether the stream can still be written to.
    pub fn check(&self, flow: &Flow) -> io::Result<()> {
        if flow.reset.get().is_some() || self.failed.get() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Credit for at most `wanted` bytes.
    async fn credit(&self, flow: &Flow, wanted: usize) -> io::Result<usize> {
        loop {
            self.check(flow)?;
            let (own, shared) = (flow.send_window.get(), self.send_window.get());
            if own <= 0 {
                let waited = within(CLIENT_WRITE_TIME_MAX, flow.writable.notified()).await;
                waited.ok_or(io::ErrorKind::TimedOut)?;
                continue;
            }
            if shared <= 0 {
                let waited = within(CLIENT_WRITE_TIME_MAX, self.opened.notified()).await;
                waited.ok_or(io::ErrorKind::TimedOut)?;
                continue;
            }
            let credit = own.min(shared).min(wanted as i64).min(self.peer_frame.get() as i64);
            flow.send_window.set(own - credit);
            self.send_window.set(shared - credit);
            return Ok(credit as usize);
        }
    }

    /// Takes the next content of a stream, and lets the peer send as much again.
    pub fn take(&self, flow: &Flow) -> Option<Buf> {
        let piece = flow.inbox.borrow_mut().pop()?;
        flow.receive_window.set(flow.receive_window.get() + piece.len() as i64);
        flow.unreleased.set(flow.unreleased.get() + piece.len());
        // One update for several pieces that were here together.
        if !flow.has_content() && !flow.ended.get() {
            let bytes = flow.unreleased.take();
            self.control(|out| frame::put_window_update(out, flow.id, bytes as u32));
        }
        Some(piece)
    }
}

impl Flow {
    pub fn push(&self, content: Buf) {
        self.inbox.borrow_mut().push(content);
    }

    /// Whether content waits to be taken.
    pub fn has_content(&self) -> bool {
        self.inbox.borrow().has_content()
    }

    /// Why the stream is over, if it did not end in order.
    pub fn reset(&self) -> Option<ErrorCode> {
        self.reset.get()
    }

    fn end(&self, code: ErrorCode) {
        if self.reset.get().is_none() {
            self.reset.set(Some(code));
        }
        self.wake();
    }

    /// Everybody looks again.
    pub fn wake(&self) {
        for notify in [&self.arrived, &self.writable, &self.over] {
            notify.notify_one();
        }
    }

    /// Waits until the stream is reset.
    pub async fn gone(&self) {
        while self.reset.get().is_none() {
            self.over.notified().await;
        }
    }
}

impl Inbox {
    fn push(&mut self, content: Buf) {
        if content.len() < PIECE_BYTES_MIN {
            return self.small.extend_from_slice(&content);
        }
        if !self.small.is_empty() {
            self.pieces.push_back(Buf::from(std::mem::take(&mut self.small)));
        }
        self.pieces.push_back(content);
    }

    fn pop(&mut self) -> Option<Buf> {
        let small = || (!self.small.is_empty()).then(|| Buf::from(std::mem::take(&mut self.small)));
        self.pieces.pop_front().or_else(small)
    }

    fn has_content(&self) -> bool {
        !self.pieces.is_empty() || !self.small.is_empty()
    }
}

/// Sends what is queued, in order, until it cannot.
pub async fn write(wire: Rc<Wire>) {
    loop {
        let part = wire.queue.borrow_mut().pop();
        wire.writing.set(part.is_some());
        let sent = match part {
            None => {
                wire.drained.notify_all();
                wire.drained.notify_one();
                wire.queued.notified().await;
                continue;
            }
            Some(Part::Put(put)) => wire.pipe.put(put),
            Some(Part::Bytes(gather)) => within(CLIENT_WRITE_TIME_MAX, wire.pipe.send(gather))
                .await
                .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())),
        };
        wire.drained.notify_all();
        if sent.is_err() {
            wire.failed.set(true);
            wire.end_flows(ErrorCode::INTERNAL_ERROR);
            wire.pipe.shutdown().await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_keeps_its_order_and_small_frames_share_a_block() {
        let mut inbox = Inbox::default();
        let mut expected = Vec::new();
        for (n, len) in [1, 5000, 3, 2047, 1, 2048, 2049, 10].into_iter().enumerate() {
            let piece = vec![n as u8; len];
            expected.extend_from_slice(&piece);
            inbox.push(Buf::from(piece));
        }
        let mut got = Vec::new();
        let mut pieces = 0;
        while let Some(piece) = inbox.pop() {
            got.extend_from_slice(&piece);
            pieces += 1;
        }
        assert_eq!(got, expected);
        assert_eq!(pieces, 6, "1 | 5000 | 3 + 2047 + 1 | 2048 | 2049 | 10");
        assert!(!inbox.has_content());
        for _ in 0..60_000 {
            inbox.push(Buf::from(vec![1]));
        }
        assert_eq!(
            inbox.pop().map(|piece| piece.len()),
            Some(60_000),
            "one block for as many frames"
        );
    }

    #[test]
    fn what_the_agent_writes_has_its_place_among_the_bytes() {
        let mut queue = Queue::default();
        let put = |queue: &mut Queue, text: &[u8]| {
            queue.bytes += text.len();
            queue.last.push_vec(text.to_vec());
        };
        put(&mut queue, b"a");
        put(&mut queue, b"b");
        queue.put(Put {
            stream: 1,
            ..Put::default()
        });
        queue.put(Put {
            stream: 3,
            ..Put::default()
        });
        put(&mut queue, b"c");
        let mut order = Vec::new();
        while let Some(part) = queue.pop() {
            order.push(match part {
                Part::Bytes(gather) => format!("{} bytes", gather.len()),
                Part::Put(put) => format!("stream {}", put.stream),
            });
        }
        assert_eq!(order, ["2 bytes", "stream 1", "stream 3", "1 bytes"]);
        assert!(queue.is_empty() && queue.bytes == 0);
    }
}
