//! What all threads of the process share: read-mostly, and never touched on the path of session bytes.

use super::message::{ControlMessage, Message};
use crate::config::Config;
use crate::control::holds::HoldBook;
use crate::flight::Flight;
use crate::identity::Identity;
use crate::link::revoked::RevokedAgents;
use crate::metrics::CoreMetrics;
use crate::record::SpoolState;
use codecs::postgres::login::KeyCache;
use reactor::Sender;
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// An agent's link as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEntry {
    pub core: usize,
    pub pool: String,
    pub agent_id: String,
    pub name: String,
    pub version: String,
}

/// A link's place on a core, held from its accept to its end.
pub struct LinkTicket {
    shared: Arc<Shared>,
    pub core: usize,
}

impl Drop for LinkTicket {
    fn drop(&mut self) {
        self.shared.links_assigned[self.core].fetch_sub(1, Ordering::Relaxed);
    }
}

/// TLS configurations that change when a certificate is renewed.
#[derive(Clone)]
pub struct TlsConfigs {
    pub links: Arc<ServerConfig>,
    /// For stock clients; `None` when TLS is off.
    pub clients: Option<crate::tls::ClientsTls>,
}

/// The process.
pub struct Shared {
    pub config: Config,
    pub identity: RwLock<Arc<Identity>>,
    pub tls: RwLock<TlsConfigs>,
    pub cores: Vec<Sender<Message>>,
    pub control: Sender<ControlMessage>,
    pub metrics: Vec<CoreMetrics>,
    /// What each core did last.
    pub flight: Vec<Flight>,
    /// Generation in force per core; 0: none.
    pub generations: Vec<AtomicU64>,
    pub spool: Arc<SpoolState>,
    /// Agents that are let in no more.
    pub revoked: Arc<RevokedAgents>,
    /// SCRAM keys of logins at targets.
    pub target_keys: Arc<KeyCache>,
    /// Statements that wait for a review.
    pub holds: HoldBook,
    pub draining: AtomicBool,
    /// The reactor back end of the data cores, once they run.
    pub backend: OnceLock<reactor::Backend>,
    links: Mutex<BTreeMap<u64, LinkEntry>>,
    links_assigned: Vec<AtomicU64>,
    next_link: AtomicU64,
}

impl Shared {
    pub fn new(
        config: Config,
        identity: Identity,
        tls: TlsConfigs,
        cores: Vec<Sender<Message>>,
        control: Sender<ControlMessage>,
        spool: Arc<SpoolState>,
        revoked: Arc<RevokedAgents>,
    ) -> Arc<Self> {
        let count = cores.len();
        Arc::new(Self {
            config,
            identity: RwLock::new(Arc::new(identity)),
            tls: RwLock::new(tls),
            cores,
            control,
            metrics: (0..count).map(|_| CoreMetrics::default()).collect(),
            flight: (0..count).map(|_| Flight::default()).collect(),
            generations: (0..count).map(|_| AtomicU64::new(0)).collect(),
            spool,
            revoked,
            target_keys: Arc::default(),
            holds: HoldBook::default(),
            draining: AtomicBool::new(false),
            backend: OnceLock::new(),
            links: Mutex::default(),
            links_assigned: (0..count).map(|_| AtomicU64::new(0)).collect(),
            next_link: AtomicU64::new(0),
        })
    }

    pub fn identity(&self) -> Arc<Identity> {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn tls(&self) -> TlsConfigs {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends to the control thread. A full mailbox means that it has the same news already.
    pub fn tell_control(&self, message: ControlMessage) {
        drop(self.control.try_send(message));
    }

    /// Registers a link; the number takes it out again.
    pub fn add_link(&self, entry: LinkEntry) -> u64 {
        let number = self.next_link.fetch_add(1, Ordering::Relaxed);
        self.lock_links().insert(number, entry);
        self.tell_control(ControlMessage::LinksChanged);
        number
    }

    pub fn remove_link(&self, number: u64) {
        self.lock_links().remove(&number);
        self.tell_control(ControlMessage::LinksChanged);
    }

    /// All links of the process.
    pub fn links(&self) -> Vec<LinkEntry> {
        self.lock_links().values().cloned().collect()
    }

    /// The core with the most links to a pool, if any core has one.
    pub fn core_with_link(&self, pool: &str) -> Option<usize> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for entry in self.lock_links().values().filter(|entry| entry.pool == pool) {
            *counts.entry(entry.core).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(core, _)| core)
    }

    /// Chooses the core with the fewest links for the next one, and counts it there until the ticket is dropped: links that
    /// arrive together do not all see the same empty core.
    pub fn assign_link(self: &Arc<Self>) -> LinkTicket {
        let core = (0..self.cores.len())
            .min_by_key(|core| self.links_assigned[*core].load(Ordering::Relaxed))
            .unwrap_or(0);
        self.links_assigned[core].fetch_add(1, Ordering::Relaxed);
        LinkTicket {
            shared: self.clone(),
            core,
        }
    }

    fn lock_links(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, LinkEntry>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
