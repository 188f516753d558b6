//! `sluice notifications`: targets of notifications, trying them out, and what is on its way or was given up.

use super::{LIST_ITEMS_MAX, delete};
use crate::api::{Api, path, with_query};
use crate::args::Notifications;
use crate::failure::Outcome;
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("TYPE", "type"),
    ("EVENTS", "events"),
    ("CONNECTIONS", "connections"),
];
const DELIVERY_COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("SINCE", "created_at"),
    ("STATE", "state"),
    ("TARGET", "target"),
    ("EVENT", "event"),
    ("TRIES", "attempts"),
    ("NEXT", "due_at"),
    ("ERROR", "error"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Notifications, json: bool) -> Outcome {
    match command {
        Notifications::List => output::items(json, &api.list("/api/notifications", LIST_ITEMS_MAX)?, COLUMNS),
        Notifications::Show { name } => output::object(json, &api.get(&path(&["notifications", &name]))?),
        Notifications::Delete { name, force } => delete(api, "notifications", &name, force.force),
        Notifications::Test { name } => {
            let place = path(&["notifications", &name, "test"]);
            output::object(json, &api.post(&place, &serde_json::json!({}))?)
        }
        Notifications::Deliveries {
            state,
            target,
            subject,
            limit,
        } => {
            let given = [("state", state), ("target", target), ("subject", subject)];
            let query: Vec<_> = given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            let deliveries = api.list(&with_query("/api/deliveries", &query), limit)?;
            output::items(json, &deliveries, DELIVERY_COLUMNS)
        }
        Notifications::Delivery { id } => output::object(json, &api.get(&path(&["deliveries", &id]))?),
        Notifications::Retry { id } => {
            let place = path(&["deliveries", &id, "retry"]);
            output::object(json, &api.post(&place, &serde_json::json!({}))?)
        }
    }
}
