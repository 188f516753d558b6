//! Every bound of a link in one place.

use std::time::Duration;

/// Frame payload size that every HTTP/2 peer accepts (RFC 9113, 4.2).
pub const FRAME_BYTES_DEFAULT: u32 = 16 * 1024;
/// Frame payload size we say we accept, unless [`Limits`] says otherwise.
pub const FRAME_BYTES_ADVERTISED: u32 = 64 * 1024;
/// The largest frame payload we ever send: a larger one would let one stream hold the link for too long.
pub const FRAME_BYTES_SENT_MAX: u32 = 64 * 1024;
/// Initial window of a stream and of the connection before SETTINGS (RFC 9113, 6.9.2).
pub const WINDOW_BYTES_INITIAL: u32 = 65_535;
/// The largest flow-control window (RFC 9113, 6.9.1).
pub const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
/// The largest stream identifier (RFC 9113, 5.1.1).
pub const STREAM_ID_MAX: u32 = (1 << 31) - 1;
/// HPACK dynamic table size, both directions (RFC 7541; the HTTP/2 default).
pub const HPACK_TABLE_BYTES: usize = 4096;
/// CONTINUATION frames of one header block (CVE-2024-27316).
pub const CONTINUATION_FRAMES_MAX: u32 = 8;
/// What may wait in the queue of control frames (acknowledgements, resets, header blocks) before the link is given up.
pub const CONTROL_QUEUE_BYTES_MAX: usize = 1 << 20;
/// What a stream may send before others have their turn (deficit round robin).
pub const SCHED_QUANTUM_BYTES: i32 = 32 * 1024;
/// Credit of a stream that was quiet: up to here it goes before the bulk streams.
pub const SCHED_FRESH_BYTES: i32 = 16 * 1024;
/// A turn is not cut into a frame smaller than this.
pub const SCHED_TURN_BYTES_MIN: usize = 1024;
/// What part of its chunk (one in so many) a piece of payload has to be to be sliced off; a smaller one is copied out. So a stalled
/// session pins chunks of at most so many times what its window lets it hold, whatever other sessions' frames stood beside its own.
pub const SLICE_SHARE_MIN: usize = 4;
/// Bytes of a status message that are kept and sent.
pub const STATUS_MESSAGE_BYTES_MAX: usize = 1024;

/// What one end of a link grants to its peer and allows itself.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Streams the peer may have open at once (server role), or that we open at most (client role; the peer may say less).
    pub streams_max: u32,
    /// Receive window of a stream in bytes, at least [`WINDOW_BYTES_INITIAL`]. What one stalled session can hold of our memory.
    pub stream_window_bytes: u32,
    /// Receive window of the connection in bytes. Its credit is given back on receipt, so that no stream waits for another;
    /// memory is bounded by the sum of the stream windows.
    pub connection_window_bytes: u32,
    /// The largest frame payload the peer may send, [`FRAME_BYTES_DEFAULT`] ..= 64 KiB.
    pub frame_bytes_max: u32,
    /// Decoded header list (names + values + 32 each, RFC 9113 6.5.2), and the bound of an encoded header block.
    pub header_list_bytes_max: u32,
    /// A gRPC message that is assembled in memory (all but the payload of session streams, which is passed on in slices).
    pub message_bytes_max: usize,
    /// What may be queued for sending on one stream. More is a broken caller and resets the stream.
    pub stream_queue_bytes_max: usize,
    /// A PING is sent when the peer was silent for so long.
    pub keepalive_idle: Duration,
    /// The link is dead when the peer stays silent for so long after a PING.
    pub keepalive_timeout: Duration,
    /// Frames of a kind that cost us more than the peer: see [`FloodLimits`].
    pub floods: FloodLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_max: 1024,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 256 * 1024 * 1024,
            frame_bytes_max: FRAME_BYTES_ADVERTISED,
            header_list_bytes_max: 16 * 1024,
            message_bytes_max: 64 * 1024,
            stream_queue_bytes_max: 1024 * 1024,
            keepalive_idle: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            floods: FloodLimits::default(),
        }
    }
}

impl Limits {
    /// The same limits with every value moved into the range the protocol allows.
    pub(crate) fn clamped(mut self) -> Self {
        let window = WINDOW_BYTES_INITIAL..=WINDOW_BYTES_MAX;
        self.stream_window_bytes = self.stream_window_bytes.clamp(*window.start(), *window.end());
        self.connection_window_bytes = self.connection_window_bytes.clamp(*window.start(), *window.end());
        self.frame_bytes_max = self.frame_bytes_max.clamp(FRAME_BYTES_DEFAULT, FRAME_BYTES_ADVERTISED);
        self
    }
}

/// Token buckets: so many at once, so many more per second, then the link is closed with ENHANCE_YOUR_CALM.
#[derive(Debug, Clone)]
pub struct FloodLimits {
    /// RST_STREAM from the peer, and streams of the peer that we had to reset (CVE-2023-44487).
    pub resets: Bucket,
    /// PING without ACK. Some peers measure the path with one per round trip.
    pub pings: Bucket,
    /// SETTINGS without ACK.
    pub settings: Bucket,
    /// Frames that carry nothing: empty DATA, PRIORITY, unknown types, frames on closed streams.
    pub empty: Bucket,
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Tokens when full.
    pub burst: u32,
    /// Tokens that come back per second.
    pub per_second: u32,
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self {
            resets: Bucket {
                burst: 1000,
                per_second: 200,
            },
            pings: Bucket {
                burst: 1000,
                per_second: 100,
            },
            settings: Bucket {
                burst: 20,
                per_second: 1,
            },
            empty: Bucket {
                burst: 2000,
                per_second: 500,
            },
        }
    }
}
