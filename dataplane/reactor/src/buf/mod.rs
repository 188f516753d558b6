//! `Buf`: a unique view of bytes in a block that goes back to its pool with the last view.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

pub(crate) mod pool;

use pool::Pool;

/// Header of a block of memory that `Buf`s share.
///
/// ```text
/// Buf { start, end } ─┐   Block            memory (capacity bytes)
/// Buf { start, end } ─┴─> refs, pool ────> [....|view 1....|..|view 2....|....]
/// ```
/// Views of one block never overlap, so each may hand out `&mut` to its bytes.
pub(crate) struct Block {
    refs: Cell<u32>,
    capacity: usize,
    data: NonNull<u8>,
    /// The pool it came from while views exist; none for memory that was a `Vec`.
    pool: Cell<Option<Rc<Pool>>>,
    group: u8,
    id: u16,
}

/// Unique view of bytes that the core received or the caller made. Not `Send`: it belongs to one core.
///
/// Cutting (`split_to`, `split_off`) makes further views of the same block without a copy.
#[derive(Default)]
pub struct Buf {
    block: Option<NonNull<Block>>,
    start: u32,
    end: u32,
}

impl Buf {
    /// An empty view that owns nothing.
    #[must_use]
    pub const fn new() -> Self {
        Buf {
            block: None,
            start: 0,
            end: 0,
        }
    }

    /// A view of the first `len` bytes of a pooled block.
    pub(crate) fn from_block(block: NonNull<Block>, pool: Rc<Pool>, len: usize) -> Self {
        // SAFETY: blocks live as long as their pool, and `pool` keeps it alive until the last view is gone.
        let header = unsafe { block.as_ref() };
        debug_assert!(header.refs.get() == 0 && len <= header.capacity);
        header.refs.set(1);
        header.pool.set(Some(pool));
        Buf {
            block: Some(block),
            start: 0,
            end: len.min(header.capacity) as u32,
        }
    }

    /// Bytes in this view.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the view has no bytes. A received `Buf` is empty at the end of the stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Cuts the first `n` bytes off and returns them; the rest stays. More than there is takes all.
    #[must_use]
    pub fn split_to(&mut self, n: usize) -> Buf {
        let n = n.min(self.len());
        if n == self.len() {
            return std::mem::take(self);
        }
        let cut = self.start + n as u32;
        let head = self.share(self.start, cut);
        self.start = cut;
        head
    }

    /// Cuts the bytes from `n` on off and returns them; the first `n` stay.
    #[must_use]
    pub fn split_off(&mut self, n: usize) -> Buf {
        if n == 0 {
            return std::mem::take(self);
        }
        let n = n.min(self.len());
        let cut = self.start + n as u32;
        let tail = self.share(cut, self.end);
        self.end = cut;
        tail
    }

    /// Keeps the first `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        if n < self.len() {
            self.end = self.start + n as u32;
        }
    }

    /// Drops the first `n` bytes (all, when there are fewer).
    pub fn advance(&mut self, n: usize) {
        self.start += n.min(self.len()) as u32;
    }

    /// The bytes as a vector of their own. Copies.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.deref().to_vec()
    }

    /// The memory behind an empty view of a whole pooled block, to be filled before `set_len`.
    pub(crate) fn spare_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let Some(block) = self.block else {
            return &mut [];
        };
        // SAFETY: the view keeps the block alive; it is the block's only view (count 1, checked), so nothing else
        // reads or writes the memory behind it.
        unsafe {
            let header = block.as_ref();
            if header.refs.get() != 1 {
                return &mut [];
            }
            let first = header.data.as_ptr().add(self.end as usize);
            std::slice::from_raw_parts_mut(first.cast(), header.capacity - self.end as usize)
        }
    }

    /// Extends the view over `n` bytes of `spare_mut`.
    ///
    /// # Safety
    /// The first `n` bytes of `spare_mut` have been written.
    pub(crate) unsafe fn extend(&mut self, n: usize) {
        self.end += n as u32;
    }

    /// A second view of `[start, end)`, which the caller cuts out of its own range.
    fn share(&self, start: u32, end: u32) -> Buf {
        if start == end {
            return Buf::new();
        }
        if let Some(block) = self.block {
            // SAFETY: this view keeps the block alive.
            let refs = unsafe { &block.as_ref().refs };
            refs.set(refs.get() + 1);
        }
        Buf {
            block: self.block,
            start,
            end,
        }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        let Some(block) = self.block else { return };
        // SAFETY: this view keeps the block alive until the count below says it was the last.
        let header = unsafe { block.as_ref() };
        let refs = header.refs.get() - 1;
        header.refs.set(refs);
        if refs > 0 {
            return;
        }
        match header.pool.take() {
            // `header` is not used after this: the pool may go with its last reference and free the block.
            Some(pool) => pool.give_back(header.group, header.id),
            None => {
                // SAFETY: a block without a pool was made by `From<Vec<u8>>` from a box and a vector of exactly
                // this pointer and capacity, and this was its last view.
                unsafe {
                    drop(Vec::from_raw_parts(header.data.as_ptr(), 0, header.capacity));
                    drop(Box::from_raw(block.as_ptr()));
                }
            }
        }
    }
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Some(block) = self.block else { return &[] };
        // SAFETY: the view keeps the block alive, its range lies inside bytes that were written (by the kernel or
        // by the vector's owner), and no other view overlaps it.
        unsafe {
            let first = block.as_ref().data.as_ptr().add(self.start as usize);
            std::slice::from_raw_parts(first, self.len())
        }
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let Some(block) = self.block else {
            return &mut [];
        };
        // SAFETY: as in `deref`; `&mut self` makes this the only access to the range.
        unsafe {
            let first = block.as_ref().data.as_ptr().add(self.start as usize);
            std::slice::from_raw_parts_mut(first, self.len())
        }
    }
}

impl From<Vec<u8>> for Buf {
    /// Takes the vector over without a copy.
    ///
    /// # Panics
    /// When the vector is 4 GiB or longer: the caller has broken its own bounds.
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Buf::new();
        }
        assert!(bytes.len() < u32::MAX as usize, "a Buf holds less than 4 GiB");
        let mut bytes = ManuallyDrop::new(bytes);
        let end = bytes.len() as u32;
        let capacity = bytes.capacity();
        let Some(data) = NonNull::new(bytes.as_mut_ptr()) else {
            return Buf::new();
        };
        let block = Box::new(Block {
            refs: Cell::new(1),
            capacity,
            data,
            pool: Cell::new(None),
            group: 0,
            id: 0,
        });
        Buf {
            block: NonNull::new(Box::into_raw(block)),
            start: 0,
            end,
        }
    }
}

impl AsRef<[u8]> for Buf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Buf {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Session bytes may be personal data: only the length is shown.
        write!(f, "Buf({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests;
