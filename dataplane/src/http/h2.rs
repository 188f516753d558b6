//! HTTP/2 with clients (RFC 9113): frames of the tunnel's own code, one task per stream, and a bound for every known flood.

use super::exchange::{self, Ended, Origin};
use super::front::either;
use super::limits::{BODY_PAUSE_MAX, BODY_RATE_MIN, CLIENT_WRITE_TIME_MAX};
use super::{BodyError, Downstream, Entry, within};
use crate::core::Core;
use crate::transport::Transport;
use codecs::http::{BodyKind, Fields, RequestHead};
use reactor::sync::Notify;
use reactor::{Buf, Gather};
use receive::read;
use session::EndCause;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Instant;
use tunnel::frame::{self, ErrorCode, FLAG_END_STREAM, Header, Kind};
use tunnel::hpack::Encoder;

mod receive;

/// Streams of one client at once.
const STREAMS_MAX: u32 = 128;
/// Receive window of a stream, bytes: what one stalled request can hold of our memory.
const WINDOW_BYTES: u32 = 65_535;
/// Receive window of the connection, bytes; given back on receipt, so that no stream waits for another.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Largest frame that we take and send, bytes.
const FRAME_BYTES: usize = 16 * 1024;
/// Encoded header block, and decoded header list, bytes.
const HEAD_BYTES_MAX: usize = codecs::http::limits::HEAD_BYTES_MAX;
/// Bytes that wait to be written; whoever sends beyond this waits.
const QUEUE_BYTES_MAX: usize = 256 * 1024;
/// Control frames that wait because the client does not read; more ends the connection.
const CONTROL_BYTES_MAX: usize = 64 * 1024;
/// Keys that one connection may use.
const LANES_MAX: usize = 16;
const WINDOW_MAX: i64 = (1 << 31) - 1;

/// Why the connection ends.
#[derive(Debug)]
struct Fault {
    code: ErrorCode,
    what: &'static str,
}

impl From<frame::Bad> for Fault {
    fn from(bad: frame::Bad) -> Fault {
        Fault {
            code: bad.code,
            what: bad.what,
        }
    }
}

fn fault<T>(code: ErrorCode, what: &'static str) -> Result<T, Fault> {
    Err(Fault { code, what })
}

/// One client's connection.
struct Connection {
    core: Rc<Core>,
    origin: Origin,
    transport: Rc<Transport>,
    streams: RefCell<HashMap<u32, Rc<Stream>>>,
    encoder: RefCell<Encoder>,
    queue: RefCell<Gather>,
    /// What was taken from the queue has not left yet.
    writing: Cell<bool>,
    queued: Notify,
    drained: Notify,
    send_window: Cell<i64>,
    /// The connection's window grew.
    opened: Notify,
    peer_window: Cell<i64>,
    peer_frame: Cell<usize>,
    /// Whoever asks by one key is one session.
    lanes: RefCell<Vec<(Option<u64>, Rc<Entry>)>>,
    active: Cell<usize>,
    closing: Cell<bool>,
    failed: Cell<bool>,
}

/// One request.
struct Stream {
    id: u32,
    inbox: RefCell<VecDeque<Buf>>,
    ended: Cell<bool>,
    reset: Cell<bool>,
    malformed: Cell<bool>,
    arrived: Notify,
    send_window: Cell<i64>,
    writable: Notify,
    /// Bytes the client may still send.
    receive_window: Cell<i64>,
    /// Bytes of the body that are still announced.
    announced: Cell<Option<u64>>,
}

/// Serves a client from its preface to its end.
pub async fn serve(core: &Rc<Core>, transport: Rc<Transport>, early: Vec<u8>, origin: Origin) -> EndCause {
    let connection = Rc::new(Connection {
        core: core.clone(),
        origin,
        transport,
        streams: RefCell::default(),
        encoder: RefCell::default(),
        queue: RefCell::default(),
        writing: Cell::new(false),
        queued: Notify::new(),
        drained: Notify::new(),
        send_window: Cell::new(65_535),
        opened: Notify::new(),
        peer_window: Cell::new(65_535),
        peer_frame: Cell::new(FRAME_BYTES),
        lanes: RefCell::default(),
        active: Cell::new(0),
        closing: Cell::new(false),
        failed: Cell::new(false),
    });
    let writer = reactor::spawn(write(connection.clone()));
    let ended = read(&connection, early).await;
    let (code, what) = match &ended {
        Ok(()) => (ErrorCode::NO_ERROR, ""),
        Err(fault) => (fault.code, fault.what),
    };
    if !what.is_empty() {
        tracing::info!(client = %connection.origin.peer, what, "an HTTP/2 connection was ended");
    }
    connection.control(|out| frame::put_goaway(out, 0, code, what));
    connection.end_streams();
    let _ = within(crate::limits::REFUSAL_WRITE_TIME_MAX, connection.flushed()).await;
    connection.failed.set(true);
    writer.abort();
    let cause = match ended {
        Ok(()) => EndCause::Client,
        Err(fault) => EndCause::Closed(session::CloseCause::Downstream(fault.what.to_owned())),
    };
    connection.end_lanes(&cause);
    cause
}

