//! `POST /api/sessions/{id}/kill`: ends a session now; the client and the record are told by whom and why.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use proto::control::KillSession;

use super::find;
use crate::App;
use crate::audit::view::SessionView;
use crate::http::auth::Caller;
use crate::http::input::Object;
use crate::http::problem::Problem;
use crate::limits::{KILL_REASON_CHARS_MAX, KILL_SECONDS_MAX};
use crate::publish::orders::{NotGiven, Order};

/// How often the record is looked at for the session's end.
const POLL: Duration = Duration::from_millis(20);

/// Answers the request: 200 with the session when its end is recorded, 202 when that did not come in time. Members may
/// end their own sessions.
pub async fn handle(
    app: &App,
    caller: Caller,
    id: &str,
    body: Object,
) -> Result<(StatusCode, Json<SessionView>), Problem> {
    let reason = reason(body)?;
    let mut row = find(app, &caller, id).await?;
    if row.ended_micros.is_some() {
        return Err(Problem::Conflict("the session is over already".to_owned(), Vec::new()));
    }
    if !caller.is_admin() && !caller.is_user(&row.user_id) {
        return Err(Problem::Forbidden("this needs the role admin".to_owned()));
    }
    let by = caller.name().to_owned();
    let kill = KillSession {
        session_id: row.id.clone(),
        reason: reason.clone(),
        by: by.clone(),
    };
    order(app, &row.dataplane, kill).await?;
    tracing::info!(session = id, by, reason, "session killed");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(KILL_SECONDS_MAX);
    while row.ended_micros.is_none() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
        row = find(app, &caller, id).await?;
    }
    let status = match row.ended_micros {
        Some(_) => StatusCode::OK,
        None => StatusCode::ACCEPTED,
    };
    Ok((status, Json(row.into())))
}

/// Gives the order here, or, on a store that is shared, to whichever control plane the data plane is connected to.
async fn order(app: &App, dataplane: &str, kill: KillSession) -> Result<(), Problem> {
    let refused = |error| Problem::Conflict(format!("the session cannot be ended: {error}"), Vec::new());
    if !app.store.is_shared() {
        return app.orders.give(dataplane, Order::Kill(kill)).map_err(refused);
    }
    if !app.progress.of(dataplane).connected {
        return Err(refused(NotGiven::Away));
    }
    Ok(app.store.add_order(dataplane, &kill).await?)
}

fn reason(body: Object) -> Result<String, Problem> {
    let reason = body.read(|fields| fields.text("reason").unwrap_or_default())?;
    if reason.chars().count() > KILL_REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        return Err(Problem::Request(format!(
            "reason: is longer than {KILL_REASON_CHARS_MAX} characters or has control characters"
        )));
    }
    Ok(reason)
}
