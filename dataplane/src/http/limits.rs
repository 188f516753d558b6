//! Every bound of serving HTTP.

use std::time::Duration;

/// Time from the first byte of a head to its end, and for the TLS handshake before it.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// An idle client's socket is closed after this long.
pub const KEEP_ALIVE_TIME_MAX: Duration = Duration::from_secs(75);
/// Longest pause within a request's body.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// After [`BODY_PAUSE_MAX`] a request's body must have come at this rate, bytes per second.
pub const BODY_RATE_MIN: u64 = 64;
/// Longest pause within an answer's body; event streams say something more often.
pub const ANSWER_PAUSE_MAX: Duration = Duration::from_secs(300);
/// How long a client may take no byte of its answer.
pub const CLIENT_WRITE_TIME_MAX: Duration = Duration::from_secs(120);
/// Clients' sockets of one core; further ones are closed at once.
pub const CLIENTS_MAX: usize = 65_536;
/// How often a client's socket is passed to another core, because that one holds a link to the pool of its request.
pub const MOVES_MAX: u8 = 4;
/// Idle sockets to the targets of one connection, per core.
pub const IDLE_PER_CONNECTION_MAX: usize = 64;
/// An idle socket to a target is not used after this long.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(20);
/// A request that may not be sent twice uses no socket that was idle for longer than this.
pub const IDLE_TIME_UNREPEATABLE_MAX: Duration = Duration::from_millis(500);
/// A socket to a target is not used for longer than this, so that renewed secrets come into use.
pub const SOCKET_AGE_MAX: Duration = Duration::from_secs(300);
/// Interim answers of a target to one request.
pub const INTERIM_MAX: usize = 16;
/// What is left of a request's body when the answer is complete is read up to here, so that the socket can be kept, bytes.
pub const BODY_DISCARDED_MAX: usize = 64 * 1024;
/// After our last words a client is read for so long, and so many bytes.
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(1);
pub const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// Access tokens whose rate is known; the oldest are forgotten.
pub const RATES_MAX: usize = 65_536;
/// Lines of the access log waiting to be written; further ones are dropped and counted.
pub const LOG_LINES_MAX: usize = 65_536;
/// Requests of one HTTP/2 connection to a target at once.
pub const TRUNK_STREAMS_MAX: u32 = 256;
/// Receive window of an answer on an HTTP/2 connection to a target, bytes: what a client that does not read holds of our memory.
pub const TRUNK_WINDOW_BYTES: u32 = 256 * 1024;
/// Longest pause within a request's body that is a stream of messages (gRPC).
pub const STREAM_PAUSE_MAX: Duration = Duration::from_secs(300);
/// How often a request is sent, all in all.
pub const ATTEMPTS_MAX: usize = 3;
/// A target that cannot be reached, or failed so often in a row, is left out for so long where there are others.
pub const PLACE_FAILURES_MAX: u32 = 3;
pub const PLACE_OUT_TIME: Duration = Duration::from_secs(10);
/// HTTP/2 connections to one target, per core.
pub const TRUNKS_MAX: usize = 16;
/// How often it is looked whether the file of the access log was moved away.
pub const LOG_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Requests for access that refused requests of one user to one connection make, per minute.
pub const WISHES_PER_MINUTE_MAX: u32 = 6;
