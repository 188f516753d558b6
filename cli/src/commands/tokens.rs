//! `sluice token`.

use serde_json::{Value, json};

use super::{LIST_ITEMS_MAX, settle};
use crate::api::{Api, path, with_query};
use crate::args::Tokens;
use crate::failure::Outcome;
use crate::{lifetime, output};

const COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("USER", "user"),
    ("NAME", "name"),
    ("CONNECTIONS", "connections"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Tokens, as_json: bool) -> Outcome {
    match command {
        Tokens::Create {
            user,
            name,
            expires_in,
            expires_at,
            connections,
        } => {
            let mut body = json!({});
            let expires_in = expires_in.map(|text| lifetime::seconds(&text)).transpose()?;
            let given = [
                ("user", user.map(Value::from)),
                ("name", name.map(Value::from)),
                ("expires_at", expires_at.map(Value::from)),
                ("expires_in_seconds", expires_in.map(Value::from)),
                (
                    "connections",
                    (!connections.is_empty()).then(|| Value::from(connections)),
                ),
            ];
            for (field, value) in given {
                if let Some(value) = value {
                    body[field] = value;
                }
            }
            let token = api.post("/api/tokens", &body)?;
            settle(api, &token);
            if as_json {
                return output::json(&token);
            }
            output::line(&output::cell(&token, "token"));
            eprintln!("This is the only time that the token is shown.");
            Ok(())
        }
        Tokens::List { user } => {
            let query: Vec<_> = user.into_iter().map(|user| ("user", user)).collect();
            output::items(
                as_json,
                &api.list(&with_query("/api/tokens", &query), LIST_ITEMS_MAX)?,
                COLUMNS,
            )
        }
        Tokens::Revoke { id } => api.delete(&path(&["tokens", &id])).map(drop),
    }
}
