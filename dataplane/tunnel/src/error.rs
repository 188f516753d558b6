//! What ends a link, and what keeps a stream from being opened.

use crate::frame::ErrorCode;

/// Why a link is over. Every stream of it was closed with `Unavailable` before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer broke the protocol or a limit; GOAWAY with this code is the last thing to be transmitted.
    #[error("peer broke HTTP/2: {what} ({code})")]
    Protocol {
        /// Code of our GOAWAY.
        code: ErrorCode,
        /// Which rule.
        what: &'static str,
    },
    /// The peer closed the link with an error of its own.
    #[error("peer closed the link: {code}")]
    Peer {
        /// Code of the peer's GOAWAY.
        code: ErrorCode,
    },
    /// The peer was silent for longer than the keep-alive allows.
    #[error("link is dead: no answer to keep-alive")]
    KeepAlive,
    /// A drain came to its end: no stream is left and none may be opened.
    #[error("link is drained")]
    Drained,
}

impl LinkError {
    pub(crate) const fn protocol(what: &'static str) -> Self {
        Self::Protocol {
            code: ErrorCode::PROTOCOL_ERROR,
            what,
        }
    }

    pub(crate) const fn calm(what: &'static str) -> Self {
        Self::Protocol {
            code: ErrorCode::ENHANCE_YOUR_CALM,
            what,
        }
    }
}

/// Why a stream could not be opened. Another link may still take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The link is over.
    #[error("link is closed")]
    Closed,
    /// One of the two ends is draining the link.
    #[error("link is draining")]
    Draining,
    /// As many streams as the peer, or our own limit, allows are open.
    #[error("too many streams on this link")]
    TooManyStreams,
    /// All 2^30 stream identifiers of this link were used.
    #[error("stream identifiers of this link are used up")]
    IdsExhausted,
    /// A path or metadata that may not stand in a header, or more than the peer takes.
    #[error("metadata not allowed in a header")]
    Metadata,
    /// Only the client role opens streams.
    #[error("only the client role opens streams")]
    ServerRole,
}
