//! Every bound of the PostgreSQL codec, each with its reason.

/// Largest start-up packet, bytes with its length field (the server's own `MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Largest frame that a client may send before it has logged in, bytes with tag and length.
pub const LOGIN_FRONTEND_BYTES_MAX: usize = 10_000;
/// Largest frame that a target may send before it is ready, bytes with tag and length (libpq's bound for such frames).
pub const LOGIN_BACKEND_BYTES_MAX: usize = 30_000;
/// Largest frame of a kind that carries statements, values or copy data (the server's `PQ_LARGE_MESSAGE_LIMIT`, 1 GiB less 1).
pub const LARGE_FRAME_BYTES_MAX: usize = (1 << 30) - 1;
/// Largest frontend frame of a kind that carries only names (the server's `PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_FRONTEND_BYTES_MAX: usize = 10_000;
/// Largest backend frame of a kind that libpq does not count among the long ones.
pub const SMALL_BACKEND_BYTES_MAX: usize = 30_000;
/// Largest RowDescription: 1,664 columns with long names fit many times.
pub const ROW_DESCRIPTION_BYTES_MAX: usize = 4 << 20;

/// Most parameters in a start-up packet.
pub const STARTUP_PARAMETERS_MAX: usize = 64;
/// Longest user or database name in a start-up packet, bytes; room for `user#connection` and `connection/database`.
pub const STARTUP_NAME_BYTES_MAX: usize = 256;
/// Highest minor version of protocol 3 that is spoken here.
pub const MINOR_MAX: u16 = 2;
/// Length of a cancel key's secret in protocol 3.0, bytes.
pub const SECRET_BYTES_V30: usize = 4;
/// Length of the cancel key's secret that we hand out in protocol 3.2, bytes.
pub const SECRET_BYTES_V32: usize = 32;
/// Longest secret of a cancel key, bytes (protocol 3.2).
pub const SECRET_BYTES_MAX: usize = 256;

/// Most ParameterStatus values kept from a target.
pub const TARGET_PARAMETERS_MAX: usize = 128;
/// Most frames that a target may send from connect to its first ReadyForQuery.
pub const TARGET_LOGIN_FRAMES_MAX: usize = 1_024;
/// Bytes of notices that a target sends during a login and the client gets; later ones are left out.
pub const LOGIN_NOTICES_BYTES_MAX: usize = 16 * 1024;
/// Most columns looked up in the target's catalogue for one session.
pub const RESOLVE_COLUMNS_MAX: usize = 4_096;
/// Most rows that the catalogue lookup may answer (columns times partitions).
pub const RESOLVE_ROWS_MAX: usize = 262_144;
/// Most bytes of a server's error message that are kept, bytes per field.
pub const SERVER_ERROR_FIELD_BYTES_MAX: usize = 4_096;
/// Longest text in an error or notice of our own, bytes.
pub const REFUSAL_TEXT_BYTES_MAX: usize = 8_192;

/// Requests without an answer that a session may have; the client waits beyond that. More than the server holds back
/// in its 8 KiB output buffer, so that a Flush always gets the queue moving.
pub const BACKLOG_MAX: usize = 8_192;
/// Bytes kept for requests without an answer (texts, values for the record); the client waits beyond that.
pub const BACKLOG_BYTES_MAX: usize = 4 << 20;
/// Most prepared statements of a session.
pub const STATEMENTS_MAX: usize = 8_192;
/// Most bytes of text of a session's prepared statements.
pub const STATEMENT_TEXT_BYTES_MAX: usize = 32 << 20;
/// Most named portals of a session.
pub const PORTALS_MAX: usize = 4_096;
/// Longest name of a prepared statement or portal, bytes.
pub const NAME_BYTES_MAX: usize = 4_096;
/// Result descriptions that a session keeps to recognise them again.
pub const SHAPES_KEPT_MAX: usize = 8;
/// Longest description that is kept so, bytes.
pub const SHAPE_KEPT_BYTES_MAX: usize = 16 * 1024;
