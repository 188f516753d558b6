//! Named bounds of what our own wire formats accept.

/// Longest message of the control and tunnel contracts other than a snapshot, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Longest signed snapshot, in bytes: 10,000 connections and 5,000 users with tokens take about 6 MB.
pub const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest audit record in a segment, in bytes. A statement's text is cut long before.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Records of one audit batch on its way to the control plane, in bytes.
pub const AUDIT_BATCH_BYTES_MAX: usize = 512 * 1024;
