//! `/api/agents` and `/api/pools/{name}/agents`: enrolled agents and whether they are linked.

pub mod delete;
pub mod list;
pub mod show;

use serde::Serialize;

use super::input::time_text;
use crate::App;
use crate::store::enrolment::Identity;

/// An agent as the administrator sees it.
#[derive(Debug, Serialize)]
pub struct View {
    pub id: String,
    pub name: String,
    pub pool: String,
    pub status: &'static str,
    pub links: u32,
    pub version: String,
    pub enrolled_at: Option<String>,
    pub last_seen_at: Option<String>,
    pub certificate_expires_at: Option<String>,
}

impl View {
    fn new(app: &App, agent: Identity) -> View {
        let links = app.progress.links_of(&agent.id);
        View {
            status: if links > 0 { "connected" } else { "disconnected" },
            links,
            enrolled_at: time_text(agent.enrolled_micros),
            last_seen_at: agent.seen_micros.and_then(time_text),
            certificate_expires_at: time_text(agent.expires_micros),
            id: agent.id,
            name: agent.name,
            pool: agent.pool,
            version: agent.version,
        }
    }
}
