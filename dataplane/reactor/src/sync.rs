//! Waiting between tasks of one core: notifications, one-shot values and bounded queues without atomics.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Wakes tasks of the same core. A notification that finds nobody waiting is kept, once.
#[derive(Default)]
pub struct Notify {
    kept: Cell<bool>,
    waiting: RefCell<VecDeque<Rc<Waiting>>>,
}

#[derive(Default)]
struct Waiting {
    notified: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Waiting {
    fn wake(&self) {
        self.notified.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Notify {
    /// A `Notify` without a kept notification.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the task that waits longest; without one the next `notified` returns at once.
    pub fn notify_one(&self) {
        let first = self.waiting.borrow_mut().pop_front();
        match first {
            Some(waiting) => waiting.wake(),
            None => self.kept.set(true),
        }
    }

    /// Wakes every task that waits now; nothing is kept for later ones.
    pub fn notify_all(&self) {
        let all = std::mem::take(&mut *self.waiting.borrow_mut());
        for waiting in all {
            waiting.wake();
        }
    }

    /// Waits for a notification sent after this call, or takes the kept one.
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            waiting: None,
        }
    }
}

/// Future of `Notify::notified`. Dropping it after it was chosen by `notify_one` passes the notification on.
pub struct Notified<'a> {
    notify: &'a Notify,
    waiting: Option<Rc<Waiting>>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.waiting {
            Some(waiting) if waiting.notified.get() => {
                self.waiting = None;
                return Poll::Ready(());
            }
            Some(waiting) => *waiting.waker.borrow_mut() = Some(cx.waker().clone()),
            None if self.notify.kept.take() => return Poll::Ready(()),
            None => {
                let waiting = Rc::new(Waiting::default());
                *waiting.waker.borrow_mut() = Some(cx.waker().clone());
                self.notify.waiting.borrow_mut().push_back(waiting.clone());
                self.waiting = Some(waiting);
            }
        }
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        if waiting.notified.get() {
            self.notify.notify_one();
        } else {
            let mut queue = self.notify.waiting.borrow_mut();
            queue.retain(|other| !Rc::ptr_eq(other, &waiting));
        }
    }
}

/// The other end is gone: no value will come, or none can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end was dropped")]
pub struct Closed;

/// One value from one task to another.
pub mod oneshot {
    use super::{Cell, Closed, Context, Future, Pin, Poll, Rc, RefCell, Waker};

    struct Shared<T> {
        value: RefCell<Option<T>>,
        waker: RefCell<Option<Waker>>,
        sender_gone: Cell<bool>,
        receiver_gone: Cell<bool>,
    }

    /// Gives the value.
    pub struct Sender<T>(Rc<Shared<T>>);
    /// Awaits the value.
    pub struct Receiver<T>(Rc<Shared<T>>);

    /// A pair of ends.
    #[must_use]
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let shared = Rc::new(Shared {
            value: RefCell::new(None),
            waker: RefCell::new(None),
            sender_gone: Cell::new(false),
            receiver_gone: Cell::new(false),
        });
        (Sender(shared.clone()), Receiver(shared))
    }

    impl<T> Sender<T> {
        /// Hands the value over.
        ///
        /// # Errors
        /// Gives the value back when the receiver is gone.
        pub fn send(self, value: T) -> Result<(), T> {
            if self.0.receiver_gone.get() {
                return Err(value);
            }
            *self.0.value.borrow_mut() = Some(value);
            Ok(())
        }

        /// Whether nobody waits for the value any more.
        #[must_use]
        pub fn is_closed(&self) -> bool {
            self.0.receiver_gone.get()
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.sender_gone.set(true);
            let waker = self.0.waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            self.0.receiver_gone.set(true);
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, Closed>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let value = self.0.value.borrow_mut().take();
            if let Some(value) = value {
                return Poll::Ready(Ok(value));
            }
            if self.0.sender_gone.get() {
                return Poll::Ready(Err(Closed));
            }
            *self.0.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }
    }
}

/// A bounded queue between tasks of one core.
pub mod channel {
    use super::{Cell, Closed, Notify, Poll, Rc, RefCell, VecDeque, Waker, poll_fn};

    struct Shared<T> {
        queue: RefCell<VecDeque<T>>,
        capacity: usize,
        senders: Cell<usize>,
        receiver_gone: Cell<bool>,
        receiver: RefCell<Option<Waker>>,
        room: Notify,
    }

    /// Puts values in; clones feed the same queue.
    pub struct Sender<T>(Rc<Shared<T>>);
    /// Takes values out, in order.
    pub struct Receiver<T>(Rc<Shared<T>>);

    /// Why a value was not taken.
    #[derive(Debug, PartialEq, Eq)]
    pub enum TrySendError<T> {
        /// The queue holds `capacity` values.
        Full(T),
        /// The receiver is gone.
        Closed(T),
    }

    /// A queue that holds at most `capacity` values (at least one).
    #[must_use]
    pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        let shared = Rc::new(Shared {
            queue: RefCell::new(VecDeque::new()),
            capacity: capacity.max(1),
            senders: Cell::new(1),
            receiver_gone: Cell::new(false),
            receiver: RefCell::new(None),
            room: Notify::new(),
        });
        (Sender(shared.clone()), Receiver(shared))
    }

    impl<T> Sender<T> {
        /// Puts a value in when there is room.
        ///
        /// # Errors
        /// Gives the value back when the queue is full or the receiver is gone.
        pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
            if self.0.receiver_gone.get() {
                return Err(TrySendError::Closed(value));
            }
            if self.0.queue.borrow().len() >= self.0.capacity {
                return Err(TrySendError::Full(value));
            }
            self.0.queue.borrow_mut().push_back(value);
            let waker = self.0.receiver.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
            Ok(())
        }

        /// Puts a value in, waiting for room.
        ///
        /// # Errors
        /// Gives the value back when the receiver is gone.
        pub async fn send(&self, value: T) -> Result<(), T> {
            let mut value = value;
            loop {
                match self.try_send(value) {
                    Ok(()) => return Ok(()),
                    Err(TrySendError::Closed(back)) => return Err(back),
                    Err(TrySendError::Full(back)) => value = back,
                }
                self.0.room.notified().await;
            }
        }
    }

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Self {
            self.0.senders.set(self.0.senders.get() + 1);
            Sender(self.0.clone())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.senders.set(self.0.senders.get() - 1);
            if self.0.senders.get() > 0 {
                return;
            }
            let waker = self.0.receiver.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Receiver<T> {
        /// The next value.
        ///
        /// # Errors
        /// `Closed` when the queue is empty and every sender is gone.
        pub async fn recv(&mut self) -> Result<T, Closed> {
            poll_fn(|cx| {
                if let Some(value) = self.try_recv() {
                    return Poll::Ready(Ok(value));
                }
                if self.0.senders.get() == 0 {
                    return Poll::Ready(Err(Closed));
                }
                *self.0.receiver.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
            .await
        }

        /// The next value if one is there.
        pub fn try_recv(&mut self) -> Option<T> {
            let value = self.0.queue.borrow_mut().pop_front()?;
            self.0.room.notify_one();
            Some(value)
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            self.0.receiver_gone.set(true);
            self.0.room.notify_all();
        }
    }
}
