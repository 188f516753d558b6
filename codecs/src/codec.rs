//! The verbs that a protocol's codec offers to the session core, and the words they share.

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the target.
    ToUpstream,
    /// From the target to the client.
    ToDownstream,
}
