//! `sluice api-keys`.

use serde_json::{Value, json};

use super::LIST_ITEMS_MAX;
use crate::api::{Api, path, with_query};
use crate::args::ApiKeys;
use crate::failure::Outcome;
use crate::{lifetime, output};

const COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("USER", "user"),
    ("NAME", "name"),
    ("SCOPES", "scopes"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: ApiKeys, as_json: bool) -> Outcome {
    match command {
        ApiKeys::Create {
            user,
            name,
            scopes,
            expires_in,
        } => {
            let mut body = json!({"scopes": scopes});
            let expires_in = expires_in.map(|text| lifetime::seconds(&text)).transpose()?;
            let given = [
                ("user", user.map(Value::from)),
                ("name", name.map(Value::from)),
                ("expires_in_seconds", expires_in.map(Value::from)),
            ];
            for (field, value) in given {
                if let Some(value) = value {
                    body[field] = value;
                }
            }
            let key = api.post("/api/api-keys", &body)?;
            if as_json {
                return output::json(&key);
            }
            output::line(&output::cell(&key, "token"));
            eprintln!("This is the only time that the key is shown.");
            Ok(())
        }
        ApiKeys::List { user } => {
            let query: Vec<_> = user.into_iter().map(|user| ("user", user)).collect();
            let keys = api.list(&with_query("/api/api-keys", &query), LIST_ITEMS_MAX)?;
            output::items(as_json, &keys, COLUMNS)
        }
        ApiKeys::Revoke { id } => api.delete(&path(&["api-keys", &id])).map(drop),
    }
}
