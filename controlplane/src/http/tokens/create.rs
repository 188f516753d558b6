//! `POST /api/tokens`: a new access token; the answer is the only place where it is ever shown.

use axum::Json;
use axum::http::StatusCode;

use super::View;
use crate::App;
use crate::agents::token::{self, Prefix};
use crate::domain::model::Kind;
use crate::http::auth::Caller;
use crate::http::input::{Object, time_micros};
use crate::http::objects::find;
use crate::http::problem::Problem;
use crate::limits::{TEXT_CHARS_MAX, TOKENS_PER_USER_MAX};
use crate::store::now_micros;
use crate::store::objects::{Change, PolicyState, Token};

/// Longest life in seconds that can be asked for: a hundred years.
const LIFE_SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;

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
        let at = fields.text("expires_at");
        let within = fields.number("expires_in_seconds", 1, LIFE_SECONDS_MAX);
        let expires_micros = match (at, within) {
            (Some(_), Some(_)) => {
                fields.wrong("expires_at", "give it or expires_in_seconds, not both");
                None
            }
            (Some(at), None) => {
                let micros = time_micros(&at).filter(|micros| *micros > now_micros());
                if micros.is_none() {
                    fields.wrong("expires_at", "must be a time to come, in RFC 3339");
                }
                micros
            }
            (None, Some(seconds)) => Some(now_micros().saturating_add(seconds as i64 * 1_000_000)),
            (None, None) => None,
        };
        Wanted {
            user: fields.text("user"),
            name,
            expires_micros,
            connections: fields.texts("connections"),
        }
    })
}

fn user_of(caller: &Caller, wanted: &Wanted) -> Result<String, Problem> {
    match (caller, &wanted.user) {
        (Caller::Admin, Some(user)) => Ok(user.clone()),
        (Caller::Admin, None) => Err(Problem::Request("user: is missing".to_owned())),
        (Caller::Member(member), None) => Ok(member.user.name.clone()),
        (Caller::Member(member), Some(user)) if *user == member.user.name => Ok(user.clone()),
        (Caller::Member(_), Some(_)) => Err(Problem::Forbidden),
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
    if let Some(unknown) = wanted
        .connections
        .iter()
        .find(|c| !state.catalog.has(Kind::Connection, c))
    {
        return Err(Problem::missing("connection", unknown));
    }
    // A token cannot make one that reaches further than itself.
    if let Caller::Member(member) = caller
        && !member.scope.is_empty()
    {
        if wanted.connections.is_empty() {
            wanted.connections = member.scope.clone();
        } else if wanted.connections.iter().any(|c| !member.scope.contains(c)) {
            return Err(Problem::Forbidden);
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