impl Connection {
    fn control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        put(&mut bytes);
        self.queue.borrow_mut().push_vec(bytes);
        self.queued.notify_one();
    }

    /// Starts the exchange of a request.
    fn begin(self: &Rc<Self>, id: u32, head: RequestHead, ended: bool) {
        let stream = Rc::new(Stream {
            id,
            inbox: RefCell::default(),
            ended: Cell::new(ended),
            reset: Cell::new(false),
            malformed: Cell::new(false),
            arrived: Notify::new(),
            send_window: Cell::new(self.peer_window.get()),
            writable: Notify::new(),
            receive_window: Cell::new(i64::from(WINDOW_BYTES)),
            announced: Cell::new(match head.body {
                BodyKind::Length(length) => Some(length),
                _ => None,
            }),
        });
        let lane = exchange::lane(&self.core, &self.origin, &head);
        let entry = self.lane(lane);
        self.streams.borrow_mut().insert(id, stream.clone());
        self.active.set(self.active.get() + 1);
        let connection = self.clone();
        reactor::spawn(async move {
            connection.exchange(&entry, &stream, &head).await;
            connection.streams.borrow_mut().remove(&stream.id);
            connection.active.set(connection.active.get() - 1);
        });
    }

    /// The session's place for a key; what comes with a key beyond the bound is a session of its own, the last of its connection.
    fn lane(&self, key: u64) -> Rc<Entry> {
        let mut lanes = self.lanes.borrow_mut();
        if let Some((_, entry)) = lanes.iter().find(|(known, _)| *known == Some(key)) {
            return entry.clone();
        }
        let entry = Rc::new(Entry::default());
        self.core.http.table.add(entry.clone());
        let is_last = lanes.len() >= LANES_MAX;
        if is_last {
            self.closing.set(true);
        }
        lanes.push(((!is_last).then_some(key), entry.clone()));
        entry
    }

    async fn exchange(self: &Rc<Self>, entry: &Rc<Entry>, stream: &Rc<Stream>, head: &RequestHead) {
        let turn = Turn {
            connection: self.clone(),
            stream: stream.clone(),
            is_head: head.method == "HEAD",
            begun: Cell::new(false),
            done: Cell::new(false),
            began: reactor::now(),
            taken: Cell::new(0),
            pending: RefCell::default(),
        };
        entry.busy.set(true);
        let run = either(
            Box::pin(exchange::run(&self.core, entry, &self.origin, &turn, head)),
            entry.to_end.notified(),
        );
        let ended = either(run, stream.gone()).await.flatten();
        entry.busy.set(false);
        if entry.killed().is_some() {
            self.closing.set(true);
        }
        if !(matches!(ended, Some(Ended::Complete)) && turn.done.get()) {
            self.reset(stream.id, ErrorCode::CANCEL);
        } else if !stream.ended.get() {
            // The answer is complete; what is left of the body is not wanted (RFC 9113 section 8.1).
            self.reset(stream.id, ErrorCode::NO_ERROR);
        }
    }

    fn reset(&self, id: u32, code: ErrorCode) {
        let stream = self.streams.borrow().get(&id).cloned();
        if let Some(stream) = stream
            && !stream.reset.replace(true)
        {
            self.control(|out| frame::put_rst_stream(out, id, code));
            stream.wake();
        }
    }

    fn reset_by_peer(&self, id: u32) {
        let stream = self.streams.borrow().get(&id).cloned();
        if let Some(stream) = stream {
            stream.reset.set(true);
            stream.wake();
        }
    }

    fn end_streams(&self) {
        let streams: Vec<_> = self.streams.borrow().values().cloned().collect();
        for stream in streams {
            stream.reset.set(true);
            stream.wake();
        }
    }

    fn end_lanes(&self, cause: &EndCause) {
        for (_, entry) in self.lanes.borrow_mut().drain(..) {
            let now = self.core.now();
            entry.end_session(cause, &mut self.core.scratch.borrow_mut(), now);
            self.core.http.table.remove(&entry);
        }
        self.core.collect_events();
    }

    /// Waits until the queue has room.
    async fn room(&self) -> io::Result<()> {
        while self.queue.borrow().len() > QUEUE_BYTES_MAX {
            if self.failed.get() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.drained.notified().await;
        }
        Ok(())
    }

    async fn flushed(&self) {
        while (self.writing.get() || !self.queue.borrow().is_empty()) && !self.failed.get() {
            self.drained.notified().await;
        }
    }
}

