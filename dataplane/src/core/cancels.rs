//! Cancel requests on their way: a key names neither core nor data plane, so the core that got one asks the others, and then
//! other data planes, and waits for their word.

use super::Core;
use super::message::{Asker, ControlMessage, Message};
use crate::limits::CANCEL_ABROAD_TIME_MAX;
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
    /// Those who have not answered.
    left: usize,
    found: Rc<Cell<bool>>,
    done: Rc<Notify>,
}

/// Takes the request off the list, also when whoever waited has gone.
struct Ticket<'a> {
    cancels: &'a Cancels,
    number: u64,
    found: Rc<Cell<bool>>,
    done: Rc<Notify>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.cancels.waiting.borrow_mut().remove(&self.number);
    }
}

impl Cancels {
    /// Somebody who was asked has done what he can for a request.
    pub fn answered(&self, ticket: u64, found: bool) {
        if let Some(waiting) = self.waiting.borrow_mut().get_mut(&ticket) {
            waiting.left = waiting.left.saturating_sub(1);
            if found {
                waiting.found.set(true);
            }
            if found || waiting.left == 0 {
                waiting.done.notify_one();
            }
        }
    }

    /// A new request that `ask` puts to others, and how many they are. `None`: nobody was asked.
    fn ask(&self, ask: impl FnOnce(u64) -> usize) -> Option<Ticket<'_>> {
        let number = self.last.get() + 1;
        self.last.set(number);
        let left = ask(number);
        let ticket = Ticket {
            cancels: self,
            number,
            found: Rc::default(),
            done: Rc::new(Notify::new()),
        };
        let waiting = Waiting {
            left,
            found: ticket.found.clone(),
            done: ticket.done.clone(),
        };
        self.waiting.borrow_mut().insert(number, waiting);
        (left > 0).then_some(ticket)
    }
}

/// Passes a request on to the target of its session, wherever that is, and returns when the target has taken it: a client
/// that sees its socket closed may send the next statement, which must not be the one that is cancelled.
pub async fn request(core: &Rc<Core>, key: CancelKey) {
    if crate::upstream::cancel(core, &key).await || on_other_cores(core, &key).await {
        return;
    }
    let asked = core.cancels.ask(|ticket| {
        let wanted = ControlMessage::CancelAbroad {
            key: key.clone(),
            core: core.index,
            ticket,
        };
        usize::from(core.shared.control.try_send(wanted).is_ok())
    });
    if let Some(ticket) = asked {
        // A lost request is no harm (PostgreSQL, "Canceling Requests in Progress"); a socket that is never closed is one.
        let _ = reactor::timeout(CANCEL_ABROAD_TIME_MAX, ticket.done.notified()).await;
    }
}

async fn on_other_cores(core: &Rc<Core>, key: &CancelKey) -> bool {
    let others = core.shared.cores.iter().enumerate();
    let others = others.filter(|(index, _)| *index != core.index);
    let asked = core.cancels.ask(|ticket| {
        let send = |(index, sender): (usize, &reactor::Sender<Message>)| {
            let message = Message::Cancel {
                key: key.clone(),
                from: Asker::Core(core.index),
                ticket,
            };
            let sent = sender.try_send(message).is_ok();
            if !sent {
                tracing::warn!(index, "the mailbox of a core is full: a cancel request was lost");
            }
            usize::from(sent)
        };
        others.map(send).sum()
    });
    match asked {
        Some(ticket) => {
            ticket.done.notified().await;
            ticket.found.get()
        }
        None => false,
    }
}

/// Looks at a request that came to somebody else.
pub fn look(core: &Rc<Core>, key: CancelKey, from: Asker, ticket: u64) {
    let core = core.clone();
    reactor::spawn(async move {
        let found = crate::upstream::cancel(&core, &key).await;
        // Whoever waits for it gives up by himself.
        match from {
            Asker::Core(index) => {
                if let Some(sender) = core.shared.cores.get(index) {
                    let _ = sender.try_send(Message::Cancelled { ticket, found });
                }
            }
            Asker::Control => drop(
                core.shared
                    .control
                    .try_send(ControlMessage::CancelLooked { ticket, found }),
            ),
        }
    });
}
