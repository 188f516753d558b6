//! What arrives on a link: bytes to frames, however they are cut, and what each frame does.
//!
//! ```text
//! Preface (server) --> Header --DATA--> Data: payload leaves as slices of the chunks it came in
//!                       ^  |   \------------------------------------------> Header
//!                       |  +--others--> Frame: collected when cut, else read in place
//!                       +-----------------/
//! ```

use super::{Event, Mux, Role, transmit::put_end};
use crate::{
    ErrorCode, GrpcStatus, LinkError, Payload, StreamId,
    frame::{self, Bad, FLAG_END_STREAM, FLAG_PADDED, HEADER_BYTES, Header, Kind, PREFACE},
    grpc::{BadMessage, Step},
    limits::{CONTINUATION_FRAMES_MAX, CONTROL_QUEUE_BYTES_MAX, SLICE_SHARE_MIN},
    stream::{Local, Stream},
};
use std::{collections::VecDeque, time::Duration};

mod control;
mod head;

/// Where in the byte stream we are.
pub(super) enum Input {
    /// Server role: so much of the preface was seen.
    Preface(usize),
    /// Collecting a frame header.
    Header([u8; HEADER_BYTES], usize),
    /// Collecting the payload of a frame that was cut.
    Frame(Header, Vec<u8>),
    /// In the payload of a DATA frame.
    Data(Data),
}

impl Input {
    pub(super) fn start(role: Role) -> Self {
        match role {
            Role::Client => Self::HEADER,
            Role::Server => Self::Preface(0),
        }
    }

    const HEADER: Self = Self::Header([0; HEADER_BYTES], 0);
}

/// The rest of a DATA frame; also of a frame that is skipped (stream 0 then).
#[derive(Clone, Copy)]
pub(super) struct Data {
    stream: u32,
    left: u32,
    /// The pad length byte is still to come.
    padded: bool,
    padding: u32,
    end: bool,
}

/// A header block that is not complete.
pub(super) struct Block {
    stream: u32,
    end: bool,
    bytes: Vec<u8>,
    continuations: u32,
}

/// A chunk from the socket and how far it was read.
struct Chunk<B> {
    buf: B,
    at: usize,
    /// Its length as it came.
    len: usize,
}

impl<B: Payload> Chunk<B> {
    #[inline]
    fn rest(&self) -> &[u8] {
        self.buf.as_ref().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn skip(&mut self, n: usize) {
        self.at += n;
    }

    /// The next `n` bytes: cut off, the chunk itself when that is all of it, or a copy when they are a small part of it.
    #[inline]
    fn take(&mut self, n: usize) -> B {
        if n < self.len / SLICE_SHARE_MIN {
            let copy = B::from_slice(self.rest().get(..n).unwrap_or_default());
            self.at += n;
            return copy;
        }
        if self.at > 0 {
            self.buf.advance(self.at);
            self.at = 0;
        }
        if n == self.buf.as_ref().len() {
            return std::mem::replace(&mut self.buf, B::from_vec(Vec::new()));
        }
        self.buf.split_to(n)
    }
}

impl From<Bad> for LinkError {
    fn from(Bad { code, what }: Bad) -> Self {
        Self::Protocol { code, what }
    }
}

type Done = Result<(), LinkError>;

impl<B: Payload> Mux<B> {
    /// Bytes from the socket, cut anywhere. An error is also reported as `Event::LinkClosed`, and the GOAWAY that tells the
    /// peer is ready to be transmitted. After the link is over nothing more is taken.
    pub fn feed(&mut self, input: B, now: Duration) -> Result<(), LinkError> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        self.now = now;
        self.keepalive.heard(now);
        let len = input.as_ref().len();
        let mut chunk = Chunk { buf: input, at: 0, len };
        let done = self.read(&mut chunk).and_then(|()| {
            let full = self.control.len() > CONTROL_QUEUE_BYTES_MAX;
            if full {
                Err(LinkError::calm("peer does not read our answers"))
            } else {
                Ok(())
            }
        });
        done.inspect_err(|error| self.fail(error))
    }

