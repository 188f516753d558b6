//! `GET /api/reviews/{id}`: one review.

use axum::Json;

use super::{Face, View, find};
use crate::App;
use crate::http::auth::Caller;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, face: Face, id: &str) -> Result<Json<View>, Problem> {
    Ok(Json(find(app, &caller, face, id).await?.into()))
}
