//! Who sends next: deficit round robin over the streams that have something to send, those that were quiet first.
//!
//! A stream that had nothing to send enters `fresh` with a small credit. As long as it stays within it, it goes before the
//! bulk streams: an interactive session sends less than that per turn. Whoever has used up its credit goes to the end of
//! `bulk` with a new quantum. A fresh stream that runs empty passes through `bulk` once, so that going quiet and coming
//! back does not buy it a place before the others again and again.

use crate::limits::{SCHED_FRESH_BYTES, SCHED_QUANTUM_BYTES, SCHED_TURN_BYTES_MIN};
use std::collections::VecDeque;

/// Where a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    #[default]
    Idle,
    Fresh,
    Bulk,
}

/// A stream's part of the scheduler's state.
#[derive(Debug, Default)]
pub(crate) struct Share {
    place: Place,
    deficit: i32,
}

impl Share {
    /// What the stream may send before its turn is over; a little more than its credit rather than a tiny frame.
    #[inline]
    pub(crate) fn turn_bytes(&self) -> usize {
        usize::try_from(self.deficit).unwrap_or(0).max(SCHED_TURN_BYTES_MIN)
    }
}

/// The two queues. Every stream is in one of them at most once, as its `place` says.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    fresh: VecDeque<u32>,
    bulk: VecDeque<u32>,
}

impl Scheduler {
    /// The stream has something to send.
    #[inline]
    pub(crate) fn ready(&mut self, id: u32, share: &mut Share) {
        if share.place == Place::Idle {
            *share = Share {
                place: Place::Fresh,
                deficit: SCHED_FRESH_BYTES,
            };
            self.fresh.push_back(id);
        }
    }

    /// Whose turn it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<u32> {
        self.fresh.front().or(self.bulk.front()).copied()
    }

    /// Whether nobody has anything to send.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.bulk.is_empty()
    }

    /// A stream is no more.
    pub(crate) fn remove(&mut self, id: u32, share: &Share) {
        match share.place {
            Place::Idle => {}
            Place::Fresh => self.fresh.retain(|other| *other != id),
            Place::Bulk => self.bulk.retain(|other| *other != id),
        }
    }

    /// The stream at the front sent `n` bytes; `last`: it has nothing more that it may send. When its turn is over it goes to
    /// the end.
    #[inline]
    pub(crate) fn sent(&mut self, n: usize, last: bool, share: &mut Share) {
        share.deficit = share.deficit.saturating_sub(i32::try_from(n).unwrap_or(i32::MAX));
        if share.deficit > 0 && !last {
            return;
        }
        let Some(id) = self.pop() else { return };
        if last && (share.place == Place::Bulk || self.bulk.is_empty()) {
            share.place = Place::Idle;
            return;
        }
        if share.deficit <= 0 {
            share.deficit = share.deficit.saturating_add(SCHED_QUANTUM_BYTES);
        }
        share.place = Place::Bulk;
        self.bulk.push_back(id);
    }

    pub(crate) fn clear(&mut self) {
        self.fresh.clear();
        self.bulk.clear();
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        self.fresh.pop_front().or_else(|| self.bulk.pop_front())
    }
}
