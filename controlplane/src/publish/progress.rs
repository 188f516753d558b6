//! What each data plane says about itself: connected or not, the generation of each core, the last refusal, its agents.
//!
//! What is said here is noted for the other control planes on the same store, and what they note is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::control::{Ack, AgentPresence, Hello, Nack};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::store::now_micros;

/// A refused snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub generation: u64,
    pub reason: String,
    pub at_micros: i64,
}

/// The present state of one data plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    pub connected: bool,
    pub version: String,
    pub backend: String,
    /// Generation in force per core.
    pub cores: Vec<u64>,
    pub last_ack_micros: Option<i64>,
    pub nack: Option<Refusal>,
    pub agents: Vec<Agent>,
    /// Which stream it is; an older one that ends late changes nothing.
    #[serde(skip)]
    stream: u64,
}

/// An agent that is linked to a data plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: String,
    pub pool: String,
    pub links: u32,
}

impl From<AgentPresence> for Agent {
    fn from(presence: AgentPresence) -> Agent {
        Agent {
            id: presence.agent_id,
            pool: presence.pool,
            links: presence.links,
        }
    }
}

impl Standing {
    /// The generation that every core enforces; 0 when unknown.
    pub fn generation(&self) -> u64 {
        self.cores.iter().copied().min().unwrap_or(0)
    }
}

/// All data planes by id. What is here is what the streams say; of a control plane that is alone it is empty after a start
/// until they are back.
#[derive(Debug, Default)]
pub struct Progress {
    all: Mutex<All>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct All {
    here: BTreeMap<String, Standing>,
    /// As other control planes say.
    elsewhere: BTreeMap<String, Standing>,
    /// Ids of those in `here` that the others have not been told of.
    untold: BTreeSet<String>,
}

impl All {
    /// Where it is connected; else what was heard last.
    fn of(&self, id: &str) -> Option<&Standing> {
        let (here, elsewhere) = (self.here.get(id), self.elsewhere.get(id));
        match (here, elsewhere) {
            (Some(here), Some(elsewhere)) if elsewhere.connected && !here.connected => Some(elsewhere),
            (Some(here), _) => Some(here),
            (None, elsewhere) => elsewhere,
        }
    }

    fn agents(&self) -> impl Iterator<Item = &Agent> {
        let ids: BTreeSet<&String> = self.here.keys().chain(self.elsewhere.keys()).collect();
        let standings = ids.into_iter().filter_map(|id| self.of(id));
        standings
            .filter(|standing| standing.connected)
            .flat_map(|standing| standing.agents.iter())
    }
}

impl Progress {
    /// A data plane's stream has begun; the number names the stream in later calls.
    pub fn hello(&self, id: &str, hello: &Hello) -> u64 {
        let mut all = self.lock();
        let known = all.elsewhere.get(id).cloned().unwrap_or_default();
        let standing = all.here.entry(id.to_owned()).or_insert(known);
        standing.stream += 1;
        standing.connected = true;
        standing.version = clip(&hello.version);
        standing.backend = clip(&hello.backend);
        standing.cores = vec![hello.generation; (hello.cores as usize).min(CORES_MAX)];
        standing.agents.clear();
        let stream = standing.stream;
        all.untold.insert(id.to_owned());
        self.changed.notify_one();
        stream
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
        self.change(id, stream, |standing| {
            standing.agents = agents.into_iter().map(Agent::from).collect()
        });
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
        self.lock().of(id).cloned().unwrap_or_default()
    }

    /// Links of an agent over all data planes.
    pub fn links_of(&self, agent: &str) -> u32 {
        let all = self.lock();
        let agents = all.agents().filter(|a| a.id == agent);
        agents.fold(0, |sum, a| sum.saturating_add(a.links))
    }

    /// How many agents of a pool are linked anywhere.
    pub fn connected_in(&self, pool: &str) -> usize {
        let all = self.lock();
        let linked = all.agents().filter(|a| a.pool == pool && a.links > 0);
        linked.map(|a| a.id.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// Ids of the data planes that are connected to this control plane.
    pub fn connected_here(&self) -> Vec<String> {
        let all = self.lock();
        let connected = all.here.iter().filter(|(_, standing)| standing.connected);
        connected.map(|(id, _)| id.clone()).collect()
    }

    /// What the other control planes say, all of it.
    pub fn set_elsewhere(&self, standings: Vec<(String, Standing)>) {
        self.lock().elsewhere = standings.into_iter().collect();
    }

    /// Waits until there is something that the others have not been told.
    pub async fn untold(&self) -> Vec<(String, Standing)> {
        loop {
            let untold = self.take_untold();
            if !untold.is_empty() {
                return untold;
            }
            self.changed.notified().await;
        }
    }

    /// What the others have not been told could not be told.
    pub fn tell_again(&self, standings: &[(String, Standing)]) {
        let mut all = self.lock();
        all.untold.extend(standings.iter().map(|(id, _)| id.clone()));
    }

    fn take_untold(&self) -> Vec<(String, Standing)> {
        let mut all = self.lock();
        let ids = std::mem::take(&mut all.untold);
        let standing = |id: String| Some((id.clone(), all.here.get(&id)?.clone()));
        ids.into_iter().filter_map(standing).collect()
    }

    fn change(&self, id: &str, stream: u64, change: impl FnOnce(&mut Standing)) {
        let mut all = self.lock();
        if let Some(standing) = all.here.get_mut(id).filter(|s| s.stream == stream) {
            change(standing);
            all.untold.insert(id.to_owned());
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn where_a_data_plane_is_connected_is_believed() {
        let progress = Progress::default();
        let stream = progress.hello("d", &hello(3));
        progress.gone("d", stream);
        let told = progress.take_untold();
        assert_eq!(told.len(), 1);
        assert!(!told[0].1.connected && progress.take_untold().is_empty());
        let mut elsewhere = Standing {
            connected: true,
            cores: vec![7],
            ..Standing::default()
        };
        elsewhere.agents.push(Agent {
            id: "a".to_owned(),
            pool: "p".to_owned(),
            links: 2,
        });
        progress.set_elsewhere(vec![("d".to_owned(), elsewhere)]);
        assert_eq!((progress.of("d").generation(), progress.connected_in("p")), (7, 1));
        assert!(progress.connected_here().is_empty());
        progress.hello("d", &hello(8));
        assert_eq!((progress.of("d").generation(), progress.links_of("a")), (8, 0));
        assert_eq!(progress.connected_here(), ["d"]);
    }

    #[test]
    fn standings_are_read_as_they_were_stored() {
        let progress = Progress::default();
        let stream = progress.hello("d", &hello(3));
        let agent = AgentPresence {
            agent_id: "a".to_owned(),
            links: 1,
            ..AgentPresence::default()
        };
        progress.presence("d", stream, vec![agent]);
        let stored = serde_json::to_string(&progress.of("d")).unwrap();
        let read: Standing = serde_json::from_str(&stored).unwrap();
        assert_eq!((read.cores, read.agents), (vec![3, 3], progress.of("d").agents));
    }
}
