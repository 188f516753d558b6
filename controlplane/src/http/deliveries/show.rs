//! `GET /api/deliveries/{id}`: one delivery.

use axum::Json;

use super::View;
use crate::App;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, id: &str) -> Result<Json<View>, Problem> {
    let delivery = app.store.delivery(id).await?;
    Ok(Json(delivery.ok_or_else(|| Problem::missing("delivery", id))?.into()))
}
