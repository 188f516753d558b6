//! Timers of one core: an indexed heap, with one kernel timer for the earliest.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::core::{try_with_core, with_core};

struct Entry {
    deadline: u64,
    /// Order of creation decides between equal deadlines.
    order: u64,
    position: usize,
    waker: Option<Waker>,
}

/// Deadlines in nanoseconds of the core's clock; removal and change in O(log n) without garbage.
#[derive(Default)]
pub(crate) struct Timers {
    entries: Slab<Entry>,
    heap: Vec<usize>,
    created: u64,
    pub(crate) fired: u64,
}

impl Timers {
    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<u64> {
        self.heap.first().map(|&key| self.entries[key].deadline)
    }

    fn insert(&mut self, deadline: u64, waker: Waker) -> usize {
        self.created += 1;
        let position = self.heap.len();
        let key = self.entries.insert(Entry {
            deadline,
            order: self.created,
            position,
            waker: Some(waker),
        });
        self.heap.push(key);
        self.sift_up(position);
        key
    }

    fn remove(&mut self, key: usize) {
        let position = self.entries.remove(key).position;
        let Some(last) = self.heap.pop() else { return };
        if last != key {
            self.place(position, last);
            self.sift_up(position);
            self.sift_down(self.entries[last].position);
        }
    }

    /// Takes the waker of the next timer that is due.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<(usize, Option<Waker>)> {
        let key = *self.heap.first()?;
        if self.entries[key].deadline > now {
            return None;
        }
        self.fired += 1;
        let waker = self.entries[key].waker.take();
        self.remove(key);
        Some((key, waker))
    }

    fn before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.entries[a], &self.entries[b]);
        (a.deadline, a.order) < (b.deadline, b.order)
    }

    fn place(&mut self, position: usize, key: usize) {
        self.heap[position] = key;
        self.entries[key].position = position;
    }

    fn sift_up(&mut self, mut position: usize) {
        let key = self.heap[position];
        while position > 0 {
            let parent = (position - 1) / 2;
            if !self.before(key, self.heap[parent]) {
                break;
            }
            self.place(position, self.heap[parent]);
            position = parent;
        }
        self.place(position, key);
    }

    fn sift_down(&mut self, mut position: usize) {
        let key = self.heap[position];
        loop {
            let mut child = position * 2 + 1;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.before(self.heap[child + 1], self.heap[child]) {
                child += 1;
            }
            if !self.before(self.heap[child], key) {
                break;
            }
            self.place(position, self.heap[child]);
            position = child;
        }
        self.place(position, key);
    }
}

/// Future of `sleep` and `sleep_until`.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    /// Key and creation order of the timer once it is set.
    timer: Option<(usize, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        with_core(|core| {
            let mut timers = core.timers.borrow_mut();
            if let Some((key, order)) = self.timer {
                match timers.entries.get_mut(key) {
                    Some(entry) if entry.order == order => {
                        if !(entry.waker.as_ref()).is_some_and(|w| w.will_wake(cx.waker())) {
                            entry.waker = Some(cx.waker().clone());
                        }
                        return Poll::Pending;
                    }
                    _ => {
                        self.timer = None;
                        return Poll::Ready(());
                    }
                }
            }
            if self.deadline <= core.now() {
                return Poll::Ready(());
            }
            let deadline = core.clock_nanos(self.deadline);
            let key = timers.insert(deadline, cx.waker().clone());
            self.timer = Some((key, timers.created));
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some((key, order)) = self.timer else {
            return;
        };
        try_with_core(|core| {
            let mut timers = core.timers.borrow_mut();
            if timers.entries.get(key).is_some_and(|e| e.order == order) {
                timers.remove(key);
            }
        });
    }
}

/// The time at the start of this loop turn (read once per turn, when asked for).
///
/// # Panics
/// Outside a running core.
#[must_use]
pub fn now() -> Instant {
    with_core(|core| core.now())
}

/// Completes after `duration`; never earlier.
pub fn sleep(duration: Duration) -> Sleep {
    // A duration that overflows the clock is as good as forever.
    let far = Duration::from_secs(60 * 60 * 24 * 365);
    sleep_until(now() + duration.min(far))
}

/// Completes at `deadline`; at once when it has passed.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, timer: None }
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is up")]
pub struct Elapsed;

/// Awaits `future` for at most `duration`; the future is dropped when the time is up.
///
/// # Errors
/// `Elapsed` when the future was not ready in time.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

#[cfg(test)]
mod tests;
