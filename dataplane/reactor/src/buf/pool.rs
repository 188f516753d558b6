//! The receive buffers of one core: two sizes, last in first out, bounded, lent to the kernel's buffer rings.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;

use super::{Block, Buf};
use crate::limits;
use crate::uring::buffer_ring::BufferRing;

/// Index of the small buffers.
pub(crate) const SMALL: u8 = 0;
/// Index of the large buffers.
pub(crate) const LARGE: u8 = 1;
/// Alignment of a buffer: a page, so that the bytes of a small message touch one page.
const ALIGN: usize = 4096;
/// Buffers taken from the ring between two looks at whether the ring may shrink again.
const SHRINK_INTERVAL: u32 = 4096;

/// Two groups of buffers. Shared by the core and by every view that is out.
pub(crate) struct Pool {
    bytes: [usize; 2],
    groups: [RefCell<Group>; 2],
}

struct Group {
    index: u8,
    bytes: usize,
    /// Configured set: what the ring holds in quiet times.
    base: usize,
    /// Bound of all buffers of this size.
    max: usize,
    blocks: Vec<Option<NonNull<Block>>>,
    /// Ids whose block was given back to the allocator.
    vacant: Vec<u16>,
    free: Vec<u16>,
    held: usize,
    ring: Option<BufferRing>,
    lent: usize,
    /// Buffers the ring shall hold now: doubles when it ran dry, shrinks when it stays half full.
    target: usize,
    lent_min: usize,
    taken: u32,
    exhausted: u64,
}

impl Pool {
    pub(crate) fn new(small: (u32, u32), large: (u32, u32), bytes_max: usize) -> Rc<Pool> {
        let small = Group::new(SMALL, small, bytes_max);
        let large = Group::new(LARGE, large, bytes_max);
        Rc::new(Pool {
            bytes: [small.bytes, large.bytes],
            groups: [RefCell::new(small), RefCell::new(large)],
        })
    }

    fn group(&self, index: u8) -> &RefCell<Group> {
        &self.groups[usize::from(index.min(LARGE))]
    }

    /// Bytes of one buffer of the group.
    pub(crate) fn bytes(&self, index: u8) -> usize {
        self.bytes[usize::from(index.min(LARGE))]
    }

    /// Entries a ring for this group needs: a power of two.
    pub(crate) fn ring_entries(&self, index: u8) -> u16 {
        let group = self.group(index).borrow();
        let wanted = (group.base * 16).min(group.max).max(group.base);
        wanted.next_power_of_two().min(limits::POOL_BUFFERS_MAX) as u16
    }

    /// Lends free buffers to the kernel through `ring` from now on.
    pub(crate) fn attach_ring(&self, index: u8, ring: BufferRing) {
        self.group(index).borrow_mut().ring = Some(ring);
        self.refill(index);
    }

    /// Takes the ring back once the kernel cannot write to its buffers any more.
    pub(crate) fn detach_rings(&self) {
        for group in &self.groups {
            let mut group = group.borrow_mut();
            group.ring = None;
            group.lent = 0;
            group.free.clear();
        }
    }

    /// Tops the kernel's ring up to its target; one store publishes all of them.
    pub(crate) fn refill(&self, index: u8) {
        self.group(index).borrow_mut().refill();
    }

    /// A view of a buffer that the kernel took from the ring and filled with `len` bytes.
    pub(crate) fn claim(self: &Rc<Self>, index: u8, id: u16, len: usize) -> Option<Buf> {
        let mut group = self.group(index).borrow_mut();
        let block = group.blocks.get(usize::from(id)).copied().flatten()?;
        group.lent = group.lent.saturating_sub(1);
        group.held += 1;
        group.note_taken();
        drop(group);
        Some(Buf::from_block(block, self.clone(), len))
    }

    /// An empty view of a free buffer, for a receive that this process does itself; `None` when the bound is reached.
    pub(crate) fn take(self: &Rc<Self>, index: u8) -> Option<Buf> {
        let mut group = self.group(index).borrow_mut();
        let id = match group.free.pop() {
            Some(id) => id,
            None => group.allocate()?,
        };
        group.held += 1;
        let block = group.blocks.get(usize::from(id)).copied().flatten()?;
        drop(group);
        Some(Buf::from_block(block, self.clone(), 0))
    }

    /// Called when a receive found the ring dry: true when a buffer is or can be made available.
    pub(crate) fn widen(&self, index: u8) -> bool {
        let mut group = self.group(index).borrow_mut();
        group.exhausted += 1;
        let entries = group.ring.as_ref().map_or(0, BufferRing::entries);
        group.target = (group.target * 2).min(entries).max(1);
        group.lent > 0 || group.available() > 0
    }

    /// Buffers that a receive could get now, allocated or not.
    pub(crate) fn available(&self, index: u8) -> usize {
        let group = self.group(index).borrow();
        group.lent + group.available()
    }

