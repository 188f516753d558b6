//! `/api/pools/{name}/keys` and `/api/dataplanes/keys`: one-time tokens with which agents and data planes enrol.

pub mod create;
pub mod delete;
pub mod list;

use serde::Serialize;

use super::input::time_text;
use super::problem::Problem;
use crate::App;
use crate::domain::model::Kind;
use crate::store::enrolment::{EnrolKey, Role};

/// A key as the administrator sees it.
#[derive(Debug, Serialize)]
pub struct View {
    pub id: String,
    pub pool: Option<String>,
    pub note: String,
    pub created_at: Option<String>,
    pub expires_at: Option<String>,
    pub uses_max: i64,
    pub uses: i64,
}

impl View {
    fn new(key: &EnrolKey) -> View {
        View {
            id: key.id.clone(),
            pool: (key.role == Role::Agent).then(|| key.pool.clone()),
            note: key.note.clone(),
            created_at: time_text(key.created_micros),
            expires_at: time_text(key.expires_micros),
            uses_max: key.uses_max,
            uses: key.uses,
        }
    }
}

/// Whose keys: a pool's, which must exist, or data planes'.
#[derive(Clone, Debug)]
pub struct Holder {
    pub role: Role,
    pub pool: String,
}

impl Holder {
    /// Keys for agents of a pool.
    pub fn pool(app: &App, name: &str) -> Result<Holder, Problem> {
        if !app.publisher.state().catalog.has(Kind::Pool, name) {
            return Err(Problem::missing("pool", name));
        }
        Ok(Holder {
            role: Role::Agent,
            pool: name.to_owned(),
        })
    }

    /// Keys for data planes.
    pub fn dataplanes() -> Holder {
        Holder {
            role: Role::Dataplane,
            pool: String::new(),
        }
    }
}
