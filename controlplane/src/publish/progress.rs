//! What each data plane says about itself: connected or not, the generation of each core, the last refusal, its agents.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::control::{Ack, AgentPresence, Hello, Nack};

use crate::store::now_micros;

/// A refused snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub generation: u64,
    pub reason: String,
    pub at_micros: i64,
}

/// The present state of one data plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    pub connected: bool,
    pub version: String,
    pub backend: String,
    /// Generation in force per core.
    pub cores: Vec<u64>,
    pub last_ack_micros: Option<i64>,
    pub nack: Option<Refusal>,
    pub agents: Vec<AgentPresence>,
    /// Which stream it is; an older one that ends late changes nothing.
    stream: u64,
}

impl Standing {
    /// The generation that every core enforces; 0 when unknown.
    pub fn generation(&self) -> u64 {
        self.cores.iter().copied().min().unwrap_or(0)
    }
}

/// All data planes by id. What is here is what the streams say; it is empty after a start until they are back.
#[derive(Debug, Default)]
pub struct Progress(Mutex<BTreeMap<String, Standing>>);

impl Progress {
    /// A data plane's stream has begun; the number names the stream in later calls.
    pub fn hello(&self, id: &str, hello: &Hello) -> u64 {
        let mut all = self.lock();
        let standing = all.entry(id.to_owned()).or_default();
        standing.stream += 1;
        standing.connected = true;
        standing.version = clip(&hello.version);
        standing.backend = clip(&hello.backend);
        standing.cores = vec![hello.generation; (hello.cores as usize).min(CORES_MAX)];
        standing.agents.clear();
        standing.stream
    }

    /// A snapshot is enforced.
    pub fn ack(&self, id: &str, stream: u64, ack: &Ack) {
        self.change(id, stream, |standing| {
            standing.cores = ack.cores.iter().copied().take(CORES_MAX).collect();
            if standing.cores.is_empty() {
                standing.cores.push(ack.generation);
            }
            standing.last_ack_micros = Some(now_micros());
            if standing
                .nack
                .as_ref()
                .is_some_and(|nack| nack.generation <= ack.generation)
            {
                standing.nack = None;
            }
        });
    }

    /// A snapshot was refused.
    pub fn nack(&self, id: &str, stream: u64, nack: &Nack) {
        self.change(id, stream, |standing| {
            standing.nack = Some(Refusal {
                generation: nack.generation,
                reason: clip(&nack.reason),
                at_micros: now_micros(),
            });
        });
    }

    /// The agents that are linked to it.
    pub fn presence(&self, id: &str, stream: u64, agents: Vec<AgentPresence>) {
        self.change(id, stream, |standing| standing.agents = agents);
    }

    /// The stream is over.
    pub fn gone(&self, id: &str, stream: u64) {
        self.change(id, stream, |standing| {
            standing.connected = false;
            standing.agents.clear();
        });
    }

    /// What is known of a data plane.
    pub fn of(&self, id: &str) -> Standing {
        self.lock().get(id).cloned().unwrap_or_default()
    }

    /// Links of an agent over all data planes.
    pub fn links_of(&self, agent: &str) -> u32 {
        let all = self.lock();
        let agents = all
            .values()
            .flat_map(|s| s.agents.iter())
            .filter(|a| a.agent_id == agent);
        agents.fold(0, |sum, a| sum.saturating_add(a.links))
    }

    /// How many agents of a pool are linked anywhere.
    pub fn connected_in(&self, pool: &str) -> usize {
        let all = self.lock();
        let mut ids: Vec<&str> = all
            .values()
            .flat_map(|s| s.agents.iter())
            .filter(|a| a.pool == pool && a.links > 0)
            .map(|a| a.agent_id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    fn change(&self, id: &str, stream: u64, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = self.lock().get_mut(id).filter(|s| s.stream == stream) {
            change(standing);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cores of one data plane that are followed.
const CORES_MAX: usize = 1024;

fn clip(text: &str) -> String {
    text.chars().take(crate::limits::TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(generation: u64) -> Hello {
        Hello {
            cores: 2,
            generation,
            ..Hello::default()
        }
    }

    #[test]
    fn the_slowest_core_counts() {
        let progress = Progress::default();
        let stream = progress.hello("d", &hello(3));
        assert_eq!(progress.of("d").generation(), 3);
        progress.ack(
            "d",
            stream,
            &Ack {
                generation: 4,
                cores: vec![5, 4],
            },
        );
        assert_eq!(progress.of("d").generation(), 4);
    }

    #[test]
    fn a_refusal_stays_until_a_newer_snapshot_is_enforced() {
        let progress = Progress::default();
        let stream = progress.hello("d", &hello(3));
        progress.nack(
            "d",
            stream,
            &Nack {
                generation: 4,
                in_force: 3,
                reason: "no".to_owned(),
            },
        );
        progress.ack(
            "d",
            stream,
            &Ack {
                generation: 3,
                cores: vec![3, 3],
            },
        );
        assert_eq!(progress.of("d").nack.unwrap().reason, "no");
        progress.ack(
            "d",
            stream,
            &Ack {
                generation: 5,
                cores: vec![5, 5],
            },
        );
        assert_eq!(progress.of("d").nack, None);
    }

    #[test]
    fn an_old_stream_that_ends_late_changes_nothing() {
        let progress = Progress::default();
        let old = progress.hello("d", &hello(1));
        let new = progress.hello("d", &hello(2));
        progress.gone("d", old);
        assert!(progress.of("d").connected);
        progress.gone("d", new);
        assert!(!progress.of("d").connected);
    }

    #[test]
    fn agents_are_counted_once() {
        let progress = Progress::default();
        let agent = |id: &str, links| AgentPresence {
            agent_id: id.to_owned(),
            pool: "p".to_owned(),
            links,
            ..AgentPresence::default()
        };
        for id in ["d1", "d2"] {
            let stream = progress.hello(id, &hello(1));
            progress.presence(id, stream, vec![agent("a", 2), agent("b", 0)]);
        }
        assert_eq!(progress.connected_in("p"), 1);
        assert_eq!(progress.links_of("a"), 4);
        assert_eq!(progress.links_of("b"), 0);
    }
}
