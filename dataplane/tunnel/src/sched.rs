//! Who sends next: deficit round robin over the streams that have something to send, those that were quiet first.
//!
//! A stream that had nothing to send enters `fresh` with a small credit. As long as it stays within it, it goes before the
//! bulk streams: an interactive session sends less than that per turn. Whoever has used up its credit goes to the end of
//! `bulk` with a new quantum. A fresh stream that runs empty passes through `bulk` once, so that going quiet and coming
//! back does not buy it a place before the others again and again.

use crate::limits::{SCHED_FRESH_BYTES, SCHED_QUANTUM_BYTES};
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
    /// What the stream may send before its turn is over; never 0, so that a turn always moves something.
    #[inline]
    pub(crate) fn turn_bytes(&self) -> usize {
        usize::try_from(self.deficit).unwrap_or(1).max(1)
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

    /// Takes the stream at the front out; it is forgotten or has nothing to send (any more).
    pub(crate) fn leave(&mut self, share: Option<&mut Share>) {
        let Some(id) = self.pop() else { return };
        let Some(share) = share else { return };
        match share.place {
            Place::Fresh if !self.bulk.is_empty() => {
                share.place = Place::Bulk;
                self.bulk.push_back(id);
            }
            _ => share.place = Place::Idle,
        }
    }

    /// The stream at the front sent `n` bytes. When its turn is over it goes to the end.
    #[inline]
    pub(crate) fn sent(&mut self, n: usize, share: &mut Share) {
        share.deficit = share
            .deficit
            .saturating_sub(i32::try_from(n).unwrap_or(i32::MAX));
        if share.deficit > 0 {
            return;
        }
        let Some(id) = self.pop() else { return };
        share.deficit = share.deficit.saturating_add(SCHED_QUANTUM_BYTES);
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
