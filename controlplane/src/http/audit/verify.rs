//! `POST /api/audit/verify`: reads stored sessions and says which are not as they were taken in, and from which event on.

use axum::Json;
use serde::Serialize;

use crate::App;
use crate::audit::view::{id_bytes, id_text};
use crate::http::input::Object;
use crate::http::problem::Problem;
use crate::limits::SESSIONS_VERIFIED_AT_ONCE;
use crate::store::verify::Broken;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Sessions that were read.
    checked: usize,
    broken: Vec<BrokenSession>,
    /// Where to go on; null: all were read.
    next_cursor: Option<String>,
}

/// A session that is not as it was taken in.
#[derive(Debug, Serialize)]
pub struct BrokenSession {
    session: String,
    #[serde(flatten)]
    broken: Broken,
}

/// Answers the request: one session, or a page of all of them.
pub async fn handle(app: &App, body: Object) -> Result<Json<Verified>, Problem> {
    let (session, cursor) = body.read(|fields| (fields.text("session"), fields.text("cursor")))?;
    let wrong = |what: &str| Problem::Request(format!("{what} must be one that was given"));
    let (ids, next_cursor) = match session {
        Some(id) => (vec![id_bytes(&id).ok_or_else(|| wrong("session"))?], None),
        None => {
            let after = match cursor {
                Some(cursor) => id_bytes(&cursor).ok_or_else(|| wrong("cursor"))?,
                None => Vec::new(),
            };
            let ids = app.store.session_ids(&after, SESSIONS_VERIFIED_AT_ONCE).await?;
            let last = ids.last().filter(|_| ids.len() == SESSIONS_VERIFIED_AT_ONCE);
            let next_cursor = last.map(|id| id_text(id));
            (ids, next_cursor)
        }
    };
    let public = app.pki.policy_key().public();
    let mut broken = Vec::new();
    for id in &ids {
        if let Some(found) = app.store.verify_session(id, &public).await? {
            tracing::error!(
                session = id_text(id),
                place = found.place,
                why = found.why,
                "a stored session was changed"
            );
            broken.push(BrokenSession {
                session: id_text(id),
                broken: found,
            });
        }
    }
    Ok(Json(Verified {
        checked: ids.len(),
        broken,
        next_cursor,
    }))
}
