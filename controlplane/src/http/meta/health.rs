//! `GET /liveness`: the program answers. `GET /ready`: it can do its work, which needs the database.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::App;
use crate::store::now_micros;

/// Answers `/liveness`.
pub fn liveness() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Answers `/ready`: the database answers and the published snapshot has not run out.
pub async fn ready(app: &App) -> (StatusCode, Json<Value>) {
    let current = app.publisher.current();
    if let Err(error) = app.store.ping().await {
        tracing::error!(%error, "not ready: the database does not answer");
        return not_ready("the database does not answer");
    }
    if current.expires_at_ms <= now_micros() / 1000 {
        return not_ready("the published snapshot has run out");
    }
    (
        StatusCode::OK,
        Json(json!({"status": "ok", "generation": current.generation})),
    )
}

fn not_ready(reason: &str) -> (StatusCode, Json<Value>) {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({"status": "unavailable", "reason": reason})),
    )
}
