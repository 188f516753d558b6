//! Many text cells packed into one area with a NUL after each, the one input form of every protocol.
//!
//! ```text
//! area   | cell 0 | 0 | cell 1 | 0 | cell 2 | 0 |
//! table    start, end, origin, context of each cell
//! ```

use crate::Context;
use crate::limits::HAYSTACK_BYTES_MAX;

/// Packed cells. Reuse it: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Cells {
    area: Vec<u8>,
    table: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    end: u32,
    origin: u64,
    context: Context,
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
        self.table.clear();
    }

    /// Appends a cell. `origin` is the caller's own mark (place in its buffer), `context` comes from
    /// [`crate::Scanner::context_of`] on the column's name.
    ///
    /// # Panics
    /// When the area would exceed 4 GiB: callers pack one receive buffer at a time.
    pub fn push(&mut self, bytes: &[u8], origin: u64, context: Context) {
        assert!(
            bytes.len() < HAYSTACK_BYTES_MAX - self.area.len(),
            "packed cells exceed 4 GiB"
        );
        let start = self.area.len() as u32;
        self.area.extend_from_slice(bytes);
        self.table.push(Entry {
            start,
            end: self.area.len() as u32,
            origin,
            context,
        });
        self.area.push(0);
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of the packed area, separators included.
    pub fn area_bytes(&self) -> usize {
        self.area.len()
    }

    /// The caller's mark of a cell.
    pub fn origin(&self, cell: usize) -> u64 {
        self.table[cell].origin
    }

    /// The bytes of a cell.
    pub fn bytes(&self, cell: usize) -> &[u8] {
        let entry = &self.table[cell];
        &self.area[entry.start as usize..entry.end as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Cell<'_>> {
        self.table.iter().map(|entry| Cell {
            bytes: &self.area[entry.start as usize..entry.end as usize],
            context: entry.context,
        })
    }
}
