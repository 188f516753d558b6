//! `POST /api/logout` and, for browsers, `POST /logout`: the login that is used counts no more, its cookie is taken away.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{no_store, set_cookie};
use crate::App;
use crate::http::auth::{Caller, Via, cookie_of};
use crate::http::input::encoded;
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::identity::login::Kept;

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, headers: &HeaderMap) -> Result<Response, Problem> {
    if let Via::Login { session, .. } = caller.via() {
        app.store.end_login(&session.sha256).await?;
    } else if cookie_of(headers).is_none() {
        let detail = "a token is no login: revoke it instead";
        return Err(Problem::Conflict(detail.to_owned(), Vec::new()));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = set_cookie(app, "", 0) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Ends a browser's login and says where to end the provider's too (OpenID Connect RP-Initiated Logout 1.0).
pub async fn from_page(app: &App, caller: &Caller, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut link = String::new();
    if let Via::Login { session, .. } = caller.via() {
        let kept = cookie_of(headers).and_then(|token| Kept::of(&token, session));
        app.store.end_login(&session.sha256).await?;
        if let Some(place) = at_provider(app, kept).await {
            link = format!(
                "<p><a href=\"{}\">Log out at the identity provider too</a></p>",
                escaped(&place)
            );
        }
    }
    let body =
        format!("<main class=\"narrow\"><h1>Logged out</h1>{link}<p><a href=\"/login\">Log in again</a></p></main>");
    let mut response = page("Logged out", &body);
    if let Some(cookie) = set_cookie(app, "", 0) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    no_store(&mut response);
    Ok(response)
}

async fn at_provider(app: &App, kept: Option<Kept>) -> Option<String> {
    let provider = app.provider.as_ref()?;
    let place = provider.metadata().await.ok()?.end_session_endpoint.clone()?;
    let mark = if place.contains('?') { '&' } else { '?' };
    let hint = kept.map(|kept| format!("&id_token_hint={}", encoded(&kept.id_token)));
    let client = encoded(&provider.config.client_id);
    (provider.config.is_safe(&place)).then(|| format!("{place}{mark}client_id={client}{}", hint.unwrap_or_default()))
}
