//! The only bytes that may leave a session: made with proof that what they belong to was noted for the audit.

use codecs::splice::Splice;
pub use codecs::splice::{Piece, Pieces};

use crate::tap::Noted;

/// What one call of [`Session::feed`](crate::Session::feed) releases, in order.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: Pieces,
    arena: Vec<u8>,
}

impl Outgoing {
    /// Assembles what becomes of `input[..consumed]`. The token says that the tap has the events of all of it.
    pub(crate) fn assemble(splice: &mut Splice, consumed: usize, _noted: Noted) -> Outgoing {
        let mut pieces = Pieces::new();
        let arena = splice.finish(consumed, &mut pieces);
        Outgoing { pieces, arena }
    }

    /// Nothing leaves.
    pub fn nothing() -> Outgoing {
        Outgoing::default()
    }

    /// Ranges of the input and of [`Outgoing::arena`], in the order in which they leave; none is empty.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes that were not in the input.
    pub fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Gives up both lists, for callers that send the arena without copying it.
    pub fn into_parts(self) -> (Pieces, Vec<u8>) {
        (self.pieces, self.arena)
    }

    /// If the output is one unbroken range of the input (the common case), that range.
    pub fn kept_whole(&self) -> Option<std::ops::Range<usize>> {
        match self.pieces.as_slice() {
            [] => Some(0..0),
            [Piece::Kept(range)] => Some(range.clone()),
            _ => None,
        }
    }

    /// Bytes that leave.
    pub fn len(&self) -> usize {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Kept(range) | Piece::New(range) => range.len(),
            })
            .sum()
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Copies what leaves to the end of `out`; `input` is the buffer that was fed.
    pub fn copy_to(&self, input: &[u8], out: &mut Vec<u8>) {
        for piece in &self.pieces {
            out.extend_from_slice(match piece {
                Piece::Kept(range) => input.get(range.clone()).unwrap_or_default(),
                Piece::New(range) => self.arena.get(range.clone()).unwrap_or_default(),
            });
        }
    }
}
