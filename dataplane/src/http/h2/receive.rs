//! What a peer sends: frames, header blocks, and what they mean for either role; every kind of flood has its bound here.

use super::super::limits::{BODY_PAUSE_MAX, HEAD_TIME_MAX};
use super::super::within;
use super::wire::{FRAME_BYTES, Fault, Flow, QUEUE_BYTES_MAX, WINDOW_MAX, Wire, fault};
use codecs::http::h2::HeadFields;
use reactor::Buf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tunnel::frame::{self, ErrorCode, FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM, FLAG_PADDED, Header, Kind, Setting};
use tunnel::hpack::Decoder;

/// Encoded header block, and decoded header list, bytes.
pub const HEAD_BYTES_MAX: usize = codecs::http::limits::HEAD_BYTES_MAX;
/// Receive window of the connection, bytes; given back on receipt, so that no stream waits for another.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// CONTINUATION frames of one block (CVE-2024-27316).
const CONTINUATIONS_MAX: u32 = 8;
/// Control frames that wait because the peer does not read; more ends the connection.
const CONTROL_BYTES_MAX: usize = 64 * 1024;
/// Frames that cost us more than the peer (resets, pings, settings, empty and late frames): so many at once …
const NUISANCES_BURST: u32 = 400;
/// … and so many more per second and one for each frame of content that we sent, then the connection ends with
/// ENHANCE_YOUR_CALM (CVE-2023-44487 and its kin).
const NUISANCES_PER_SECOND: u32 = 100;

/// What differs between those who ask and those who answer.
pub trait Role {
    /// A whole header block.
    ///
    /// # Errors
    /// What ends the connection.
    fn headers(&mut self, header: &Header, fields: HeadFields, toll: &mut Toll) -> Result<(), Fault>;
    /// Whether a stream of this number has not been begun.
    fn is_idle(&self, stream: u32) -> bool;
    /// The peer begins no stream any more, or serves none above `last`.
    fn going_away(&mut self, last: u32);
    /// Whether silence is no reason to end the connection.
    fn may_be_silent(&self) -> bool;
    /// Longest silence otherwise.
    const SILENCE_MAX: Duration;
}

/// Frames that cost the peer less than us, counted.
pub struct Toll {
    wire: Rc<Wire>,
    left: u32,
    refilled: Instant,
}

impl Toll {
    pub fn new(wire: &Rc<Wire>) -> Toll {
        Toll {
            wire: wire.clone(),
            left: NUISANCES_BURST,
            refilled: reactor::now(),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// There were too many.
    pub fn pay(&mut self) -> Result<(), Fault> {
        let now = reactor::now();
        let seconds = now.duration_since(self.refilled).as_secs();
        let mut more = self.wire.data_frames.take();
        if seconds > 0 {
            self.refilled = now;
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            more = more.saturating_add(seconds.saturating_mul(NUISANCES_PER_SECOND));
        }
        self.left = self.left.saturating_add(more).min(NUISANCES_BURST);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => fault(
                ErrorCode::ENHANCE_YOUR_CALM,
                "too many resets, pings, settings or empty frames",
            ),
        }
    }
}

/// Reads frame by frame until the peer is gone.
///
/// # Errors
/// What ends the connection.
pub async fn read<R: Role>(wire: &Rc<Wire>, role: &mut R, reader: &mut FrameReader) -> Result<(), Fault> {
    let mut receive = Receive {
        wire,
        decoder: Decoder::default(),
        toll: Toll::new(wire),
        role,
    };
    let mut first = true;
    while let Some((header, payload)) = reader.frame(wire, receive.role).await? {
        if first && (header.kind != Kind::Settings || header.has(FLAG_ACK)) {
            return fault(ErrorCode::PROTOCOL_ERROR, "the first frame is no SETTINGS");
        }
        first = false;
        if header.kind == Kind::Headers {
            let block = reader.block(wire, receive.role, &header, &payload).await?;
            receive.headers(&header, &block)?;
        } else {
            receive.frame(&header, payload)?;
        }
        if wire.queued_bytes() > QUEUE_BYTES_MAX + CONTROL_BYTES_MAX {
            return fault(ErrorCode::ENHANCE_YOUR_CALM, "what we send is not read");
        }
    }
    Ok(())
}

/// Cuts what arrives into frames.
pub struct FrameReader {
    current: Buf,
}

impl FrameReader {
    /// `early`: bytes that were received already.
    pub fn new(early: Vec<u8>) -> FrameReader {
        FrameReader {
            current: Buf::from(early),
        }
    }

