//! `POST /api/api-keys`: a new key. It can do no more than what it was asked for with.

use axum::Json;
use axum::http::StatusCode;

use super::View;
use crate::App;
use crate::agents::token::{self, Prefix};
use crate::domain::model::Kind;
use crate::http::auth::{Caller, Via, covers};
use crate::http::input::{Object, expiry};
use crate::http::meta::routes;
use crate::http::objects::find;
use crate::http::problem::Problem;
use crate::limits::{API_KEYS_PER_USER_MAX, SCOPES_MAX, TEXT_CHARS_MAX};
use crate::store::identity::ApiKey;
use crate::store::now_micros;

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, body: Object) -> Result<(StatusCode, Json<View>), Problem> {
    let (user, name, mut expires_micros, scopes) = body.read(|fields| {
        let name = fields.text("name").unwrap_or_default();
        if name.chars().count() > TEXT_CHARS_MAX {
            fields.wrong("name", "is too long");
        }
        let scopes = fields.texts("scopes");
        if scopes.is_empty() || scopes.len() > SCOPES_MAX {
            fields.wrong("scopes", format!("must name 1 to {SCOPES_MAX} scopes"));
        }
        for scope in scopes.iter().filter(|scope| !is_scope(scope)) {
            let resources = routes::resources().join(", ");
            let shown: String = scope.chars().take(80).collect();
            let form = "must be *, or RESOURCE:read, RESOURCE:write or RESOURCE:*";
            fields.wrong("scopes", format!("\"{shown}\" {form}; resources: {resources}"));
        }
        (fields.text("user"), name, expiry(fields), scopes)
    })?;
    may_make(&caller, &scopes)?;
    let state = app.publisher.state();
    let asked = user
        .as_deref()
        .or(caller.user().map(|member| member.user.name.as_str()));
    let asked = asked.ok_or_else(|| Problem::Request("user: is missing".to_owned()))?;
    let entry = find(&state, Kind::User, asked)
        .ok()
        .filter(|entry| caller.is_admin() || caller.is_user(&entry.id))
        .ok_or_else(|| Problem::missing("user", asked))?;
    if let Some(parent) = caller.user().and_then(|member| member.expires_micros) {
        expires_micros = Some(expires_micros.map_or(parent, |own| own.min(parent)));
    }
    let present = app.store.api_keys(Some(&entry.id), "", API_KEYS_PER_USER_MAX).await?;
    if present.len() >= API_KEYS_PER_USER_MAX {
        let text = format!("the user has {API_KEYS_PER_USER_MAX} API keys; revoke some");
        return Err(Problem::Conflict(text, Vec::new()));
    }
    let text = token::generate(Prefix::ApiKey)?;
    let key = ApiKey {
        id: uuid::Uuid::now_v7().to_string(),
        user_id: entry.id.clone(),
        name,
        sha256: token::sha256(&text),
        scopes,
        created_micros: now_micros(),
        expires_micros,
    };
    app.store.add_api_key(&key).await?;
    let view = View {
        token: Some(text),
        ..View::new(&state, key)
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// An access token is no person's word, and a key makes no wider one.
fn may_make(caller: &Caller, scopes: &[String]) -> Result<(), Problem> {
    match caller.via() {
        Via::AccessToken => Err(Problem::Forbidden(
            "an access token makes no API keys: log in, or use an API key".to_owned(),
        )),
        Via::ApiKey { scopes: own, .. } => {
            let narrower = |scope: &String| {
                let (resource, verb) = scope.split_once(':').unwrap_or(("*", "*"));
                covers(own, resource, verb)
            };
            match scopes.iter().all(narrower) {
                true => Ok(()),
                false => Err(Problem::Forbidden("a key makes no key with wider scopes".to_owned())),
            }
        }
        Via::Installation | Via::Developer | Via::Login { .. } => Ok(()),
    }
}

fn is_scope(scope: &str) -> bool {
    match scope.split_once(':') {
        None => scope == "*",
        Some((resource, verb)) => {
            matches!(verb, "read" | "write" | "*") && (resource == "*" || routes::resources().contains(&resource))
        }
    }
}