    /// Tells the peer what it did wrong and closes the link.
    fn fail(&mut self, error: &LinkError) {
        if let LinkError::Protocol { code, what } = error {
            let last = if self.role == Role::Server { self.stream_id } else { 0 };
            frame::put_goaway(&mut self.control, last, *code, what);
        }
        self.close(error.clone());
    }

    fn read(&mut self, chunk: &mut Chunk<B>) -> Done {
        while self.closed.is_none() && !chunk.rest().is_empty() {
            match &mut self.input {
                Input::Header(_, 0) if chunk.rest().len() >= HEADER_BYTES => {
                    if let Some(bytes) = chunk.rest().first_chunk::<HEADER_BYTES>() {
                        let header = Header::parse(bytes);
                        chunk.skip(HEADER_BYTES);
                        self.begin(header, chunk)?;
                    }
                }
                Input::Header(have, n) => {
                    let rest = chunk.rest();
                    let take = (HEADER_BYTES - *n).min(rest.len());
                    for (slot, byte) in have.iter_mut().skip(*n).zip(rest) {
                        *slot = *byte;
                    }
                    *n += take;
                    let header = (*n == HEADER_BYTES).then(|| Header::parse(have));
                    chunk.skip(take);
                    if let Some(header) = header {
                        self.begin(header, chunk)?;
                    }
                }
                Input::Data(data) => {
                    let data = *data;
                    self.data(data, chunk)?;
                }
                Input::Frame(header, have) => {
                    let (header, rest) = (*header, chunk.rest());
                    let take = (header.len as usize - have.len()).min(rest.len());
                    have.extend_from_slice(rest.get(..take).unwrap_or_default());
                    let whole = (have.len() == header.len as usize).then(|| std::mem::take(have));
                    chunk.skip(take);
                    if let Some(payload) = whole {
                        self.input = Input::HEADER;
                        self.frame(&header, &payload)?;
                    }
                }
                Input::Preface(seen) => {
                    let wanted = PREFACE.get(*seen..).unwrap_or_default();
                    let n = wanted.len().min(chunk.rest().len());
                    if chunk.rest().get(..n) != wanted.get(..n) {
                        return Err(LinkError::protocol("not an HTTP/2 preface"));
                    }
                    *seen += n;
                    if *seen == PREFACE.len() {
                        self.input = Input::HEADER;
                    }
                    chunk.skip(n);
                }
            }
        }
        Ok(())
    }

    /// A frame header was read.
    #[inline]
    fn begin(&mut self, header: Header, chunk: &mut Chunk<B>) -> Done {
        self.input = Input::HEADER;
        header.check(self.limits.frame_bytes_max)?;
        if header.kind == Kind::Data && self.settings_seen && self.block.is_none() {
            return self.begin_data(&header, chunk);
        }
        self.check_order(&header)?;
        let len = header.len as usize;
        if header.kind == Kind::Unknown {
            // An extension (RFC 9113, 5.5) is skipped without being kept.
            self.empty_frame()?;
            let skipped = Data {
                stream: 0,
                left: header.len,
                padded: false,
                padding: 0,
                end: false,
            };
            return self.data(skipped, chunk);
        }
        match chunk.rest().get(..len) {
            Some(payload) => {
                // Only frames that are short or rare come here, so reading them in place borrows nothing for long.
                self.frame(&header, payload)?;
                chunk.skip(len);
            }
            None => self.input = Input::Frame(header, Vec::with_capacity(len.min(4096))),
        }
        Ok(())
    }

    /// Which frame may come now (RFC 9113, 3.4 and 6.10), and how large header blocks may be.
    fn check_order(&self, header: &Header) -> Done {
        if !self.settings_seen && (header.kind != Kind::Settings || header.has(frame::FLAG_ACK)) {
            return Err(LinkError::protocol("first frame is not SETTINGS"));
        }
        match &self.block {
            Some(b) if header.kind != Kind::Continuation || header.stream != b.stream => {
                return Err(LinkError::protocol("header block interrupted"));
            }
            None if header.kind == Kind::Continuation => {
                return Err(LinkError::protocol("CONTINUATION without HEADERS"));
            }
            _ => {}
        }
        if matches!(header.kind, Kind::Headers | Kind::Continuation) {
            let (have, frames) = self.block.as_ref().map_or((0, 0), |b| (b.bytes.len(), b.continuations));
            if have + header.len as usize > self.limits.header_list_bytes_max as usize + 512 {
                return Err(LinkError::calm("header block too large"));
            }
            if frames >= CONTINUATION_FRAMES_MAX {
                return Err(LinkError::calm("too many CONTINUATION frames"));
            }
        }
        Ok(())
    }

