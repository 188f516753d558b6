//! gRPC over HTTP/2: status codes, the five-byte message prefix, incremental reading of messages.

use std::fmt;

/// The status of a call (gRPC, "Status codes and their use in gRPC").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GrpcStatus {
    /// Done.
    Ok = 0,
    /// Cancelled by the caller, or the stream was reset.
    Cancelled = 1,
    /// No better code.
    Unknown = 2,
    /// The caller's argument is wrong whatever the state.
    InvalidArgument = 3,
    /// Out of time.
    DeadlineExceeded = 4,
    /// Not found.
    NotFound = 5,
    /// Exists.
    AlreadyExists = 6,
    /// The caller is known and may not.
    PermissionDenied = 7,
    /// A quota or bound is exhausted.
    ResourceExhausted = 8,
    /// Not in this state.
    FailedPrecondition = 9,
    /// Aborted.
    Aborted = 10,
    /// Past the end.
    OutOfRange = 11,
    /// No such method.
    Unimplemented = 12,
    /// An invariant is broken.
    Internal = 13,
    /// May be tried again elsewhere or later.
    Unavailable = 14,
    /// Data is lost.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

impl GrpcStatus {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The number in `grpc-status`.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From the number; what is not known is `Unknown`, as gRPC asks.
    pub fn from_code(code: u32) -> Self {
        Self::ALL.get(code as usize).copied().unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Bytes before every message: compressed flag and length.
pub const PREFIX_BYTES: usize = 5;
/// The longest that stands before payload: message prefix, field tag, length of the field.
pub(crate) const DATA_PREFIX_BYTES_MAX: usize = PREFIX_BYTES + 1 + 5;
/// Tag of `SessionFrame.data`: field 1, length-delimited.
const DATA_TAG: u8 = 0x0a;

/// A whole message with its prefix.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX_BYTES + message.len());
    out.push(0);
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// What stands before `len` bytes of payload so that both are a `SessionFrame { data }`; and how much of the array it is.
#[inline]
pub(crate) fn data_prefix(len: u32) -> ([u8; DATA_PREFIX_BYTES_MAX], u8) {
    let mut out = [0; DATA_PREFIX_BYTES_MAX];
    let (mut rest, mut at) = (len, PREFIX_BYTES);
    let mut put = |byte: u8| {
        if let Some(slot) = out.get_mut(at) {
            *slot = byte;
        }
        at += 1;
    };
    put(DATA_TAG);
    while rest >= 0x80 {
        put(rest as u8 | 0x80);
        rest >>= 7;
    }
    put(rest as u8);
    let message = len + (at - PREFIX_BYTES) as u32;
    if let Some(slot) = out.get_mut(1..PREFIX_BYTES) {
        slot.copy_from_slice(&message.to_be_bytes());
    }
    (out, at as u8)
}

/// What [`Decoder::step`] found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes were framing or part of a message; go on behind them.
    Skip(usize),
    /// So many bytes completed a message.
    Message(usize, Vec<u8>),
    /// So many bytes are framing, then so many are payload: slice them off.
    Payload(usize, usize),
}

/// A stream of messages that cannot be read: the stream ends with this status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadMessage(pub GrpcStatus, pub &'static str);

/// Reads the messages of one direction of one stream, however its bytes are cut.
///
/// ```text
/// Prefix --5 bytes--> Tag --0x0a--> Length --varint--> Payload(n) --n bytes--> Prefix
///    \                  \--other--> Message -------------------------------------^
///     \--not a session stream-------^
/// ```
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Whether the messages are `SessionFrame`s.
    session: bool,
    message_bytes_max: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The five bytes, and how many are there.
    Prefix([u8; PREFIX_BYTES], u8),
    /// First byte of a SessionFrame of so many bytes.
    Tag(u32),
    /// Length of the data field, read so far, in a message with so many bytes left.
    Length { message_left: u32, value: u64, shift: u32 },
    /// So much payload is still to come.
    Payload(u32),
    /// A message being assembled.
    Message { left: u32, bytes: Vec<u8> },
}

const START: State = State::Prefix([0; PREFIX_BYTES], 0);

impl Decoder {
    pub(crate) fn new(session: bool, message_bytes_max: usize) -> Self {
        Self {
            session,
            message_bytes_max,
            state: START,
        }
    }

    /// Whether the bytes so far end with a whole message.
    pub(crate) fn at_boundary(&self) -> bool {
        matches!(self.state, State::Prefix(_, 0))
    }

    /// Reads on; `input` holds at least one byte.
    #[inline]
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, BadMessage> {
        // The whole head of a data message in one piece is what nearly every frame of a session has.
        if self.session
            && matches!(self.state, State::Prefix(_, 0))
            && let Some((head, field)) = data_head(input)
        {
            let payload = (field as usize).min(input.len() - head);
            self.state = match field - payload as u32 {
                0 => START,
                left => State::Payload(left),
            };
            return Ok(Step::Payload(head, payload));
        }
        self.step_slow(input)
    }

