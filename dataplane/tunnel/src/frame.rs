//! HTTP/2 frames: the nine-byte header and a checked view of every type (RFC 9113, sections 4 and 6).
//!
//! ```text
//! +-----------------------------------------------+
//! |                 Length (24)                   |
//! +---------------+---------------+---------------+
//! |   Type (8)    |   Flags (8)   |
//! +-+-------------+---------------+-------------------------------+
//! |R|                 Stream Identifier (31)                      |
//! +=+=============================================================+
//! |                   Frame Payload (0...)                      ...
//! ```

use std::fmt;

/// Bytes of a frame header.
pub const HEADER_BYTES: usize = 9;
/// What a client sends first (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// END_STREAM of DATA and HEADERS.
pub const FLAG_END_STREAM: u8 = 0x1;
/// ACK of SETTINGS and PING.
pub const FLAG_ACK: u8 = 0x1;
/// END_HEADERS of HEADERS and CONTINUATION.
pub const FLAG_END_HEADERS: u8 = 0x4;
/// PADDED of DATA and HEADERS.
pub const FLAG_PADDED: u8 = 0x8;
/// PRIORITY of HEADERS.
pub const FLAG_PRIORITY: u8 = 0x20;

/// An error code of RST_STREAM and GOAWAY (RFC 9113, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// No error: a graceful end.
    pub const NO_ERROR: Self = Self(0x0);
    /// Anything no other code names.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// Our fault.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// More bytes than the window allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// A frame on a stream that was closed.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame of the wrong size.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// Nothing was done for this stream; it may be tried again.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(0x8);
    /// A header block that cannot be decoded.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The peer costs too much.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);

    fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 6.1
    Data,
    /// 6.2
    Headers,
    /// 6.3, deprecated: read and ignored.
    Priority,
    /// 6.4
    RstStream,
    /// 6.5
    Settings,
    /// 6.6: nobody may push to us.
    PushPromise,
    /// 6.7
    Ping,
    /// 6.8
    GoAway,
    /// 6.9
    WindowUpdate,
    /// 6.10
    Continuation,
    /// An extension: ignored (RFC 9113, 4.1).
    Unknown,
}

impl Kind {
    /// From the type byte.
    #[inline]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Unknown,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::RstStream => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::Unknown => 0xff,
        }
    }
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Payload bytes.
    pub len: u32,
    /// Type.
    pub kind: Kind,
    /// Flags; those that the type does not define are ignored.
    pub flags: u8,
    /// Stream, 0 for the connection.
    pub stream: u32,
}

impl Header {
    /// Reads a header. Every nine bytes are one; what the type and the size mean is checked by [`Header::check`].
    #[inline]
    pub const fn parse(b: &[u8; HEADER_BYTES]) -> Self {
        Self {
            len: u32::from_be_bytes([0, b[0], b[1], b[2]]),
            kind: Kind::from_byte(b[3]),
            flags: b[4],
            stream: u32::from_be_bytes([b[5], b[6], b[7], b[8]]) & 0x7fff_ffff,
        }
    }

    /// The nine bytes.
    #[inline]
    pub const fn encode(&self) -> [u8; HEADER_BYTES] {
        let len = self.len.to_be_bytes();
        let id = self.stream.to_be_bytes();
        [
            len[1],
            len[2],
            len[3],
            self.kind.byte(),
            self.flags,
            id[0],
            id[1],
            id[2],
            id[3],
        ]
    }

    /// Whether a flag is set.
    #[inline]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Checks size and stream of the frame against its type, `len_max` being the SETTINGS_MAX_FRAME_SIZE we announced.
    /// All these are connection errors for us, also the few that the RFC lets one treat as stream errors.
    #[inline]
    pub fn check(&self, len_max: u32) -> Result<(), Bad> {
        if self.len > len_max {
            return Err(Bad::size("frame larger than announced"));
        }
        match self.kind {
            Kind::Data | Kind::Headers | Kind::Continuation => self.on_stream(true),
            Kind::Priority => self.on_stream(true).and_then(|()| self.sized(5)),
            Kind::RstStream => self.on_stream(true).and_then(|()| self.sized(4)),
            Kind::Settings => {
                self.on_stream(false)?;
                match self.len {
                    0 => Ok(()),
                    _ if self.has(FLAG_ACK) => Err(Bad::size("SETTINGS acknowledgement with content")),
                    n if n % 6 != 0 => Err(Bad::size("SETTINGS not a multiple of 6")),
                    _ => Ok(()),
                }
            }
            Kind::PushPromise => Err(Bad::protocol("PUSH_PROMISE although push is off")),
            Kind::Ping => self.on_stream(false).and_then(|()| self.sized(8)),
            Kind::GoAway if self.len < 8 => Err(Bad::size("GOAWAY too short")),
            Kind::GoAway => self.on_stream(false),
            Kind::WindowUpdate => self.sized(4),
            Kind::Unknown => Ok(()),
        }
    }

