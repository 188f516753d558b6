//! The receive buffers of one core: two sizes, last in first out, bounded, lent to the kernel's buffer rings.

pub(crate) struct Pool;

impl Pool {
    pub(crate) fn give_back(&self, _group: u8, _id: u16) {}
}
