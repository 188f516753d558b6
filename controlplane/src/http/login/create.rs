//! `POST /api/login`: name and password for a token that stands for the person.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::App;
use crate::http::auth::roles_of;
use crate::http::input::{Object, Peer, time_text};
use crate::http::problem::Problem;
use crate::identity::login::{self, Method, Opened};

/// The answer.
#[derive(Debug, Serialize)]
pub struct LoggedIn {
    token: String,
    user: String,
    role: &'static str,
    expires_at: Option<String>,
}

/// Answers the request.
pub async fn handle(app: &App, Peer(address): Peer, body: Object) -> Result<Response, Problem> {
    let (name, text) = body.read(|fields| (fields.text_required("user"), fields.text_required("password")))?;
    let (name, text) = (name.unwrap_or_default(), text.unwrap_or_default());
    let Some((entry, user)) = login::by_password(app, &name, text, &address).await? else {
        return Err(Problem::Credentials);
    };
    let Opened { token, session } = login::open(app, &entry, &user, Method::Password, &address, None).await?;
    let answer = LoggedIn {
        token,
        role: roles_of(app, &user).strongest(),
        user: user.name,
        expires_at: time_text(session.expires_micros),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok((headers, Json(answer)).into_response())
}
