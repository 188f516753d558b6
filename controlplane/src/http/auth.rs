//! Who calls: the administrator by the installation's token, or a user by an access token.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::problem::Problem;
use crate::App;
use crate::agents::token::{self, Prefix};
use crate::domain::model::{Entry, User, UserStatus};
use crate::store::now_micros;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Admin,
    Member(Member),
}

/// A user that calls for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user_id: String,
    pub user: User,
    /// Connections that the token is for; empty: all of the user.
    pub scope: Vec<String>,
}

/// Only the administrator.
#[derive(Clone, Copy, Debug)]
pub struct Admin;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let token = token_of(parts).ok_or(Problem::Unauthenticated)?;
        let hash = token::sha256(&token);
        if token.starts_with(Prefix::Admin.text()) {
            return match verify_slices_are_equal(&hash, &app.admin_sha256) {
                Ok(()) => Ok(Caller::Admin),
                Err(_) => Err(Problem::Unauthenticated),
            };
        }
        member(app, &hash).map(Caller::Member).ok_or(Problem::Unauthenticated)
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::Admin => Ok(Admin),
            Caller::Member(_) => Err(Problem::Forbidden),
        }
    }
}

fn member(app: &App, hash: &[u8]) -> Option<Member> {
    let state = app.publisher.state();
    let token = state.tokens.values().find(|t| t.sha256 == hash)?;
    if token.expires_micros.is_some_and(|expires| expires <= now_micros()) {
        return None;
    }
    let (entry, user): (&Entry, &User) = state.catalog.users().find(|(entry, _)| entry.id == token.user_id)?;
    (user.status == UserStatus::Active).then(|| Member {
        user_id: entry.id.clone(),
        user: user.clone(),
        scope: token.connections.clone(),
    })
}

/// What browsers open.
fn is_page(path: &str) -> bool {
    path == "/" || path == "/reviews" || path.starts_with("/reviews/")
}

/// The token of `Bearer`, or the password of `Basic` for browsers on the page.
fn token_of(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") && is_page(parts.uri.path()) {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
        return Some(decoded.split_once(':')?.1.to_owned());
    }
    None
}
