//! SQL text to effects, tables and functions.
//!
//! ```text
//! text --lexer--> tokens --fingerprint--> canonical tokens, one run per statement
//!                                            |  seen before: the cached shape
//!                                            v
//!                          classify (tokens, conservative) + tree (parser, exact)
//! ```
//!
//! The text is read once, by a lexer that follows PostgreSQL's own (`scan.l`): the parser never sees the text,
//! only the canonical tokens, so that the two cannot disagree on where a string or a comment ends. Everything
//! that is reported about a statement is computed from its fingerprint alone, so two texts with the same
//! fingerprint cannot differ in effects, and the cache compares whole fingerprints: there is no collision to find.
//!
//! The text has to be UTF-8 with the client encoding set accordingly; other client encodings may hide a quote
//! in a two-byte character and have to be refused or converted by the caller.

mod analyzer;
mod classify;
mod code;
mod copy;
mod effects;
mod fingerprint;
mod lexeme;
mod lexer;
pub mod limits;
mod literal;
mod names;
mod shape;
mod statement;
mod tree;
mod verb;

#[cfg(test)]
mod tests;

pub use analyzer::{Analysis, Analyzer};
pub use classify::setting_effects;
pub use copy::{CopyDirection, CopyFormat, CopyPlace, CopySpec};
pub use effects::Effects;
pub use lexer::{Kind, LexOptions, Lexer, Token};
pub use statement::{FunctionName, Name, Statement, TableName};
pub use verb::Verb;
