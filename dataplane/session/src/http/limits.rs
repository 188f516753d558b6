//! Every bound of the HTTP part of the session core.

/// A JSON string up to this long is looked at whole, so that what is not masked leaves byte for byte as it came, bytes.
pub const JSON_STRING_COLLECTED_BYTES_MAX: usize = 64 * 1024;
/// Longest number or word of a JSON text, bytes.
pub const JSON_SCALAR_BYTES_MAX: usize = 4 * 1024;
/// Deepest nesting of a JSON text.
pub const JSON_DEPTH_MAX: usize = 256;
/// Longest name of a JSON member that paths and context look at, bytes; longer ones are looked at as values.
pub const JSON_KEY_BYTES_MAX: usize = 256;
/// Longest line of an event stream, bytes.
pub const EVENT_LINE_BYTES_MAX: usize = 1024 * 1024;
/// Longest field of a table in text, bytes.
pub const CSV_FIELD_BYTES_MAX: usize = 1024 * 1024;
/// Columns of a table in text.
pub const CSV_COLUMNS_MAX: usize = 4096;
/// A body that was encoded may become so many times longer …
pub const DECODED_RATIO_MAX: u64 = 256;
/// … once it is longer than this, bytes. Repetitive texts reach 100; the codings reach 1,000 (gzip) and any number (br, zstd).
pub const DECODED_FREE_BYTES: u64 = 16 * 1024 * 1024;
/// So much of a decoded body is looked at and sent at once, bytes.
pub const DECODED_STEP_BYTES: usize = 64 * 1024;
/// Largest window of a zstd frame, bytes (RFC 9659 section 3).
pub const ZSTD_WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Largest block of a zstd frame, bytes (RFC 8878 section 3.1.1.2.4).
pub const ZSTD_BLOCK_BYTES_MAX: usize = 128 * 1024;
/// Largest body of a request that is judged before any of it is passed on, bytes.
pub const REQUEST_INSPECTED_BYTES_MAX: usize = 1024 * 1024;
/// Steps of a JSON path.
pub const JSON_PATH_STEPS_MAX: usize = 32;
/// Longest path of a request in its audit event, bytes.
pub const EVENT_PATH_BYTES_MAX: usize = 4 * 1024;
/// A target is asked how it is at most once in so many milliseconds.
pub const HEALTH_INTERVAL_MS_MIN: u32 = 100;