    fn empty_frame(&mut self) -> Done {
        if self.floods.empty.take(self.now) {
            Ok(())
        } else {
            Err(LinkError::calm("flood of empty frames"))
        }
    }

    /// Whether the peer, or we, ever opened this stream.
    fn is_idle(&self, id: u32) -> bool {
        match self.role {
            Role::Client => id.is_multiple_of(2) || id >= self.stream_id,
            Role::Server => id.is_multiple_of(2) || id > self.stream_id,
        }
    }

    /// The header of a DATA frame: windows are charged for the whole frame at once (RFC 9113, 6.9.1).
    #[inline]
    fn begin_data(&mut self, header: &Header, chunk: &mut Chunk<B>) -> Done {
        let (id, len) = (header.stream, header.len);
        if !self.recv.received(len) {
            let what = "connection window overrun";
            return Err(LinkError::Protocol {
                code: ErrorCode::FLOW_CONTROL_ERROR,
                what,
            });
        }
        // Given back on receipt: memory is bounded by the windows of the streams, and none of them waits for another.
        self.recv.consumed(len);
        let end = header.has(FLAG_END_STREAM);
        let padded = header.has(FLAG_PADDED);
        if padded && len == 0 {
            return Err(Bad::size("PADDED frame without pad length").into());
        }
        let Some(s) = self.streams.get_mut(&id) else {
            if self.is_idle(id) {
                return Err(LinkError::protocol("DATA on an idle stream"));
            }
            self.empty_frame()?;
            return self.data(
                Data {
                    stream: id,
                    left: len,
                    padded,
                    padding: 0,
                    end,
                },
                chunk,
            );
        };
        let within = s.recv.received(len);
        let fault = match () {
            () if s.remote_done => Some((ErrorCode::STREAM_CLOSED, "DATA after END_STREAM")),
            () if !within => Some((ErrorCode::FLOW_CONTROL_ERROR, "stream window overrun")),
            () if self.role == Role::Client && !s.head_seen => Some((ErrorCode::PROTOCOL_ERROR, "DATA before HEADERS")),
            () => None,
        };
        let mut data = Data {
            stream: id,
            left: len,
            padded,
            padding: 0,
            end,
        };
        match fault {
            None if len == 0 && !end => self.empty_frame()?,
            // What nearly every frame is: read at once, without looking its stream up again.
            None if !padded => {
                let n = (len as usize).min(chunk.rest().len());
                data.left -= n as u32;
                let read = read_messages(id, s, n, chunk, &mut self.events);
                self.messages_read(id, read)?;
            }
            None => {}
            Some((code, what)) => self.stream_error(id, code, GrpcStatus::Internal, what)?,
        }
        self.data(data, chunk)
    }

    /// Goes on in a DATA frame as far as the chunk reaches.
    #[inline]
    fn data(&mut self, mut data: Data, chunk: &mut Chunk<B>) -> Done {
        if data.padded
            && let Some(&padding) = chunk.rest().first()
        {
            chunk.skip(1);
            data.padded = false;
            data.padding = u32::from(padding);
            data.left = data
                .left
                .checked_sub(data.padding + 1)
                .ok_or(LinkError::protocol("padding longer than the frame"))?;
            self.credit_stream(data.stream, data.padding + 1);
        }
        if !data.padded {
            let n = (data.left as usize).min(chunk.rest().len());
            if n > 0 {
                self.content(data.stream, n, chunk)?;
                data.left -= n as u32;
            }
            let n = if data.left == 0 {
                (data.padding as usize).min(chunk.rest().len())
            } else {
                0
            };
            chunk.skip(n);
            data.padding -= n as u32;
        }
        if data.padded || data.left > 0 || data.padding > 0 {
            self.input = Input::Data(data);
            return Ok(());
        }
        self.input = Input::HEADER;
        if data.end { self.remote_end(data.stream) } else { Ok(()) }
    }

