//! The sessions of one core, found by cancel key, by id, or all of them when the policy changes.

use crate::relay::review::Interjection;
use crate::upstream::CancelTarget;
use codecs::postgres::login::CancelKey;
use reactor::sync::Notify;
use session::hold::Answer;
use session::{Close, CloseCause, EndCause, Session};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// One running session.
pub struct SessionEntry {
    pub id: [u8; 16],
    pub session: Rc<RefCell<Session>>,
    pub cancel: CancelTarget,
    key: CancelKey,
    killed: RefCell<Option<Killed>>,
    /// Notified when `killed` is set.
    pub to_end: Notify,
    /// Reviewers have answered, or nobody will.
    pub hold_answered: Notify,
    /// The session has something to tell its client.
    pub interjection: Interjection,
}

/// An end that came from outside: what the client is told and what the record says.
#[derive(Clone)]
pub struct Killed {
    pub to_downstream: Vec<u8>,
    pub cause: EndCause,
}

impl From<Close> for Killed {
    fn from(close: Close) -> Self {
        Self {
            to_downstream: close.to_downstream,
            cause: EndCause::Closed(close.cause),
        }
    }
}

impl SessionEntry {
    /// Ends the session from outside.
    pub fn kill(&self, killed: impl Into<Killed>) {
        self.killed.borrow_mut().get_or_insert(killed.into());
        self.to_end.notify_one();
    }

    /// Answers what waits for a review in the session.
    pub fn answer_hold(&self, id: &[u8; 16], answer: Answer) {
        if self.session.borrow_mut().answer_hold(id, answer) {
            self.hold_answered.notify_one();
        }
    }

    /// The client wants what it runs cancelled. True: that is a statement which waits for a review, and no other.
    pub fn cancel_hold(&self) -> bool {
        let cancelled = self.session.borrow_mut().cancel_hold();
        if cancelled {
            self.hold_answered.notify_one();
        }
        cancelled
    }

    /// Why the session was ended from outside, if it was.
    pub fn killed(&self) -> Option<Killed> {
        self.killed.borrow().clone()
    }
}

/// A session's place in its table, from before it opens until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(u64);

/// All sessions of a core.
#[derive(Default)]
pub struct SessionTable {
    last: u64,
    /// `None`: about to open.
    places: HashMap<Place, Option<Rc<SessionEntry>>>,
    /// Process numbers are those of the targets' sessions, so several sessions can have the same.
    by_pid: HashMap<u32, Vec<Place>>,
}

impl SessionTable {
    /// Counts a session that is about to open.
    pub fn reserve(&mut self) -> Place {
        self.last += 1;
        let place = Place(self.last);
        self.places.insert(place, None);
        place
    }

    /// Gives back the place of a session that did not open, or is over.
    pub fn release(&mut self, place: Place) {
        let Some(Some(entry)) = self.places.remove(&place) else {
            return;
        };
        if let Some(places) = self.by_pid.get_mut(&entry.key.pid) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_pid.remove(&entry.key.pid);
            }
        }
    }

    /// Adds a session at its place.
    pub fn insert(
        &mut self,
        place: Place,
        key: CancelKey,
        id: [u8; 16],
        session: Rc<RefCell<Session>>,
        cancel: CancelTarget,
    ) -> Rc<SessionEntry> {
        self.by_pid.entry(key.pid).or_default().push(place);
        let entry = Rc::new(SessionEntry {
            id,
            session,
            cancel,
            key,
            killed: RefCell::default(),
            to_end: Notify::new(),
            hold_answered: Notify::new(),
            interjection: Interjection::default(),
        });
        self.places.insert(place, Some(entry.clone()));
        entry
    }

    /// The session that a cancel request means; secrets are compared in constant time.
    pub fn by_key(&self, key: &CancelKey) -> Option<Rc<SessionEntry>> {
        use subtle::ConstantTimeEq;
        let places = self.by_pid.get(&key.pid)?;
        let mut entries = places.iter().filter_map(|place| self.places.get(place)?.as_ref());
        let meant = entries.find(|entry| bool::from(entry.key.secret.ct_eq(&key.secret)))?;
        Some(meant.clone())
    }

    pub fn entries(&self) -> Vec<Rc<SessionEntry>> {
        self.places.values().flatten().cloned().collect()
    }

    pub fn by_id(&self, id: &[u8; 16]) -> Option<Rc<SessionEntry>> {
        self.places.values().flatten().find(|entry| entry.id == *id).cloned()
    }

    /// Ends one session by somebody's word (PostgreSQL, appendix A: 57P01).
    pub fn kill(&self, id: &[u8; 16], by: &str, reason: &str) {
        let Some(entry) = self.by_id(id) else {
            return;
        };
        let mut why = if by.is_empty() {
            "killed".to_owned()
        } else {
            format!("killed by {by}")
        };
        if !reason.is_empty() {
            why.push_str(": ");
            why.push_str(reason);
        }
        entry.kill(Killed {
            to_downstream: admin_close(&format!("terminating the session: {why}")).to_downstream,
            cause: EndCause::Killed(why),
        });
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }
}

/// The end that an administrator or a shutdown brings (PostgreSQL, appendix A: 57P01).
pub fn admin_close(reason: &str) -> Close {
    let mut to_downstream = Vec::new();
    crate::listener::postgres::fatal(&mut to_downstream, "57P01", reason);
    Close {
        to_downstream,
        cause: CloseCause::Policy(reason.to_owned()),
    }
}
