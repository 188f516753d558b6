//! gRPC over HTTP/2: status codes, the five-byte message prefix, incremental reading of messages.

use std::fmt;

/// The status of a call (gRPC, "Status codes and their use in gRPC").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GrpcStatus {
    /// Done.
    Ok = 0,
    /// Cancelled by the caller, or the stream was reset.
    Cancelled = 1,
    /// No better code.
    Unknown = 2,
    /// The caller's argument is wrong whatever the state.
    InvalidArgument = 3,
    /// Out of time.
    DeadlineExceeded = 4,
    /// Not found.
    NotFound = 5,
    /// Exists.
    AlreadyExists = 6,
    /// The caller is known and may not.
    PermissionDenied = 7,
    /// A quota or bound is exhausted.
    ResourceExhausted = 8,
    /// Not in this state.
    FailedPrecondition = 9,
    /// Aborted.
    Aborted = 10,
    /// Past the end.
    OutOfRange = 11,
    /// No such method.
    Unimplemented = 12,
    /// An invariant is broken.
    Internal = 13,
    /// May be tried again elsewhere or later.
    Unavailable = 14,
    /// Data is lost.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

impl GrpcStatus {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The number in `grpc-status`.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From the number; what is not known is `Unknown`, as gRPC asks.
    pub fn from_code(code: u32) -> Self {
        Self::ALL
            .get(code as usize)
            .copied()
            .unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
