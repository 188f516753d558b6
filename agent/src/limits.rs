//! Every bound of the agent, named and in one place.

use std::time::Duration;

/// Largest configuration, credentials or identity file read (bytes).
pub const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest value of a resolved secret (bytes).
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// Most entries in `metadata`.
pub const METADATA_ENTRIES_MAX: usize = 32;
/// Longest key or value of `metadata` (bytes).
pub const METADATA_TEXT_BYTES_MAX: usize = 256;
/// Most gateways in the configuration or the credentials file.
pub const GATEWAYS_MAX: usize = 16;
/// Most links to one gateway.
pub const LINKS_MAX: usize = 64;

/// One dial of a gateway or of the control plane: name look-up, TCP and TLS together.
pub const LINK_DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Waiting for the gateway's first stream (`Hello`) on a fresh link.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Waiting for the answer of one call to the control plane.
pub const CONTROL_CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// First pause after a lost link; doubled on every failure, drawn with full jitter.
pub const RECONNECT_BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two dials of one link.
pub const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A link that lived this long counts as healthy: the next pause starts small again.
pub const RECONNECT_HEALTHY_AFTER: Duration = Duration::from_secs(5);
/// Pause between failed attempts to enrol or renew: first and largest.
pub const ENROL_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// See [`ENROL_BACKOFF_MIN`].
pub const ENROL_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Default and largest time that sessions get to end after SIGTERM.
pub const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// See [`DRAIN_TIMEOUT_DEFAULT`].
pub const DRAIN_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Waiting for the `Open` of a stream that the gateway opened.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Reaching the target: name look-up and TCP connect (each address).
pub const TARGET_DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The target's TLS handshake and login together.
pub const TARGET_LOGIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes the target may send during its login before the agent gives up.
pub const TARGET_LOGIN_BYTES_MAX: usize = 1024 * 1024;
/// Sending a cancel request to the target.
pub const TARGET_CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Most sessions at once on one link.
pub const SESSIONS_PER_LINK_MAX: u32 = 4096;

/// Read from the link's socket in one go (bytes).
pub const LINK_READ_BYTES: usize = 128 * 1024;
/// Encoded frames held for one write to the link's socket (bytes).
pub const LINK_WRITE_BYTES: usize = 256 * 1024;
/// First size of a read from the target; grows to [`TARGET_READ_BYTES_MAX`] while reads come back full.
pub const TARGET_READ_BYTES_MIN: usize = 4 * 1024;
/// Largest read from the target (bytes); also bounded by the stream's window.
pub const TARGET_READ_BYTES_MAX: usize = 64 * 1024;
/// Small messages (`SessionFrame` other than data) queued for one session.
pub const MESSAGES_QUEUED_MAX: usize = 64;
/// Largest answer of a unary call (bytes).
pub const CALL_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Head of a request to the liveness listener (bytes).
pub const HEALTH_REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Time for one request to the liveness listener.
pub const HEALTH_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Liveness requests answered at once.
pub const HEALTH_REQUESTS_MAX: usize = 32;

/// Share of a certificate's lifetime after which it is renewed: two thirds.
pub const RENEW_AFTER: (u64, u64) = (2, 3);
/// A certificate is never renewed more often than this.
pub const RENEW_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// What sessions get to say good-bye once `drain_timeout` is over.
pub const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Reading what a target still had to say after it stopped taking bytes.
pub const TARGET_LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);
/// Pieces written to the target in one gathered write.
pub const TARGET_WRITE_PIECES_MAX: usize = 32;
/// TLS set-ups kept for targets with an authority of their own.
pub const TARGET_TLS_KEPT_MAX: usize = 64;
/// How long `ready` waits for the other links after the first one.
pub const READY_SETTLE: Duration = Duration::from_secs(2);
