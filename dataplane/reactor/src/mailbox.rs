//! Bounded queue from any thread to a task of one core.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Why a mailbox did not take a value; the value is inside.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full<T> {
    /// It holds as many values as it may.
    #[error("the mailbox is full")]
    Full(T),
    /// The receiver is gone.
    #[error("the mailbox has no receiver any more")]
    Closed(T),
}

impl<T> Full<T> {
    /// The value that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            Full::Full(value) | Full::Closed(value) => value,
        }
    }
}

struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiver_gone: bool,
    waker: Option<Waker>,
}

type Shared<T> = Arc<Mutex<State<T>>>;

/// Puts values in from any thread.
pub struct Sender<T>(Shared<T>);

/// Takes values out, on one core.
pub struct Receiver<T>(Shared<T>);

/// A mailbox that holds at most `capacity` values (at least one).
#[must_use]
pub fn mailbox<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(State {
        queue: VecDeque::new(),
        capacity: capacity.max(1),
        senders: 1,
        receiver_gone: false,
        waker: None,
    }));
    (Sender(shared.clone()), Receiver(shared))
}

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, State<T>> {
    // No code that can panic runs under the lock, so a poisoned state is still a consistent one.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send> Sender<T> {
    /// Puts a value in and wakes the receiving core if it sleeps. Never blocks on the receiver.
    ///
    /// # Errors
    /// `Full` with the value when the mailbox is full or its receiver gone.
    pub fn try_send(&self, value: T) -> Result<(), Full<T>> {
        let waker = {
            let mut state = lock(&self.0);
            if state.receiver_gone {
                return Err(Full::Closed(value));
            }
            if state.queue.len() >= state.capacity {
                return Err(Full::Full(value));
            }
            state.queue.push_back(value);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0);
            state.senders -= 1;
            if state.senders > 0 {
                return;
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Send> Receiver<T> {
    /// The next value; `None` when the mailbox is empty and every sender is gone.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            if let Some(value) = state.queue.pop_front() {
                return Poll::Ready(Some(value));
            }
            if state.senders == 0 {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next value if one is there.
    pub fn try_recv(&mut self) -> Option<T> {
        lock(&self.0).queue.pop_front()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let dropped = {
            let mut state = lock(&self.0);
            state.receiver_gone = true;
            std::mem::take(&mut state.queue)
        };
        drop(dropped);
    }
}
