//! `/api/api-keys`: keys of programs and people for the API alone, with scopes. The key is shown once; only its hash stays.

pub mod create;
pub mod delete;
pub mod list;

use serde::Serialize;

use super::input::time_text;
use super::tokens::user_name;
use crate::store::identity::ApiKey;
use crate::store::objects::PolicyState;

/// A key as callers see it.
#[derive(Debug, Serialize)]
pub struct View {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub user: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_at: Option<String>,
    pub expires_at: Option<String>,
}

impl View {
    fn new(state: &PolicyState, key: ApiKey) -> View {
        View {
            user: user_name(state, &key.user_id).to_owned(),
            id: key.id,
            token: None,
            name: key.name,
            scopes: key.scopes,
            created_at: time_text(key.created_micros),
            expires_at: key.expires_micros.and_then(time_text),
        }
    }
}
