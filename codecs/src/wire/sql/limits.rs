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

/// Steps spent on looking for the `WHERE` of the statements inside one statement; when they are used up, the
/// remaining ones count as having none.
pub const WHERE_STEPS_MAX: usize = 4 * 1024 * 1024;

/// Length in bytes at which PostgreSQL cuts an identifier (`NAMEDATALEN` - 1).
pub const IDENTIFIER_BYTES_MAX: usize = 63;
