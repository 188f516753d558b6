//! `DELETE …/keys/{id}`: takes an enrol key back; what it has enrolled stays.

use axum::http::StatusCode;

use super::Holder;
use crate::App;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, holder: Holder, id: &str) -> Result<StatusCode, Problem> {
    match app.store.delete_enrol_key(holder.role, &holder.pool, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::missing("key", id)),
    }
}
