//! Bounds of the SQL text analysis.

/// Longest statement, in bytes of its fingerprint, that is given to the parser. Longer ones are judged by
/// their tokens alone.
pub const STATEMENT_PARSED_BYTES_MAX: usize = 64 * 1024;

/// Most tokens of a statement that is given to the parser. A chain such as `1+1+1+…` becomes a tree as deep
/// as it is long, which is walked and freed by recursion: this bounds that depth.
pub const STATEMENT_PARSED_TOKENS_MAX: usize = 2048;

/// Nesting at which the parser gives up; the statement is then judged by its tokens. The parser's frames are
/// large: with this bound an analysis needs less than 1 MiB of stack in a development build.
pub const PARSER_NESTING_MAX: usize = 28;

/// Most statements told apart in one text. What follows is judged together, as one statement.
pub const STATEMENTS_MAX: usize = 4096;

/// Longest fingerprint that the cache keeps.
pub const FINGERPRINT_CACHED_BYTES_MAX: usize = 16 * 1024;

/// How deep code within code (a `DO` inside a function inside an `EXECUTE`) is followed.
pub const CODE_NESTING_MAX: usize = 4;

/// Most table names, and most function names, that are listed for one statement. A statement that names more
/// gets [`Effects::UNKNOWN`](super::Effects::UNKNOWN).
pub const NAMES_MAX: usize = 512;

/// Looking ahead (for a `WHERE`, for the end of a call, into code within code) is paid for in steps. A statement
/// has this many, and [`LOOKAHEAD_STEPS_PER_BYTE`] more for each byte of its fingerprint; when they are used up,
/// what was not looked at counts as the worst it may be. This keeps the work linear in the length of the text.
pub const LOOKAHEAD_STEPS_MIN: usize = 4096;

/// See [`LOOKAHEAD_STEPS_MIN`].
pub const LOOKAHEAD_STEPS_PER_BYTE: usize = 16;

/// Most parts of a dotted name that are followed when a statement is read by its tokens.
pub const NAME_PARTS_MAX: usize = 8;

/// Length in bytes at which PostgreSQL cuts an identifier (`NAMEDATALEN` - 1).
pub const IDENTIFIER_BYTES_MAX: usize = 63;
