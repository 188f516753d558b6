//! A session that waits for reviewers: what it asks for, what its client is told, and how the wait ends.

use super::{Ending, Relay};
use crate::control::holds;
use crate::limits::ACCESS_CHECK_INTERVAL_MAX;
use reactor::Buf;
use session::hold::{Answer, HoldAt, News};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Terminate, the client's goodbye (PostgreSQL documentation, "Message Formats").
const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];

/// Something for the client that does not come from the target; one waiter, no allocation.
#[derive(Debug, Default)]
pub struct Interjection {
    due: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Interjection {
    /// There is something to say.
    pub fn announce(&self) {
        self.due.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits for `future`; `None`: something is to be said first, then wait on.
    pub async fn or<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if self.due.take() {
                return Poll::Ready(None);
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

/// What the client sent while its statement waited.
#[derive(Default)]
pub(super) struct Ahead(pub Option<io::Result<Buf>>);

impl Ahead {
    fn is_goodbye(&self) -> bool {
        match &self.0 {
            Some(Ok(received)) => received.is_empty() || **received == *TERMINATE,
            Some(Err(_)) => true,
            None => false,
        }
    }
}

impl Relay {
    /// Passes on what the session wants asked, and what became of it.
    pub(super) fn tell_reviewers(&self) {
        let news = self.entry.session.borrow_mut().take_hold_news();
        if news.is_empty() {
            return;
        }
        for piece in news {
            match piece {
                News::Opened(opened) => {
                    let id = opened.id.as_slice().try_into().unwrap_or([0; 16]);
                    if !self.core.shared.holds.open(*opened) {
                        self.entry.answer_hold(&id, Answer::Unavailable);
                    }
                }
                News::Closed(closed) => self.core.shared.holds.close(closed),
            }
        }
        holds::wake(&self.core.shared);
        self.entry.interjection.announce();
    }

    /// Waits until the session can be asked again: the target answered, the reviewers did, or it is too late. `arriving`
    /// is the client's next bytes, which tell when it goes away.
    pub(super) async fn wait_to_go_on(
        &self,
        mut arriving: Pin<&mut impl Future<Output = io::Result<Buf>>>,
        ahead: &mut Ahead,
    ) -> Result<(), Ending> {
        let hold = self.entry.session.borrow().hold();
        let Some(hold) = hold else {
            self.progressed.notified().await;
            return Ok(());
        };
        if hold.answered {
            return Ok(());
        }
        let mut woken = Box::pin(super::either(
            self.progressed.notified(),
            self.entry.hold_answered.notified(),
        ));
        let mut late = Box::pin(reactor::sleep(self.time_left(&hold)));
        let waited = poll_fn(|context| {
            if ahead.0.is_none()
                && let Poll::Ready(received) = arriving.as_mut().poll(context)
            {
                ahead.0 = Some(received);
            }
            if ahead.is_goodbye() {
                return Poll::Ready(Err(Ending::Client));
            }
            if woken.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if late.as_mut().poll(context).is_ready() {
                self.entry.answer_hold(&hold.id, Answer::Timeout);
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        })
        .await;
        if waited.is_err() {
            // The target has nothing left to do for a client that is gone, and says its last words when it hears so.
            self.upstream.shutdown().await;
        }
        waited
    }

    fn time_left(&self, hold: &HoldAt) -> Duration {
        hold.deadline.saturating_sub(self.core.now().mono)
    }

    /// Notices of the session for its client.
    pub(super) fn notices(&self) -> Vec<u8> {
        let now = self.core.now();
        let notices = self
            .entry
            .session
            .borrow_mut()
            .take_notices(&mut self.core.scratch.borrow_mut(), now);
        self.core.collect_events();
        notices
    }

    /// Waits for `event`, and no longer than the session's grant lasts. True: the grant may be over.
    pub(super) async fn while_granted(&self, mut event: impl Future<Output = ()> + Unpin) -> bool {
        let until = self.entry.session.borrow().access_until();
        let Some(until) = until else {
            (&mut event).await;
            return false;
        };
        let left = Duration::from_micros(until.saturating_sub(self.core.now().wall_micros));
        // Clocks are set now and then, so a long wait is looked at in between.
        let pause = left.min(ACCESS_CHECK_INTERVAL_MAX) + Duration::from_millis(1);
        Box::pin(reactor::timeout(pause, &mut event)).await.is_err()
    }
}
