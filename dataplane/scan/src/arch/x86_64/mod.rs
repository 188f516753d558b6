//! Back ends for x86-64.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod places;
pub(super) mod small;
