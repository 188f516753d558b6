//! `GET /api/plugins/audit/sessions` and `…/{id}/status`: the same sessions under the seed's paths and in its envelope.

use axum::Json;
use serde::Serialize;

use super::find;
use super::list::{ListParams, filter};
use crate::App;
use crate::audit::view::{SessionView, id_text};
use crate::http::auth::Caller;
use crate::http::input::PageParams;
use crate::http::problem::Problem;

/// The seed's envelope of a list.
#[derive(Debug, Serialize)]
pub struct Envelope {
    data: Vec<SessionView>,
    total: i64,
    has_next_page: bool,
}

/// Whether a session is open.
#[derive(Debug, Serialize)]
pub struct Status {
    id: String,
    status: &'static str,
}

/// Answers the list.
pub async fn list(app: &App, caller: Caller, params: ListParams) -> Result<Json<Envelope>, Problem> {
    let limit = PageParams {
        limit: params.limit,
        cursor: None,
    }
    .limit()?;
    let filter = filter(&caller, &params)?;
    let mut rows = app.store.sessions(&filter, limit + 1).await?;
    let has_next_page = rows.len() > limit;
    rows.truncate(limit);
    let total = app.store.session_count(&filter).await?;
    Ok(Json(Envelope {
        data: rows.into_iter().map(SessionView::from).collect(),
        total,
        has_next_page,
    }))
}

/// Answers the status.
pub async fn status(app: &App, caller: Caller, id: &str) -> Result<Json<Status>, Problem> {
    let row = find(app, &caller, id).await?;
    let status = if row.ended_micros.is_some() { "closed" } else { "open" };
    Ok(Json(Status {
        id: id_text(&row.id),
        status,
    }))
}
