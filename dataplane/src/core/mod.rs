//! What one data core owns: policy in force, sessions, links, audit spool. Nothing here is shared with another core.

pub mod cancels;
pub mod message;
pub mod sessions;
pub mod shared;

use crate::flight::Kind;
use crate::link::LinkTable;
use crate::record::spool::Spool;
use cancels::Cancels;
use message::Message;
use reactor::sync::Notify;
use session::policy::Policy;
use session::{Now, Scratch};
use sessions::SessionTable;
use shared::Shared;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// For entries of the flight recorder that are about no session.
pub const NO_SESSION: [u8; 16] = [0; 16];

/// What a core keeps for HTTP.
#[derive(Default)]
pub struct Http {
    pub table: crate::http::Table,
    pub pool: crate::http::origins::Pool,
}

/// One data core.
pub struct Core {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub policy: RefCell<Option<Arc<Policy>>>,
    pub sessions: RefCell<SessionTable>,
    pub cancels: Cancels,
    pub links: LinkTable,
    pub scratch: RefCell<Scratch>,
    /// Clients of connections of type `http`, and idle sockets to their targets.
    pub http: Http,
    pub logins_pending: Cell<usize>,
    pub draining: Cell<bool>,
    /// Events were taken into the spool.
    pub spool_grew: Notify,
    spool: RefCell<Spool>,
    began: Instant,
    /// The time of day, and the turn of the loop that it is from.
    wall: Cell<(Instant, u64)>,
}

impl Core {
    pub fn new(index: usize, shared: Arc<Shared>, spool: Spool) -> Rc<Self> {
        let began = reactor::now();
        Rc::new(Self {
            index,
            shared,
            policy: RefCell::default(),
            sessions: RefCell::default(),
            cancels: Cancels::default(),
            links: LinkTable::default(),
            scratch: RefCell::new(Scratch::new()),
            http: Http::default(),
            logins_pending: Cell::new(0),
            draining: Cell::new(false),
            spool_grew: Notify::new(),
            spool: RefCell::new(spool),
            began,
            wall: Cell::new((began, wall_micros())),
        })
    }

    /// The time as sessions want it.
    pub fn now(&self) -> Now {
        let turn = reactor::now();
        let (of, mut micros) = self.wall.get();
        if of != turn {
            micros = wall_micros();
            self.wall.set((turn, micros));
        }
        Now {
            wall_micros: micros,
            mono: turn.duration_since(self.began),
        }
    }

    /// Takes what sessions noted into the spool. It is written before anything of this turn is sent.
    pub fn collect_events(&self) {
        let mut scratch = self.scratch.borrow_mut();
        let tap = scratch.tap();
        if tap.is_empty() {
            return;
        }
        if let Err(error) = self.spool.borrow_mut().collect(tap.bytes()) {
            // Only a tap that breaks its own format comes here; nothing may go on unrecorded.
            tracing::error!(%error, "an audit event could not be taken: the data plane stops");
            std::process::abort();
        }
        tap.clear();
        self.spool_grew.notify_one();
    }

    /// Takes care that what the spool has pending survives this process; the reactor calls it before it submits the sends of a
    /// turn.
    pub fn flush_spool(&self) -> std::io::Result<()> {
        self.spool.borrow_mut().flush(self.now().wall_micros)
    }

    /// Seals what was written. Called every [`crate::limits::SEAL_INTERVAL`].
    pub fn seal_spool(&self) -> std::io::Result<()> {
        self.spool.borrow_mut().seal_if_grown(wall_micros())
    }

    /// Appends what the spool has to its segment. Called every [`crate::limits::STAGE_INTERVAL`] while there is something.
    pub fn write_spool(&self) -> std::io::Result<()> {
        self.spool.borrow_mut().write(wall_micros())
    }

    /// Whether everything in the spool is in its segment and sealed.
    pub fn spool_is_quiet(&self) -> bool {
        let spool = self.spool.borrow();
        spool.is_sealed() && !spool.is_dirty()
    }

    /// Writes an entry of the flight recorder; ids of sessions that are not known yet are zero.
    #[inline]
    pub fn note(&self, kind: Kind, amount: u64, session: &[u8; 16]) {
        if let Some(flight) = self.shared.flight.get(self.index) {
            flight.note(self.now().wall_micros, kind, amount, session);
        }
    }

    /// Our counters.
    pub fn metrics(&self) -> &crate::metrics::CoreMetrics {
        &self.shared.metrics[self.index]
    }

    /// Puts a policy in force: new sessions use it, running ones are re-checked.
    pub fn enforce(self: &Rc<Self>, policy: Arc<Policy>) {
        let generation = policy.generation();
        *self.policy.borrow_mut() = Some(policy.clone());
        for entry in self.sessions.borrow().entries() {
            let now = self.now();
            let close = entry
                .session
                .borrow_mut()
                .policy_changed(policy.clone(), &mut self.scratch.borrow_mut(), now);
            if let Some(close) = close {
                entry.kill(close);
            } else if entry.session.borrow().access_until().is_some() {
                // Its end may be another one now.
                entry.to_end.notify_one();
            }
        }
        let now = self.now();
        self.http.table.policy_changed(&policy, now);
        crate::http::origins::policy_changed(self, &policy);
        self.collect_events();
        self.links.end_revoked(&self.shared.revoked);
        self.shared.generations[self.index].store(generation, Ordering::Release);
        self.note(Kind::Policy, generation, &NO_SESSION);
        self.shared.tell_control(message::ControlMessage::Enforced);
    }

    /// Ends the spool's segment in order. Sessions must be over.
    pub fn close_spool(self: Rc<Self>) {
        match Rc::try_unwrap(self) {
            Ok(core) => {
                if let Err(error) = core.spool.into_inner().close(wall_micros()) {
                    tracing::error!(%error, "the audit segment could not be ended; it is ended at the next start");
                }
            }
            Err(core) => {
                // A task still holds the core: what is written stays, and recovery ends the segment.
                if let Err(error) = core.write_spool() {
                    tracing::error!(%error, "the audit segment could not be written");
                }
            }
        }
    }
}

/// Handles one message from another thread.
pub fn handle(core: &Rc<Core>, message: Message) {
    match message {
        Message::Policy(policy) => core.enforce(policy),
        Message::Listen(listen) => crate::listener::start(core, listen),
        Message::StopListening(key) => crate::listener::stop(core, &key),
        Message::Link { fd, ticket } => crate::link::accept::take(core, fd, ticket),
        Message::Client(handoff) => crate::listener::postgres::resume(core, *handoff),
        Message::HttpClient(handoff) => crate::http::front::resume(core, *handoff),
        Message::Cancel { key, from, ticket } => cancels::look(core, key, from, ticket),
        Message::Cancelled { ticket, found } => core.cancels.answered(ticket, found),
        Message::Kill { session_id, by, reason } => {
            core.http.table.kill(&session_id, &format!("{by}: {reason}"));
            core.sessions.borrow().kill(&session_id, &by, &reason);
        }
        Message::HoldAnswer { session_id, id, answer } => {
            let entry = core.sessions.borrow().by_id(&session_id);
            if let Some(entry) = entry {
                entry.answer_hold(&id, answer);
            }
        }
        Message::Drain => crate::drain::begin(core),
        Message::Stop => crate::listener::stop_all(),
    }
}

/// Microseconds since the Unix epoch.
pub fn wall_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}