/// Sends what is queued, in order.
async fn write(connection: Rc<Connection>) {
    loop {
        let gather = connection.queue.take();
        connection.writing.set(!gather.is_empty());
        if gather.is_empty() {
            connection.drained.notify_all();
            connection.drained.notify_one();
            connection.queued.notified().await;
            continue;
        }
        let sent = within(CLIENT_WRITE_TIME_MAX, connection.transport.send(gather)).await;
        connection.drained.notify_all();
        if !matches!(sent, Some(Ok(()))) {
            connection.failed.set(true);
            connection.end_streams();
            connection.transport.shutdown().await;
            return;
        }
    }
}

impl Stream {
    fn wake(&self) {
        self.arrived.notify_one();
        self.arrived.notify_all();
        self.writable.notify_one();
        self.writable.notify_all();
    }

    /// Waits until the stream is reset.
    async fn gone(&self) {
        while !self.reset.get() {
            // Whoever waits for data is woken by the same notice, so it is passed on.
            reactor::sleep(GONE_POLL).await;
        }
    }
}

/// How often a stream whose client may have given up is looked at.
const GONE_POLL: std::time::Duration = std::time::Duration::from_millis(250);

/// One exchange.
struct Turn {
    connection: Rc<Connection>,
    stream: Rc<Stream>,
    is_head: bool,
    begun: Cell<bool>,
    done: Cell<bool>,
    began: Instant,
    /// Bytes of the body that were taken.
    taken: Cell<u64>,
    /// The answer's head, until it is known whether a body follows.
    pending: RefCell<Option<(Vec<u8>, bool)>>,
}

impl Turn {
    fn block(&self, status: u16, fields: &Fields, length: Option<u64>) -> Vec<u8> {
        let status = status.to_string();
        let length = length.map(|length| length.to_string());
        let pseudo = (status != "0").then_some((&b":status"[..], status.as_bytes()));
        let length = length
            .as_ref()
            .map(|length| (&b"content-length"[..], length.as_bytes()));
        let kept = fields.iter().filter(|(name, _)| {
            !matches!(
                *name,
                b"connection" | b"keep-alive" | b"transfer-encoding" | b"content-length" | b"upgrade"
            )
        });
        let mut encoder = self.connection.encoder.borrow_mut();
        encoder.encode(pseudo.into_iter().chain(kept).chain(length))
    }

    /// Queues HEADERS. Blocks are encoded and queued in one go, so that both ends' tables stay the same.
    fn put_head(&self, end: bool) {
        let pending = self.pending.take();
        if let Some((block, _)) = pending {
            self.connection
                .control(|out| frame::put_headers(out, self.stream.id, &block, end, self.connection.peer_frame.get()));
            self.begun.set(true);
            self.done.set(end);
        }
    }

    /// Queues DATA.
    fn put_data(&self, part: Buf, end: bool) {
        let header = Header {
            len: part.len() as u32,
            kind: Kind::Data,
            flags: if end { FLAG_END_STREAM } else { 0 },
            stream: self.stream.id,
        };
        let mut queue = self.connection.queue.borrow_mut();
        queue.push_vec(header.encode().to_vec());
        queue.push(part);
        drop(queue);
        self.connection.queued.notify_one();
    }