    fn credit_stream(&mut self, id: u32, n: u32) {
        if let Some(s) = self.streams.get_mut(&id) {
            Self::credit(&mut self.updates, id, s, n);
        }
    }

    /// `n` bytes of a stream's messages, all in the chunk.
    fn content(&mut self, id: u32, n: usize, chunk: &mut Chunk<B>) -> Done {
        let Some(s) = self.streams.get_mut(&id) else {
            chunk.skip(n);
            return Ok(());
        };
        let read = read_messages(id, s, n, chunk, &mut self.events);
        self.messages_read(id, read)
    }

    /// Framing and messages are given back at once; payload when the user releases it.
    #[inline]
    fn messages_read(&mut self, id: u32, read: Result<bool, BadMessage>) -> Done {
        match read {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.credit_stream(id, 0);
                Ok(())
            }
            Err(bad) => self.stream_error(id, ErrorCode::INTERNAL_ERROR, bad.0, bad.1),
        }
    }

    /// END_STREAM from the peer.
    fn remote_end(&mut self, id: u32) -> Done {
        let Some(s) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        if !s.decoder.at_boundary() {
            return self.stream_error(
                id,
                ErrorCode::PROTOCOL_ERROR,
                GrpcStatus::Internal,
                "stream ends inside a message",
            );
        }
        match self.role {
            Role::Server => {
                s.remote_done = true;
                self.events.push_back(Event::Half { stream: StreamId(id) });
            }
            Role::Client => self.answered(id, GrpcStatus::Internal, "answer ends without trailers".to_owned()),
        }
        Ok(())
    }

    /// Client role: the answer is complete, so the stream is over. Our side of it is ended too.
    fn answered(&mut self, id: u32, status: GrpcStatus, message: String) {
        let Some(s) = self.streams.get(&id) else {
            return;
        };
        match (&s.local, s.queued()) {
            (Local::Done, _) => {}
            (_, 0) => put_end(&mut self.control, id),
            _ => frame::put_rst_stream(&mut self.control, id, ErrorCode::CANCEL),
        }
        self.gone(id, status, message);
    }

    /// The peer broke the rules of one stream.
    fn stream_error(&mut self, id: u32, code: ErrorCode, status: GrpcStatus, what: &str) -> Done {
        frame::put_rst_stream(&mut self.control, id, code);
        self.gone(id, status, what.to_owned());
        self.count_reset()
    }

    /// Forgets a stream and tells the user. The order of events is: the stream's end, then what follows from it.
    fn gone(&mut self, id: u32, status: GrpcStatus, message: String) {
        if self.streams.contains_key(&id) {
            self.events.push_back(Event::Closed {
                stream: StreamId(id),
                status,
                message,
            });
            self.remove(id);
        }
    }

    fn count_reset(&mut self) -> Done {
        if self.floods.resets.take(self.now) {
            Ok(())
        } else {
            Err(LinkError::calm("flood of resets"))
        }
    }
}

/// Reads `n` bytes of a stream's messages, all in the chunk. True when so much of it was consumed that credit is due.
#[inline]
fn read_messages<B: Payload>(
    id: u32,
    s: &mut Stream<B>,
    n: usize,
    chunk: &mut Chunk<B>,
    events: &mut VecDeque<Event<B>>,
) -> Result<bool, BadMessage> {
    let stream = StreamId(id);
    let mut left = n;
    let mut consumed = 0;
    while left > 0 {
        let rest = chunk.rest();
        let used = match s.decoder.step(rest.get(..left).unwrap_or(rest)) {
            Ok(Step::Skip(used)) => {
                chunk.skip(used);
                used
            }
            Ok(Step::Message(used, message)) => {
                chunk.skip(used);
                events.push_back(Event::Message { stream, message });
                used
            }
            Ok(Step::Payload(used, payload)) => {
                chunk.skip(used);
                if payload > 0 {
                    let data = chunk.take(payload);
                    s.unreleased += payload as u32;
                    left -= payload;
                    events.push_back(Event::Data { stream, data });
                }
                used
            }
            Err(bad) => {
                chunk.skip(left);
                return Err(bad);
            }
        };
        left -= used;
        consumed += used as u32;
    }
    Ok(s.recv.consumed(consumed))
}
