//! `sluice apply`, `diff` and `export`: the policy as a file; `sluice policy`: what is published of it.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::settle;
use crate::api::Api;
use crate::args::Policy;
use crate::failure::Outcome;
use crate::output;

/// Runs one verb of `sluice policy`.
pub fn run(api: &Api, command: Policy, as_json: bool) -> Outcome {
    match command {
        Policy::Show => output::object(as_json, &api.get("/api/policy")?),
        Policy::Republish { above } => {
            let answer = api.post("/api/policy/republish", &json!({"above": above}))?;
            settle(api, &answer);
            if as_json {
                return output::json(&answer);
            }
            output::line(&format!(
                "published as generation {}",
                output::cell(&answer, "generation")
            ));
            Ok(())
        }
    }
}

/// Makes the policy what the file says. `wish`: the flags of the request.
pub fn apply(api: &Api, file: &Path, mut wish: Value, as_json: bool) -> Outcome {
    wish["policy"] = json!(read(file)?);
    let answer = api.post("/api/apply", &wish)?;
    if wish["dry_run"] != true {
        settle(api, &answer);
    }
    show(&answer, as_json)
}

/// Shows what `apply` would do.
pub fn diff(api: &Api, file: &Path, as_json: bool) -> Outcome {
    let answer = api.post("/api/diff", &json!({"policy": read(file)?}))?;
    show(&answer, as_json)
}

/// Prints the policy as a file.
pub fn export(api: &Api) -> Outcome {
    match api.get("/api/export")? {
        Value::String(text) => {
            output::line(text.trim_end());
            Ok(())
        }
        other => output::json(&other),
    }
}

fn read(file: &Path) -> Outcome<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    Ok(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
}

fn show(answer: &Value, as_json: bool) -> Outcome {
    if as_json {
        return output::json(answer);
    }
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for warning in list("warnings") {
        eprintln!("warning: {}", warning.as_str().unwrap_or_default());
    }
    let changes = list("changes");
    for change in &changes {
        for line in change_lines(change) {
            output::line(&line);
        }
    }
    let applied = answer.get("applied").and_then(Value::as_bool).unwrap_or(false);
    let generation = answer.get("generation").and_then(Value::as_u64).unwrap_or(0);
    let unchanged = answer.get("unchanged").and_then(Value::as_u64).unwrap_or(0);
    let what = match (changes.len(), applied) {
        (0, _) => "nothing to change".to_owned(),
        (count, true) => format!("{count} changed"),
        (count, false) => format!("{count} would change"),
    };
    output::line(&format!("{what}, {unchanged} as they are; generation {generation}"));
    Ok(())
}

fn change_lines(change: &Value) -> Vec<String> {
    let sign = match change.get("action").and_then(Value::as_str) {
        Some("create") => '+',
        Some("delete") => '-',
        _ => '~',
    };
    let mut lines = vec![format!(
        "{sign} {} {}",
        output::cell(change, "kind"),
        output::cell(change, "name")
    )];
    for field in change.get("fields").and_then(Value::as_array).into_iter().flatten() {
        let shown = |side: &str| field.get(side).map_or_else(|| "-".to_owned(), Value::to_string);
        lines.push(format!(
            "    {}: {} -> {}",
            output::cell(field, "field"),
            shown("from"),
            shown("to")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    //! Tests of the printed plan.

    use super::*;

    #[test]
    fn a_change_names_its_fields() {
        let change = json!({"action": "update", "kind": "connection", "name": "orders",
            "fields": [{"field": "port", "from": 5432, "to": 5433}]});
        assert_eq!(change_lines(&change), ["~ connection orders", "    port: 5432 -> 5433"]);
    }
}
