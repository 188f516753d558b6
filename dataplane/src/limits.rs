//! Named bounds of the data plane: every queue, buffer and wait.

use std::time::Duration;

/// Data cores of one process: a machine has fewer.
pub const CORES_MAX: usize = 256;
/// A client that has not logged in by then is told so and closed.
pub const LOGIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes that a client may send before it has logged in.
pub const LOGIN_BYTES_MAX: usize = 32 * 1024;
/// Sockets of one core that have not logged in yet; further ones are closed at once.
pub const LOGINS_PENDING_MAX: usize = 8192;
/// How long a login waits for an agent of its pool to be linked.
pub const AGENT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long reaching the target and logging in there may take.
pub const UPSTREAM_OPEN_TIME_MAX: Duration = Duration::from_secs(20);
/// A link that has not finished its handshake and hello by then is closed.
pub const LINK_OPEN_TIME_MAX: Duration = Duration::from_secs(10);
/// Messages waiting in a core's mailbox.
pub const MAILBOX_MESSAGES_MAX: usize = 16 * 1024;
/// Bytes gathered into one write on a link.
pub const LINK_WRITE_BYTES_MAX: usize = 256 * 1024;
/// TLS bytes encrypted before they are handed to the socket.
pub const TLS_WRITE_BYTES_MAX: usize = 64 * 1024;
/// Size of an audit segment, after which the next one begins.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest time between two seals of a segment that is being written.
pub const SEAL_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time until written audit records stand in their segment. With [`SYNC_INTERVAL`] it makes the 50 ms within which
/// they are on disk.
pub const STAGE_INTERVAL: Duration = Duration::from_millis(10);
/// Room for audit records that are not in their segment yet; when it is used up they are appended at once.
pub const STAGE_BYTES: usize = 1024 * 1024;
/// Longest time until audit records in a segment are on disk.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(40);
/// How old a core's own counters may be on the metrics port.
pub const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);
/// Batches on their way to the control plane without an answer.
pub const AUDIT_BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Statements of the process that wait for a review, or whose end the control plane has not noted; more are refused.
pub const HOLDS_MAX: usize = 4096;
/// Wishes for access on their way to the control plane; more are lost.
pub const ACCESS_WANTED_MAX: usize = 256;
/// How often a session whose access ends at a set time looks at the clock.
pub const ACCESS_CHECK_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Back-off of the control connection: first wait and longest wait; jitter takes up to all of it off.
pub const CONTROL_RETRY_FIRST: Duration = Duration::from_millis(100);
pub const CONTROL_RETRY_MAX: Duration = Duration::from_secs(10);
/// How long a refused client's error may take to be written.
pub const REFUSAL_WRITE_TIME_MAX: Duration = Duration::from_secs(2);
/// A half-open session (one side has ended) is closed after this long.
pub const HALF_OPEN_TIME_MAX: Duration = Duration::from_secs(30);
/// Request head on the metrics port.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Time for one request on the metrics port.
pub const HTTP_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a target may take to take a cancel request of ours, and then to obey it.
pub const CANCEL_TIME_MAX: Duration = Duration::from_secs(10);
/// How long other data planes are waited for with a cancel request whose session is not here.
pub const CANCEL_ABROAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Cancel requests of this process that other data planes are asked about at the same time; more are lost.
pub const CANCELS_ABROAD_MAX: usize = 64;
/// The same within a second: anybody can send such requests, and each costs every data plane a look.
pub const CANCELS_ABROAD_PER_SECOND_MAX: usize = 100;
/// How often a session whose statement is being cancelled is looked at.
pub const OVERDUE_LOOK_TIME: Duration = Duration::from_millis(20);

/// Files of the flight recorder that stay in the data directory.
pub const FLIGHT_FILES_MAX: usize = 8;
