//! Output as kept ranges of the input and new bytes: most frames leave as they came, so nothing is copied for them.
//!
//! ```text
//! input   |.....kept.....|xx replaced xx|...kept...|  <- not consumed
//! pieces   Kept(0..14)    New(0..5)      Kept(28..38)
//! arena   |new bytes|
//! ```

use std::ops::Range;

use smallvec::SmallVec;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A range of the input, unchanged or changed in place.
    Kept(Range<usize>),
    /// A range of the splice's own arena.
    New(Range<usize>),
}

/// Pieces in order; the common case of one or two is held without an allocation.
pub type Pieces = SmallVec<[Piece; 2]>;

/// One replacement: `range` of the input gives way to `new` of the arena. Either may be empty.
#[derive(Debug, Clone)]
struct Edit {
    start: u32,
    end: u32,
    new_start: u32,
    new_end: u32,
}

/// Collects replacements of one input and assembles the output from them.
///
/// Replacements may be given in any order, but must not overlap; several at one empty range keep their order.
#[derive(Debug, Default)]
pub struct Splice {
    edits: Vec<Edit>,
    arena: Vec<u8>,
}

impl Splice {
    pub fn new() -> Self {
        Splice::default()
    }

    /// Whether everything is kept.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Takes `range` of the input out of the output.
    pub fn remove(&mut self, range: Range<usize>) {
        self.edit(range, self.arena.len());
    }

    /// Puts `bytes` in the place of `range` of the input.
    pub fn replace(&mut self, range: Range<usize>, bytes: &[u8]) {
        self.write(range, |arena| arena.extend_from_slice(bytes));
    }

    /// Puts what `write` appends in the place of `range` of the input.
    pub fn write<R>(&mut self, range: Range<usize>, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.arena.len();
        let result = write(&mut self.arena);
        self.edit(range, start);
        result
    }

    fn edit(&mut self, range: Range<usize>, new_start: usize) {
        let (Ok(start), Ok(end)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            debug_assert!(false, "inputs are far below 4 GiB");
            return;
        };
        let new_end = self.arena.len() as u32;
        self.edits.push(Edit {
            start,
            end,
            new_start: new_start as u32,
            new_end,
        });
    }

    /// Assembles the output of `input[..consumed]` into `pieces` (neighbours merged, nothing empty) and gives up the arena.
    pub fn finish(&mut self, consumed: usize, pieces: &mut Pieces) -> Vec<u8> {
        if self.edits.is_empty() {
            push(pieces, Piece::Kept(0..consumed));
            return Vec::new();
        }
        // Stable, so that insertions at one place keep their order.
        self.edits.sort_by_key(|edit| edit.start);
        let mut at = 0;
        for edit in self.edits.drain(..) {
            push(pieces, Piece::Kept(at..(edit.start as usize).max(at)));
            push(pieces, Piece::New(edit.new_start as usize..edit.new_end as usize));
            at = at.max(edit.end as usize);
        }
        push(pieces, Piece::Kept(at..consumed.max(at)));
        std::mem::take(&mut self.arena)
    }
}

fn push(pieces: &mut Pieces, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (_, Piece::Kept(range) | Piece::New(range)) if range.is_empty() => {}
        (Some(Piece::Kept(last)), Piece::Kept(range)) if last.end == range.start => last.end = range.end,
        (Some(Piece::New(last)), Piece::New(range)) if last.end == range.start => last.end = range.end,
        (_, piece) => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(input: &[u8], pieces: &[Piece], arena: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Kept(range) => out.extend_from_slice(&input[range.clone()]),
                Piece::New(range) => out.extend_from_slice(&arena[range.clone()]),
            }
        }
        out
    }

    #[test]
    fn untouched_input_is_one_piece_and_no_arena() {
        let (mut splice, mut pieces) = (Splice::new(), Pieces::new());
        assert!(splice.finish(7, &mut pieces).is_empty());
        assert_eq!(pieces.as_slice(), [Piece::Kept(0..7)]);
    }

    #[test]
    fn edits_in_any_order_assemble_in_order_of_place() {
        let (mut splice, mut pieces) = (Splice::new(), Pieces::new());
        splice.replace(6..8, b"GH!");
        splice.remove(0..2);
        splice.replace(4..4, b"<");
        splice.replace(4..4, b">");
        let arena = splice.finish(8, &mut pieces);
        assert_eq!(output(b"abcdefgh", &pieces, &arena), b"cd<>efGH!");
        assert_eq!(pieces.first(), Some(&Piece::Kept(2..4)));
        assert!(splice.is_empty(), "a splice is reused for the next input");
    }
}
