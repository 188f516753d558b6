//! Replication: what its commands ask for, and where the values are in what the output plugin `pgoutput` sends.
//!
//! ```text
//! CopyData | 'w' | start u64 | end u64 | time i64 | message of the plugin |      a piece of the write-ahead log, or of its meaning
//!          | 'k' | end u64 | time i64 | answer? u8 |                             keepalive
//! ```
//! PostgreSQL documentation, "Streaming Replication Protocol" and "Logical Replication Message Formats".

mod command;
mod pgoutput;

pub use command::Command;
pub use pgoutput::{Cell, CellFormat, Change, Relation, RelationColumn, Tuple};

use std::ops::Range;

use crate::malformed::Malformed;
use crate::wire::cursor::Cursor;

/// What a start-up packet asks for with `replication`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// `true`: the write-ahead log as it is; no SQL.
    Physical,
    /// `database`: changes of one database through an output plugin; SQL as well.
    Logical,
}

impl Replication {
    /// The parameter's value, as the server reads it. `None`: an ordinary session.
    ///
    /// # Errors
    /// A value that the server does not take.
    pub fn from_startup(value: &str) -> Result<Option<Replication>, Malformed> {
        let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
        // `parse_bool` takes every beginning of these words that means one of them only.
        if value == "database" {
            Ok(Some(Replication::Logical))
        } else if is(&["t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"]) {
            Ok(Some(Replication::Physical))
        } else if is(&["f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"]) {
            Ok(None)
        } else {
            Err(Malformed::Text { place: "replication" })
        }
    }

    /// The value to send to a server.
    pub fn to_startup(self) -> &'static str {
        match self {
            Replication::Physical => "true",
            Replication::Logical => "database",
        }
    }
}

/// A message of the server inside CopyData.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streamed {
    /// Where the plugin's message, or the log itself, is in the payload.
    Log(Range<usize>),
    /// Positions and times only.
    Status,
}

/// Takes a payload of CopyData apart.
///
/// # Errors
/// Anything that the protocol does not know.
pub fn streamed(payload: &[u8]) -> Result<Streamed, Malformed> {
    const PLACE: &str = "replication message";
    const LOG_HEADER_BYTES: usize = 1 + 3 * 8;
    const KEEPALIVE_BYTES: usize = 1 + 2 * 8 + 1;
    /// "Primary status update": positions, transaction numbers, a time.
    const STATUS_BYTES_MAX: usize = 1 + 5 * 8;
    let mut cursor = Cursor::new(payload, PLACE);
    match cursor.u8()? {
        b'w' => {
            cursor.take(LOG_HEADER_BYTES - 1)?;
            Ok(Streamed::Log(LOG_HEADER_BYTES..payload.len()))
        }
        b'k' if payload.len() == KEEPALIVE_BYTES => Ok(Streamed::Status),
        b's' if payload.len() <= STATUS_BYTES_MAX => Ok(Streamed::Status),
        tag => Err(Malformed::Tag { place: PLACE, tag }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_is_read_as_the_server_reads_it() {
        assert_eq!(Replication::from_startup("database"), Ok(Some(Replication::Logical)));
        assert_eq!(Replication::from_startup("TRUE"), Ok(Some(Replication::Physical)));
        assert_eq!(Replication::from_startup("on"), Ok(Some(Replication::Physical)));
        assert_eq!(Replication::from_startup("of"), Ok(None));
        for wrong in ["", "o", "Database", "2", "true "] {
            assert!(Replication::from_startup(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn messages_are_log_or_positions() {
        let log = [b"w".as_slice(), &[0; 24], b"Bxyz"].concat();
        assert_eq!(streamed(&log), Ok(Streamed::Log(25..29)));
        assert_eq!(streamed(&[b"k".as_slice(), &[0; 17]].concat()), Ok(Streamed::Status));
        for wrong in [b"".as_slice(), b"w", b"k", b"x", &[b'k'; 30], &[b's'; 200]] {
            assert!(streamed(wrong).is_err(), "{wrong:?}");
        }
    }
}
