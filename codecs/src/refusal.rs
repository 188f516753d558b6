//! Why a peer is turned away, in words that hold for every protocol; each protocol's `refusal` says it in its own form.

/// The kind of a refusal: what the peer may know. Decides the error code of each protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The secret is wrong, or user or connection are unknown or not allowed: all one answer.
    Credentials,
    /// A guardrail or an access rule forbids this statement.
    Forbidden,
    /// A review has to approve it first.
    ReviewNeeded,
    /// The peer broke the protocol.
    Protocol,
    /// A feature of the protocol that is not passed on.
    Unsupported,
    /// The target, or the agent on the way to it, cannot be reached.
    TargetUnavailable,
    /// A bound is reached: too many sessions, a frame above its limit.
    TooMuch,
    /// The session was ended by an administrator or by a change of policy.
    Revoked,
    /// The process is shutting down.
    ShuttingDown,
    /// Ours: a spool is full, a snapshot is too old; nothing passes that cannot be judged and noted.
    Unable,
}

/// A refusal: its kind, the sentence that the peer reads, and what it can do about it.
///
/// `message` and `hint` go to the peer: no secret, no matched value, no detail of the inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub kind: RefusalKind,
    pub message: String,
    pub hint: Option<String>,
    /// The session ends with it.
    pub fatal: bool,
}
