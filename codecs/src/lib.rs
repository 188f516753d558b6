//! Bytes to meaning and back for every protocol: pure code that does no IO, reads no clock and rolls no dice.

pub mod codec;
pub mod edit;
pub mod fact;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod malformed;
pub mod postgres;
pub mod refusal;
pub mod registry;
pub mod spec;
pub mod splice;
pub mod wire;