    fn step_slow(&mut self, input: &[u8]) -> Result<Step, BadMessage> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match &mut self.state {
                State::Prefix(have, n) => {
                    if let Some(slot) = have.get_mut(usize::from(*n)) {
                        *slot = byte;
                    }
                    *n += 1;
                    used += 1;
                    if usize::from(*n) == PREFIX_BYTES {
                        let have = *have;
                        if let Some(empty) = self.prefix_read(have)? {
                            return Ok(Step::Message(used, empty));
                        }
                    }
                }
                State::Tag(len) => {
                    let len = *len;
                    if byte == DATA_TAG {
                        used += 1;
                        self.state = State::Length {
                            message_left: len - 1,
                            value: 0,
                            shift: 0,
                        };
                    } else {
                        self.begin_message(len)?;
                    }
                }
                State::Length { .. } => {
                    used += 1;
                    self.length_byte(byte)?;
                }
                State::Payload(left) => {
                    let n = (*left as usize).min(input.len() - used);
                    *left -= n as u32;
                    if *left == 0 {
                        self.state = START;
                    }
                    return Ok(Step::Payload(used, n));
                }
                State::Message { left, bytes } => {
                    let n = (*left as usize).min(input.len() - used);
                    bytes.extend_from_slice(input.get(used..used + n).unwrap_or_default());
                    *left -= n as u32;
                    used += n;
                    if *left == 0 {
                        let message = std::mem::take(bytes);
                        self.state = START;
                        return Ok(Step::Message(used, message));
                    }
                }
            }
        }
        Ok(Step::Skip(used))
    }

    /// The prefix is there: what follows? An empty message is complete at once.
    fn prefix_read(&mut self, prefix: [u8; PREFIX_BYTES]) -> Result<Option<Vec<u8>>, BadMessage> {
        let [compressed, len @ ..] = prefix;
        let len = u32::from_be_bytes(len);
        if compressed != 0 {
            return Err(BadMessage(GrpcStatus::Unimplemented, "compressed message"));
        }
        if len == 0 {
            self.state = START;
            return Ok(Some(Vec::new()));
        }
        if self.session {
            self.state = State::Tag(len);
        } else {
            self.begin_message(len)?;
        }
        Ok(None)
    }

    fn begin_message(&mut self, len: u32) -> Result<(), BadMessage> {
        if len as usize > self.message_bytes_max {
            return Err(BadMessage(GrpcStatus::ResourceExhausted, "message larger than allowed"));
        }
        // The peer pays for the memory byte by byte, so a length alone reserves little.
        let bytes = Vec::with_capacity((len as usize).min(4096));
        self.state = State::Message { left: len, bytes };
        Ok(())
    }

    /// One more byte of the varint before the payload. The field has to fill the message: `SessionFrame` is a oneof, and
    /// what follows in the same message would be something the payload was not judged with.
    fn length_byte(&mut self, byte: u8) -> Result<(), BadMessage> {
        let bad = BadMessage(GrpcStatus::Internal, "data field does not fill its message");
        let State::Length {
            message_left,
            value,
            shift,
        } = &mut self.state
        else {
            return Err(bad);
        };
        *message_left = message_left.checked_sub(1).ok_or(bad)?;
        *value |= u64::from(byte & 0x7f) << *shift;
        if byte & 0x80 != 0 {
            *shift += 7;
            let goes_on = *shift <= 28 && *message_left > 0;
            return if goes_on { Ok(()) } else { Err(bad) };
        }
        if *value != u64::from(*message_left) {
            return Err(bad);
        }
        self.state = match *message_left {
            0 => START,
            n => State::Payload(n),
        };
        Ok(())
    }
}

/// The head of a data message of at most 16 KiB, when all of it is there: its length and that of the payload.
#[inline]
fn data_head(input: &[u8]) -> Option<(usize, u32)> {
    let [0, a, b, c, d, DATA_TAG, low, high, ..] = *input else {
        return None;
    };
    let message = u32::from_be_bytes([a, b, c, d]);
    let (head, field) = match (low, high) {
        (1..0x80, _) => (7, u32::from(low)),
        (0x80.., 1..0x80) => (8, u32::from(low & 0x7f) | u32::from(high) << 7),
        _ => return None,
    };
    // The field fills its message, see `length_byte`.
    (message == field + (head - PREFIX_BYTES) as u32).then_some((head, field))
}

/// `grpc-message` as gRPC encodes it: printable ASCII but `%` stands for itself, all else is `%XX`.
pub(crate) fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |n: u8| char::from(HEX.get(usize::from(n & 15)).copied().unwrap_or(b'0'));
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes().take(crate::limits::STATUS_MESSAGE_BYTES_MAX) {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.extend(['%', hex(byte >> 4), hex(byte)]);
        }
    }
    out
}

/// The reverse. What is not well encoded stands for itself, as gRPC asks; bytes that are no UTF-8 are replaced.
pub(crate) fn percent_decode(value: &[u8]) -> String {
    let value = value
        .get(..crate::limits::STATUS_MESSAGE_BYTES_MAX * 3)
        .unwrap_or(value);
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match (byte, digit(value.get(at + 1)), digit(value.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
