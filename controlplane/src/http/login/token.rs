//! `POST /api/login/token`: a code of the loopback port, or a device that waits, for a login (RFC 6749 section 4.1.3, RFC 8628
//! section 3.4). Errors are those of OAuth.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::cli::Granted;
use super::device::Waiting;
use super::no_store;
use crate::App;
use crate::agents::token::sha256;
use crate::domain::model::UserStatus;
use crate::http::input::Peer;
use crate::http::problem::Problem;
use crate::identity::login::{self, Method};
use crate::identity::oidc::challenge;
use crate::limits::DEVICE_POLL_SECONDS;
use crate::store::now_micros;

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The request, as a form.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Wish {
    #[serde(default)]
    pub grant_type: String,
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub code_verifier: String,
    #[serde(default)]
    pub redirect_uri: String,
    #[serde(default)]
    pub device_code: String,
}

/// Answers the request.
pub async fn handle(app: &App, peer: Peer, wish: Wish) -> Result<Response, Problem> {
    match wish.grant_type.as_str() {
        "authorization_code" => by_code(app, peer, wish).await,
        DEVICE => by_device(app, peer, wish).await,
        _ => Ok(error("unsupported_grant_type")),
    }
}

async fn by_code(app: &App, peer: Peer, wish: Wish) -> Result<Response, Problem> {
    let Some(flow) = app.store.take_flow(&sha256(&wish.code), "code", now_micros()).await? else {
        return Ok(error("invalid_grant"));
    };
    let granted: Granted = serde_json::from_str(&flow.body).map_err(|e| Problem::Internal(e.to_string()))?;
    let found = challenge(&wish.code_verifier);
    let proved = verify_slices_are_equal(found.as_bytes(), granted.challenge.as_bytes()).is_ok();
    if !proved || granted.redirect_uri != wish.redirect_uri {
        return Ok(error("invalid_grant"));
    }
    open(app, peer, &granted.user_id, &granted.method).await
}

async fn by_device(app: &App, peer: Peer, wish: Wish) -> Result<Response, Problem> {
    let (hash, now) = (sha256(&wish.device_code), now_micros());
    let Some(flow) = app.store.flow(&hash, "device", now).await? else {
        return Ok(error("expired_token"));
    };
    let waiting: Waiting = serde_json::from_str(&flow.body).map_err(|e| Problem::Internal(e.to_string()))?;
    if waiting.denied {
        app.store.take_flow(&hash, "device", now).await?;
        return Ok(error("access_denied"));
    }
    let Some(user_id) = &waiting.user_id else {
        let is_early = now - waiting.asked_micros < DEVICE_POLL_SECONDS * 1_000_000;
        let asked = Waiting {
            asked_micros: now,
            ..waiting.clone()
        };
        let body = serde_json::to_string(&asked).map_err(|e| Problem::Internal(e.to_string()))?;
        app.store.change_flow(&flow, &body).await?;
        return Ok(error(if is_early { "slow_down" } else { "authorization_pending" }));
    };
    // Whoever takes it first has it.
    match app.store.take_flow(&hash, "device", now).await? {
        Some(_) => open(app, peer, user_id, &waiting.method).await,
        None => Ok(error("expired_token")),
    }
}

async fn open(app: &App, Peer(address): Peer, user_id: &str, method: &str) -> Result<Response, Problem> {
    let state = app.publisher.state();
    let user = state.catalog.users().find(|(entry, _)| entry.id == user_id);
    let Some((entry, user)) = user.filter(|(_, user)| user.status == UserStatus::Active) else {
        return Ok(error("access_denied"));
    };
    let method = if method == Method::Oidc.name() {
        Method::Oidc
    } else {
        Method::Password
    };
    let opened = login::open(app, entry, user, method, &address, None).await?;
    let mut response = Json(json!({
        "access_token": opened.token,
        "token_type": "Bearer",
        "expires_in": app.config.login_seconds,
    }))
    .into_response();
    no_store(&mut response);
    Ok(response)
}

fn error(word: &str) -> Response {
    let mut response = (StatusCode::BAD_REQUEST, Json(json!({"error": word}))).into_response();
    no_store(&mut response);
    response
}
