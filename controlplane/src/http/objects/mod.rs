//! `/api/{pools,connections,users,groups,redactions,guardrails}`: the objects of the policy, one file per verb.

pub mod create;
pub mod delete;
pub mod list;
pub mod show;
pub mod update;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Member;
use super::input::time_text;
use super::problem::Problem;
use crate::App;
use crate::domain::file::shown;
use crate::domain::model::{Body, Connection, Entry, Kind, Owner};
use crate::store::StoreError;
use crate::store::enrolment::Role;
use crate::store::objects::PolicyState;

/// Query parameters of PUT and DELETE.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ForceParams {
    /// Change an object that a policy file owns.
    #[serde(default)]
    pub force: bool,
}

/// An object as the administrator sees it.
pub(super) async fn view(app: &App, state: &PolicyState, entry: &Entry) -> Result<Map<String, Value>, StoreError> {
    let mut fields = shown(&entry.body);
    fields.insert("id".to_owned(), json!(entry.id));
    fields.insert("managed_by".to_owned(), json!(entry.managed_by));
    fields.insert("created_at".to_owned(), json!(time_text(entry.created_micros)));
    fields.insert("updated_at".to_owned(), json!(time_text(entry.updated_micros)));
    match &entry.body {
        Body::Pool(pool) => {
            let agents = app.store.identity_count(Role::Agent, Some(&pool.name)).await?;
            fields.insert("agents".to_owned(), json!(agents));
            fields.insert(
                "agents_connected".to_owned(),
                json!(app.progress.connected_in(&pool.name)),
            );
        }
        Body::Group(group) => {
            let of_group = state
                .catalog
                .users()
                .filter(|(_, user)| user.groups.contains(&group.name));
            let members: Vec<&str> = of_group.map(|(_, user)| user.name.as_str()).collect();
            fields.insert("members".to_owned(), json!(members));
        }
        Body::User(_)
        | Body::Redaction(_)
        | Body::Guardrail(_)
        | Body::Routes(_)
        | Body::Connection(_)
        | Body::Notification(_) => {}
    }
    Ok(fields)
}

/// Whether a user may open a connection, as data planes decide it.
pub(super) fn may_connect(member: &Member, connection: &Connection) -> bool {
    connection.groups.iter().any(|group| member.user.groups.contains(group))
        && (member.scope.is_empty() || member.scope.contains(&connection.name))
}

/// A connection as its users see it: nothing of the target.
pub(super) fn view_for_member(entry: &Entry, connection: &Connection) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("id".to_owned(), json!(entry.id));
    fields.insert("name".to_owned(), json!(connection.name));
    fields.insert("type".to_owned(), json!(connection.kind));
    fields.insert("record".to_owned(), json!(connection.record));
    fields.insert("listen".to_owned(), json!(connection.listen));
    fields
}

/// Finds an object by name; users also by id and e-mail address, connections also by id.
pub(super) fn find<'s>(state: &'s PolicyState, kind: Kind, name: &str) -> Result<&'s Entry, Problem> {
    let by_name = state.catalog.find(kind, name);
    by_name
        .or_else(|| {
            state
                .catalog
                .of(kind)
                .find(|entry| entry.id == name || email_is(entry, name))
        })
        .ok_or_else(|| Problem::missing(kind.name(), name))
}

fn email_is(entry: &Entry, email: &str) -> bool {
    matches!(&entry.body, Body::User(user) if user.email.as_deref() == Some(email))
}

/// Names a state of an object (RFC 9110 section 8.8.3): another content or a later change has another one.
pub(super) fn etag(entry: &Entry) -> String {
    let state = format!(
        "{}:{}:{}",
        entry.id,
        entry.updated_micros,
        Value::Object(entry.body.fields())
    );
    let hash = crate::pki::hex(&crate::agents::token::sha256(&state));
    format!("\"{}\"", hash.get(..32).unwrap_or(&hash))
}

/// The states that a request is for, if it says so (RFC 9110 section 13.1.1).
#[derive(Clone, Debug, Default)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// What the headers say.
    pub fn of(headers: &HeaderMap) -> IfMatch {
        let values: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
        let texts = values.iter().map(|value| value.to_str().unwrap_or_default());
        IfMatch((!values.is_empty()).then(|| texts.collect::<Vec<_>>().join(",")))
    }

    /// Refuses when the object is none of them.
    fn check(&self, entry: &Entry) -> Result<(), Problem> {
        let present = etag(entry);
        match &self.0 {
            Some(wanted) if !wanted.split(',').any(|one| one.trim() == "*" || one.trim() == present) => {
                Err(Problem::Changed)
            }
            _ => Ok(()),
        }
    }
}

/// An answer with the state of what it shows.
fn tagged(entry: &Entry, answer: impl IntoResponse) -> Response {
    ([(header::ETAG, etag(entry))], answer).into_response()
}

/// Objects of a policy file are changed there, or with force.
pub(super) fn may_change(entry: &Entry, force: bool) -> Result<(), Problem> {
    if entry.managed_by == Owner::Policy && !force {
        let (kind, name) = entry.body.key();
        let text = format!(
            "{} \"{name}\" is managed by a policy file; change it there, or use ?force=true",
            kind.name()
        );
        return Err(Problem::Conflict(text, Vec::new()));
    }
    Ok(())
}
