//! Many text cells packed into one area with a NUL after each, the one input form of every protocol.
//!
//! ```text
//! area     | cell 0 | 0 | cell 1 | 0 | cell 2 | 0 | spare
//! starts     ^            ^            ^
//! origins    the caller's marks of cells that have one
//! contexts   only of the cells in fields with a telling name
//! ```

use std::ops::Range;

use crate::limits::HAYSTACK_BYTES_MAX;
use crate::{CellFinding, Context, Finding};

/// Packed cells. Reuse it: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Cells {
    /// Longer than what is used, so that short cells are copied as whole blocks.
    area: Vec<u8>,
    used: usize,
    starts: Vec<u32>,
    origins: Vec<(u32, u64)>,
    /// Cells that have a context, in order, and what of the area they take.
    contexts: Vec<(u32, Context)>,
    with_context: Vec<(u32, u32)>,
}

/// Bytes that are copied at once, whatever of them belongs to a cell.
const BLOCK_BYTES: usize = 64;

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
        self.used = 0;
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
        if origin != 0 {
            self.origins.push((self.starts.len() as u32, origin));
        }
        let start = self.begin(bytes.len(), context);
        self.area[start..start + bytes.len()].copy_from_slice(bytes);
        self.area[start + bytes.len()] = 0;
    }

    /// As [`Cells::push`] for a part of a buffer, without an origin; faster where the cell is short and the buffer goes on behind it.
    ///
    /// # Panics
    /// As [`Cells::push`], and when the buffer does not have this part.
    #[inline]
    pub fn push_part(&mut self, buffer: &[u8], part: Range<usize>, context: Context) {
        let len = part.len();
        let start = self.begin(len, context);
        let block = buffer
            .get(part.start..)
            .and_then(|rest| rest.first_chunk::<BLOCK_BYTES>());
        match block {
            // What is too much is written over by the next cell.
            Some(block) if len <= BLOCK_BYTES => self.area[start..start + BLOCK_BYTES].copy_from_slice(block),
            _ => self.area[start..start + len].copy_from_slice(&buffer[part]),
        }
        self.area[start + len] = 0;
    }

    /// Appends the fields of a line as cells without a context. `ends` are the places in `line` that part them; what stands there is
    /// in no cell.
    ///
    /// # Panics
    /// As [`Cells::push`], and when a place is outside of the line.
    #[inline]
    pub fn push_fields(&mut self, line: &[u8], ends: &[u32]) {
        let start = self.begin(line.len(), Context::NONE);
        let area = &mut self.area[start..start + line.len() + 1];
        area[..line.len()].copy_from_slice(line);
        area[line.len()] = 0;
        for end in ends {
            area[*end as usize] = 0;
        }
        self.starts.extend(ends.iter().map(|end| start as u32 + end + 1));
    }

    /// Gives a cell a context. To be called in the order of the cells.
    pub fn set_context(&mut self, cell: usize, context: Context) {
        let range = self.range(cell);
        self.contexts.push((cell as u32, context));
        self.with_context.push((range.start as u32, range.end as u32));
    }

    /// Overwrites a cell, so that nothing is found in it.
    pub fn blank(&mut self, cell: usize) {
        let range = self.range(cell);
        self.area[range].fill(0);
    }

    /// Makes room for a cell, and for the block that it may be copied as; where it begins.
    #[inline(always)]
    fn begin(&mut self, len: usize, context: Context) -> usize {
        let start = self.used;
        if context != Context::NONE {
            self.contexts.push((self.starts.len() as u32, context));
            self.with_context.push((start as u32, (start + len) as u32));
        }
        self.used = start + len + 1;
        if self.area.len() < self.used + BLOCK_BYTES {
            self.grow();
        }
        self.starts.push(start as u32);
        start
    }

    #[cold]
    fn grow(&mut self) {
        assert!(self.used <= HAYSTACK_BYTES_MAX, "packed cells exceed 4 GiB");
        self.area.resize((self.used + BLOCK_BYTES).next_power_of_two(), 0);
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
        self.used
    }

    /// The caller's mark of a cell; 0 where there is none.
    pub fn origin(&self, cell: usize) -> u64 {
        let found = self.origins.binary_search_by_key(&(cell as u32), |(cell, _)| *cell);
        found.map_or(0, |place| self.origins[place].1)
    }

    /// The bytes of a cell.
    pub fn bytes(&self, cell: usize) -> &[u8] {
        &self.area[self.range(cell)]
    }

    /// Where a cell is in the area.
    pub fn range(&self, cell: usize) -> Range<usize> {
        let next = self.starts.get(cell + 1).map_or(self.used, |next| *next as usize);
        self.start(cell)..next - 1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Cell<'_>> {
        (0..self.len()).map(|cell| Cell {
            bytes: self.bytes(cell),
            context: self.context(cell),
        })
    }

    /// All cells, with a NUL after each.
    pub fn area(&self) -> &[u8] {
        &self.area[..self.used]
    }

    pub(crate) fn start(&self, cell: usize) -> usize {
        self.starts[cell] as usize
    }

    /// What the name of its field says.
    pub fn context(&self, cell: usize) -> Context {
        let found = self.contexts.binary_search_by_key(&(cell as u32), |(cell, _)| *cell);
        found.map_or(Context::NONE, |place| self.contexts[place].1)
    }

    /// What the cells with a context take of the area.
    pub(crate) fn with_context(&self) -> &[(u32, u32)] {
        &self.with_context
    }

    /// The cell that a place of the area is in; `near` is one at or before it.
    pub fn at(&self, place: usize, near: usize) -> usize {
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
    fn parts_and_fields_are_cells_like_others() {
        let buffer: Vec<u8> = (0..200).map(|n| b'a' + n % 23).collect();
        let (mut cells, mut expected) = (Cells::new(), Vec::new());
        for round in 0..3 {
            cells.clear();
            expected.clear();
            for (start, len) in [
                (0, 0),
                (3, 1),
                (10, 63),
                (20, 64),
                (30, 65),
                (140, 60),
                (199, 1),
                (0, 200),
            ] {
                cells.push_part(&buffer, start..start + len, Context::NONE);
                expected.push(buffer[start..start + len].to_vec());
                cells.push(b"own", round, Context::NONE);
                expected.push(b"own".to_vec());
            }
            cells.push_fields(b"one\t\ttwo\t", &[3, 4, 8]);
            expected.extend([&b"one"[..], b"", b"two", b""].map(<[u8]>::to_vec));
            let seen: Vec<Vec<u8>> = (0..cells.len()).map(|cell| cells.bytes(cell).to_vec()).collect();
            assert_eq!(seen, expected);
            assert_eq!(cells.area_bytes(), cells.area().len());
            assert_eq!((cells.origin(1), cells.origin(2)), (round, 0));
        }
        cells.blank(expected.len() - 4);
        assert_eq!(cells.bytes(expected.len() - 4), [0, 0, 0]);
        assert_eq!(cells.bytes(expected.len() - 2), b"two");
    }

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
