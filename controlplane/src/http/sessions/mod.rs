//! `/api/sessions` and `/api/plugins/audit/sessions`: what was recorded. Members see their own sessions.

pub mod events;
pub mod kill;
pub mod list;
pub mod plugin;
pub mod recording;
pub mod search;
pub mod show;

use super::auth::Caller;
use super::problem::Problem;
use crate::App;
use crate::audit::ingest::events_of;
use crate::audit::view::id_bytes;
use crate::store::sessions::{SessionRow, StoredChunk};
use proto::audit::Event;

/// Chunks read from the store at once.
const CHUNKS_AT_ONCE: usize = 64;

/// The session, if the caller may see it.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<SessionRow, Problem> {
    let missing = || Problem::missing("session", id);
    let row = app
        .store
        .session(&id_bytes(id).ok_or_else(missing)?)
        .await?
        .ok_or_else(missing)?;
    match caller.sees_all() || caller.is_user(&row.user_id) {
        true => Ok(row),
        false => Err(missing()),
    }
}

fn decoded(chunk: &StoredChunk) -> Result<Vec<Event>, Problem> {
    events_of(&chunk.content).map_err(|e| Problem::Internal(format!("stored events cannot be read: {e}")))
}
