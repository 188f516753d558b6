//! `GET /api/dataplanes/{id}`.

use axum::Json;

use super::View;
use crate::App;
use crate::http::problem::Problem;
use crate::store::enrolment::Role;

/// Answers the request.
pub async fn handle(app: &App, id: &str) -> Result<Json<View>, Problem> {
    let found = app.store.identity(Role::Dataplane, id).await?;
    Ok(Json(View::new(
        app,
        found.ok_or_else(|| Problem::missing("data plane", id))?,
    )))
}
