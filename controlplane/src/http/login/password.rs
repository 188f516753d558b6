//! `PUT` and `DELETE /api/users/{name}/password`: administrators set anybody's, people change their own when they are logged in.

use axum::http::StatusCode;

use crate::App;
use crate::domain::model::{Body, Kind, UserType};
use crate::http::auth::{Caller, Via};
use crate::http::input::{Object, Peer};
use crate::http::objects::find;
use crate::http::problem::Problem;
use crate::identity::{login, password};
use crate::store::now_micros;

/// Sets it; all other logins of the user end.
pub async fn set(
    app: &App,
    caller: Caller,
    Peer(address): Peer,
    name: &str,
    body: Object,
) -> Result<StatusCode, Problem> {
    let (text, current) = body.read(|fields| {
        let text = fields.text_required("password").unwrap_or_default();
        if let Some(mistake) = password::mistake(&text) {
            fields.wrong("password", mistake);
        }
        (text, fields.text("current"))
    })?;
    let state = app.publisher.state();
    let entry = find(&state, Kind::User, name)
        .ok()
        .filter(|entry| caller.is_admin() || caller.is_user(&entry.id))
        .ok_or_else(|| Problem::missing("user", name))?;
    if matches!(&entry.body, Body::User(user) if user.kind == UserType::Service) {
        let detail = "a service account has API keys, no password";
        return Err(Problem::Conflict(detail.to_owned(), Vec::new()));
    }
    let mut kept = Vec::new();
    if !caller.is_admin() {
        let Via::Login { session, .. } = caller.via() else {
            let detail = "a password is changed by whoever is logged in, not with a token or a key";
            return Err(Problem::Forbidden(detail.to_owned()));
        };
        kept = session.sha256.clone();
        let known = login::by_password(app, entry.body.name(), current.unwrap_or_default(), &address).await?;
        if known.is_none() {
            return Err(Problem::Forbidden("current: is not the present password".to_owned()));
        }
    }
    let phc = login::hashed(app, text).await?;
    app.store.set_password(&entry.id, &phc, now_micros()).await?;
    app.store.end_other_logins(&entry.id, &kept).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes it away; logins by it end.
pub async fn remove(app: &App, name: &str) -> Result<StatusCode, Problem> {
    let state = app.publisher.state();
    let entry = find(&state, Kind::User, name)?;
    if !app.store.remove_password(&entry.id).await? {
        return Err(Problem::missing("password of", name));
    }
    app.store.end_other_logins(&entry.id, &[]).await?;
    Ok(StatusCode::NO_CONTENT)
}