    fn on_stream(&self, wanted: bool) -> Result<(), Bad> {
        match (wanted, self.stream) {
            (true, 0) => Err(Bad::protocol("stream frame on stream 0")),
            (false, 1..) => Err(Bad::protocol("connection frame on a stream")),
            _ => Ok(()),
        }
    }

    fn sized(&self, len: u32) -> Result<(), Bad> {
        if self.len == len {
            Ok(())
        } else {
            Err(Bad::size("frame of wrong size"))
        }
    }
}

/// A frame that breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// For GOAWAY.
    pub code: ErrorCode,
    /// Which rule.
    pub what: &'static str,
}

impl Bad {
    pub(crate) const fn size(what: &'static str) -> Self {
        Self {
            code: ErrorCode::FRAME_SIZE_ERROR,
            what,
        }
    }

    pub(crate) const fn protocol(what: &'static str) -> Self {
        Self {
            code: ErrorCode::PROTOCOL_ERROR,
            what,
        }
    }
}

/// A setting (RFC 9113, 6.5.2), value checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// 0x1: HPACK table of the peer's decoder, bytes.
    HeaderTableSize(u32),
    /// 0x2
    EnablePush(bool),
    /// 0x3
    MaxConcurrentStreams(u32),
    /// 0x4, at most 2^31-1
    InitialWindowSize(u32),
    /// 0x5, 16,384 ..= 16,777,215
    MaxFrameSize(u32),
    /// 0x6, bytes
    MaxHeaderListSize(u32),
    /// To be ignored.
    Unknown,
}

impl Setting {
    /// Reads one setting of six bytes.
    pub fn parse(b: [u8; 6]) -> Result<Self, Bad> {
        let value = u32::from_be_bytes([b[2], b[3], b[4], b[5]]);
        Ok(match u16::from_be_bytes([b[0], b[1]]) {
            1 => Self::HeaderTableSize(value),
            2 if value > 1 => return Err(Bad::protocol("SETTINGS_ENABLE_PUSH neither 0 nor 1")),
            2 => Self::EnablePush(value == 1),
            3 => Self::MaxConcurrentStreams(value),
            4 if value > crate::limits::WINDOW_BYTES_MAX => {
                return Err(Bad {
                    code: ErrorCode::FLOW_CONTROL_ERROR,
                    what: "SETTINGS_INITIAL_WINDOW_SIZE too large",
                });
            }
            4 => Self::InitialWindowSize(value),
            5 if !(16_384..=16_777_215).contains(&value) => {
                return Err(Bad::protocol("SETTINGS_MAX_FRAME_SIZE out of range"));
            }
            5 => Self::MaxFrameSize(value),
            6 => Self::MaxHeaderListSize(value),
            _ => Self::Unknown,
        })
    }

    fn encode(self) -> Option<[u8; 6]> {
        let (id, value) = match self {
            Self::HeaderTableSize(v) => (1u16, v),
            Self::EnablePush(v) => (2, u32::from(v)),
            Self::MaxConcurrentStreams(v) => (3, v),
            Self::InitialWindowSize(v) => (4, v),
            Self::MaxFrameSize(v) => (5, v),
            Self::MaxHeaderListSize(v) => (6, v),
            Self::Unknown => return None,
        };
        let (i, v) = (id.to_be_bytes(), value.to_be_bytes());
        Some([i[0], i[1], v[0], v[1], v[2], v[3]])
    }
}

/// The settings of a SETTINGS payload whose size [`Header::check`] has passed.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = Result<Setting, Bad>> + '_ {
    payload.chunks_exact(6).map(|c| match c.first_chunk::<6>() {
        Some(six) => Setting::parse(*six),
        None => Err(Bad::size("SETTINGS not a multiple of 6")),
    })
}

