//! What clients send: frames, header blocks, and what they mean; every kind of flood has its bound here.

use super::super::limits::{BODY_PAUSE_MAX, HEAD_TIME_MAX, KEEP_ALIVE_TIME_MAX};
use super::super::within;
use super::{
    CONNECTION_WINDOW_BYTES, CONTROL_BYTES_MAX, Connection, FRAME_BYTES, Fault, HEAD_BYTES_MAX, QUEUE_BYTES_MAX,
    STREAMS_MAX, Stream, WINDOW_BYTES, WINDOW_MAX, fault,
};
use codecs::http::h2::HeadFields;
use reactor::Buf;
use std::rc::Rc;
use std::time::Instant;
use tunnel::frame::{self, ErrorCode, FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM, FLAG_PADDED, Header, Kind, Setting};
use tunnel::hpack::Decoder;

/// CONTINUATION frames of one block (CVE-2024-27316).
const CONTINUATIONS_MAX: u32 = 8;

/// Frames that cost us more than the client (resets, pings, settings, empty and late frames): so many at once …
const NUISANCES_BURST: u32 = 400;

/// … and so many more per second, then the connection ends with ENHANCE_YOUR_CALM (CVE-2023-44487 and its kin).
const NUISANCES_PER_SECOND: u32 = 100;

/// Everything that the client sends, frame by frame.
pub(super) async fn read(connection: &Rc<Connection>, early: Vec<u8>) -> Result<(), Fault> {
    let mut reader = FrameReader {
        connection,
        buffer: early,
    };
    if !reader.preface().await? {
        return Ok(());
    }
    connection.control(|out| {
        frame::put_settings(
            out,
            &[
                Setting::MaxConcurrentStreams(STREAMS_MAX),
                Setting::InitialWindowSize(WINDOW_BYTES),
                Setting::MaxHeaderListSize(HEAD_BYTES_MAX as u32),
            ],
        );
        frame::put_window_update(out, 0, CONNECTION_WINDOW_BYTES - 65_535);
    });
    let mut state = Receive {
        connection,
        decoder: Decoder::default(),
        last: 0,
        nuisances: NUISANCES_BURST,
        refilled: reactor::now(),
    };
    let mut first = true;
    while let Some((header, payload)) = reader.frame().await? {
        if first && (header.kind != Kind::Settings || header.has(FLAG_ACK)) {
            return fault(ErrorCode::PROTOCOL_ERROR, "the first frame is no SETTINGS");
        }
        first = false;
        if header.kind == Kind::Headers {
            let block = reader.block(&header, payload).await?;
            state.headers(&header, &block)?;
        } else {
            state.frame(&header, payload)?;
        }
        if connection.queue.borrow().len() > QUEUE_BYTES_MAX + CONTROL_BYTES_MAX {
            return fault(ErrorCode::ENHANCE_YOUR_CALM, "answers are not read");
        }
    }
    Ok(())
}

struct FrameReader<'a> {
    connection: &'a Rc<Connection>,
    buffer: Vec<u8>,
}

impl FrameReader<'_> {
    /// False: the client is gone.
    async fn preface(&mut self) -> Result<bool, Fault> {
        let complete = within(HEAD_TIME_MAX, self.fill(frame::PREFACE.len()))
            .await
            .unwrap_or(false);
        if !complete {
            return Ok(false);
        }
        if !self.buffer.starts_with(frame::PREFACE) {
            return fault(ErrorCode::PROTOCOL_ERROR, "no HTTP/2 preface");
        }
        self.buffer.drain(..frame::PREFACE.len());
        Ok(true)
    }

    /// The next frame; `None` when the client is gone or idle for too long.
    async fn frame(&mut self) -> Result<Option<(Header, Vec<u8>)>, Fault> {
        loop {
            let wait = within(KEEP_ALIVE_TIME_MAX, self.fill(frame::HEADER_BYTES)).await;
            match wait {
                Some(true) => break,
                Some(false) => return Ok(None),
                None if self.connection.active.get() == 0 => return Ok(None),
                None => {}
            }
        }
        let Some(bytes) = self.buffer.first_chunk::<{ frame::HEADER_BYTES }>() else {
            return Ok(None);
        };
        let header = Header::parse(bytes);
        header.check(FRAME_BYTES as u32)?;
        let whole = frame::HEADER_BYTES + header.len as usize;
        if within(BODY_PAUSE_MAX, self.fill(whole)).await != Some(true) {
            return Ok(None);
        }
        let payload = self.buffer.get(frame::HEADER_BYTES..whole).unwrap_or_default().to_vec();
        self.buffer.drain(..whole);
        Ok(Some((header, payload)))
    }

    /// A whole header block: the frame's, and those of the CONTINUATION frames that follow it.
    async fn block(&mut self, header: &Header, payload: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let mut block = frame::headers_fragment(header, &payload)?.to_vec();
        let mut ended = header.has(FLAG_END_HEADERS);
        let mut count = 0;
        while !ended {
            count += 1;
            if count > CONTINUATIONS_MAX || block.len() > HEAD_BYTES_MAX {
                return fault(ErrorCode::ENHANCE_YOUR_CALM, "a header block in too many frames");
            }
            let next = within(HEAD_TIME_MAX, self.frame()).await;
            let Some(Ok(Some((next, payload)))) = next else {
                return fault(ErrorCode::PROTOCOL_ERROR, "a header block did not end");
            };
            if next.kind != Kind::Continuation || next.stream != header.stream {
                return fault(ErrorCode::PROTOCOL_ERROR, "a frame inside of a header block");
            }
            block.extend_from_slice(&payload);
            ended = next.has(FLAG_END_HEADERS);
        }
        Ok(block)
    }

    async fn fill(&mut self, bytes: usize) -> bool {
        while self.buffer.len() < bytes {
            match self.connection.transport.recv().await {
                Ok(received) if !received.is_empty() => self.buffer.extend_from_slice(&received),
                _ => return false,
            }
        }
        true
    }
}