    /// Takes a client's preface. False: the client is gone.
    ///
    /// # Errors
    /// Something else came.
    pub async fn preface(&mut self, wire: &Wire) -> Result<bool, Fault> {
        let complete = within(HEAD_TIME_MAX, self.fill(wire, frame::PREFACE.len())).await;
        if complete != Some(true) {
            return Ok(false);
        }
        if !self.current.starts_with(frame::PREFACE) {
            return fault(ErrorCode::PROTOCOL_ERROR, "no HTTP/2 preface");
        }
        self.current.advance(frame::PREFACE.len());
        Ok(true)
    }

    /// The next frame; `None` when the peer is gone or idle for too long.
    async fn frame<R: Role>(&mut self, wire: &Wire, role: &R) -> Result<Option<(Header, Buf)>, Fault> {
        while self.current.len() < frame::HEADER_BYTES {
            match within(R::SILENCE_MAX, self.fill(wire, frame::HEADER_BYTES)).await {
                Some(true) => break,
                Some(false) => return Ok(None),
                None if role.may_be_silent() => {}
                None => return Ok(None),
            }
        }
        let Some(bytes) = self.current.first_chunk::<{ frame::HEADER_BYTES }>() else {
            return Ok(None);
        };
        let header = Header::parse(bytes);
        header.check(FRAME_BYTES as u32)?;
        let whole = frame::HEADER_BYTES + header.len as usize;
        if self.current.len() < whole && within(BODY_PAUSE_MAX, self.fill(wire, whole)).await != Some(true) {
            return Ok(None);
        }
        let mut payload = self.current.split_to(whole);
        payload.advance(frame::HEADER_BYTES);
        if self.current.is_empty() {
            // An empty view would keep its block for as long as the peer is silent.
            self.current = Buf::new();
        }
        Ok(Some((header, payload)))
    }

    /// A whole header block: the frame's, and those of the CONTINUATION frames that follow it.
    async fn block<R: Role>(
        &mut self,
        wire: &Wire,
        role: &R,
        header: &Header,
        payload: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let mut block = frame::headers_fragment(header, payload)?.to_vec();
        let mut ended = header.has(FLAG_END_HEADERS);
        let mut count = 0;
        while !ended {
            count += 1;
            if count > CONTINUATIONS_MAX || block.len() > HEAD_BYTES_MAX {
                return fault(ErrorCode::ENHANCE_YOUR_CALM, "a header block in too many frames");
            }
            let next = within(HEAD_TIME_MAX, self.frame(wire, role)).await;
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

    async fn fill(&mut self, wire: &Wire, bytes: usize) -> bool {
        while self.current.len() < bytes {
            match wire.pipe.recv().await {
                Ok(received) if received.is_empty() => return false,
                Ok(received) if self.current.is_empty() => self.current = received,
                Ok(received) => {
                    let mut joined = Vec::with_capacity(self.current.len() + received.len());
                    joined.extend_from_slice(&self.current);
                    joined.extend_from_slice(&received);
                    self.current = Buf::from(joined);
                }
                Err(_) => return false,
            }
        }
        true
    }
}

/// What frames mean.
struct Receive<'a, R> {
    wire: &'a Rc<Wire>,
    decoder: Decoder,
    toll: Toll,
    role: &'a mut R,
}

impl<R: Role> Receive<'_, R> {
    fn frame(&mut self, header: &Header, payload: Buf) -> Result<(), Fault> {
        let wire = self.wire;
        match header.kind {
            Kind::Data => self.data(header, payload),
            Kind::Settings if header.has(FLAG_ACK) => Ok(()),
            Kind::Settings => {
                self.toll.pay()?;
                self.settings(&payload)
            }
            Kind::Ping if header.has(FLAG_ACK) => Ok(()),
            Kind::Ping => {
                self.toll.pay()?;
                let opaque = payload.first_chunk::<8>().copied().unwrap_or_default();
                wire.control(|out| frame::put_ping(out, true, opaque));
                Ok(())
            }
            Kind::RstStream => {
                self.toll.pay()?;
                if self.role.is_idle(header.stream) {
                    return fault(ErrorCode::PROTOCOL_ERROR, "RST_STREAM of an idle stream");
                }
                wire.reset_by_peer(header.stream, ErrorCode(frame::u32_at(&payload, 0)));
                Ok(())
            }
            Kind::WindowUpdate => self.window(header.stream, frame::u31(&payload)),
            Kind::Continuation => fault(ErrorCode::PROTOCOL_ERROR, "CONTINUATION without HEADERS"),
            Kind::GoAway => {
                self.role.going_away(frame::u31(&payload));
                Ok(())
            }
            _ => self.toll.pay(),
        }
    }

