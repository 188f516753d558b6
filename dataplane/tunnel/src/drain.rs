//! The orderly end of a link: no new streams, those that run go on, then GOAWAY has the last word (RFC 9113, 6.8).

/// Opaque bytes of the PING that shows that the peer has read our first GOAWAY.
pub(crate) const DRAIN_PING: [u8; 8] = *b"drain?\0\0";

/// How far our own drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Drain {
    /// The link takes streams.
    #[default]
    No,
    /// Server role: announced with the highest stream number; streams on their way are still taken until the PING comes back.
    Announced,
    /// The last stream that is taken was named.
    Final,
}