/// What frames of the client mean.
struct Receive<'a> {
    connection: &'a Rc<Connection>,
    decoder: Decoder,
    last: u32,
    nuisances: u32,
    refilled: Instant,
}

impl Receive<'_> {
    /// A frame that costs the client less than us.
    fn nuisance(&mut self) -> Result<(), Fault> {
        let now = reactor::now();
        let seconds = now.duration_since(self.refilled).as_secs();
        if seconds > 0 {
            self.refilled = now;
            let more = u32::try_from(seconds)
                .unwrap_or(u32::MAX)
                .saturating_mul(NUISANCES_PER_SECOND);
            self.nuisances = self.nuisances.saturating_add(more).min(NUISANCES_BURST);
        }
        match self.nuisances.checked_sub(1) {
            Some(left) => {
                self.nuisances = left;
                Ok(())
            }
            None => fault(
                ErrorCode::ENHANCE_YOUR_CALM,
                "too many resets, pings, settings or empty frames",
            ),
        }
    }

    fn frame(&mut self, header: &Header, payload: Vec<u8>) -> Result<(), Fault> {
        let connection = self.connection;
        match header.kind {
            Kind::Data => self.data(header, payload),
            Kind::Settings if header.has(FLAG_ACK) => Ok(()),
            Kind::Settings => {
                self.nuisance()?;
                self.settings(&payload)
            }
            Kind::Ping if header.has(FLAG_ACK) => Ok(()),
            Kind::Ping => {
                self.nuisance()?;
                let opaque = payload.first_chunk::<8>().copied().unwrap_or_default();
                connection.control(|out| frame::put_ping(out, true, opaque));
                Ok(())
            }
            Kind::RstStream => {
                self.nuisance()?;
                if header.stream > self.last {
                    return fault(ErrorCode::PROTOCOL_ERROR, "RST_STREAM of an idle stream");
                }
                connection.reset_by_peer(header.stream);
                Ok(())
            }
            Kind::WindowUpdate => self.window(header.stream, frame::u31(&payload)),
            Kind::Continuation => fault(ErrorCode::PROTOCOL_ERROR, "CONTINUATION without HEADERS"),
            Kind::GoAway => {
                connection.closing.set(true);
                Ok(())
            }
            _ => self.nuisance(),
        }
    }

    fn settings(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let connection = self.connection;
        for setting in frame::settings(payload) {
            match setting? {
                Setting::HeaderTableSize(bytes) => connection.encoder.borrow_mut().resize(bytes),
                Setting::InitialWindowSize(bytes) => {
                    let delta = i64::from(bytes) - connection.peer_window.get();
                    connection.peer_window.set(i64::from(bytes));
                    for stream in connection.streams.borrow().values() {
                        let window = stream.send_window.get() + delta;
                        if window > WINDOW_MAX {
                            return fault(ErrorCode::FLOW_CONTROL_ERROR, "a window is too large");
                        }
                        stream.send_window.set(window);
                        stream.writable.notify_one();
                    }
                }
                Setting::MaxFrameSize(bytes) => connection.peer_frame.set((bytes as usize).min(FRAME_BYTES)),
                _ => {}
            }
        }
        connection.control(frame::put_settings_ack);
        Ok(())
    }

    fn window(&mut self, stream: u32, increment: u32) -> Result<(), Fault> {
        let connection = self.connection;
        if stream == 0 {
            let window = connection.send_window.get() + i64::from(increment);
            if increment == 0 || window > WINDOW_MAX {
                return fault(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "a window update of nothing, or too large",
                );
            }
            connection.send_window.set(window);
            connection.opened.notify_one();
            connection.opened.notify_all();
            return Ok(());
        }
        if stream > self.last {
            return fault(ErrorCode::PROTOCOL_ERROR, "WINDOW_UPDATE of an idle stream");
        }
        let found = connection.streams.borrow().get(&stream).cloned();
        let Some(found) = found else {
            return self.nuisance();
        };
        let window = found.send_window.get() + i64::from(increment);
        if increment == 0 || window > WINDOW_MAX {
            connection.reset(stream, ErrorCode::FLOW_CONTROL_ERROR);
            return Ok(());
        }
        found.send_window.set(window);
        found.writable.notify_one();
        Ok(())
    }

    fn data(&mut self, header: &Header, payload: Vec<u8>) -> Result<(), Fault> {
        let connection = self.connection;
        let all = payload.len() as i64;
        let mut content = Buf::from(payload);
        if header.has(FLAG_PADDED) {
            let padding = usize::from(*content.first().unwrap_or(&0));
            if padding + 1 > content.len() {
                return fault(ErrorCode::PROTOCOL_ERROR, "padding longer than the frame");
            }
            content.advance(1);
            content.truncate(content.len() - padding);
        }
        if header.stream > self.last {
            return fault(ErrorCode::PROTOCOL_ERROR, "DATA of an idle stream");
        }
        if all > 0 {
            connection.control(|out| frame::put_window_update(out, 0, all as u32));
        }
        let stream = connection.streams.borrow().get(&header.stream).cloned();
        let Some(stream) = stream.filter(|stream| !stream.ended.get()) else {
            self.nuisance()?;
            connection.control(|out| frame::put_rst_stream(out, header.stream, ErrorCode::STREAM_CLOSED));
            return Ok(());
        };
        if content.is_empty() {
            self.nuisance()?;
        }
        let window = stream.receive_window.get() - all;
        stream.receive_window.set(window);
        let announced = stream.announced.get();
        let left = announced.map(|announced| announced.checked_sub(content.len() as u64));
        if window < 0 || left == Some(None) {
            stream.malformed.set(true);
            connection.reset(header.stream, ErrorCode::FLOW_CONTROL_ERROR);
            return Ok(());
        }
        stream.announced.set(left.flatten());
        // Padding is given back at once; content when it has gone on.
        let padding = all - content.len() as i64;
        if padding > 0 {
            stream.receive_window.set(window + padding);
            connection.control(|out| frame::put_window_update(out, header.stream, padding as u32));
        }
        if !content.is_empty() {
            stream.inbox.borrow_mut().push_back(content);
        }
        if header.has(FLAG_END_STREAM) {
            self.end_of_body(&stream);
        }
        stream.arrived.notify_one();
        Ok(())
    }

    fn end_of_body(&self, stream: &Rc<Stream>) {
        if stream.announced.get().is_some_and(|left| left > 0) {
            stream.malformed.set(true);
            self.connection.reset(stream.id, ErrorCode::PROTOCOL_ERROR);
        }
        stream.ended.set(true);
        stream.arrived.notify_one();
    }

    fn headers(&mut self, header: &Header, block: &[u8]) -> Result<(), Fault> {
        let connection = self.connection;
        let mut fields = HeadFields::default();
        // Every block is decoded, also that of a refused stream: the tables of both ends must stay the same.
        let decoded = self
            .decoder
            .decode(block, |name, value| fields.take(name, value, HEAD_BYTES_MAX));
        if decoded.is_err() {
            return fault(ErrorCode::COMPRESSION_ERROR, "a header block cannot be decoded");
        }
        let known = connection.streams.borrow().get(&header.stream).cloned();
        if let Some(stream) = known {
            // Trailers: their end counts, their fields go no further.
            if stream.ended.get() || !header.has(FLAG_END_STREAM) {
                return fault(ErrorCode::PROTOCOL_ERROR, "HEADERS that are no trailers");
            }
            self.end_of_body(&stream);
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
            self.nuisance()?;
            connection.control(|out| frame::put_rst_stream(out, header.stream, ErrorCode::REFUSED_STREAM));
            return Ok(());
        }
        let ended = header.has(FLAG_END_STREAM);
        let head = match fields.into_request(ended) {
            Ok(head) => head,
            Err(reason) => {
                self.nuisance()?;
                tracing::info!(client = %connection.origin.peer, reason, "a malformed request was refused");
                connection.control(|out| frame::put_rst_stream(out, header.stream, ErrorCode::PROTOCOL_ERROR));
                return Ok(());
            }
        };
        connection.begin(header.stream, head, ended);
        Ok(())
    }
}
