//! The sessions of one core, found by cancel key, by id, or all of them when the policy changes.

use crate::upstream::CancelTarget;
use codecs::postgres::login::CancelKey;
use reactor::sync::Notify;
use session::{Close, CloseCause, EndCause, Session};
use std::cell::RefCell;
use std::rc::Rc;

/// Bits of a cancel key's process number that name the slot; the rest names the core.
const SLOT_BITS: u32 = 23;

/// One running session.
pub struct SessionEntry {
    pub id: [u8; 16],
    pub session: Rc<RefCell<Session>>,
    pub cancel: CancelTarget,
    key: CancelKey,
    killed: RefCell<Option<Killed>>,
    /// Notified when `killed` is set.
    pub to_end: Notify,
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

    /// Why the session was ended from outside, if it was.
    pub fn killed(&self) -> Option<Killed> {
        self.killed.borrow().clone()
    }
}

/// All sessions of a core.
pub struct SessionTable {
    core: usize,
    slots: Vec<Option<Rc<SessionEntry>>>,
    free: Vec<usize>,
}

impl SessionTable {
    pub fn new(core: usize) -> Self {
        Self {
            core,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The core that a cancel key's process number names.
    pub fn core_of(pid: u32) -> usize {
        (pid >> SLOT_BITS) as usize
    }

    /// Reserves a cancel key for a session that is about to open. `secret`: random.
    pub fn reserve(&mut self, secret: Vec<u8>) -> CancelKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let pid = ((self.core as u32) << SLOT_BITS) | (slot as u32 & ((1 << SLOT_BITS) - 1));
        CancelKey { pid, secret }
    }

    /// Gives back a key whose session did not open, or is over.
    pub fn release(&mut self, key: &CancelKey) {
        let slot = slot_of(key);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = None;
            self.free.push(slot);
        }
    }

    /// Adds a session under its reserved key.
    pub fn insert(
        &mut self,
        key: CancelKey,
        id: [u8; 16],
        session: Rc<RefCell<Session>>,
        cancel: CancelTarget,
    ) -> Rc<SessionEntry> {
        let entry = Rc::new(SessionEntry {
            id,
            session,
            cancel,
            key: key.clone(),
            killed: RefCell::default(),
            to_end: Notify::new(),
        });
        if let Some(place) = self.slots.get_mut(slot_of(&key)) {
            *place = Some(entry.clone());
        }
        entry
    }

    /// The session that a cancel request means; the secret is compared in constant time.
    pub fn by_key(&self, key: &CancelKey) -> Option<Rc<SessionEntry>> {
        use subtle::ConstantTimeEq;
        let entry = self.slots.get(slot_of(key))?.as_ref()?;
        let same = entry.key.pid == key.pid && bool::from(entry.key.secret.ct_eq(&key.secret));
        same.then(|| entry.clone())
    }

    pub fn entries(&self) -> Vec<Rc<SessionEntry>> {
        self.slots.iter().flatten().cloned().collect()
    }

    /// Ends one session by somebody's word (PostgreSQL, appendix A: 57P01).
    pub fn kill(&self, id: &[u8; 16], by: &str, reason: &str) {
        let Some(entry) = self.slots.iter().flatten().find(|entry| entry.id == *id) else {
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
        self.slots.len() - self.free.len()
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

fn slot_of(key: &CancelKey) -> usize {
    (key.pid & ((1 << SLOT_BITS) - 1)) as usize
}
