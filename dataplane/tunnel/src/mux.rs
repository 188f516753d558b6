//! One end of a link: the calls a user makes and the events it gets.

use crate::{
    ErrorCode, GrpcStatus, Limits, LinkError, OpenError, Payload, StreamId,
    drain::{DRAIN_PING, Drain},
    flood::Floods,
    flow::{RecvWindow, SendWindow},
    frame::{self, Setting},
    grpc::{DATA_PREFIX_BYTES_MAX, Decoder, framed},
    headers::{self, Trailers},
    hpack,
    keepalive::{Due, KEEPALIVE_PING, KeepAlive},
    limits::{FRAME_BYTES_DEFAULT, STREAM_ID_MAX, WINDOW_BYTES_INITIAL},
    open::SESSION_PATH,
    sched::Scheduler,
    stream::{Local, Stream, Streams},
};
use std::{collections::VecDeque, time::Duration};

mod receive;
#[cfg(test)]
mod tests;
mod transmit;

/// Which side of HTTP/2 this end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opens streams.
    Client,
    /// Answers them.
    Server,
}

/// What happened on a link. Every stream ends with exactly one `Closed`, or with the user's own `reset`, or, in server role,
/// with the user's own `finish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<B> {
    /// Server role: the peer opened a stream.
    Opened {
        /// The stream.
        stream: StreamId,
        /// `/package.Service/Method`
        path: String,
        /// Headers that are not of HTTP/2 or gRPC itself.
        metadata: Vec<(String, String)>,
    },
    /// A whole gRPC message: protobuf bytes, at most `Limits::message_bytes_max`.
    Message {
        /// The stream.
        stream: StreamId,
        /// Protobuf bytes.
        message: Vec<u8>,
    },
    /// A piece of `SessionFrame.data` of a session stream, in order, cut anywhere. `Mux::release` gives its credit back.
    Data {
        /// The stream.
        stream: StreamId,
        /// At least one byte.
        data: B,
    },
    /// Server role: the peer will send nothing more on this stream. `finish` is the answer.
    Half {
        /// The stream.
        stream: StreamId,
    },
    /// The stream is over and forgotten: by the server's status (client role), by a reset, by the end of the link.
    Closed {
        /// The stream.
        stream: StreamId,
        /// `Ok` only when the peer said so.
        status: GrpcStatus,
        /// For people.
        message: String,
    },
    /// `Mux::capacity` was 0 and is no longer.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer takes or opens no new streams; those that run go on.
    Draining,
    /// The link is over. After what `poll_transmit` still has, the socket is to be closed.
    LinkClosed {
        /// Why.
        error: LinkError,
    },
}

/// What the peer said it takes.
struct PeerSettings {
    window_bytes_initial: u32,
    frame_bytes_max: u32,
    header_list_bytes_max: u32,
    streams_max: u32,
}

/// One end of a link; see the crate's documentation for the order of calls.
pub struct Mux<B: Payload> {
    role: Role,
    limits: Limits,
    authority: String,
    now: Duration,
    input: receive::Input,
    block: Option<receive::Block>,
    settings_seen: bool,
    hpack_in: hpack::Decoder,
    hpack_out: hpack::Encoder,
    peer: PeerSettings,
    streams: Streams<B>,
    /// Client role: the next stream to open. Server role: the last one the peer opened.
    stream_id: u32,
    events: VecDeque<Event<B>>,
    /// Control frames and header blocks, which go before all DATA.
    control: Vec<u8>,
    /// Streams whose WINDOW_UPDATE is due.
    updates: Vec<u32>,
    sched: Scheduler,
    send: SendWindow,
    /// Bytes in the queues of all streams.
    queued: usize,
    /// The connection's capacity was 0.
    starved: bool,
    recv: RecvWindow,
    keepalive: KeepAlive,
    floods: Floods,
    drain: Drain,
    peer_draining: bool,
    closed: Option<LinkError>,
    cuts: Vec<(usize, B)>,
}

impl<B: Payload> Mux<B> {
    /// The end that opens streams.
    pub fn client(limits: Limits) -> Self {
        Self::new(Role::Client, limits)
    }

    /// The end that answers them.
    pub fn server(limits: Limits) -> Self {
        Self::new(Role::Server, limits)
    }

