//! Where audit events collect until the data plane writes them, and the token without which nothing leaves.

use proto::Message;
use proto::audit::{Event, SessionEnd, SessionStart, event::Kind};

/// Proof that everything which is about to leave has its event in a tap. Only this module makes one.
#[derive(Debug)]
#[must_use]
pub struct Noted(());

/// Encoded audit events of one core, in order: each a protobuf varint with its length, then a `proto::audit::Event`.
#[derive(Debug, Default)]
pub struct Tap {
    bytes: Vec<u8>,
    events: u64,
    body: Vec<u8>,
}

/// Whose event it is: written into every event's head.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    pub session_id: [u8; 16],
    /// Grows by one with every event of the session.
    pub sequence: u64,
    /// Microseconds since the Unix epoch.
    pub at_micros: u64,
}

// Field numbers of `proto::audit::Event`; a test holds them against the generated encoding.
const EVENT_SESSION_ID: u32 = 1;
const EVENT_SEQUENCE: u32 = 2;
const EVENT_AT_MICROS: u32 = 3;
pub(crate) const EVENT_STATEMENT: u32 = 5;
pub(crate) const EVENT_RECORDING: u32 = 6;
pub(crate) const EVENT_PROMISE: u32 = 8;

impl Tap {
    pub fn new() -> Tap {
        Tap::default()
    }

    /// Events since the last [`Tap::take`] or [`Tap::clear`], length-delimited.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the events out; the tap goes on with an empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Forgets the events after they were written from [`Tap::bytes`]; the buffer stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Events noted since the tap was made.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Notes that a session was opened.
    pub fn start(&mut self, head: Head, start: SessionStart) -> Noted {
        self.whole(head, Kind::Start(start))
    }

    /// Notes that a session is over.
    pub fn end(&mut self, head: Head, end: SessionEnd) -> Noted {
        self.whole(head, Kind::End(end))
    }

    fn whole(&mut self, head: Head, kind: Kind) -> Noted {
        let event = Event {
            session_id: head.session_id.to_vec(),
            sequence: head.sequence,
            at_micros: head.at_micros,
            kind: Some(kind),
        };
        self.bytes.extend_from_slice(&event.encode_length_delimited_to_vec());
        self.events += 1;
        Noted(())
    }

    /// Notes one event whose kind is the embedded message `field`; `write` appends that message's fields.
    /// Straight into the tap: statements are too frequent for a detour over owned structures.
    pub(crate) fn note(&mut self, head: &Head, field: u32, write: impl FnOnce(&mut Vec<u8>)) -> Noted {
        self.body.clear();
        write(&mut self.body);
        let head_bytes = wire::bytes_len(EVENT_SESSION_ID, head.session_id.len())
            + wire::uint_len(EVENT_SEQUENCE, head.sequence)
            + wire::uint_len(EVENT_AT_MICROS, head.at_micros)
            + wire::bytes_len(field, self.body.len());
        let out = &mut self.bytes;
        wire::varint(out, head_bytes as u64);
        wire::bytes(out, EVENT_SESSION_ID, &head.session_id);
        wire::uint(out, EVENT_SEQUENCE, head.sequence);
        wire::uint(out, EVENT_AT_MICROS, head.at_micros);
        wire::bytes_always(out, field, &self.body);
        self.events += 1;
        Noted(())
    }

    /// The token for bytes whose events, if they have any, are in the tap: the caller has settled what was due.
    pub(crate) fn settled(&self, _due: Due) -> Noted {
        Noted(())
    }
}

/// What a pass over a buffer owes the tap. It cannot be copied, and only settling it gives the token that output needs.
#[derive(Debug)]
#[must_use]
pub(crate) struct Due(());

impl Due {
    pub(crate) fn begin() -> Due {
        Due(())
    }
}

/// The few protobuf wire forms that events need (Protocol Buffers documentation, "Encoding").
pub(crate) mod wire {
    const VARINT: u32 = 0;
    const LENGTH_DELIMITED: u32 = 2;

    #[inline]
    pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    pub(crate) fn varint_len(value: u64) -> usize {
        (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
    }

    /// A number; zero is the default and not written.
    #[inline]
    pub(crate) fn uint(out: &mut Vec<u8>, field: u32, value: u64) {
        if value != 0 {
            varint(out, u64::from(field << 3 | VARINT));
            varint(out, value);
        }
    }

    pub(crate) fn uint_len(field: u32, value: u64) -> usize {
        if value == 0 {
            0
        } else {
            varint_len(u64::from(field << 3)) + varint_len(value)
        }
    }

    /// Bytes or a string; empty is the default and not written.
    #[inline]
    pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
        if !value.is_empty() {
            bytes_always(out, field, value);
        }
    }

    /// An embedded message, or an element of a repeated field: written even if empty.
    #[inline]
    pub(crate) fn bytes_always(out: &mut Vec<u8>, field: u32, value: &[u8]) {
        bytes_head(out, field, value.len());
        out.extend_from_slice(value);
    }

    /// The key and length of a field whose bytes follow.
    #[inline]
    pub(crate) fn bytes_head(out: &mut Vec<u8>, field: u32, len: usize) {
        varint(out, u64::from(field << 3 | LENGTH_DELIMITED));
        varint(out, len as u64);
    }

    /// Length of a field as [`bytes_always`] writes it.
    pub(crate) fn bytes_len(field: u32, len: usize) -> usize {
        varint_len(u64::from(field << 3)) + varint_len(len as u64) + len
    }
}
