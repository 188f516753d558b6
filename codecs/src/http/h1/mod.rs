//! HTTP/1.1 on the wire (RFC 9112): strict heads, bodies, and the writer that frames everything anew.

pub mod body;
pub mod head;
pub mod write;

#[cfg(test)]
mod tests;

pub use body::{BodyReader, Piece};
pub use head::{HeadReader, parse_request, parse_response};