    fn settings(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let wire = self.wire;
        for setting in frame::settings(payload) {
            match setting? {
                Setting::HeaderTableSize(bytes) => wire.encoder.borrow_mut().resize(bytes),
                Setting::InitialWindowSize(bytes) => wire.peer_window_changed(bytes)?,
                Setting::MaxFrameSize(bytes) => wire.peer_frame.set((bytes as usize).min(FRAME_BYTES)),
                Setting::MaxConcurrentStreams(streams) => wire.peer_streams_max.set(streams),
                _ => {}
            }
        }
        wire.control(frame::put_settings_ack);
        Ok(())
    }

    fn window(&mut self, stream: u32, increment: u32) -> Result<(), Fault> {
        let wire = self.wire;
        if stream == 0 {
            let window = wire.send_window.get() + i64::from(increment);
            if increment == 0 || window > WINDOW_MAX {
                return fault(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "a window update of nothing, or too large",
                );
            }
            wire.send_window.set(window);
            wire.opened.notify_one();
            wire.opened.notify_all();
            return Ok(());
        }
        if self.role.is_idle(stream) {
            return fault(ErrorCode::PROTOCOL_ERROR, "WINDOW_UPDATE of an idle stream");
        }
        let Some(flow) = wire.flow(stream) else {
            return self.toll.pay();
        };
        let window = flow.send_window.get() + i64::from(increment);
        if increment == 0 || window > WINDOW_MAX {
            wire.reset(stream, ErrorCode::FLOW_CONTROL_ERROR);
            return Ok(());
        }
        flow.send_window.set(window);
        flow.writable.notify_one();
        Ok(())
    }

    fn data(&mut self, header: &Header, payload: Buf) -> Result<(), Fault> {
        let wire = self.wire;
        let all = payload.len() as i64;
        // A copy: a slice would keep the whole block of the receive for as long as nobody takes it.
        let mut content = Buf::from(payload.to_vec());
        if header.has(FLAG_PADDED) {
            let padding = usize::from(*content.first().unwrap_or(&0));
            if padding + 1 > content.len() {
                return fault(ErrorCode::PROTOCOL_ERROR, "padding longer than the frame");
            }
            content.advance(1);
            content.truncate(content.len() - padding);
        }
        if self.role.is_idle(header.stream) {
            return fault(ErrorCode::PROTOCOL_ERROR, "DATA of an idle stream");
        }
        if all > 0 {
            wire.control(|out| frame::put_window_update(out, 0, all as u32));
        }
        let Some(flow) = wire.flow(header.stream).filter(|flow| !flow.ended.get()) else {
            self.toll.pay()?;
            wire.control(|out| frame::put_rst_stream(out, header.stream, ErrorCode::STREAM_CLOSED));
            return Ok(());
        };
        if content.is_empty() && !header.has(FLAG_END_STREAM) {
            self.toll.pay()?;
        }
        let window = flow.receive_window.get() - all;
        flow.receive_window.set(window);
        let announced = flow.announced.get();
        let left = announced.map(|announced| announced.checked_sub(content.len() as u64));
        if window < 0 || left == Some(None) {
            flow.malformed.set(true);
            wire.reset(header.stream, ErrorCode::FLOW_CONTROL_ERROR);
            return Ok(());
        }
        flow.announced.set(left.flatten());
        // Padding is given back at once; content when it has gone on.
        let padding = all - content.len() as i64;
        if padding > 0 {
            flow.receive_window.set(window + padding);
            wire.control(|out| frame::put_window_update(out, header.stream, padding as u32));
        }
        if !content.is_empty() {
            flow.push(content);
        }
        if header.has(FLAG_END_STREAM) {
            end_of_body(wire, &flow);
        }
        flow.arrived.notify_one();
        Ok(())
    }

    fn headers(&mut self, header: &Header, block: &[u8]) -> Result<(), Fault> {
        let mut fields = HeadFields::default();
        // Every block is decoded, also that of a refused stream: the tables of both ends must stay the same.
        let decoded = self
            .decoder
            .decode(block, |name, value| fields.take(name, value, HEAD_BYTES_MAX));
        if decoded.is_err() {
            return fault(ErrorCode::COMPRESSION_ERROR, "a header block cannot be decoded");
        }
        self.role.headers(header, fields, &mut self.toll)
    }
}

/// The peer has sent all.
pub fn end_of_body(wire: &Wire, flow: &Flow) {
    if flow.announced.get().is_some_and(|left| left > 0) {
        flow.malformed.set(true);
        wire.reset(flow.id, ErrorCode::PROTOCOL_ERROR);
    }
    flow.ended.set(true);
    flow.arrived.notify_one();
}
