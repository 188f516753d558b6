//! What all links and sessions of one running agent share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codecs::postgres::login::KeyCache;
use tokio::sync::watch;

use crate::config::Config;
use crate::identity::Identity;
use crate::limits;
use crate::sessions::Sessions;
use crate::upstream::TargetTls;

/// How far the agent's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Links are kept and sessions served.
    Running,
    /// No new sessions; those that run may end in their own time.
    Draining,
    /// The time for that is over.
    Ending,
}

/// One running agent.
pub struct Agent {
    /// The configuration as meant.
    pub config: Config,
    /// Name for people, as pools list it.
    pub name: String,
    /// Random, the same for all links of this run.
    pub instance: [u8; 16],
    /// The present identity; replaced by renewals.
    pub identity: watch::Receiver<Arc<Identity>>,
    /// How far the agent's life is.
    pub phase: watch::Receiver<Phase>,
    /// Sessions that can be cancelled.
    pub sessions: Sessions,
    /// SCRAM keys of logins at targets.
    pub target_keys: Arc<KeyCache>,
    /// TLS set-ups towards targets.
    pub target_tls: TargetTls,
    links_ready: watch::Sender<usize>,
    links_wanted: AtomicUsize,
}

/// Counts a link as ready for as long as it is held.
pub struct LinkReady(Arc<Agent>);

impl Agent {
    /// An agent with an identity, not yet linked to anything.
    #[must_use]
    pub fn new(
        config: Config,
        name: String,
        instance: [u8; 16],
        identity: watch::Receiver<Arc<Identity>>,
        phase: watch::Receiver<Phase>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            name,
            instance,
            identity,
            phase,
            sessions: Sessions::default(),
            target_keys: Arc::default(),
            target_tls: TargetTls::default(),
            links_ready: watch::Sender::new(0),
            links_wanted: AtomicUsize::new(0),
        })
    }

    /// Notes that a link finished its hello.
    #[must_use]
    pub fn link_ready(self: &Arc<Self>) -> LinkReady {
        self.links_ready.send_modify(|count| *count += 1);
        LinkReady(self.clone())
    }

    /// Links that serve sessions now.
    #[must_use]
    pub fn links_ready(&self) -> usize {
        *self.links_ready.borrow()
    }

    /// Notes that so many more links are to be kept.
    pub fn want_links(&self, more: usize) {
        self.links_wanted.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns when the agent serves: a link is ready, and the others are too or had [`limits::READY_SETTLE`] to get so.
    pub async fn serving(&self) {
        let mut ready = self.links_ready.subscribe();
        let _ = ready.wait_for(|count| *count > 0).await;
        // The first hello told how many links there should be; that number is acted upon by another task.
        tokio::time::sleep(limits::READY_SETTLE / 20).await;
        let all = ready.wait_for(|count| *count >= self.links_wanted.load(Ordering::Relaxed));
        let _ = tokio::time::timeout(limits::READY_SETTLE, all).await;
    }
}

impl Drop for LinkReady {
    fn drop(&mut self) {
        self.0.links_ready.send_modify(|count| *count -= 1);
    }
}

/// Returns when the agent's life has come to `phase` or further.
pub async fn reached(mut life: watch::Receiver<Phase>, phase: Phase) {
    // A closed channel means that whoever runs the agent is gone, which is the end too.
    let _ = life.wait_for(|now| *now >= phase).await;
}
