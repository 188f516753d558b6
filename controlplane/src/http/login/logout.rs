//! `POST /api/logout`: the login that is used counts no more; a browser's cookie is taken away.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::set_cookie;
use crate::App;
use crate::http::auth::{Caller, Via, cookie_of};
use crate::http::problem::Problem;

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
