//! `DELETE /api/agents/{id}` and `DELETE /api/dataplanes/{id}`: the identity is not served and not renewed any more.

use axum::http::StatusCode;

use crate::App;
use crate::http::problem::Problem;
use crate::store::enrolment::Role;

/// Answers the request.
pub async fn handle(app: &App, role: Role, id: &str) -> Result<StatusCode, Problem> {
    if !app.store.remove_identity(role, id).await? {
        return Err(Problem::missing(role.name(), id));
    }
    // Nobody listening means that no data plane is connected.
    let _ = app.removed.send(id.to_owned());
    Ok(StatusCode::NO_CONTENT)
}
