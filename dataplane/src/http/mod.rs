//! Serving HTTP: clients' sockets, exchanges with targets, and what ends them from outside.
//!
//! ```text
//! socket -> front (TLS, PROXY header) -> h1, h2: heads and bodies -> exchange: judge, swap, forward, redact, note
//!        -> origins: which target -> leg: its own socket (upstream), or a stream of one (trunk)
//! ```

pub mod access_log;
pub mod answer;
pub mod exchange;
pub mod front;
pub mod h1;
pub mod h2;
pub mod leg;
pub mod limits;
pub mod origins;
pub mod pipe;
pub mod rate;
pub mod trunk;
pub mod upstream;

use codecs::http::Fields;
use reactor::Buf;
use reactor::sync::Notify;
use session::http::HttpSession;
use session::policy::Policy;
use session::{EndCause, Now, Scratch};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The client's side of one exchange, whatever version of HTTP carries it. Both halves may be used at once.
pub trait Downstream {
    /// The next piece of the request's body; `None` at its end.
    async fn body(&self) -> Result<Option<Buf>, BodyError>;
    /// Sends an interim answer (1xx).
    async fn interim(&self, status: u16, fields: &Fields) -> io::Result<()>;
    /// Begins the answer. `length`: of the body, if it is known; `None` with `has_body` false: there is none.
    async fn head(&self, status: u16, fields: &Fields, length: Option<u64>, has_body: bool) -> io::Result<()>;
    /// Sends what waits.
    async fn flush(&self) -> io::Result<()>;
    async fn data(&self, piece: Buf) -> io::Result<()>;
    /// Sends the last piece of the body and ends the answer in order, together where that can be.
    async fn finish(&self, piece: Buf, trailers: &Fields) -> io::Result<()>;
    /// Ends the answer in order.
    async fn end(&self, trailers: &Fields) -> io::Result<()>;
    /// Whether any of the answer has left.
    fn has_begun(&self) -> bool;
}

/// Why a request's body did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The client's bytes are refused with this status.
    Refused(u16, &'static str),
    /// The client's socket is gone.
    Gone,
}

/// One client's socket as the rest of the core sees it.
#[derive(Default)]
pub struct Entry {
    pub session: RefCell<Option<HttpSession>>,
    killed: RefCell<Option<String>>,
    pub to_end: Notify,
    /// An exchange is under way.
    pub busy: Cell<bool>,
}

impl Entry {
    /// Ends everything on the socket.
    pub fn kill(&self, reason: &str) {
        self.killed.borrow_mut().get_or_insert_with(|| reason.to_owned());
        // One is kept for who waits next, and everybody who waits now is woken.
        self.to_end.notify_one();
        self.to_end.notify_all();
    }

    pub fn killed(&self) -> Option<String> {
        self.killed.borrow().clone()
    }

    /// Ends the session, if one is open, and notes it.
    pub fn end_session(&self, cause: &EndCause, scratch: &mut Scratch, now: Now) {
        if let Some(session) = self.session.borrow_mut().take() {
            session.end(cause, scratch, now);
        }
    }
}

/// All clients of a core.
#[derive(Default)]
pub struct Table {
    entries: RefCell<Vec<Rc<Entry>>>,
}

impl Table {
    pub fn add(&self, entry: Rc<Entry>) {
        self.entries.borrow_mut().push(entry);
    }

    pub fn remove(&self, entry: &Rc<Entry>) {
        let mut entries = self.entries.borrow_mut();
        if let Some(at) = entries.iter().position(|other| Rc::ptr_eq(other, entry)) {
            entries.swap_remove(at);
        }
    }

    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Clients in the middle of an exchange.
    pub fn busy(&self) -> usize {
        self.entries.borrow().iter().filter(|entry| entry.busy.get()).count()
    }

    /// Ends one session by an administrator's word.
    pub fn kill(&self, id: &[u8; 16], reason: &str) {
        for entry in self.entries.borrow().iter() {
            if entry.session.borrow().as_ref().is_some_and(|session| session.id == *id) {
                entry.kill(reason);
            }
        }
    }

    pub fn kill_all(&self, reason: &str) {
        for entry in self.entries.borrow().iter() {
            entry.kill(reason);
        }
    }

    /// Holds every session to a new policy.
    pub fn policy_changed(&self, policy: &Policy, now: Now) {
        for entry in self.entries.borrow().iter() {
            let denied = match entry.session.borrow_mut().as_mut() {
                Some(session) => session.policy_changed(policy, now).err(),
                None => None,
            };
            if let Some(denied) = denied {
                entry.kill(&format!("access was revoked: {denied}"));
            }
        }
    }
}

/// Waits for a future at most so long.
pub async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    reactor::timeout(time, future).await.ok()
}
