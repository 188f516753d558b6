//! HTTP in the session core: what a connection lets through, who asks, what becomes of headers and bodies, and the record.

pub mod body;
pub mod decode;
pub mod headers;
pub mod judge;
pub mod limits;
pub mod net;
pub mod policy;
pub mod session;

mod csv;
mod json;

#[cfg(test)]
mod tests;

pub use body::{BodyFilter, Media, Unreadable};
pub use decode::{Coded, Decoder};
pub use judge::{Asked, Denial, Granted};
pub use policy::{HttpPolicy, JsonPath};
pub use session::{Exchange, HttpSession};
