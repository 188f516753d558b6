//! `sluice redact test`: what the rules do to text, without a database.

use std::io::Read;

use serde_json::{Value, json};

use crate::api::Api;
use crate::args::Redact;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Most text sent for a test (bytes).
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

const COLUMNS: &[(&str, &str)] = &[
    ("DETECTOR", "detector"),
    ("START", "start"),
    ("END", "end"),
    ("ACTION", "action"),
];

/// Runs its one verb.
pub fn run(api: &Api, command: Redact, as_json: bool) -> Outcome {
    let Redact::Test { rules, connection } = command;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(TEXT_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "the text is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    let mut body = json!({ "text": text });
    if !rules.is_empty() {
        body["rules"] = json!(rules);
    }
    if let Some(connection) = connection {
        body["connection"] = json!(connection);
    }
    let answer = api.post("/api/redactions/test", &body)?;
    if as_json {
        return output::json(&answer);
    }
    let masked = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    for line in masked.lines() {
        output::line(&output::printable(line));
    }
    output::line("");
    let findings = answer
        .get("findings")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    output::items(false, &findings, COLUMNS)
}
