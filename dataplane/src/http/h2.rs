//! HTTP/2 with clients (RFC 9113): frames of the tunnel's own code, one task per stream, and a bound for every known flood.

use super::exchange::{self, Ended, Origin};
use super::front::either;
use super::limits::{BODY_PAUSE_MAX, BODY_RATE_MIN, KEEP_ALIVE_TIME_MAX, STREAM_PAUSE_MAX};
use super::pipe::Pipe;
use super::{BodyError, Downstream, Entry, within};
use crate::core::Core;
use crate::transport::Transport;
use codecs::http::h2::HeadFields;
use codecs::http::{BodyKind, Fields, RequestHead};
use reactor::Buf;
use receive::{CONNECTION_WINDOW_BYTES, FrameReader, HEAD_BYTES_MAX, Role, Toll, end_of_body};
use session::EndCause;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tunnel::frame::{self, ErrorCode, FLAG_END_STREAM, Header, Setting};
use wire::{Fault, Flow, WINDOW_AT_FIRST, Wire, fault};

pub mod receive;
pub mod wire;

/// Streams of one client at once.
const STREAMS_MAX: u32 = 128;
/// Receive window of a stream, bytes: what one stalled request can hold of our memory.
const WINDOW_BYTES: u32 = 65_535;
/// Keys that one connection may use.
const LANES_MAX: usize = 16;

/// One client's connection.
struct Connection {
    core: Rc<Core>,
    origin: Origin,
    wire: Rc<Wire>,
    /// Whoever asks by one key is one session.
    lanes: RefCell<Vec<(Option<u64>, Rc<Entry>)>>,
    active: Cell<usize>,
    closing: Cell<bool>,
}

/// Serves a client from its preface to its end.
pub async fn serve(core: &Rc<Core>, transport: Rc<Transport>, early: Vec<u8>, origin: Origin) -> EndCause {
    let connection = Rc::new(Connection {
        core: core.clone(),
        origin,
        wire: Wire::new(Pipe::Socket(transport)),
        lanes: RefCell::default(),
        active: Cell::new(0),
        closing: Cell::new(false),
    });
    let wire = &connection.wire;
    let writer = reactor::spawn(wire::write(wire.clone()));
    let ended = read(&connection, early).await;
    let (code, what) = match &ended {
        Ok(()) => (ErrorCode::NO_ERROR, ""),
        Err(fault) => (fault.code, fault.what),
    };
    if !what.is_empty() {
        tracing::info!(client = %connection.origin.peer, what, "an HTTP/2 connection was ended");
    }
    wire.control(|out| frame::put_goaway(out, 0, code, what));
    wire.end_flows(ErrorCode::CANCEL);
    let _ = within(crate::limits::REFUSAL_WRITE_TIME_MAX, wire.flushed()).await;
    wire.failed.set(true);
    writer.abort();
    let cause = match ended {
        Ok(()) => EndCause::Client,
        Err(fault) => EndCause::Closed(session::CloseCause::Downstream(fault.what.to_owned())),
    };
    connection.end_lanes(&cause);
    cause
}

async fn read(connection: &Rc<Connection>, early: Vec<u8>) -> Result<(), Fault> {
    let wire = &connection.wire;
    let mut reader = FrameReader::new(early);
    if !reader.preface(wire).await? {
        return Ok(());
    }
    wire.control(|out| {
        frame::put_settings(
            out,
            &[
                Setting::MaxConcurrentStreams(STREAMS_MAX),
                Setting::InitialWindowSize(WINDOW_BYTES),
                Setting::MaxHeaderListSize(HEAD_BYTES_MAX as u32),
            ],
        );
        frame::put_window_update(out, 0, CONNECTION_WINDOW_BYTES - WINDOW_AT_FIRST as u32);
    });
    let mut server = Server { connection, last: 0 };
    receive::read(wire, &mut server, &mut reader).await
}

