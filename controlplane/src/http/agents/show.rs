//! `GET /api/agents/{id}`.

use axum::Json;

use super::View;
use crate::App;
use crate::http::problem::Problem;
use crate::store::enrolment::Role;

/// Answers the request.
pub async fn handle(app: &App, id: &str) -> Result<Json<View>, Problem> {
    let agent = app
        .store
        .identity(Role::Agent, id)
        .await?
        .ok_or_else(|| Problem::missing("agent", id))?;
    Ok(Json(View::new(app, agent)))
}
