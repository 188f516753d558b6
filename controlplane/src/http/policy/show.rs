//! `GET /api/policy`: which generation is published, until when it holds, and the keys of the installation.

use axum::Json;
use serde::Serialize;

use crate::App;
use crate::http::input::time_text;
use crate::pki::hex;

/// The answer.
#[derive(Debug, Serialize)]
pub struct View {
    pub generation: u64,
    pub issued_at: Option<String>,
    pub expires_at: Option<String>,
    pub snapshot_bytes: usize,
    pub policy_key: String,
    pub ca_sha256: String,
    pub ca_pem: String,
}

/// Answers the request.
pub fn handle(app: &App) -> Json<View> {
    let current = app.publisher.current();
    Json(View {
        generation: current.generation,
        issued_at: time_text(current.issued_at_ms.saturating_mul(1000)),
        expires_at: time_text(current.expires_at_ms.saturating_mul(1000)),
        snapshot_bytes: current.signed.snapshot.len(),
        policy_key: hex(&app.pki.policy_key().public()),
        ca_sha256: app.pki.ca_sha256(),
        ca_pem: app.pki.ca_pem().to_owned(),
    })
}
