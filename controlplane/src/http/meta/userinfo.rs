//! `GET /api/userinfo`: who the token belongs to.

use axum::Json;
use serde::Serialize;

use crate::http::auth::{Caller, Via};
use crate::http::input::time_text;

/// The answer.
#[derive(Debug, Serialize)]
pub struct View {
    id: String,
    name: String,
    email: Option<String>,
    /// The strongest of `roles`; `member` where there is none.
    role: &'static str,
    roles: Vec<&'static str>,
    groups: Vec<String>,
    /// What the caller proved itself with.
    via: &'static str,
    /// What an API key is for; absent where nothing but the role bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    /// End of the login or of the token.
    expires_at: Option<String>,
}

/// Answers the request.
pub fn handle(caller: Caller) -> Json<View> {
    let (scopes, ends) = match caller.via() {
        Via::ApiKey { scopes, expires_micros } => (Some(scopes.clone()), *expires_micros),
        Via::Login { session, .. } => (None, Some(session.expires_micros)),
        _ => (None, caller.user().and_then(|member| member.expires_micros)),
    };
    let user = caller.user();
    Json(View {
        id: caller.user_id().unwrap_or("admin").to_owned(),
        name: user.map_or("admin", |member| &member.user.name).to_owned(),
        email: user.and_then(|member| member.user.email.clone()),
        role: caller.roles().strongest(),
        roles: caller.roles().names(),
        groups: user.map(|member| member.user.groups.clone()).unwrap_or_default(),
        via: caller.via().name(),
        scopes,
        expires_at: ends.and_then(time_text),
    })
}
