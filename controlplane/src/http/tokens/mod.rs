//! `/api/tokens`: access tokens of users. The token is shown once; only verifiers stay.

pub mod create;
pub mod delete;
pub mod list;

use serde::Serialize;

use super::auth::Caller;
use super::input::time_text;
use crate::store::objects::{PolicyState, Token};

/// A token as callers see it.
#[derive(Debug, Serialize)]
pub struct View {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub user: String,
    pub name: String,
    pub connections: Vec<String>,
    pub created_at: Option<String>,
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

impl View {
    fn new(token: &Token, user: &str) -> View {
        View {
            id: token.id.clone(),
            token: None,
            user: user.to_owned(),
            name: token.name.clone(),
            connections: token.connections.clone(),
            created_at: time_text(token.created_micros),
            expires_at: token.expires_micros.and_then(time_text),
            generation: None,
        }
    }
}

/// The name of the user with this id.
pub(super) fn user_name<'s>(state: &'s PolicyState, id: &str) -> &'s str {
    state
        .catalog
        .users()
        .find(|(entry, _)| entry.id == id)
        .map_or("", |(_, user)| user.name.as_str())
}

/// Whether the caller may see the token.
fn is_visible(caller: &Caller, token: &Token) -> bool {
    caller.sees_all() || caller.is_user(&token.user_id)
}
