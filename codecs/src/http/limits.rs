//! Every bound of the HTTP codec.

/// Longest head of a message with its request or status line, bytes.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Fields of one head or trailer section.
pub const FIELDS_MAX: usize = 128;
/// Longest method, bytes.
pub const METHOD_BYTES_MAX: usize = 32;
/// Longest request target, bytes.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Longest line with the size of a chunk, bytes, extensions included.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Longest trailer section, bytes.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Segments of a path.
pub const SEGMENTS_MAX: usize = 64;
/// Routes of one connection.
pub const ROUTES_MAX: usize = 4096;
