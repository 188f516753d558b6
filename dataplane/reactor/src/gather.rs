//! `Gather`: a list of views that leaves in one send, in order.

use smallvec::SmallVec;

use crate::Buf;

/// Pieces kept without an allocation: head, body and tail of a rewritten message fit.
const PIECES_INLINE: usize = 4;

/// Pieces to send in order. Empty pieces are dropped when they are pushed.
#[derive(Debug, Default)]
pub struct Gather {
    pub(crate) pieces: SmallVec<[Buf; PIECES_INLINE]>,
    pub(crate) bytes: usize,
}

impl Gather {
    /// Nothing to send yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a view.
    pub fn push(&mut self, piece: Buf) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Appends bytes of the caller's own.
    pub fn push_vec(&mut self, bytes: Vec<u8>) {
        self.push(Buf::from(bytes));
    }

    /// Bytes in all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Number of pieces.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }
}

impl From<Buf> for Gather {
    fn from(piece: Buf) -> Self {
        let mut gather = Gather::new();
        gather.push(piece);
        gather
    }
}

impl From<Vec<u8>> for Gather {
    fn from(bytes: Vec<u8>) -> Self {
        Gather::from(Buf::from(bytes))
    }
}

/// The pieces in order, for layers that encrypt or frame them.
impl IntoIterator for Gather {
    type Item = Buf;
    type IntoIter = smallvec::IntoIter<[Buf; PIECES_INLINE]>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}