/// Our part: clients ask, we answer.
struct Server<'a> {
    connection: &'a Rc<Connection>,
    /// The last stream that was begun.
    last: u32,
}

impl Role for Server<'_> {
    const SILENCE_MAX: Duration = KEEP_ALIVE_TIME_MAX;

    fn headers(&mut self, header: &Header, fields: HeadFields, toll: &mut Toll) -> Result<(), Fault> {
        let connection = self.connection;
        let wire = &connection.wire;
        if let Some(flow) = wire.flow(header.stream) {
            // Trailers: their end counts, their fields go no further.
            if flow.ended.get() || !header.has(FLAG_END_STREAM) {
                return fault(ErrorCode::PROTOCOL_ERROR, "HEADERS that are no trailers");
            }
            end_of_body(wire, &flow);
            return Ok(());
        }
        if header.stream.is_multiple_of(2) || header.stream <= self.last {
            return fault(
                ErrorCode::PROTOCOL_ERROR,
                "HEADERS on a stream that is over or not the client's",
            );
        }
        self.last = header.stream;
        if connection.active.get() >= STREAMS_MAX as usize || connection.closing.get() || connection.core.draining.get()
        {
            toll.pay()?;
            wire.control(|out| frame::put_rst_stream(out, header.stream, ErrorCode::REFUSED_STREAM));
            return Ok(());
        }
        let ended = header.has(FLAG_END_STREAM);
        let head = match fields.into_request(ended) {
            Ok(head) => head,
            Err(reason) => {
                toll.pay()?;
                tracing::info!(client = %connection.origin.peer, reason, "a malformed request was refused");
                wire.control(|out| frame::put_rst_stream(out, header.stream, ErrorCode::PROTOCOL_ERROR));
                return Ok(());
            }
        };
        connection.begin(header.stream, head, ended);
        Ok(())
    }

    fn is_idle(&self, stream: u32) -> bool {
        stream > self.last
    }

    fn going_away(&mut self, _last: u32) {
        self.connection.closing.set(true);
    }

    fn may_be_silent(&self) -> bool {
        self.connection.active.get() > 0
    }
}

