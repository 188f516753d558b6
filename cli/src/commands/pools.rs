//! `sluice pools`: pools, their agents, and the one-time keys that let agents join.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::{LIST_ITEMS_MAX, delete, text, update};
use crate::api::{Api, body, path};
use crate::args::{Keys, Pools};
use crate::failure::{Failure, Outcome};
use crate::settings::{write_private, write_with_mode};
use crate::{lifetime, output};

const POOL_COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("AGENTS", "agents"),
    ("CONNECTED", "agents_connected"),
    ("DESCRIPTION", "description"),
];
pub const AGENT_COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("STATUS", "status"),
    ("LINKS", "links"),
    ("VERSION", "version"),
    ("LAST SEEN", "last_seen_at"),
    ("CERTIFICATE EXPIRES", "certificate_expires_at"),
];
const KEY_COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("CREATED", "created_at"),
    ("EXPIRES", "expires_at"),
    ("USES", "uses"),
    ("USES MAX", "uses_max"),
    ("NOTE", "note"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Pools, json: bool) -> Outcome {
    match command {
        Pools::Create {
            name,
            description,
            output,
        } => create(api, &name, &description, output.as_deref(), json),
        Pools::List => output::items(json, &api.list("/api/pools", LIST_ITEMS_MAX)?, POOL_COLUMNS),
        Pools::ListAgents { name } => {
            let agents = api.list(&path(&["pools", &name, "agents"]), LIST_ITEMS_MAX)?;
            output::items(json, &agents, AGENT_COLUMNS)
        }
        Pools::Read { name } => output::object(json, &api.get(&path(&["pools", &name]))?),
        Pools::Update {
            name,
            description,
            force,
        } => {
            let fields = vec![("description", text(&description))];
            output::object(json, &update(api, "pools", &name, fields, force.force)?)
        }
        Pools::Delete { name, force } => delete(api, "pools", &name, force.force),
        Pools::Keys(command) => keys(api, command, json),
    }
}

fn create(api: &Api, name: &str, description: &Option<String>, dir: Option<&Path>, json: bool) -> Outcome {
    let pool = api.post("/api/pools", &body(name, &[("description", text(description))]))?;
    let Some(dir) = dir else {
        return output::object(json, &pool);
    };
    let key = api.post(&path(&["pools", name, "keys"]), &json!({}))?;
    write_agent_files(dir, &key)?;
    if json {
        return output::json(&pool);
    }
    output::line(&format!(
        "pool {name}; start an agent with: sluice start agent --config {}/agent.toml",
        dir.display()
    ));
    Ok(())
}

/// `agent.toml` and `creds.toml`, ready for `sluice start agent`.
fn write_agent_files(dir: &Path, key: &Value) -> Outcome {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| dir.display().to_string())?;
    let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
    write_private(&dir.join("creds.toml"), credentials(key)?.as_bytes())?;
    let mut config = toml::Table::new();
    for (name, file) in [("cred_file", "creds.toml"), ("data_dir", "data")] {
        config.insert(
            name.to_owned(),
            toml::Value::String(dir.join(file).display().to_string()),
        );
    }
    write_with_mode(&dir.join("agent.toml"), config.to_string().as_bytes(), 0o644)
}

fn credentials(key: &Value) -> Outcome<&str> {
    let text = key.get("credentials").and_then(Value::as_str);
    text.ok_or_else(|| Failure::Failed("the control plane's answer holds no credentials".to_owned()))
}

fn keys(api: &Api, command: Keys, as_json: bool) -> Outcome {
    match command {
        Keys::Create {
            pool,
            expires_in,
            uses,
            note,
            output,
        } => {
            let mut body = json!({});
            if let Some(text) = expires_in {
                body["expires_in_seconds"] = json!(lifetime::seconds(&text)?);
            }
            if let Some(uses) = uses {
                body["uses_max"] = json!(uses);
            }
            if let Some(note) = note {
                body["note"] = json!(note);
            }
            let key = api.post(&path(&["pools", &pool, "keys"]), &body)?;
            match output {
                Some(file) => write_private(&file, credentials(&key)?.as_bytes()),
                None if as_json => output::json(&key),
                None => {
                    output::line(credentials(&key)?.trim_end());
                    Ok(())
                }
            }
        }
        Keys::List { pool } => output::items(
            as_json,
            &api.list(&path(&["pools", &pool, "keys"]), LIST_ITEMS_MAX)?,
            KEY_COLUMNS,
        ),
        Keys::Delete { pool, id } => api.delete(&path(&["pools", &pool, "keys", &id])).map(drop),
    }
}