/// Where the header block fragment is in a HEADERS payload, after padding and priority (6.2).
pub fn headers_fragment<'a>(header: &Header, payload: &'a [u8]) -> Result<&'a [u8], Bad> {
    let mut rest = payload;
    let mut padding = 0;
    if header.has(FLAG_PADDED) {
        let (&n, tail) = rest.split_first().ok_or(Bad::size("PADDED frame without pad length"))?;
        (padding, rest) = (usize::from(n), tail);
    }
    if header.has(FLAG_PRIORITY) {
        rest = rest.get(5..).ok_or(Bad::size("HEADERS too short for its priority"))?;
    }
    let len = rest
        .len()
        .checked_sub(padding)
        .ok_or(Bad::protocol("padding longer than the frame"))?;
    Ok(rest.get(..len).unwrap_or_default())
}

/// The big-endian 31-bit number at the start of a payload: WINDOW_UPDATE increment, GOAWAY last stream.
pub fn u31(payload: &[u8]) -> u32 {
    u32_at(payload, 0) & 0x7fff_ffff
}

/// The big-endian 32-bit number at `at`: error codes. Zero when the payload is shorter, which `check` has excluded.
pub fn u32_at(payload: &[u8], at: usize) -> u32 {
    payload
        .get(at..)
        .and_then(|b| b.first_chunk::<4>())
        .map_or(0, |b| u32::from_be_bytes(*b))
}

fn put_header(out: &mut Vec<u8>, len: usize, kind: Kind, flags: u8, stream: u32) {
    out.extend_from_slice(
        &Header {
            len: len as u32,
            kind,
            flags,
            stream,
        }
        .encode(),
    );
}

/// Appends SETTINGS.
pub fn put_settings(out: &mut Vec<u8>, list: &[Setting]) {
    put_header(out, list.len() * 6, Kind::Settings, 0, 0);
    for bytes in list.iter().filter_map(|s| s.encode()) {
        out.extend_from_slice(&bytes);
    }
}

/// Appends the acknowledgement of SETTINGS.
pub fn put_settings_ack(out: &mut Vec<u8>) {
    put_header(out, 0, Kind::Settings, FLAG_ACK, 0);
}

/// Appends PING, or its acknowledgement.
pub fn put_ping(out: &mut Vec<u8>, ack: bool, opaque: [u8; 8]) {
    put_header(out, 8, Kind::Ping, if ack { FLAG_ACK } else { 0 }, 0);
    out.extend_from_slice(&opaque);
}

/// Appends RST_STREAM.
pub fn put_rst_stream(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    put_header(out, 4, Kind::RstStream, 0, stream);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends GOAWAY with a reason for people.
pub fn put_goaway(out: &mut Vec<u8>, last_stream: u32, code: ErrorCode, reason: &str) {
    put_header(out, 8 + reason.len(), Kind::GoAway, 0, 0);
    out.extend_from_slice(&last_stream.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends WINDOW_UPDATE; stream 0 is the connection.
pub fn put_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    put_header(out, 4, Kind::WindowUpdate, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// Appends HEADERS and as many CONTINUATION as the peer's frame size asks for.
pub fn put_headers(out: &mut Vec<u8>, stream: u32, block: &[u8], end_stream: bool, frame_bytes_max: usize) {
    put_block(out, stream, block, end_stream, FLAG_END_HEADERS, frame_bytes_max);
}

/// As [`put_headers`], for a block that goes on: [`put_last_fields`] must follow.
pub fn put_headers_unfinished(out: &mut Vec<u8>, stream: u32, block: &[u8], end_stream: bool, frame_bytes_max: usize) {
    put_block(out, stream, block, end_stream, 0, frame_bytes_max);
}

/// Appends the CONTINUATION frame that ends a header block.
pub fn put_last_fields(out: &mut Vec<u8>, stream: u32, block: &[u8]) {
    put_header(out, block.len(), Kind::Continuation, FLAG_END_HEADERS, stream);
    out.extend_from_slice(block);
}

fn put_block(out: &mut Vec<u8>, stream: u32, block: &[u8], end_stream: bool, last: u8, frame_bytes_max: usize) {
    let end = if end_stream { FLAG_END_STREAM } else { 0 };
    if block.len() <= frame_bytes_max {
        put_header(out, block.len(), Kind::Headers, end | last, stream);
        out.extend_from_slice(block);
        return;
    }
    let mut chunks = block.chunks(frame_bytes_max.max(1)).peekable();
    let mut kind = Kind::Headers;
    let mut flags = end;
    while let Some(chunk) = chunks.next() {
        if chunks.peek().is_none() {
            flags |= last;
        }
        put_header(out, chunk.len(), kind, flags, stream);
        out.extend_from_slice(chunk);
        (kind, flags) = (Kind::Continuation, 0);
    }
}

#[cfg(test)]
mod tests;