    fn check(&self) -> io::Result<()> {
        if self.stream.reset.get() || self.connection.failed.get() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Credit for at most `wanted` bytes.
    async fn credit(&self, wanted: usize) -> io::Result<usize> {
        loop {
            self.check()?;
            let (own, shared) = (self.stream.send_window.get(), self.connection.send_window.get());
            if own <= 0 {
                let waited = within(CLIENT_WRITE_TIME_MAX, self.stream.writable.notified()).await;
                waited.ok_or(io::ErrorKind::TimedOut)?;
                continue;
            }
            if shared <= 0 {
                let waited = within(CLIENT_WRITE_TIME_MAX, self.connection.opened.notified()).await;
                waited.ok_or(io::ErrorKind::TimedOut)?;
                continue;
            }
            let credit = own
                .min(shared)
                .min(wanted as i64)
                .min(self.connection.peer_frame.get() as i64);
            self.stream.send_window.set(own - credit);
            self.connection.send_window.set(shared - credit);
            return Ok(credit as usize);
        }
    }
}

impl Downstream for Turn {
    async fn body(&self) -> Result<Option<Buf>, BodyError> {
        loop {
            if self.stream.malformed.get() {
                return Err(BodyError::Refused(400, "the body is not as long as announced"));
            }
            if self.stream.reset.get() {
                return Err(BodyError::Gone);
            }
            let piece = self.stream.inbox.borrow_mut().pop_front();
            if let Some(piece) = piece {
                let bytes = piece.len();
                self.taken.set(self.taken.get() + bytes as u64);
                let elapsed = reactor::now().duration_since(self.began);
                if elapsed > BODY_PAUSE_MAX && self.taken.get() / elapsed.as_secs().max(1) < BODY_RATE_MIN {
                    return Err(BodyError::Refused(408, "the body did not come in time"));
                }
                self.stream
                    .receive_window
                    .set(self.stream.receive_window.get() + bytes as i64);
                if !self.stream.ended.get() {
                    self.connection
                        .control(|out| frame::put_window_update(out, self.stream.id, bytes as u32));
                }
                return Ok(Some(piece));
            }
            if self.stream.ended.get() {
                return Ok(None);
            }
            let arrived = within(BODY_PAUSE_MAX, self.stream.arrived.notified()).await;
            arrived.ok_or(BodyError::Refused(408, "the body did not come in time"))?;
        }
    }

    async fn interim(&self, status: u16, fields: &Fields) -> io::Result<()> {
        let block = self.block(status, fields, None);
        self.connection
            .control(|out| frame::put_headers(out, self.stream.id, &block, false, self.connection.peer_frame.get()));
        self.check()
    }

    async fn head(&self, status: u16, fields: &Fields, length: Option<u64>, has_body: bool) -> io::Result<()> {
        let has_body = has_body && !self.is_head;
        let block = self.block(status, fields, length);
        // Queued at once: the encoder's table has changed with it.
        *self.pending.borrow_mut() = Some((block, has_body));
        self.put_head(!has_body || length == Some(0));
        self.check()
    }

    async fn flush(&self) -> io::Result<()> {
        self.connection.room().await?;
        self.check()
    }

    async fn data(&self, mut piece: Buf) -> io::Result<()> {
        while !piece.is_empty() {
            self.connection.room().await?;
            let bytes = self.credit(piece.len()).await?;
            let part = piece.split_to(bytes);
            self.put_data(part, false);
        }
        Ok(())
    }

    async fn finish(&self, mut piece: Buf, trailers: &Fields) -> io::Result<()> {
        if !trailers.is_empty() || piece.is_empty() {
            self.data(piece).await?;
            return self.end(trailers).await;
        }
        // The last frame says that it is the last.
        loop {
            self.connection.room().await?;
            let bytes = self.credit(piece.len()).await?;
            let part = piece.split_to(bytes);
            self.put_data(part, piece.is_empty());
            if piece.is_empty() {
                self.done.set(true);
                return Ok(());
            }
        }
    }

    async fn end(&self, trailers: &Fields) -> io::Result<()> {
        self.check()?;
        if self.done.replace(true) {
            return Ok(());
        }
        if trailers.is_empty() {
            let header = Header {
                len: 0,
                kind: Kind::Data,
                flags: FLAG_END_STREAM,
                stream: self.stream.id,
            };
            self.connection.control(|out| out.extend_from_slice(&header.encode()));
            return Ok(());
        }
        let block = self.block(0, trailers, None);
        self.connection
            .control(|out| frame::put_headers(out, self.stream.id, &block, true, self.connection.peer_frame.get()));
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.begun.get()
    }
}
