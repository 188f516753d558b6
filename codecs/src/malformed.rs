//! What is wrong with bytes that do not follow their protocol; the one error of every parser in this crate.

/// A peer's bytes broke the rules of its protocol.
///
/// Carries places, numbers and tags, never bytes of the peer: it may be logged and shown to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The enclosing frame ended before the field did.
    #[error("{place}: ends too early")]
    Truncated { place: &'static str },
    /// Bytes are left over after the last field of a frame.
    #[error("{place}: {bytes} bytes too many")]
    Trailing { place: &'static str, bytes: usize },
    /// A length field is negative, too small for what must follow, or above its bound.
    #[error("{place}: length {announced} is outside {min}..={max}")]
    Length {
        place: &'static str,
        announced: i64,
        min: usize,
        max: usize,
    },
    /// No frame of this kind exists, or not at this point of the conversation.
    #[error("{place}: unexpected message type 0x{tag:02x}")]
    Tag { place: &'static str, tag: u8 },
    /// A string has no terminating NUL inside its frame.
    #[error("{place}: string without end")]
    Unterminated { place: &'static str },
    /// Text that must be UTF-8 (or ASCII where the protocol says so) is not.
    #[error("{place}: text is not valid")]
    Text { place: &'static str },
    /// A field holds a value that the protocol does not define.
    #[error("{place}: value {value} is not defined")]
    Value { place: &'static str, value: i64 },
    /// More entries than the bound allows.
    #[error("{place}: more than {max} entries")]
    TooMany { place: &'static str, max: usize },
    /// The same entry was given twice where that would be ambiguous.
    #[error("{place}: given twice")]
    Duplicate { place: &'static str },
}

impl Malformed {
    /// Names the field or message in which the mistake is.
    pub fn place(&self) -> &'static str {
        match *self {
            Malformed::Truncated { place }
            | Malformed::Trailing { place, .. }
            | Malformed::Length { place, .. }
            | Malformed::Tag { place, .. }
            | Malformed::Unterminated { place }
            | Malformed::Text { place }
            | Malformed::Value { place, .. }
            | Malformed::TooMany { place, .. }
            | Malformed::Duplicate { place } => place,
        }
    }
}