    fn new(role: Role, limits: Limits) -> Self {
        let limits = limits.clamped();
        let mut control = Vec::with_capacity(128);
        let first = match role {
            Role::Client => {
                control.extend_from_slice(frame::PREFACE);
                Setting::EnablePush(false)
            }
            Role::Server => Setting::MaxConcurrentStreams(limits.streams_max),
        };
        let settings = [
            first,
            Setting::InitialWindowSize(limits.stream_window_bytes),
            Setting::MaxFrameSize(limits.frame_bytes_max),
            Setting::MaxHeaderListSize(limits.header_list_bytes_max),
        ];
        frame::put_settings(&mut control, &settings);
        let grow = limits.connection_window_bytes - WINDOW_BYTES_INITIAL;
        if grow > 0 {
            frame::put_window_update(&mut control, 0, grow);
        }
        Self {
            role,
            authority: "sluice.internal".to_owned(),
            now: Duration::ZERO,
            input: receive::Input::start(role),
            block: None,
            settings_seen: false,
            hpack_in: hpack::Decoder::default(),
            hpack_out: hpack::Encoder::default(),
            peer: PeerSettings {
                window_bytes_initial: WINDOW_BYTES_INITIAL,
                frame_bytes_max: FRAME_BYTES_DEFAULT,
                header_list_bytes_max: u32::MAX,
                streams_max: u32::MAX,
            },
            streams: Streams::default(),
            stream_id: if role == Role::Client { 1 } else { 0 },
            events: VecDeque::new(),
            control,
            updates: Vec::new(),
            sched: Scheduler::default(),
            send: SendWindow::new(WINDOW_BYTES_INITIAL),
            queued: 0,
            starved: false,
            recv: RecvWindow::new(limits.connection_window_bytes),
            keepalive: KeepAlive::new(limits.keepalive_idle, limits.keepalive_timeout),
            floods: Floods::new(&limits.floods),
            drain: Drain::No,
            peer_draining: false,
            closed: None,
            cuts: Vec::new(),
            limits,
        }
    }

    /// Client role: the `:authority` of the streams opened from now on. What cannot stand there is left as it was.
    pub fn set_authority(&mut self, authority: &str) {
        if !authority.is_empty() && authority.bytes().all(|b| b.is_ascii_graphic()) {
            authority.clone_into(&mut self.authority);
        }
    }

