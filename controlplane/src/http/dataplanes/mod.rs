//! `/api/dataplanes`: enrolled data planes and which generation each of their cores enforces.

pub mod list;
pub mod show;

use serde::Serialize;

use super::input::time_text;
use crate::App;
use crate::store::enrolment::Identity;

/// A data plane as the administrator sees it.
#[derive(Debug, Serialize)]
pub struct View {
    pub id: String,
    pub name: String,
    pub connected: bool,
    pub version: String,
    pub backend: String,
    pub generation: u64,
    pub generation_published: u64,
    pub enforced: bool,
    pub cores: Vec<CoreView>,
    pub agents: usize,
    /// Ed25519 public key of its audit seals, in hexadecimal.
    pub audit_key: String,
    pub last_ack_at: Option<String>,
    pub nack: Option<NackView>,
    pub enrolled_at: Option<String>,
    pub last_seen_at: Option<String>,
    pub certificate_expires_at: Option<String>,
}

/// One core of it.
#[derive(Debug, Serialize)]
pub struct CoreView {
    pub core: usize,
    pub generation: u64,
}

/// Its last refusal.
#[derive(Debug, Serialize)]
pub struct NackView {
    pub generation: u64,
    pub reason: String,
    pub at: Option<String>,
}

impl View {
    fn new(app: &App, dataplane: Identity) -> View {
        let standing = app.progress.of(&dataplane.id);
        let generation_published = app.publisher.current().generation;
        let generation = standing.generation();
        View {
            connected: standing.connected,
            version: dataplane.version,
            backend: standing.backend,
            generation,
            generation_published,
            enforced: standing.connected && generation == generation_published,
            cores: standing
                .cores
                .iter()
                .enumerate()
                .map(|(core, g)| CoreView { core, generation: *g })
                .collect(),
            agents: standing.agents.len(),
            audit_key: crate::pki::hex(&dataplane.audit_public_key),
            last_ack_at: standing.last_ack_micros.and_then(time_text),
            nack: standing.nack.map(|nack| NackView {
                generation: nack.generation,
                reason: nack.reason,
                at: time_text(nack.at_micros),
            }),
            enrolled_at: time_text(dataplane.enrolled_micros),
            last_seen_at: dataplane.seen_micros.and_then(time_text),
            certificate_expires_at: time_text(dataplane.expires_micros),
            id: dataplane.id,
            name: dataplane.name,
        }
    }
}
