//! `GET /login` and `POST /login`: where browsers log in, with a name and a password or with a token.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{no_store, own_place, set_cookie};
use crate::App;
use crate::http::auth::{by_token, same_origin};
use crate::http::input::{Peer, encoded};
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::identity::login::{self, Method};

/// Where to go afterwards.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Next {
    #[serde(default)]
    pub next: String,
}

/// What the form sends.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Form {
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub password: String,
    #[serde(default)]
    pub token: String,
    #[serde(default)]
    pub next: String,
}

/// Shows the form.
pub fn show(app: &App, next: &Next) -> Response {
    render(app, own_place(&next.next), "", StatusCode::OK)
}

/// Takes the form: a cookie and the way on, or the form again.
pub async fn take(app: &App, Peer(address): Peer, headers: &HeaderMap, form: Form) -> Result<Response, Problem> {
    same_origin(app, headers)?;
    let next = own_place(&form.next);
    let (token, seconds) = if !form.token.is_empty() {
        match by_token(app, form.token.trim()).await {
            Ok(_) => (form.token.trim().to_owned(), app.config.login_seconds),
            Err(Problem::Unauthenticated) => return Ok(refused(app, next)),
            Err(other) => return Err(other),
        }
    } else {
        let Some((entry, user)) = login::by_password(app, &form.user, form.password, &address).await? else {
            return Ok(refused(app, next));
        };
        let opened = login::open(app, &entry, &user, Method::Password, &address, None).await?;
        (opened.token, app.config.login_seconds)
    };
    let mut response = Redirect::to(next).into_response();
    let cookie = set_cookie(app, &token, i64::try_from(seconds).unwrap_or(i64::MAX));
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    no_store(&mut response);
    Ok(response)
}

fn refused(app: &App, next: &str) -> Response {
    let word = "That is not right, or the account is locked for a while after too many attempts.";
    render(app, next, word, StatusCode::UNAUTHORIZED)
}

fn render(app: &App, next: &str, word: &str, status: StatusCode) -> Response {
    let by_provider = app.provider.as_ref().map_or_else(String::new, |provider| {
        let issuer = &provider.config.issuer;
        let host = issuer
            .split("://")
            .nth(1)
            .unwrap_or(issuer)
            .split('/')
            .next()
            .unwrap_or(issuer);
        format!(
            "<p><a class=\"button\" href=\"/api/login?next={}\">Log in with {}</a></p>",
            escaped(&encoded(next)),
            escaped(host)
        )
    });
    let next = escaped(next);
    let word = match word {
        "" => String::new(),
        word => format!("<p role=\"alert\" class=\"alert\">{}</p>", escaped(word)),
    };
    let body = format!(
        "<main class=\"narrow\"><h1>Sluice</h1>{word}{by_provider}\
         <form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"next\" value=\"{next}\">\
         <label>Name or e-mail address<input name=\"user\" autocomplete=\"username\" autofocus required></label>\
         <label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
         <button>Log in</button></form>\
         <details><summary>Use a token</summary>\
         <form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"next\" value=\"{next}\">\
         <label>Token<input name=\"token\" type=\"password\" autocomplete=\"off\" required></label>\
         <button>Log in</button></form></details></main>"
    );
    let mut response = page("Log in", &body);
    *response.status_mut() = status;
    no_store(&mut response);
    response
}
