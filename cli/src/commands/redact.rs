//! `sluice redact test`: what the rules do to text, without a database.

use std::fs::File;
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
    ("SURE", "confidence"),
    ("ACTION", "action"),
    ("BECOMES", "mask"),
];

/// Runs its one verb.
pub fn run(api: &Api, command: Redact, as_json: bool) -> Outcome {
    let Redact::Test {
        file,
        rules,
        connection,
        column,
    } = command;
    let text = match file {
        Some(path) => {
            let opened = File::open(&path);
            read(opened.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?)?
        }
        None => read(std::io::stdin().lock())?,
    };
    let mut body = json!({ "text": text });
    if !rules.is_empty() {
        body["rules"] = json!(rules);
    }
    if let Some(connection) = connection {
        body["connection"] = json!(connection);
    }
    if let Some(column) = column {
        body["column"] = json!(column);
    }
    let answer = api.post("/api/redactions/test", &body)?;
    if as_json {
        return output::json(&answer);
    }
    show(&answer)
}

fn read(source: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    source.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "the text is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// The text as a reader would get it, then a line for each finding, then the cost.
fn show(answer: &Value) -> Outcome {
    let masked = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    for line in masked.lines() {
        output::line(&output::printable(line));
    }
    output::line("");
    let findings: Vec<Value> = answer
        .get("findings")
        .and_then(Value::as_array)
        .map(|findings| findings.iter().map(described).collect())
        .unwrap_or_default();
    if findings.is_empty() {
        output::line("nothing found");
    } else {
        output::items(false, &findings, COLUMNS)?;
    }
    if let Some(cost) = answer.get("cost").filter(|cost| cost.is_object()) {
        output::line("");
        output::line(&cost_line(cost));
    }
    Ok(())
}

/// A finding as a row: sureness in percent, and a word for values inside of encoded text.
fn described(finding: &Value) -> Value {
    let mut row = finding.clone();
    row["confidence"] = json!(format!("{} %", finding["confidence"]));
    if finding["encoded"] == json!(true) {
        row["action"] = json!(format!("{}, encoded", finding["action"].as_str().unwrap_or_default()));
    }
    row
}

fn cost_line(cost: &Value) -> String {
    let number = |key: &str| cost.get(key).and_then(Value::as_u64).unwrap_or(0);
    format!(
        "{} detectors and {} of your own; a stream keeps back at most {} bytes; a byte costs about {}.{:02} times as much as looking for \
         nothing; {} KiB of memory",
        number("detectors"),
        number("custom_detectors"),
        number("hold_back_bytes_max"),
        number("cost_percent") / 100,
        number("cost_percent") % 100,
        number("memory_bytes").div_ceil(1024),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_costs_read_well() {
        let finding = json!({"detector": "EMAIL_ADDRESS", "confidence": 85, "encoded": true, "action": "masked"});
        let row = described(&finding);
        assert_eq!(row["confidence"], json!("85 %"));
        assert_eq!(row["action"], json!("masked, encoded"));
        let cost = json!({"detectors": 2, "custom_detectors": 1, "hold_back_bytes_max": 900, "cost_percent": 205, "memory_bytes": 2049});
        let line = cost_line(&cost);
        assert!(
            line.starts_with("2 detectors and 1 of your own; a stream keeps back at most 900 bytes"),
            "{line}"
        );
        assert!(
            line.contains("2.05 times") && line.ends_with("3 KiB of memory"),
            "{line}"
        );
    }
}
