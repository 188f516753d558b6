//! Every bound of the session core, each with its reason.

use std::time::Duration;

/// How long a statement waits for a review where its rule does not say: long enough to find somebody, short enough that a
/// forgotten session does not hold its locks for a day.
pub const HOLD_WAIT_DEFAULT: Duration = Duration::from_secs(600);
/// Longest wait that a rule may ask for.
pub const HOLD_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most approvals that a rule may ask for: more people than that are not a review.
pub const APPROVALS_MAX: u32 = 16;

/// A frame up to this long is collected whole; longer rows and copy data are inspected as a stream (bytes with header).
pub const FRAME_BUFFERED_BYTES_MAX: usize = 256 * 1024;
/// Longest client message with a statement or parameters, bytes: it must be judged whole before any of it is forwarded.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest server message of a kind that cannot be streamed (errors, notices, descriptions), bytes.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest statement text in an audit event, bytes; the rest is cut and marked so.
pub const EVENT_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest parameter in an audit event, bytes; the rest is cut and marked so.
pub const EVENT_PARAMETER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of all parameters of one statement in its audit event; further ones are left out as cut.
pub const EVENT_PARAMETERS_BYTES_MAX: usize = 64 * 1024;
/// Different (detector, place) pairs counted for one statement; further ones share one pair named `more`.
pub const FINDING_KINDS_MAX: usize = 256;
/// Bytes of one recording event.
pub const RECORDING_BYTES_MAX: usize = 64 * 1024;
/// Text cells packed before they are scanned, bytes: stays in the second-level cache.
pub const PACKED_BYTES_MAX: usize = 128 * 1024;
/// Result plans kept per session: drivers repeat few statements.
pub const PLANS_MAX: usize = 8;
/// SQL-level PREPARE texts kept per session so that a new policy can judge them again.
pub const SQL_PREPARED_MAX: usize = 256;
/// Distinct literal-free statements whose effects are remembered per core.
pub const ANALYSIS_CACHE_ENTRIES_MAX: usize = 4_096;
/// Longest regular expression of a guardrail, bytes.
pub const PATTERN_BYTES_MAX: usize = 4 * 1024;
/// Largest compiled form of such an expression, bytes.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most group combinations whose redaction differs on one connection.
pub const RULE_SETS_MAX: usize = 1_024;
/// Inside a frame that is too large to be collected, a bytea from this length on is looked at as a stream, bytes.
pub const LONG_CELL_BYTES_MIN: usize = 64 * 1024;
/// Longest single value, and longest row of COPY data, that is collected so that escapes in it are seen; a longer one is
/// looked at as a stream, which sees plain text alone, bytes.
pub const VALUE_COLLECTED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of buffers for decoded values that a core keeps when a long one is done.
pub const DECODED_KEPT_BYTES_MAX: usize = 512 * 1024;
/// Most places of columns that a session keeps, earlier ones included.
pub const RESOLVED_COLUMNS_MAX: usize = 262_144;
/// How long a session goes on with what it knows of where columns are, while it is used; what other sessions change is seen by then.
pub const COLUMNS_FRESH_TIME_MAX: Duration = Duration::from_secs(5);
/// How soon a look-up that failed is tried again.
pub const LOOK_UP_RETRY_TIME: Duration = Duration::from_secs(1);
/// Most tables that a replication stream may describe.
pub const STREAM_TABLES_MAX: usize = 16_384;
/// Most columns of all tables that a replication stream may describe.
pub const STREAM_COLUMNS_MAX: usize = 262_144;
