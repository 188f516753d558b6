//! Reviews on their way: what waits on any core, what the control plane has to hear of it, and its answers back.

use super::Control;
use crate::core::message::{ControlMessage, Message};
use crate::limits::{ACCESS_WANTED_MAX, HOLDS_MAX};
use crate::link::driver::Stream;
use proto::Message as _;
use proto::control::{AccessWanted, HoldAnswer, HoldClosed, HoldOpened, HoldsOpen, SyncRequest, sync_request::Kind};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

/// All statements of the process that wait, shared by its threads.
#[derive(Debug, Default)]
pub struct HoldBook(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    open: BTreeMap<Vec<u8>, HoldOpened>,
    /// Ends that the control plane has not noted yet.
    closed: BTreeMap<Vec<u8>, HoldClosed>,
    /// What the present stream has not carried.
    news: VecDeque<Kind>,
}

impl HoldBook {
    /// A statement waits. False: too many do.
    pub fn open(&self, hold: HoldOpened) -> bool {
        let mut book = self.lock();
        if book.open.len() + book.closed.len() >= HOLDS_MAX {
            return false;
        }
        book.news.push_back(Kind::HoldOpened(Box::new(hold.clone())));
        book.open.insert(hold.id.clone(), hold);
        true
    }

    /// A statement waits no longer.
    pub fn close(&self, closed: HoldClosed) {
        let mut book = self.lock();
        if book.open.remove(&closed.id).is_some() {
            book.news.push_back(Kind::HoldClosed(closed.clone()));
            book.closed.insert(closed.id.clone(), closed);
        }
    }

    /// Somebody would like a grant. Lost when too many do, or the stream breaks: they will try again.
    pub fn want(&self, wanted: AccessWanted) {
        let mut book = self.lock();
        if book.news.len() < HOLDS_MAX + ACCESS_WANTED_MAX {
            book.news.push_back(Kind::AccessWanted(wanted));
        }
    }

    /// The control plane has stored an end.
    pub fn noted(&self, id: &[u8]) {
        self.lock().closed.remove(id);
    }

    /// Whether this id is still waited for.
    pub fn is_open(&self, id: &[u8]) -> bool {
        self.lock().open.contains_key(id)
    }

    /// What a new stream begins with: ends first, so that what is missing in the list of the open ones is really lost.
    pub fn begin(&self) -> Vec<Kind> {
        let mut book = self.lock();
        book.news.clear();
        let mut all: Vec<Kind> = book.closed.values().cloned().map(Kind::HoldClosed).collect();
        all.push(Kind::HoldsOpen(HoldsOpen {
            holds: book.open.values().cloned().collect(),
        }));
        all
    }

    /// What the stream has to carry next.
    pub fn news(&self) -> Vec<Kind> {
        self.lock().news.drain(..).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the control plane about reviews for as long as the stream lives.
pub async fn report(control: Rc<Control>, stream: Rc<Stream>) {
    let mut news = control.shared.holds.begin();
    loop {
        for kind in news {
            stream.send_message(&SyncRequest { kind: Some(kind) }.encode_to_vec());
        }
        control.holds_changed.notified().await;
        news = control.shared.holds.news();
    }
}

/// Brings an answer to the core whose session waits for it; one that nobody waits for any more is dropped.
pub fn answer(control: &Control, answer: HoldAnswer) {
    let (Ok(id), Ok(session_id)) = (answer.id.as_slice().try_into(), answer.session_id.as_slice().try_into()) else {
        return tracing::warn!("a review's answer has ids that are none");
    };
    if !control.shared.holds.is_open(&answer.id) {
        return;
    }
    let said = if answer.approved {
        session::hold::Answer::Approved { by: answer.by }
    } else {
        session::hold::Answer::Rejected {
            by: answer.by,
            comment: answer.comment,
        }
    };
    for core in &control.shared.cores {
        let message = Message::HoldAnswer {
            session_id,
            id,
            answer: said.clone(),
        };
        if core.try_send(message).is_err() {
            tracing::error!(
                "the mailbox of a core is full: a review's answer is lost, and comes again with the next stream"
            );
        }
    }
}

/// Somebody who may ask for access tried to get in: that is the request.
pub fn want(shared: &crate::core::shared::Shared, user_id: &str, connection_id: &str) {
    shared.holds.want(AccessWanted {
        user_id: user_id.to_owned(),
        connection_id: connection_id.to_owned(),
    });
    wake(shared);
}

/// How access is asked for, for the client's error. `asked`: the try was the request; `again`: what to do after the approval.
pub fn how_to_ask(review_url: &str, connection: &str, asked: bool, again: &str) -> String {
    let ask = if asked {
        format!("one has been asked for; {again} again when it is approved")
    } else {
        format!("ask for one with: sluice reviews request {connection} --reason ...")
    };
    let link = match review_url {
        "" => String::new(),
        url => format!(" ({url}/reviews?connection={connection})"),
    };
    format!("access to \"{connection}\" needs a review: {ask}{link}")
}

/// Wakes [`report`].
pub fn wake(shared: &crate::core::shared::Shared) {
    shared.tell_control(ControlMessage::HoldsChanged);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: u8) -> HoldOpened {
        HoldOpened {
            id: vec![id; 16],
            ..HoldOpened::default()
        }
    }

    fn closed(id: u8) -> HoldClosed {
        HoldClosed {
            id: vec![id; 16],
            end: 0,
        }
    }

    #[test]
    fn a_new_stream_hears_everything_that_is_not_noted() {
        let book = HoldBook::default();
        assert!(book.open(hold(1)) && book.open(hold(2)));
        assert_eq!(
            book.news(),
            [Kind::HoldOpened(Box::new(hold(1))), Kind::HoldOpened(Box::new(hold(2)))]
        );
        book.close(closed(1));
        book.close(closed(9));
        assert_eq!(book.news(), [Kind::HoldClosed(closed(1))], "an unknown one is nobody's");
        let all = [
            Kind::HoldClosed(closed(1)),
            Kind::HoldsOpen(HoldsOpen { holds: vec![hold(2)] }),
        ];
        assert_eq!(book.begin(), all);
        assert_eq!(book.begin(), all, "until it is noted");
        book.noted(&[1; 16]);
        assert_eq!(book.begin().len(), 1);
        assert!(book.is_open(&[2; 16]) && !book.is_open(&[1; 16]));
    }

    #[test]
    fn holds_are_bounded() {
        let book = HoldBook::default();
        for index in 0..HOLDS_MAX {
            let mut one = hold(0);
            one.id = index.to_be_bytes().to_vec();
            assert!(book.open(one));
        }
        assert!(!book.open(hold(7)));
    }
}
