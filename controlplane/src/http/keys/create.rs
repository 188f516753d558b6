//! `POST …/keys`: a new enrol key with the credentials file that carries it.

use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;

use super::{Holder, View};
use crate::App;
use crate::agents::enrol::{Credentials, KeyTerms, create_key};
use crate::http::input::Object;
use crate::http::problem::Problem;
use crate::limits::{ENROL_KEY_SECONDS_DEFAULT, ENROL_KEY_SECONDS_MAX, TEXT_CHARS_MAX};

/// Most agents that one key may enrol.
const USES_MAX: u64 = 100_000;

/// The answer: the key, the token, and everything that a credentials file says.
#[derive(Debug, Serialize)]
pub struct Created {
    #[serde(flatten)]
    view: View,
    token: String,
    url: String,
    ca_sha256: String,
    gateways: Vec<String>,
    credentials: String,
}

/// Answers the request.
pub async fn handle(app: &App, holder: Holder, body: Object) -> Result<(StatusCode, Json<Created>), Problem> {
    let terms = body.read(|fields| {
        let note = fields.text("note").unwrap_or_default();
        if note.chars().count() > TEXT_CHARS_MAX {
            fields.wrong("note", "is too long");
        }
        KeyTerms {
            expires_in_seconds: fields
                .number("expires_in_seconds", 1, ENROL_KEY_SECONDS_MAX)
                .unwrap_or(ENROL_KEY_SECONDS_DEFAULT),
            uses_max: fields.number("uses_max", 1, USES_MAX).unwrap_or(1) as u32,
            note,
        }
    })?;
    let (key, token) = create_key(&app.store, holder.role, &holder.pool, terms).await?;
    let credentials = Credentials::new(app, &key, &token);
    let text = credentials.to_toml().map_err(|e| Problem::Internal(e.to_string()))?;
    let created = Created {
        view: View::new(&key),
        token,
        url: credentials.url,
        ca_sha256: credentials.ca_sha256,
        gateways: credentials.gateways,
        credentials: text,
    };
    Ok((StatusCode::CREATED, Json(created)))
}
