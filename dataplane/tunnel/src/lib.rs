//! Both ends of a link: standard HTTP/2 (RFC 9113) with standard gRPC framing, sans-IO, payload sliced and never copied.
//!
//! A [`Mux`] is one end of one link, in client or server role. It reads no clock and touches no socket:
//!
//! 1. bytes from the socket go into [`Mux::feed`], with the time;
//! 2. [`Mux::poll_event`] is asked until it is empty;
//! 3. the user answers with `open`, `send_message`, `send_data`, `release`, `finish`, `reset`;
//! 4. [`Mux::poll_transmit`] gives what has to be written, as pieces to be gathered into one write;
//! 5. at [`Mux::poll_timeout`] the user calls [`Mux::handle_timeout`].
//!
//! Steps 2 and 4 are repeated after every call of 1, 3 and 5. Times are `Duration`s since any fixed point of the caller's choice.

mod drain;
mod error;
mod flood;
mod flow;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod grpc;
mod headers;
pub mod hello;
pub mod hpack;
mod keepalive;
pub mod limits;
mod mux;
pub mod open;
mod payload;
mod sched;
mod stream;

pub use error::{LinkError, OpenError};
pub use frame::ErrorCode;
pub use grpc::GrpcStatus;
pub use limits::{FloodLimits, Limits};
pub use mux::{Event, Mux, Role};
pub use payload::{Payload, VecPayload};
pub use stream::StreamId;
