//! `GET /api/login` and `GET /api/callback`: to the identity provider and back.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::{no_store, own_place, secure, set_cookie};
use crate::App;
use crate::http::auth::cookie;
use crate::http::input::{Peer, encoded};
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::identity::login::{self, Method};
use crate::identity::oidc::person::user_of;
use crate::identity::oidc::provider::Provider;
use crate::identity::oidc::{self, Answer, LoginError};
use crate::limits::FLOW_SECONDS_MAX;

/// Binds a login under way to the browser that began it.
const FLOW_COOKIE: &str = "sluice_flow";

/// Where to go afterwards; hoop's clients call it `redirect`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Wish {
    pub next: Option<String>,
    pub redirect: Option<String>,
}

/// Sends a browser to the provider; tells a program where to send one.
pub async fn begin(app: &App, headers: &HeaderMap, wish: Wish) -> Result<Response, Problem> {
    let next = own_place(wish.next.or(wish.redirect).as_deref().unwrap_or_default()).to_owned();
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        let place = format!("{}/login?next={}", app.public_url, encoded(&next));
        return Ok(Json(json!({"login_url": place})).into_response());
    }
    let Some(provider) = &app.provider else {
        return Ok(Redirect::to(&format!("/login?next={}", encoded(&next))).into_response());
    };
    let begun = match oidc::begin(app, provider, &next).await {
        Ok(begun) => begun,
        Err(error) => return refused(&error),
    };
    let mut response = Redirect::to(&begun.place).into_response();
    add_cookie(app, &mut response, &begun.cookie, FLOW_SECONDS_MAX);
    no_store(&mut response);
    Ok(response)
}

/// Takes what the browser brings back from the provider.
pub async fn callback(
    app: &App,
    Peer(address): Peer,
    headers: &HeaderMap,
    answer: Answer,
) -> Result<Response, Problem> {
    let Some(provider) = &app.provider else {
        return Err(Problem::NotFound("no identity provider is configured".to_owned()));
    };
    match logged_in(app, provider, &address, answer, cookie(headers, FLOW_COOKIE)).await {
        Ok(response) => Ok(response),
        Err(error) => refused(&error),
    }
}

async fn logged_in(
    app: &App,
    provider: &Arc<Provider>,
    address: &str,
    answer: Answer,
    cookie: Option<String>,
) -> Result<Response, LoginError> {
    let vouched = oidc::finish(app, provider, answer, cookie).await?;
    let (entry, user) = user_of(app, &provider.config, &vouched.person).await?;
    let kept = login::Kept {
        subject: vouched.person.subject,
        id_token: vouched.id_token,
        refresh_token: vouched.refresh_token,
    };
    let opened = login::open(app, &entry, &user, Method::Oidc, address, Some(kept)).await?;
    let mut response = Redirect::to(own_place(&vouched.next)).into_response();
    let seconds = i64::try_from(app.config.login_seconds).unwrap_or(i64::MAX);
    if let Some(cookie) = set_cookie(app, &opened.token, seconds) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    add_cookie(app, &mut response, "", 0);
    no_store(&mut response);
    Ok(response)
}

/// A page that says why; our own mistakes and the provider's absence are not the browser's fault.
fn refused(error: &LoginError) -> Result<Response, Problem> {
    let status = match error {
        LoginError::Store(error) => return Err(Problem::Internal(error.to_string())),
        LoginError::Provider(oidc::provider::ProviderError::Unreachable(_)) => StatusCode::BAD_GATEWAY,
        _ => StatusCode::UNAUTHORIZED,
    };
    tracing::warn!(%error, "a login by the identity provider was refused");
    let body = format!(
        "<main class=\"narrow\"><h1>Login refused</h1><p role=\"alert\" class=\"alert\">{}</p>\
         <p><a href=\"/login\">Try again</a></p></main>",
        escaped(&error.to_string())
    );
    let mut response = page("Login refused", &body);
    *response.status_mut() = status;
    no_store(&mut response);
    Ok(response)
}

fn add_cookie(app: &App, response: &mut Response, value: &str, seconds: i64) {
    let text = format!(
        "{FLOW_COOKIE}={value}; Path=/api/callback; Max-Age={seconds}; HttpOnly; SameSite=Lax{}",
        secure(app)
    );
    if let Ok(cookie) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
