//! Agents' links of one core: accepted, greeted, kept, found by pool.

pub mod accept;
pub mod driver;
pub mod revoked;

use driver::Driver;
use revoked::RevokedAgents;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Why a revoked agent's links and sessions end.
pub const REVOKED: &str = "the agent was revoked";

/// One link that serves sessions.
pub struct AgentLink {
    pub driver: Rc<Driver>,
    pub agent_id: String,
    pub name: String,
}

/// The links of a core, by pool.
#[derive(Default)]
pub struct LinkTable {
    pools: RefCell<HashMap<String, Vec<Rc<AgentLink>>>>,
}

impl LinkTable {
    /// The usable link of a pool with the fewest sessions.
    pub fn pick(&self, pool: &str) -> Option<Rc<AgentLink>> {
        let pools = self.pools.borrow();
        let usable = pools.get(pool)?.iter().filter(|link| link.driver.is_usable());
        usable.min_by_key(|link| link.driver.streams()).cloned()
    }

    fn add(&self, pool: &str, link: Rc<AgentLink>) {
        self.pools.borrow_mut().entry(pool.to_owned()).or_default().push(link);
    }

    fn remove(&self, pool: &str, link: &Rc<AgentLink>) {
        let mut pools = self.pools.borrow_mut();
        if let Some(links) = pools.get_mut(pool) {
            links.retain(|other| !Rc::ptr_eq(other, link));
            if links.is_empty() {
                pools.remove(pool);
            }
        }
    }

    /// Ends the links of revoked agents and the sessions on them.
    pub fn end_revoked(&self, revoked: &RevokedAgents) {
        let links: Vec<_> = self.pools.borrow().values().flatten().cloned().collect();
        for link in links.iter().filter(|link| revoked.contains(&link.agent_id)) {
            tracing::warn!(agent = link.name, agent_id = link.agent_id, "the agent was revoked");
            link.driver.abort(REVOKED);
        }
    }

    /// Lets the sessions of all links end and opens no new ones.
    pub fn drain(&self) {
        for link in self.pools.borrow().values().flatten() {
            link.driver.drain();
        }
    }
}
