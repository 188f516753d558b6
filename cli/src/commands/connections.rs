//! `sluice connections`.

use serde_json::{Value, json};

use super::{LIST_ITEMS_MAX, delete, list, text, update};
use crate::api::{Api, body, path};
use crate::args::{ConnectionFields, Connections};
use crate::failure::Outcome;
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("TYPE", "type"),
    ("POOL", "pool"),
    ("HOST", "host"),
    ("PORT", "port"),
    ("DATABASE", "database"),
    ("GROUPS", "groups"),
    ("REDACT", "redact"),
    ("GUARDRAILS", "guardrails"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Connections, json: bool) -> Outcome {
    match command {
        Connections::List => output::items(json, &api.list("/api/connections", LIST_ITEMS_MAX)?, COLUMNS),
        Connections::Show { name } => output::object(json, &api.get(&path(&["connections", &name]))?),
        Connections::Create { name, fields } => {
            let mut body = body(&name, &values(&fields));
            if body.get("type").is_none() {
                body["type"] = json!("postgres");
            }
            output::object(json, &api.post("/api/connections", &body)?)
        }
        Connections::Update { name, fields, force } => {
            output::object(json, &update(api, "connections", &name, values(&fields), force.force)?)
        }
        Connections::Delete { name, force } => delete(api, "connections", &name, force.force),
    }
}

fn values(fields: &ConnectionFields) -> Vec<(&'static str, Option<Value>)> {
    let mut values = vec![
        ("type", text(&fields.kind)),
        ("pool", text(&fields.pool)),
        ("host", text(&fields.host)),
        ("port", fields.port.map(Value::from)),
        ("database", text(&fields.database)),
        ("tls", text(&fields.tls)),
        ("username", text(&fields.username)),
        ("password", text(&fields.password)),
        ("groups", list(&fields.groups)),
        ("redact", list(&fields.redact)),
        ("guardrails", list(&fields.guardrails)),
        ("record", text(&fields.record)),
        ("audit", text(&fields.audit)),
        ("listen", text(&fields.listen)),
        ("max_rows", fields.max_rows.map(Value::from)),
        ("max_bytes", fields.max_bytes.map(Value::from)),
        (
            "statement_timeout_seconds",
            fields.statement_timeout_seconds.map(Value::from),
        ),
        ("read_only", fields.read_only.map(Value::from)),
        ("replication", text(&fields.replication)),
    ];
    // A connection is either direct or has a pool: giving one takes the other away.
    if fields.direct {
        values.push(("via", Some(json!("direct"))));
        values.push(("pool", Some(Value::Null)));
    } else if fields.pool.is_some() {
        values.push(("via", Some(Value::Null)));
    }
    values
}