impl Connection {
    /// Starts the exchange of a request.
    fn begin(self: &Rc<Self>, id: u32, head: RequestHead, ended: bool) {
        let announced = match head.body {
            BodyKind::Length(length) => Some(length),
            _ => None,
        };
        let flow = self.wire.begin(id, WINDOW_BYTES, announced);
        flow.ended.set(ended);
        let entry = self.lane(exchange::lane(&self.core, &self.origin, &head));
        self.active.set(self.active.get() + 1);
        let connection = self.clone();
        reactor::spawn(async move {
            connection.exchange(&entry, &flow, &head).await;
            connection.wire.flows.borrow_mut().remove(&flow.id);
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

    async fn exchange(self: &Rc<Self>, entry: &Rc<Entry>, flow: &Rc<Flow>, head: &RequestHead) {
        let turn = Turn {
            wire: self.wire.clone(),
            flow: flow.clone(),
            is_head: head.method == "HEAD",
            streams: exchange::is_grpc(&head.fields),
            begun: Cell::new(false),
            began: reactor::now(),
            taken: Cell::new(0),
        };
        entry.busy.set(true);
        let run = either(
            Box::pin(exchange::run(&self.core, entry, &self.origin, &turn, head)),
            entry.to_end.notified(),
        );
        let ended = either(run, flow.gone()).await.flatten();
        entry.busy.set(false);
        if entry.killed().is_some() {
            self.closing.set(true);
        }
        if !(matches!(ended, Some(Ended::Complete)) && flow.done.get()) {
            self.wire.reset(flow.id, ErrorCode::CANCEL);
        } else if !flow.ended.get() {
            // The answer is complete; what is left of the body is not wanted (RFC 9113 section 8.1).
            self.wire.reset(flow.id, ErrorCode::NO_ERROR);
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
}

/// One exchange.
struct Turn {
    wire: Rc<Wire>,
    flow: Rc<Flow>,
    is_head: bool,
    /// The body may pause for long: it is a stream of messages.
    streams: bool,
    begun: Cell<bool>,
    began: Instant,
    /// Bytes of the body that were taken.
    taken: Cell<u64>,
}

impl Turn {
    /// Queues HEADERS. Blocks are encoded and queued in one go, so that both ends' tables stay the same.
    fn put_head(&self, status: Option<u16>, fields: &Fields, length: Option<u64>, end: bool) {
        let status = status.map(|status| status.to_string());
        let length = length.map(|length| length.to_string());
        let pseudo = status.as_ref().map(|status| (&b":status"[..], status.as_bytes()));
        let length = length
            .as_ref()
            .map(|length| (&b"content-length"[..], length.as_bytes()));
        let kept = fields.iter().filter(|(name, _)| {
            !matches!(
                *name,
                b"connection" | b"keep-alive" | b"transfer-encoding" | b"content-length" | b"upgrade"
            )
        });
        let mut encoder = self.wire.encoder.borrow_mut();
        let block = encoder.encode(pseudo.into_iter().chain(kept).chain(length));
        self.wire
            .control(|out| frame::put_headers(out, self.flow.id, &block, end, self.wire.peer_frame.get()));
        if end {
            self.flow.done.set(true);
        }
    }
}

impl Downstream for Turn {
    async fn body(&self) -> Result<Option<Buf>, BodyError> {
        let pause = if self.streams { STREAM_PAUSE_MAX } else { BODY_PAUSE_MAX };
        loop {
            if self.flow.malformed.get() {
                return Err(BodyError::Refused(400, "the body is not as long as announced"));
            }
            if self.flow.reset().is_some() {
                return Err(BodyError::Gone);
            }
            if let Some(piece) = self.wire.take(&self.flow) {
                self.taken.set(self.taken.get() + piece.len() as u64);
                let elapsed = reactor::now().duration_since(self.began);
                let slow = elapsed > pause && self.taken.get() / elapsed.as_secs().max(1) < BODY_RATE_MIN;
                if slow && !self.streams {
                    return Err(BodyError::Refused(408, "the body did not come in time"));
                }
                return Ok(Some(piece));
            }
            if self.flow.ended.get() {
                return Ok(None);
            }
            let arrived = within(pause, self.flow.arrived.notified()).await;
            arrived.ok_or(BodyError::Refused(408, "the body did not come in time"))?;
        }
    }

    async fn interim(&self, status: u16, fields: &Fields) -> io::Result<()> {
        self.wire.check(&self.flow)?;
        self.put_head(Some(status), fields, None, false);
        Ok(())
    }

    async fn head(&self, status: u16, fields: &Fields, length: Option<u64>, has_body: bool) -> io::Result<()> {
        let ends = self.is_head || !has_body || length == Some(0);
        // That there is no body is told by the end of the stream; answers of gRPC without one have no length.
        let length = length.filter(|length| *length > 0 || self.is_head);
        self.wire.check(&self.flow)?;
        self.begun.set(true);
        self.put_head(Some(status), fields, length, ends);
        Ok(())
    }

    async fn flush(&self) -> io::Result<()> {
        self.wire.room().await?;
        self.wire.check(&self.flow)
    }

    async fn data(&self, piece: Buf) -> io::Result<()> {
        self.wire.data(&self.flow, piece, false).await
    }

    async fn finish(&self, piece: Buf, trailers: &Fields) -> io::Result<()> {
        // The last frame says that it is the last.
        self.wire.data(&self.flow, piece, trailers.is_empty()).await?;
        self.end(trailers).await
    }

    async fn end(&self, trailers: &Fields) -> io::Result<()> {
        if self.flow.done.get() {
            return Ok(());
        }
        self.wire.check(&self.flow)?;
        if trailers.is_empty() {
            self.wire.end(&self.flow);
        } else {
            self.put_head(None, trailers, None, true);
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.begun.get()
    }
}
