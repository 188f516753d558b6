//! Cancel requests on their way: a key names no core, so the core that got it asks the others and waits for their word.

use super::Core;
use super::message::Message;
use codecs::postgres::login::CancelKey;
use reactor::sync::Notify;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Requests of this core that others look at. There are never more than sockets that have not logged in.
#[derive(Default)]
pub struct Cancels {
    last: Cell<u64>,
    waiting: RefCell<HashMap<u64, Waiting>>,
}

struct Waiting {
    /// Cores that have not answered.
    left: usize,
    done: Rc<Notify>,
}

/// Takes the request off the list, also when whoever waited has gone.
struct Ticket<'a> {
    cancels: &'a Cancels,
    number: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.cancels.waiting.borrow_mut().remove(&self.number);
    }
}

impl Cancels {
    /// A core has done what it can for a request.
    pub fn answered(&self, ticket: u64) {
        if let Some(waiting) = self.waiting.borrow_mut().get_mut(&ticket) {
            waiting.left -= 1;
            if waiting.left == 0 {
                waiting.done.notify_one();
            }
        }
    }
}

/// Passes a request on to the target of its session, wherever that is, and returns when the target has taken it: a client
/// that sees its socket closed may send the next statement, which must not be the one that is cancelled.
pub async fn request(core: &Rc<Core>, key: CancelKey) {
    if crate::upstream::cancel(core, &key).await {
        return;
    }
    let number = core.cancels.last.get() + 1;
    core.cancels.last.set(number);
    let done = Rc::new(Notify::new());
    let mut left = 0;
    for (index, sender) in core
        .shared
        .cores
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != core.index)
    {
        let message = Message::Cancel {
            key: key.clone(),
            from: core.index,
            ticket: number,
        };
        // A full mailbox loses a cancel request, which the protocol allows (PostgreSQL, "Canceling Requests in Progress").
        match sender.try_send(message) {
            Ok(()) => left += 1,
            Err(_) => tracing::warn!(index, "the mailbox of a core is full: a cancel request was lost"),
        }
    }
    if left == 0 {
        return tracing::debug!(pid = key.pid, "a cancel request with an unknown key");
    }
    let waiting = Waiting {
        left,
        done: done.clone(),
    };
    core.cancels.waiting.borrow_mut().insert(number, waiting);
    let _ticket = Ticket {
        cancels: &core.cancels,
        number,
    };
    done.notified().await;
}

/// Looks at another core's request.
pub fn look(core: &Rc<Core>, key: CancelKey, from: usize, ticket: u64) {
    let core = core.clone();
    reactor::spawn(async move {
        crate::upstream::cancel(&core, &key).await;
        if let Some(sender) = core.shared.cores.get(from) {
            // Whoever waits for it gives up by itself.
            let _ = sender.try_send(Message::Cancelled { ticket });
        }
    });
}
