//! One stream of a link: what is queued to be sent, its windows and how far each side is.

/// Identifies a stream of one link (RFC 9113, 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The number on the wire.
    pub const fn value(self) -> u32 {
        self.0
    }
}
