//! `sluice users`.

use serde_json::{Value, json};

use super::login::secret;
use super::{LIST_ITEMS_MAX, delete, list, text, update};
use crate::api::{Api, body, path};
use crate::args::{UserFields, Users};
use crate::failure::Outcome;
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("EMAIL", "email"),
    ("GROUPS", "groups"),
    ("ROLES", "roles"),
    ("STATUS", "status"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Users, json: bool) -> Outcome {
    match command {
        Users::List => output::items(json, &api.list("/api/users", LIST_ITEMS_MAX)?, COLUMNS),
        Users::Show { name } => output::object(json, &api.get(&path(&["users", &name]))?),
        Users::Create { name, fields } => {
            output::object(json, &api.post("/api/users", &body(&name, &values(&fields)))?)
        }
        Users::Update { name, fields, force } => {
            output::object(json, &update(api, "users", &name, values(&fields), force.force)?)
        }
        Users::Delete { name, force } => delete(api, "users", &name, force.force),
        Users::Password { name, remove: true } => api.delete(&path(&["users", &name, "password"])).map(drop),
        Users::Password { name, remove: false } => password(api, &name),
    }
}

/// Who changes their own password says the present one first.
fn password(api: &Api, name: &str) -> Outcome {
    let me = api.get("/api/userinfo")?;
    let mut body = json!({});
    if me.get("role").and_then(Value::as_str) != Some("admin") {
        body["current"] = Value::String(secret("Present password")?);
    }
    body["password"] = Value::String(secret("New password")?);
    api.put(&path(&["users", name, "password"]), &body).map(drop)
}

fn values(fields: &UserFields) -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("email", text(&fields.email)),
        ("groups", list(&fields.groups)),
        ("status", text(&fields.status)),
        ("roles", list(&fields.roles)),
        ("type", text(&fields.kind)),
    ]
}