    /// Which side this end is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The next thing that happened.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event<B>> {
        self.events.pop_front()
    }

    /// Opens a stream (client role). Names in `metadata` are lower case; binary values need base64 and a name that ends in
    /// `-bin`; names of gRPC itself are not for callers.
    pub fn open(&mut self, path: &str, metadata: &[(&str, &str)]) -> Result<StreamId, OpenError> {
        self.openable()?;
        let list = headers::list_bytes(headers::request(path, &self.authority, metadata));
        if !headers::sendable(path, metadata) || list > self.peer.header_list_bytes_max as usize {
            return Err(OpenError::Metadata);
        }
        let id = self.stream_id;
        self.stream_id += 2;
        let block = self.hpack_out.encode(headers::request(path, &self.authority, metadata));
        let frame_bytes_max = self.peer.frame_bytes_max as usize;
        frame::put_headers(&mut self.control, id, &block, false, frame_bytes_max);
        self.insert(id, path, Local::Open);
        Ok(StreamId(id))
    }

    fn openable(&self) -> Result<(), OpenError> {
        let streams_max = self.peer.streams_max.min(self.limits.streams_max) as usize;
        match () {
            () if self.role == Role::Server => Err(OpenError::ServerRole),
            () if self.closed.is_some() => Err(OpenError::Closed),
            () if self.peer_draining || self.drain != Drain::No => Err(OpenError::Draining),
            () if self.stream_id > STREAM_ID_MAX => Err(OpenError::IdsExhausted),
            () if self.streams.len() >= streams_max => Err(OpenError::TooManyStreams),
            () => Ok(()),
        }
    }

    fn insert(&mut self, id: u32, path: &str, local: Local) {
        let decoder = Decoder::new(path == SESSION_PATH, self.limits.message_bytes_max);
        let mut stream = Stream::new(
            local,
            self.peer.window_bytes_initial,
            self.limits.stream_window_bytes,
            decoder,
        );
        stream.starved = stream.room() <= DATA_PREFIX_BYTES_MAX;
        self.streams.insert(id, stream);
    }

    /// Whether `open` would take a stream now.
    pub fn can_open(&self) -> bool {
        self.openable().is_ok()
    }

    /// Streams that are open.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Queues one gRPC message. On a stream that is over it does nothing. A queue larger than
    /// `Limits::stream_queue_bytes_max` resets the stream, which `Event::Closed` tells; a message into an empty queue is
    /// taken whatever its size.
    pub fn send_message(&mut self, stream: StreamId, message: &[u8]) {
        self.enqueue(stream, message.len(), true, |s| s.push_message(framed(message)));
    }

    /// Queues `data` as `SessionFrame { data }`. All of it is taken (its length is returned), or none (0) when the stream is
    /// over. Ask [`capacity`](Self::capacity) before reading what is to be sent: a queue larger than
    /// `Limits::stream_queue_bytes_max` resets the stream, which `Event::Closed` tells.
    #[inline]
    pub fn send_data(&mut self, stream: StreamId, data: B) -> usize {
        let n = data.as_ref().len();
        let Ok(len @ 1..) = u32::try_from(n) else {
            return 0;
        };
        if self.enqueue(stream, n, false, |s| s.push_data(data, len)) {
            n
        } else {
            0
        }
    }

    /// Lets `push` add about `n` bytes to a stream's queue, if the stream takes them; the response headers go before them in
    /// server role. `alone`: something of any size may enter an empty queue.
    #[inline]
    fn enqueue(&mut self, stream: StreamId, n: usize, alone: bool, push: impl FnOnce(&mut Stream<B>) -> usize) -> bool {
        let Some(s) = self.streams.get_mut(&stream.0).filter(|s| s.sendable()) else {
            return false;
        };
        let whatever = alone && s.queued() == 0;
        if !whatever && s.queued().saturating_add(n) > self.limits.stream_queue_bytes_max {
            self.overrun(stream);
            return false;
        }
        if matches!(s.local, Local::Silent) {
            s.local = Local::Open;
            let block = self.hpack_out.encode(headers::response());
            frame::put_headers(&mut self.control, stream.0, &block, false, FRAME_BYTES_DEFAULT as usize);
        }
        self.queued += push(s);
        s.starved |= s.room() <= DATA_PREFIX_BYTES_MAX;
        self.starved |= self.send.available().saturating_sub(self.queued) <= DATA_PREFIX_BYTES_MAX;
        if s.send.available() > 0 {
            self.sched.ready(stream.0, &mut s.share);
        }
        true
    }

    /// The user queued more than it may: the stream is over, not the memory.
    #[cold]
    fn overrun(&mut self, stream: StreamId) {
        self.reset(stream, ErrorCode::INTERNAL_ERROR);
        self.events.push_back(Event::Closed {
            stream,
            status: GrpcStatus::ResourceExhausted,
            message: "send queue overrun".to_owned(),
        });
    }

    /// Payload bytes that may be queued now and leave without waiting for the peer; 0 when the stream is over. After 0 comes
    /// `Event::Writable`.
    pub fn capacity(&self, stream: StreamId) -> usize {
        match self.streams.get(&stream.0) {
            Some(s) if s.sendable() => s
                .room()
                .min(self.send.available().saturating_sub(self.queued))
                .saturating_sub(DATA_PREFIX_BYTES_MAX),
            _ => 0,
        }
    }

    /// The far side has taken `bytes` of what `Event::Data` gave: the peer may send as much again.
    pub fn release(&mut self, stream: StreamId, bytes: usize) {
        let Some(s) = self.streams.get_mut(&stream.0) else {
            return;
        };
        let n = u32::try_from(bytes).unwrap_or(u32::MAX).min(s.unreleased);
        s.unreleased -= n;
        Self::credit(&mut self.updates, stream.0, s, n);
    }

    #[inline]
    fn credit(updates: &mut Vec<u32>, id: u32, s: &mut Stream<B>, n: u32) {
        if s.recv.consumed(n) && !s.update_due && !s.remote_done {
            s.update_due = true;
            updates.push(id);
        }
    }

    /// Ends our side after what is queued. Server role: with this status, and the stream is over. Client role: it is the
    /// half-close, and the server's status follows as `Event::Closed`; a client cannot send a status, so any but `Ok` resets
    /// the stream with CANCEL.
    pub fn finish(&mut self, stream: StreamId, status: GrpcStatus, message: &str) {
        let Some(s) = self.streams.get_mut(&stream.0) else {
            return;
        };
        if !s.sendable() {
            return;
        }
        match (self.role, s.queued()) {
            (Role::Client, _) if status != GrpcStatus::Ok => self.reset(stream, ErrorCode::CANCEL),
            (Role::Client, 0) => {
                s.local = Local::Done;
                transmit::put_end(&mut self.control, stream.0);
            }
            (Role::Client, _) => s.local = Local::Finishing(None),
            (Role::Server, 0) => {
                let head = matches!(s.local, Local::Silent);
                let mut control = std::mem::take(&mut self.control);
                self.end_answer(&mut control, stream.0, head, &Trailers::new(status, message));
                self.control = control;
            }
            (Role::Server, _) => s.local = Local::Finishing(Some(Trailers::new(status, message))),
        }
    }

    /// Ends the stream at once; what is queued is dropped, and no event follows.
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        if self.streams.contains_key(&stream.0) {
            frame::put_rst_stream(&mut self.control, stream.0, code);
            self.remove(stream.0);
        }
    }

    /// Forgets a stream and gives up what it had queued.
    fn remove(&mut self, id: u32) -> Option<Stream<B>> {
        let s = self.streams.remove(&id)?;
        self.sched.remove(id, &s.share);
        if s.update_due {
            self.updates.retain(|due| *due != id);
        }
        self.queued -= s.queued();
        if s.queued() > 0 {
            self.connection_window_grew();
        }
        self.check_drained();
        Some(s)
    }

    /// The connection has more room than before: whoever waited for it is told.
    fn connection_window_grew(&mut self) {
        let room = self.send.available().saturating_sub(self.queued);
        if !self.starved || room <= DATA_PREFIX_BYTES_MAX {
            return;
        }
        self.starved = false;
        for (id, s) in &mut self.streams {
            if s.sendable() && s.room() > DATA_PREFIX_BYTES_MAX {
                s.starved = false;
                self.events.push_back(Event::Writable { stream: StreamId(*id) });
            }
        }
    }

    /// No new streams; those that run go on, and `LinkClosed { Drained }` follows the last one.
    pub fn drain(&mut self) {
        if self.drain != Drain::No || self.closed.is_some() {
            return;
        }
        match self.role {
            Role::Client => {
                frame::put_goaway(&mut self.control, 0, ErrorCode::NO_ERROR, "draining");
                self.drain = Drain::Final;
                self.check_drained();
            }
            Role::Server => {
                frame::put_goaway(&mut self.control, STREAM_ID_MAX, ErrorCode::NO_ERROR, "draining");
                frame::put_ping(&mut self.control, false, DRAIN_PING);
                self.drain = Drain::Announced;
            }
        }
    }

    fn check_drained(&mut self) {
        let draining = self.drain == Drain::Final || self.peer_draining;
        if draining && self.streams.is_empty() {
            self.close(LinkError::Drained);
        }
    }

    /// Whether the link is over: only what `poll_transmit` still gives is left to do.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// When `handle_timeout` wants to be called; never for a link that is over.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.closed.is_none().then(|| self.keepalive.deadline())
    }

    /// Keep-alive: pings a silent peer, gives up a dead one.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = now;
        if self.closed.is_some() {
            return;
        }
        match self.keepalive.due(now) {
            Due::Nothing => {}
            Due::Ping => frame::put_ping(&mut self.control, false, KEEPALIVE_PING),
            Due::Dead => self.close(LinkError::KeepAlive),
        }
    }

    /// The link is over: every stream is told, then the user.
    fn close(&mut self, error: LinkError) {
        if self.closed.is_some() {
            return;
        }
        let mut ids: Vec<u32> = self.streams.drain().map(|(id, _)| id).collect();
        ids.sort_unstable();
        for id in ids {
            let (status, message) = (GrpcStatus::Unavailable, error.to_string());
            self.events.push_back(Event::Closed {
                stream: StreamId(id),
                status,
                message,
            });
        }
        self.sched.clear();
        self.updates.clear();
        self.queued = 0;
        self.events.push_back(Event::LinkClosed { error: error.clone() });
        self.closed = Some(error);
    }
}
