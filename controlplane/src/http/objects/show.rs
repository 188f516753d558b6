//! `GET /api/{objects}/{name}`: one object; to a member, a connection that it may not open does not exist.

use axum::Json;
use axum::response::Response;

use super::{find, may_connect, tagged, view, view_for_member};
use crate::App;
use crate::domain::model::{Body, Kind};
use crate::http::auth::Caller;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, kind: Kind, caller: Caller, name: &str) -> Result<Response, Problem> {
    let state = app.publisher.state();
    let entry = find(&state, kind, name);
    match (caller.user(), kind) {
        (Some(member), Kind::Connection) if !caller.sees_all() => {
            let entry = entry?;
            match &entry.body {
                Body::Connection(connection) if may_connect(member, connection) => {
                    Ok(tagged(entry, Json(view_for_member(entry, connection))))
                }
                _ => Err(Problem::missing(kind.name(), name)),
            }
        }
        _ if caller.sees_all() => {
            let entry = entry?;
            Ok(tagged(entry, Json(view(app, &state, entry).await?)))
        }
        _ => Err(Problem::Forbidden("this needs the role auditor".to_owned())),
    }
}