    /// Called by the last view of a block.
    pub(super) fn give_back(&self, index: u8, id: u16) {
        let mut group = self.group(index).borrow_mut();
        group.held = group.held.saturating_sub(1);
        if group.free.len() >= group.base * limits::POOL_SPARE_FACTOR {
            group.release(id);
        } else {
            group.free.push(id);
        }
    }

    /// Buffers held by views, buffers allocated, times a receive found none.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for group in &self.groups {
            let group = group.borrow();
            counts.0 += group.held as u64;
            counts.1 += (group.blocks.len() - group.vacant.len()) as u64;
            counts.2 += group.exhausted;
        }
        counts
    }

    /// Bytes of the buffers held by views, and of all that are allocated.
    pub(crate) fn bytes_now(&self) -> (u64, u64) {
        let of = |group: &RefCell<Group>| {
            let group = group.borrow();
            let allocated = group.blocks.len() - group.vacant.len();
            ((group.held * group.bytes) as u64, (allocated * group.bytes) as u64)
        };
        let [(small, small_all), (large, large_all)] = [of(&self.groups[0]), of(&self.groups[1])];
        (small + large, small_all + large_all)
    }
}

impl Group {
    fn new(index: u8, (count, bytes): (u32, u32), bytes_max: usize) -> Group {
        let bytes = bytes.clamp(1024, limits::BUFFER_BYTES_MAX) as usize;
        let base = (count.max(1) as usize).min(limits::POOL_BUFFERS_MAX);
        let max = (bytes_max / bytes).clamp(base, limits::POOL_BUFFERS_MAX);
        Group {
            index,
            bytes,
            base,
            max,
            blocks: Vec::new(),
            vacant: Vec::new(),
            free: Vec::new(),
            held: 0,
            ring: None,
            lent: 0,
            target: base,
            lent_min: base,
            taken: 0,
            exhausted: 0,
        }
    }

    fn layout(&self) -> Layout {
        // The size is clamped to a few MiB in `new`, so the layout is always valid.
        Layout::from_size_align(self.bytes, ALIGN).unwrap_or(Layout::new::<u8>())
    }

    /// Free buffers plus those that may still be allocated.
    fn available(&self) -> usize {
        self.free.len() + self.vacant.len() + (self.max - self.blocks.len())
    }

    fn allocate(&mut self) -> Option<u16> {
        let id = match self.vacant.pop() {
            Some(id) => id,
            None if self.blocks.len() < self.max => {
                self.blocks.push(None);
                (self.blocks.len() - 1) as u16
            }
            None => return None,
        };
        let layout = self.layout();
        // SAFETY: the layout has a size of at least 1 byte.
        let Some(data) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let block = Box::new(Block {
            refs: Cell::new(0),
            capacity: layout.size(),
            data,
            pool: Cell::new(None),
            group: self.index,
            id,
        });
        self.blocks[usize::from(id)] = NonNull::new(Box::into_raw(block));
        Some(id)
    }

    fn release(&mut self, id: u16) {
        let Some(block) = self.blocks[usize::from(id)].take() else {
            return;
        };
        self.vacant.push(id);
        free_block(block, self.layout());
    }

    fn refill(&mut self) {
        if self.ring.is_none() || self.lent >= self.target {
            return;
        }
        while self.lent < self.target {
            let id = match self.free.pop() {
                Some(id) => id,
                None => match self.allocate() {
                    Some(id) => id,
                    None => break,
                },
            };
            let (Some(ring), Some(block)) = (&mut self.ring, self.blocks[usize::from(id)]) else {
                break;
            };
            // SAFETY: the block is alive: it leaves `blocks` only through `release`, which takes free ids only.
            let block = unsafe { block.as_ref() };
            ring.push(block.data, block.capacity as u32, id);
            self.lent += 1;
        }
        if let Some(ring) = &mut self.ring {
            ring.publish();
        }
    }

    fn note_taken(&mut self) {
        self.lent_min = self.lent_min.min(self.lent);
        self.taken += 1;
        if self.taken < SHRINK_INTERVAL {
            return;
        }
        if self.target > self.base && self.lent_min > self.target / 2 {
            self.target = (self.target / 2).max(self.base);
        }
        self.taken = 0;
        self.lent_min = self.lent;
    }
}

fn free_block(block: NonNull<Block>, layout: Layout) {
    // SAFETY: made by `allocate` from a box and an allocation of this layout; no view refers to it (its id was free
    // or the pool itself is going, which the last view outlives).
    unsafe {
        let block = Box::from_raw(block.as_ptr());
        dealloc(block.data.as_ptr(), layout);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for group in &self.groups {
            let mut group = group.borrow_mut();
            let layout = group.layout();
            // A ring that is still attached belongs to a kernel that was not drained: leak what it may write to.
            if group.ring.is_some() {
                std::mem::forget(group.ring.take());
                continue;
            }
            for block in std::mem::take(&mut group.blocks).into_iter().flatten() {
                free_block(block, layout);
            }
        }
    }
}
