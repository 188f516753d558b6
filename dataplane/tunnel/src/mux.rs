//! One end of a link: the calls a user makes and the events it gets.

use crate::{ErrorCode, GrpcStatus, Limits, LinkError, OpenError, Payload, StreamId};
use std::{marker::PhantomData, time::Duration};

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

/// One end of a link; see the crate's documentation for the order of calls.
pub struct Mux<B: Payload> {
    _b: PhantomData<B>,
}

impl<B: Payload> Mux<B> {
    /// The end that opens streams.
    pub fn client(_limits: Limits) -> Self {
        unimplemented!()
    }
    /// The end that answers them.
    pub fn server(_limits: Limits) -> Self {
        unimplemented!()
    }
    /// Bytes from the socket. An error is also reported as `Event::LinkClosed`; the GOAWAY that tells the peer is ready to be transmitted.
    pub fn feed(&mut self, _input: B, _now: Duration) -> Result<(), LinkError> {
        unimplemented!()
    }
    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event<B>> {
        unimplemented!()
    }
    /// Opens a stream (client role). Names in `metadata` are lower case; binary values need base64 and a name ending in `-bin`.
    pub fn open(&mut self, _path: &str, _metadata: &[(&str, &str)]) -> Result<StreamId, OpenError> {
        unimplemented!()
    }
    /// Queues one gRPC message. On a stream that is over it does nothing.
    pub fn send_message(&mut self, _stream: StreamId, _message: &[u8]) {
        unimplemented!()
    }
    /// Queues `data` as `SessionFrame{data}`; all of it is taken (its length returned), or none (0) when the stream is over.
    /// Ask `capacity` before reading what is to be sent: more than `Limits::stream_queue_bytes_max` in the queue resets the stream.
    pub fn send_data(&mut self, _stream: StreamId, _data: B) -> usize {
        unimplemented!()
    }
    /// Payload bytes that may be queued now and will leave without waiting for the peer. After 0 comes `Event::Writable`.
    pub fn capacity(&self, _stream: StreamId) -> usize {
        unimplemented!()
    }
    /// The far side has taken `bytes` of what `Event::Data` gave: the peer may send as much again.
    pub fn release(&mut self, _stream: StreamId, _bytes: usize) {
        unimplemented!()
    }
    /// Ends our side after what is queued. Server role: with this status, and the stream is over. Client role: the half-close; the
    /// server's status follows as `Closed` (a status other than `Ok` cannot be sent by a client: it resets with CANCEL).
    pub fn finish(&mut self, _stream: StreamId, _status: GrpcStatus, _message: &str) {
        unimplemented!()
    }
    /// Ends the stream at once; what is queued is dropped.
    pub fn reset(&mut self, _stream: StreamId, _code: ErrorCode) {
        unimplemented!()
    }
    /// Gives what is to be written, in order, about `budget_bytes` of it. Returns whether there was anything; so
    /// `while mux.poll_transmit(..) {}` gives all there is.
    pub fn poll_transmit(&mut self, _out: &mut impl FnMut(B), _budget_bytes: usize) -> bool {
        unimplemented!()
    }
    /// No new streams; `LinkClosed { Drained }` when the last one has ended.
    pub fn drain(&mut self) {
        unimplemented!()
    }
    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        unimplemented!()
    }
    /// Keep-alive: pings a silent peer, gives up a dead one.
    pub fn handle_timeout(&mut self, _now: Duration) {
        unimplemented!()
    }
    /// Streams that are open.
    pub fn streams(&self) -> usize {
        unimplemented!()
    }
    /// Whether `open` would be refused for a reason that passes (`TooManyStreams`) or stays.
    pub fn can_open(&self) -> bool {
        unimplemented!()
    }
}
