//! Links: mTLS connections that the agent dials to gateways, one HTTP/2 each, on which gateways open streams.

pub mod backoff;
pub mod call;
pub mod dial;
mod drive;
mod hello;
mod keep;
mod stream;

pub use drive::{Link, LinkEnd, Opened, drive};
pub use keep::{keep_gateway, keep_link};
pub use stream::{Incoming, Stream, StreamGone};
