//! `sluice dataplanes`: which generation each enforces, what it refused, and its end.

use serde_json::Value;

use super::LIST_ITEMS_MAX;
use crate::api::{Api, path};
use crate::args::Dataplanes;
use crate::failure::Outcome;
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("CONNECTED", "connected"),
    ("GENERATION", "generation"),
    ("PUBLISHED", "generation_published"),
    ("ENFORCED", "enforced"),
    ("VERSION", "version"),
    ("REFUSED", "nack"),
];

/// Runs one of its verbs.
pub fn run(api: &Api, command: Dataplanes, json: bool) -> Outcome {
    match command {
        Dataplanes::List => {
            let mut planes = api.list("/api/dataplanes", LIST_ITEMS_MAX)?;
            if !json {
                planes.iter_mut().for_each(shorten);
            }
            output::items(json, &planes, COLUMNS)
        }
        Dataplanes::Show { id } => {
            let mut plane = api.get(&path(&["dataplanes", &id]))?;
            if !json {
                shorten(&mut plane);
            }
            output::object(json, &plane)
        }
        Dataplanes::Remove { id } => api.delete(&path(&["dataplanes", &id])).map(drop),
    }
}

/// A refusal as `generation 6: why`, the cores as their generations.
fn shorten(plane: &mut Value) {
    if let Some(nack) = plane.get("nack").filter(|nack| nack.is_object()) {
        let part = |name| output::cell(nack, name);
        plane["nack"] = Value::from(format!("generation {}: {}", part("generation"), part("reason")));
    }
    if let Some(cores) = plane.get("cores").and_then(Value::as_array) {
        let shown: Vec<String> = cores.iter().map(|core| output::cell(core, "generation")).collect();
        plane["cores"] = Value::from(shown.join(" "));
    }
}

#[cfg(test)]
mod tests {
    //! Tests of the printed form.

    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_says_what_and_why() {
        let mut plane = json!({"nack": {"generation": 6, "reason": "older"}, "cores": [{"core": 0, "generation": 7}, {"core": 1, "generation": 7}]});
        shorten(&mut plane);
        assert_eq!(
            (&plane["nack"], &plane["cores"]),
            (&json!("generation 6: older"), &json!("7 7"))
        );
    }
}
