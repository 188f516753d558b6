//! The one thing the mux needs from a buffer: it can be cut in two without copying.

/// An owned, uniquely held view of bytes.
///
/// The data plane implements it for its pool-backed buffers (a newtype of its own, because both the trait and the buffer
/// are foreign to it); with the feature `bytes` it is implemented for `bytes::BytesMut`.
pub trait Payload: Sized + AsRef<[u8]> + AsMut<[u8]> {
    /// A buffer from bytes that are already on the heap. An empty one is asked for often and must not allocate.
    fn from_vec(bytes: Vec<u8>) -> Self;

    /// A buffer with a copy of a few bytes: frame headers and small messages are handed out with it, once per piece.
    fn from_slice(bytes: &[u8]) -> Self {
        Self::from_vec(bytes.to_vec())
    }

    /// Cuts off the first `n` bytes and returns them; `self` keeps the rest. The mux never asks for more than there are.
    fn split_to(&mut self, n: usize) -> Self;

    /// Drops the first `n` bytes. The mux never asks for more than there are.
    fn advance(&mut self, n: usize);
}

/// The plainest payload: a `Vec<u8>` that is copied when cut. For tests and tools; it is right, not fast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VecPayload(pub Vec<u8>);

impl AsRef<[u8]> for VecPayload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for VecPayload {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl From<Vec<u8>> for VecPayload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Payload for VecPayload {
    fn from_vec(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    fn split_to(&mut self, n: usize) -> Self {
        let rest = self.0.split_off(n.min(self.0.len()));
        Self(std::mem::replace(&mut self.0, rest))
    }

    fn advance(&mut self, n: usize) {
        self.0.drain(..n.min(self.0.len()));
    }
}

#[cfg(feature = "bytes")]
impl Payload for bytes::BytesMut {
    fn from_vec(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return bytes::BytesMut::new();
        }
        // Takes the vector over when nobody else holds it, which is so here.
        bytes::BytesMut::from(bytes::Bytes::from(bytes))
    }

    fn from_slice(bytes: &[u8]) -> Self {
        bytes::BytesMut::from(bytes)
    }

    fn split_to(&mut self, n: usize) -> Self {
        bytes::BytesMut::split_to(self, n.min(self.len()))
    }

    fn advance(&mut self, n: usize) {
        bytes::Buf::advance(self, n.min(self.len()));
    }
}
