//! Many text cells packed into one area with a NUL after each, the one input form of every protocol.
//!
//! ```text
//! area     | cell 0 | 0 | cell 1 | 0 | cell 2 | 0 |
//! starts     ^            ^            ^
//! origins    the caller's mark of each cell
//! contexts   only of the cells in fields with a telling name
//! ```

use crate::limits::HAYSTACK_BYTES_MAX;
use crate::{CellFinding, Context, Finding};

/// Packed cells. Reuse it: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Cells {
    area: Vec<u8>,
    starts: Vec<u32>,
    origins: Vec<u64>,
    /// Cells that have a context, in order, and what of the area they take.
    contexts: Vec<(u32, Context)>,
    with_context: Vec<(u32, u32)>,
}

/// One packed cell as the scanner sees it.
pub(crate) struct Cell<'a> {
    pub bytes: &'a [u8],
    pub context: Context,
}

impl Cells {
    /// An empty area.
    pub fn new() -> Cells {
        Cells::default()
    }

    /// Forgets all cells and keeps the memory.
    pub fn clear(&mut self) {
        self.area.clear();
        self.starts.clear();
        self.origins.clear();
        self.contexts.clear();
        self.with_context.clear();
    }

    /// Appends a cell. `origin` is the caller's own mark (place in its buffer), `context` comes from
    /// [`crate::Scanner::context_of`] on the column's name.
    ///
    /// # Panics
    /// When the area would exceed 4 GiB: callers pack one receive buffer at a time.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], origin: u64, context: Context) {
        assert!(
            bytes.len() < HAYSTACK_BYTES_MAX - self.area.len(),
            "packed cells exceed 4 GiB"
        );
        let start = self.area.len() as u32;
        if context != Context::NONE {
            self.contexts.push((self.starts.len() as u32, context));
            self.with_context.push((start, start + bytes.len() as u32));
        }
        self.area.reserve(bytes.len() + 1);
        self.area.extend_from_slice(bytes);
        self.area.push(0);
        self.starts.push(start);
        self.origins.push(origin);
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes of the packed area, separators included.
    pub fn area_bytes(&self) -> usize {
        self.area.len()
    }

    /// The caller's mark of a cell.
    pub fn origin(&self, cell: usize) -> u64 {
        self.origins[cell]
    }

    /// The bytes of a cell.
    pub fn bytes(&self, cell: usize) -> &[u8] {
        let next = self.starts.get(cell + 1).map_or(self.area.len(), |next| *next as usize);
        &self.area[self.start(cell)..next - 1]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Cell<'_>> {
        (0..self.len()).map(|cell| Cell {
            bytes: self.bytes(cell),
            context: self.context(cell),
        })
    }

    pub(crate) fn area(&self) -> &[u8] {
        &self.area
    }

    pub(crate) fn start(&self, cell: usize) -> usize {
        self.starts[cell] as usize
    }

    pub(crate) fn context(&self, cell: usize) -> Context {
        let found = self.contexts.binary_search_by_key(&(cell as u32), |(cell, _)| *cell);
        found.map_or(Context::NONE, |place| self.contexts[place].1)
    }

    /// What the cells with a context take of the area.
    pub(crate) fn with_context(&self) -> &[(u32, u32)] {
        &self.with_context
    }

    /// The cell that a place of the area is in; `near` is one at or before it.
    pub(crate) fn at(&self, place: usize, near: usize) -> usize {
        let near = if self.starts.get(near).is_some_and(|start| *start as usize <= place) {
            near
        } else {
            0
        };
        // Doubling steps from the last one: places come in order and mostly close together.
        let mut step = 1;
        while self
            .starts
            .get(near + step)
            .is_some_and(|start| *start as usize <= place)
        {
            step *= 2;
        }
        let (low, high) = (near + step / 2, self.starts.len().min(near + step));
        low + self.starts[low..high].partition_point(|start| *start as usize <= place) - 1
    }

    /// Turns findings in the area into findings in cells.
    pub(crate) fn map_back(&self, findings: &[Finding], out: &mut Vec<CellFinding>) {
        let mut cell = 0;
        for finding in findings {
            cell = self.at(finding.start as usize, cell);
            let start = self.starts[cell];
            out.push(CellFinding {
                cell: cell as u32,
                detector: finding.detector,
                start: finding.start - start,
                end: finding.end - start,
                confidence: finding.confidence,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_from_any_earlier_cell() {
        let mut cells = Cells::new();
        let texts = ["", "a", "bc", "", "", "defg", "h", "", "ijk"];
        texts
            .iter()
            .for_each(|text| cells.push(text.as_bytes(), 7, Context::NONE));
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(cells.bytes(number), text.as_bytes());
            for offset in 0..=text.len() {
                for near in 0..=number {
                    assert_eq!(cells.at(cells.start(number) + offset, near), number);
                }
            }
        }
    }
}
