//! `POST /api/tokens`: a new access token; the answer is the only place where it is ever shown.

use axum::Json;
use axum::http::StatusCode;

use super::View;
use crate::App;
use crate::agents::token::{self, Prefix};
use crate::domain::model::Kind;
use crate::http::auth::Caller;
use crate::http::input::{Object, expiry};
use crate::http::objects::{find, may_connect};
use crate::http::problem::Problem;
use crate::limits::{TEXT_CHARS_MAX, TOKENS_PER_USER_MAX};
use crate::store::now_micros;
use crate::store::objects::{Change, PolicyState, Token};

struct Wanted {
    user: Option<String>,
    name: String,
    expires_micros: Option<i64>,
    connections: Vec<String>,
}

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, body: Object) -> Result<(StatusCode, Json<View>), Problem> {
    let wanted = read(body)?;
    let user = user_of(&caller, &wanted)?;
    let text = token::generate(Prefix::User)?;
    let (mut view, generation) = app
        .publisher
        .edit(|state| {
            let (change, view) = decide(state, &caller, &user, wanted, &text)?;
            Ok::<_, Problem>((change, view))
        })
        .await?;
    view.token = Some(text);
    view.generation = Some(generation);
    Ok((StatusCode::CREATED, Json(view)))
}

fn read(body: Object) -> Result<Wanted, Problem> {
    body.read(|fields| {
        let name = fields.text("name").unwrap_or_default();
        if name.chars().count() > TEXT_CHARS_MAX {
            fields.wrong("name", "is too long");
        }
        let expires_micros = expiry(fields);
        Wanted {
            user: fields.text("user"),
            name,
            expires_micros,
            connections: fields.texts("connections"),
        }
    })
}

fn user_of(caller: &Caller, wanted: &Wanted) -> Result<String, Problem> {
    match (caller.user(), &wanted.user) {
        (None, None) => Err(Problem::Request("user: is missing".to_owned())),
        (Some(member), None) => Ok(member.user.name.clone()),
        (Some(member), Some(user)) if *user == member.user.name => Ok(user.clone()),
        (_, Some(user)) if caller.is_admin() => Ok(user.clone()),
        (Some(_), Some(_)) | (None, Some(_)) => Err(Problem::Forbidden(
            "a token of somebody else needs the role admin".to_owned(),
        )),
    }
}

fn decide(
    state: &PolicyState,
    caller: &Caller,
    user: &str,
    mut wanted: Wanted,
    text: &str,
) -> Result<(Change, View), Problem> {
    let entry = find(state, Kind::User, user)?;
    if state.tokens.values().filter(|t| t.user_id == entry.id).count() >= TOKENS_PER_USER_MAX {
        return Err(Problem::Conflict(
            format!("the user has {TOKENS_PER_USER_MAX} tokens; revoke some"),
            Vec::new(),
        ));
    }
    let is_seen = |name: &String| match caller.user() {
        Some(member) if !caller.sees_all() => state
            .catalog
            .connections()
            .any(|(_, connection)| connection.name == *name && may_connect(member, connection)),
        _ => state.catalog.has(Kind::Connection, name),
    };
    if let Some(unknown) = wanted.connections.iter().find(|name| !is_seen(name)) {
        return Err(Problem::missing("connection", unknown));
    }
    // A token cannot make one that reaches further, or lasts longer, than itself.
    if let Some(member) = caller.user() {
        if wanted.connections.is_empty() {
            wanted.connections = member.scope.clone();
        }
        if let Some(end) = member.expires_micros {
            wanted.expires_micros = Some(wanted.expires_micros.map_or(end, |own| own.min(end)));
        }
    }
    let mut change = Change::default();
    let salt = match state.salts.get(&entry.id) {
        Some(salt) => salt.clone(),
        None => {
            let salt = token::random::<16>()?.to_vec();
            change.salts_new.insert(entry.id.clone(), salt.clone());
            salt
        }
    };
    let keys = token::scram_keys(text, &salt);
    let token = Token {
        id: uuid::Uuid::now_v7().to_string(),
        user_id: entry.id.clone(),
        name: wanted.name,
        salt,
        stored_key: keys.stored_key,
        server_key: keys.server_key,
        sha256: token::sha256(text),
        connections: wanted.connections,
        created_micros: now_micros(),
        expires_micros: wanted.expires_micros,
    };
    let view = View::new(&token, entry.body.name());
    change.tokens_new.push(token);
    Ok((change, view))
}
