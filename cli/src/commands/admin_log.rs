//! `sluice admin-log`.

use serde_json::Value;

use crate::api::{Api, with_query};
use crate::args::AdminLog;
use crate::failure::{Failure, Outcome};
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("NUMBER", "number"),
    ("AT", "at"),
    ("ACTOR", "actor"),
    ("VIA", "via"),
    ("ADDRESS", "address"),
    ("ACTION", "action"),
    ("TARGET", "target"),
    ("PHASE", "phase"),
    ("STATUS", "status"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: AdminLog, as_json: bool) -> Outcome {
    match command {
        AdminLog::List {
            actor,
            phase,
            since,
            until,
            limit,
        } => {
            let given = [("actor", actor), ("phase", phase), ("since", since), ("until", until)];
            let query: Vec<_> = given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            output::items(
                as_json,
                &api.list(&with_query("/api/admin-log", &query), limit)?,
                COLUMNS,
            )
        }
        AdminLog::Verify => {
            let found = api.get("/api/admin-log/verify")?;
            output::object(as_json, &found)?;
            if found.get("intact") == Some(&Value::Bool(true)) {
                return Ok(());
            }
            let place = output::cell(&found, "broken_at");
            Err(Failure::Failed(format!("the admin log is broken at line {place}")))
        }
    }
}
