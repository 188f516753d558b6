//! One file per noun of the command line; each is thin over the REST API.

pub mod admin_log;
pub mod agents;
pub mod api_keys;
pub mod audit;
pub mod connect;
pub mod connections;
pub mod dataplanes;
pub mod doctor;
pub mod groups;
mod local;
pub mod login;
mod login_web;
pub mod notifications;
pub mod policy;
pub mod pools;
pub mod redact;
pub mod reviews;
pub mod sessions;
pub mod tokens;
pub mod users;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::{Api, path, with_query};
use crate::failure::{Failure, Outcome};

/// Fields that the control plane adds and does not take back.
const READ_ONLY: &[&str] = &[
    "id",
    "managed_by",
    "created_at",
    "updated_at",
    "agents",
    "agents_connected",
    "members",
];
/// Most time that [`settle`] waits, how often it looks, and what it waits where it may not look.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
const SETTLE_POLL: Duration = Duration::from_millis(20);
const SETTLE_BLIND: Duration = Duration::from_millis(250);
/// Items shown by a list that has no option for it.
const LIST_ITEMS_MAX: usize = 100_000;

/// Reads an object, lays the given fields over it and writes it back.
fn update(api: &Api, kind: &str, name: &str, fields: Vec<(&str, Option<Value>)>, force: bool) -> Outcome<Value> {
    let place = path(&[kind, name]);
    let Value::Object(mut object) = api.get(&place)? else {
        return Err(Failure::Failed(format!("{place}: the answer is not an object")));
    };
    object.retain(|field, value| !READ_ONLY.contains(&field.as_str()) && !value.is_null());
    let mut changed = false;
    for (field, value) in fields {
        if let Some(value) = value {
            changed = true;
            if value.is_null() {
                object.remove(field);
            } else {
                object.insert(field.to_owned(), value);
            }
        }
    }
    if !changed {
        return Err(Failure::Usage("nothing to change was given; see --help".to_owned()));
    }
    api.put(&forced(&place, force), &Value::Object(object))
}

fn delete(api: &Api, kind: &str, name: &str, force: bool) -> Outcome {
    api.delete(&forced(&path(&[kind, name]), force)).map(drop)
}

fn forced(place: &str, force: bool) -> String {
    if force {
        with_query(place, &[("force", "true".to_owned())])
    } else {
        place.to_owned()
    }
}

/// Waits a moment until every connected data plane enforces a generation, so that what was just made can be used at once.
/// It is a courtesy: a data plane that is slow or away changes nothing about what was done.
fn settle(api: &Api, answer: &Value) {
    let Some(generation) = answer.get("generation").and_then(Value::as_u64) else {
        return;
    };
    let started = Instant::now();
    while started.elapsed() < SETTLE_TIMEOUT {
        let Ok(planes) = api.list("/api/dataplanes", LIST_ITEMS_MAX) else {
            // A member may not look; a publication takes a few milliseconds.
            return std::thread::sleep(SETTLE_BLIND);
        };
        let behind = |plane: &Value| {
            plane.get("connected") == Some(&Value::Bool(true))
                && plane
                    .get("generation")
                    .and_then(Value::as_u64)
                    .is_none_or(|there| there < generation)
        };
        if !planes.iter().any(behind) {
            return;
        }
        std::thread::sleep(SETTLE_POLL);
    }
}

/// A given text as a value.
fn text(value: &Option<String>) -> Option<Value> {
    value.clone().map(Value::String)
}

/// A given list as a value; not given means that it stays. One empty text empties the list.
fn list(values: &[String]) -> Option<Value> {
    (!values.is_empty()).then(|| values.iter().filter(|value| !value.is_empty()).cloned().collect())
}
