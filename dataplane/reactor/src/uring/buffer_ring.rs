//! The ring of free buffers that the kernel takes receive buffers from.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// Memory shared with the kernel: `entries` descriptors of 16 bytes; the tail lives in unused bytes of the first.
pub(crate) struct BufferRing {
    base: NonNull<BufRingEntry>,
    layout: Layout,
    mask: u16,
    tail: u16,
}

impl BufferRing {
    /// A ring of `entries` descriptors (a power of two), all empty. `None` when there is no memory.
    pub(crate) fn new(entries: u16) -> Option<BufferRing> {
        let bytes = usize::from(entries) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, 4096).ok()?;
        if bytes == 0 || !entries.is_power_of_two() {
            return None;
        }
        // SAFETY: the size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(BufferRing {
            base: base.cast(),
            layout,
            mask: entries - 1,
            tail: 0,
        })
    }

    pub(crate) fn entries(&self) -> usize {
        usize::from(self.mask) + 1
    }

    /// Address for the registration.
    pub(crate) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// Writes one descriptor; the kernel sees it after `publish`.
    pub(crate) fn push(&mut self, data: NonNull<u8>, bytes: u32, id: u16) {
        let index = usize::from(self.tail & self.mask);
        // SAFETY: `index` is masked into the ring's memory; the kernel reads only entries below the published tail,
        // and the pool never lends more buffers than the ring has entries, so this one is not being read.
        let entry = unsafe { &mut *self.base.as_ptr().add(index) };
        entry.set_addr(data.as_ptr() as u64);
        entry.set_len(bytes);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Makes the pushed descriptors visible to the kernel.
    pub(crate) fn publish(&mut self) {
        // SAFETY: the tail is an aligned u16 inside the ring's memory, which the kernel only reads.
        unsafe {
            let tail = BufRingEntry::tail(self.base.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; the owner drops it only after the kernel's ring is gone.
        unsafe { dealloc(self.base.as_ptr().cast(), self.layout) };
    }
}
