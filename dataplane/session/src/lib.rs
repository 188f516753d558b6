//! Sans-IO inspection core of a session: bytes and the time go in, judged, noted and masked bytes come out.
//!
//! Calling order. [`policy::compile`] turns a snapshot into a [`Policy`] once per generation. For each login the
//! caller asks [`admit::admit`], reaches the target, and makes a [`Session`] with [`Session::open`]. Every piece of
//! bytes that a socket delivers goes through [`Session::feed`]; what leaves is only what [`Fed::out`] names. Events
//! for the audit collect in the [`Tap`] of the core's [`Scratch`]; the caller takes them with [`Tap::take`] and
//! writes them before it sends anything of the same turn. [`Session::end`] is called exactly once, last.
//!
//! Nothing here does IO, reads a clock or rolls dice.

#[doc(hidden)]
pub mod fuzzing;
pub mod hold;
pub mod http;
pub mod judge;
pub mod limits;
pub mod outgoing;
pub mod policy;
pub mod preview;
pub mod tap;
pub mod verdict;

mod pipeline;
mod plan;
mod record;
mod session;
mod text;

#[cfg(test)]
mod tests;

pub use codecs::codec::Direction;
pub use judge::access as admit;
pub use outgoing::{Outgoing, Piece};
pub use pipeline::withhold::stuck_cancel_close;
pub use policy::{ColumnName, ConnectionPolicy, Policy, PolicyError};
pub use session::{Close, CloseCause, EndCause, Fed, Now, Opening, ResolvedColumn, Scratch, Session};
pub use tap::Tap;
