//! Cancel requests between data planes, by way of the control plane: those of our clients whose session is elsewhere, and those
//! of others whose session may be here.

use super::{Control, sync};
use crate::core::message::{Asker, Message};
use crate::limits::{CANCEL_ABROAD_TIME_MAX, CANCELS_ABROAD_MAX, CANCELS_ABROAD_PER_SECOND_MAX};
use crate::link::driver::Stream;
use codecs::postgres::login::CancelKey;
use proto::control::{CancelLooked, CancelOver, CancelSession, CancelWanted, sync_request};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the control thread knows of cancel requests.
#[derive(Default)]
pub struct Cancels {
    /// The way to the control plane, while there is one.
    stream: RefCell<Option<Rc<Stream>>>,
    last: Cell<u64>,
    /// Ours: core and its ticket, by the ticket that the control plane knows.
    ours: RefCell<BTreeMap<u64, (usize, u64, Instant)>>,
    /// Of others: the control plane's ticket and the cores that have not answered, by the ticket that our cores know.
    theirs: RefCell<BTreeMap<u64, (u64, usize)>>,
    /// Asked in the second that began then.
    second: Cell<Option<(Instant, usize)>>,
}

impl Cancels {
    /// There is a way to the control plane now, or none.
    pub fn connected(&self, stream: Option<Rc<Stream>>) {
        *self.stream.borrow_mut() = stream;
        // What the last stream was asked is answered by nobody.
        self.ours.borrow_mut().clear();
        self.theirs.borrow_mut().clear();
    }

    fn ticket(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// Whether one more may be asked.
    fn may_ask(&self) -> bool {
        let now = reactor::now();
        let mut ours = self.ours.borrow_mut();
        ours.retain(|_, (_, _, at)| now.duration_since(*at) < CANCEL_ABROAD_TIME_MAX);
        let (began, asked) = self
            .second
            .get()
            .filter(|(began, _)| now.duration_since(*began) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        let may = ours.len() < CANCELS_ABROAD_MAX && asked < CANCELS_ABROAD_PER_SECOND_MAX;
        self.second.set(Some((began, asked + usize::from(may))));
        may
    }
}

/// A client's request whose session no core of ours has.
pub fn ask(control: &Control, key: &CancelKey, core: usize, ticket: u64) {
    let cancels = &control.cancels;
    let stream = cancels.stream.borrow().clone().filter(|_| cancels.may_ask());
    let Some(stream) = stream else {
        return answer(control, core, ticket);
    };
    let number = cancels.ticket();
    cancels.ours.borrow_mut().insert(number, (core, ticket, reactor::now()));
    let wanted = CancelWanted {
        ticket: number,
        pid: key.pid,
        secret: key.secret.clone(),
    };
    sync::say(&stream, sync_request::Kind::CancelWanted(wanted));
}

/// The control plane has the answer to one of ours.
pub fn over(control: &Control, over: &CancelOver) {
    let ours = control.cancels.ours.borrow_mut().remove(&over.ticket);
    if let Some((core, ticket, _)) = ours {
        answer(control, core, ticket);
    }
}

fn answer(control: &Control, core: usize, ticket: u64) {
    if let Some(sender) = control.shared.cores.get(core) {
        drop(sender.try_send(Message::Cancelled { ticket, found: false }));
    }
}

/// Another data plane's request.
pub fn look(control: &Control, order: CancelSession) {
    let number = control.cancels.ticket();
    let key = CancelKey {
        pid: order.pid,
        secret: order.secret,
    };
    let send = |sender: &reactor::Sender<Message>| {
        let message = Message::Cancel {
            key: key.clone(),
            from: Asker::Control,
            ticket: number,
        };
        usize::from(sender.try_send(message).is_ok())
    };
    let left = control.shared.cores.iter().map(send).sum();
    control.cancels.theirs.borrow_mut().insert(number, (order.ticket, left));
    if left == 0 {
        looked_everywhere(control, number, false);
    }
}

/// A core of ours has looked for it.
pub fn looked(control: &Control, ticket: u64, found: bool) {
    let done = match control.cancels.theirs.borrow_mut().get_mut(&ticket) {
        Some((_, left)) => {
            *left = left.saturating_sub(1);
            found || *left == 0
        }
        None => false,
    };
    if done {
        looked_everywhere(control, ticket, found);
    }
}

fn looked_everywhere(control: &Control, number: u64, found: bool) {
    let theirs = control.cancels.theirs.borrow_mut().remove(&number);
    let stream = control.cancels.stream.borrow().clone();
    if let (Some((ticket, _)), Some(stream)) = (theirs, stream) {
        sync::say(
            &stream,
            sync_request::Kind::CancelLooked(CancelLooked { ticket, found }),
        );
    }
}
