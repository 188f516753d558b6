//! One stream of a link: what is queued to be sent, its windows, and how far each side is.

use crate::{
    Payload,
    flow::{RecvWindow, SendWindow},
    grpc::{DATA_PREFIX_BYTES_MAX, Decoder, data_prefix},
    headers::Trailers,
    sched::Share,
};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

/// Payload up to this size is copied behind its frame header: that costs less than another piece in a gathered write.
const COPY_BYTES_MAX: usize = 256;

/// Identifies a stream of one link (RFC 9113, 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The number on the wire.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// The streams of a link by number.
pub(crate) type Streams<B> = HashMap<u32, Stream<B>, BuildHasherDefault<IdHasher>>;

/// Hashes stream numbers. They rise by two and at most `streams_max` of them live at once, so a peer cannot choose many that
/// collide, and a keyed hash would cost more than the rest of the lookup.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u32(u32::from(*b)));
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        let mixed = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// How far our side of a stream is.
pub(crate) enum Local {
    /// Server role: not even the response headers are sent.
    Silent,
    /// Messages may be sent.
    Open,
    /// What is queued, then the end: trailers in server role.
    Finishing(Option<Trailers>),
    /// Client role: END_STREAM is sent.
    Done,
}

/// What waits in a stream's queue.
enum Item<B> {
    /// A control message with its prefix; sent up to `at`.
    Message { bytes: Vec<u8>, at: usize },
    /// Payload, with what stands before it; the prefix is sent up to `at`.
    Data {
        prefix: [u8; DATA_PREFIX_BYTES_MAX],
        at: u8,
        end: u8,
        payload: B,
    },
}

/// What goes out: an arena with frame headers and small things, and payload to be put in at certain places.
pub(crate) struct Outgoing<'a, B> {
    pub arena: &'a mut Vec<u8>,
    pub cuts: &'a mut Vec<(usize, B)>,
}

/// A stream that is not over.
pub(crate) struct Stream<B> {
    pub send: SendWindow,
    queue: VecDeque<Item<B>>,
    queued: usize,
    pub share: Share,
    pub local: Local,
    /// The user met, or may have met, a capacity of 0 and waits for `Writable`.
    pub starved: bool,
    pub recv: RecvWindow,
    /// In the list of streams whose WINDOW_UPDATE is due.
    pub update_due: bool,
    /// Payload given to the user and not released.
    pub unreleased: u32,
    pub decoder: Decoder,
    /// Server role: the peer's END_STREAM was seen.
    pub remote_done: bool,
    /// Client role: the response headers were seen.
    pub head_seen: bool,
}

impl<B: Payload> Stream<B> {
    pub(crate) fn new(local: Local, send_window: u32, recv_window: u32, decoder: Decoder) -> Self {
        Self {
            send: SendWindow::new(send_window),
            queue: VecDeque::new(),
            queued: 0,
            share: Share::default(),
            local,
            starved: false,
            recv: RecvWindow::new(recv_window),
            update_due: false,
            unreleased: 0,
            decoder,
            remote_done: false,
            head_seen: false,
        }
    }

    /// Bytes in the queue, framing of gRPC included.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether our side may still send messages.
    #[inline]
    pub(crate) fn sendable(&self) -> bool {
        matches!(self.local, Local::Silent | Local::Open)
    }

    /// Window that is not spoken for.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.send.available().saturating_sub(self.queued)
    }

    /// Queues a control message that has its prefix; returns the bytes it adds.
    pub(crate) fn push_message(&mut self, bytes: Vec<u8>) -> usize {
        let n = bytes.len();
        self.queue.push_back(Item::Message { bytes, at: 0 });
        self.queued += n;
        n
    }

    /// Queues payload; returns the bytes it adds.
    #[inline]
    pub(crate) fn push_data(&mut self, payload: B, len: u32) -> usize {
        let (prefix, end) = data_prefix(len);
        let n = len as usize + usize::from(end);
        self.queue.push_back(Item::Data {
            prefix,
            at: 0,
            end,
            payload,
        });
        self.queued += n;
        n
    }

    /// Moves the next `n` bytes of the queue, which holds at least so many, to `out`.
    pub(crate) fn take(&mut self, n: usize, out: &mut Outgoing<'_, B>) {
        let mut left = n;
        while left > 0 {
            let Some(item) = self.queue.front_mut() else {
                break;
            };
            let (taken, done) = item.take(left, out);
            left -= taken;
            if done {
                self.take_last_piece(out);
            }
        }
        self.queued -= n - left;
        self.send.sent(n - left);
    }

    /// Drops the item at the front; payload that was left in it for a whole hand-over goes out.
    #[inline]
    fn take_last_piece(&mut self, out: &mut Outgoing<'_, B>) {
        match self.queue.pop_front() {
            Some(Item::Data { payload, .. }) if !payload.as_ref().is_empty() => out.payload(payload),
            _ => {}
        }
    }
}

impl<B: Payload> Item<B> {
    /// Sends up to `left` bytes of the item. Returns how many, and whether that is all of it (then the payload is still in
    /// place, so that it moves out whole instead of being cut).
    #[inline]
    fn take(&mut self, left: usize, out: &mut Outgoing<'_, B>) -> (usize, bool) {
        match self {
            Self::Message { bytes, at } => {
                let rest = bytes.get(*at..).unwrap_or_default();
                let n = rest.len().min(left);
                out.arena.extend_from_slice(rest.get(..n).unwrap_or_default());
                *at += n;
                (n, *at == bytes.len())
            }
            Self::Data {
                prefix,
                at,
                end,
                payload,
            } => {
                let head = prefix.get(usize::from(*at)..usize::from(*end)).unwrap_or_default();
                let head = head.get(..left.min(head.len())).unwrap_or_default();
                out.arena.extend_from_slice(head);
                *at += head.len() as u8;
                let left = left - head.len();
                let len = payload.as_ref().len();
                if left < len {
                    if left > 0 {
                        out.payload(payload.split_to(left));
                    }
                    return (head.len() + left, false);
                }
                (head.len() + len, true)
            }
        }
    }
}

impl<B: Payload> Outgoing<'_, B> {
    #[inline]
    fn payload(&mut self, payload: B) {
        let bytes = payload.as_ref();
        if bytes.len() <= COPY_BYTES_MAX {
            self.arena.extend_from_slice(bytes);
        } else {
            self.cuts.push((self.arena.len(), payload));
        }
    }
}
