//! `sluice sessions`: the list, one session as it was recorded, and its replay.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::LIST_ITEMS_MAX;
use crate::api::{Api, path, with_query};
use crate::args::{Sessions, Statements};
use crate::failure::{Failure, Outcome};
use crate::output;

const COLUMNS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("STARTED", "started_at"),
    ("USER", "user"),
    ("CONNECTION", "connection"),
    ("STATUS", "status"),
    ("STATEMENTS", "statement_count"),
    ("DENIED", "denied_count"),
    ("ROWS", "rows"),
    ("FINDINGS", "findings"),
];

const EVENT_COLUMNS: &[(&str, &str)] = &[
    ("AT", "at"),
    ("USER", "user"),
    ("CONNECTION", "connection"),
    ("SESSION", "session_id"),
    ("KIND", "kind"),
    ("OUTCOME", "outcome"),
    ("STATEMENT", "text"),
];

/// Pauses of a replay are never longer than this, however long the user thought.
const REPLAY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Characters of a statement in the table.
const STATEMENT_SHOWN_MAX: usize = 100;

/// Runs one of its verbs.
pub fn run(api: &Api, command: Sessions, json: bool) -> Outcome {
    match command {
        Sessions::List {
            user,
            connection,
            status,
            since,
            until,
            statements,
            limit,
        } => {
            let given = [
                ("user", user),
                ("connection", connection),
                ("status", status),
                ("since", since),
                ("until", until),
            ];
            let mut sessions = api.list(&with_query("/api/sessions", &parameters(given, statements)), limit)?;
            if !json {
                sessions.iter_mut().for_each(shorten_findings);
            }
            output::items(json, &sessions, COLUMNS)
        }
        Sessions::Search {
            user,
            connection,
            since,
            until,
            statements,
            limit,
        } => {
            let given = [
                ("user", user),
                ("connection", connection),
                ("since", since),
                ("until", until),
            ];
            let events = api.list(&with_query("/api/events", &parameters(given, statements)), limit)?;
            found(json, &events)
        }
        Sessions::Show { id } => {
            let session = api.get(&path(&["sessions", &id]))?;
            if json { output::json(&session) } else { show(session) }
        }
        Sessions::Replay { id, speed } => replay(api, &id, speed),
        Sessions::Kill { id, reason } => kill(api, &id, &reason, json),
    }
}

/// The parameters that were given.
fn parameters<const N: usize>(
    given: [(&'static str, Option<String>); N],
    statements: Statements,
) -> Vec<(&'static str, String)> {
    let of_statements = [
        ("text", statements.text),
        ("outcome", statements.outcome),
        ("detector", statements.detector),
        ("verb", statements.verb),
    ];
    let all = given.into_iter().chain(of_statements);
    all.filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Events of several sessions.
fn found(json: bool, events: &[Value]) -> Outcome {
    if json {
        return output::items(true, events, EVENT_COLUMNS);
    }
    let shown: Vec<Value> = events
        .iter()
        .map(|event| {
            let mut shown = event.clone();
            for field in ["outcome", "text"] {
                shown[field] = event["content"].get(field).cloned().unwrap_or_default();
            }
            if let Some(text) = shown["text"]
                .as_str()
                .filter(|text| text.chars().count() > STATEMENT_SHOWN_MAX)
            {
                shown["text"] = Value::from(text.chars().take(STATEMENT_SHOWN_MAX).collect::<String>() + "…");
            }
            shown
        })
        .collect();
    output::items(false, &shown, EVENT_COLUMNS)
}

fn kill(api: &Api, id: &str, reason: &str, as_json: bool) -> Outcome {
    let session = api.post(&path(&["sessions", id, "kill"]), &json!({"reason": reason}))?;
    if session.get("status").and_then(Value::as_str) != Some("closed") {
        return Err(Failure::Failed(
            "the data plane was told, but the end of the session is not recorded yet; look with `sluice sessions show`"
                .to_owned(),
        ));
    }
    if as_json {
        return output::json(&session);
    }
    output::line(&format!(
        "session {id} is over: {}",
        output::cell(&session, "end_message")
    ));
    Ok(())
}

/// `[{"detector": "EMAIL_ADDRESS", "count": 4}]` as `EMAIL_ADDRESS:4`.
fn shorten_findings(object: &mut Value) {
    let Some(Value::Array(findings)) = object.get("findings") else {
        return;
    };
    let shown: Vec<String> = findings.iter().map(finding).collect();
    object["findings"] = if shown.is_empty() {
        Value::Null
    } else {
        Value::from(shown.join(" "))
    };
}

fn finding(finding: &Value) -> String {
    let part = |name| output::cell(finding, name);
    let place = match finding.get("place").and_then(Value::as_str) {
        Some(place) if !place.is_empty() => format!("@{}", output::printable(place)),
        _ => String::new(),
    };
    format!("{}{place}:{}", part("detector"), part("count"))
}

fn show(mut session: Value) -> Outcome {
    let statements = session.as_object_mut().and_then(|fields| fields.remove("statements"));
    shorten_findings(&mut session);
    output::object(false, &session)?;
    let statements = statements
        .as_ref()
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut rows = vec![["#", "OUTCOME", "ROWS", "µs", "STATEMENT"].map(str::to_owned).to_vec()];
    for mut statement in statements {
        shorten_findings(&mut statement);
        let cell = |field: &str| output::cell(&statement, field);
        rows.push(vec![
            cell("number"),
            cell("outcome"),
            cell("rows"),
            cell("duration_micros"),
            cell("text").chars().take(STATEMENT_SHOWN_MAX).collect(),
        ]);
        for field in ["guardrail", "sqlstate", "findings"] {
            if cell(field) != "-" {
                let mut row = vec![String::new(); 4];
                row.push(format!("  {field}: {}", cell(field)));
                rows.push(row);
            }
        }
    }
    output::line("");
    for row in output::table(&rows) {
        output::line(&row);
    }
    Ok(())
}

fn replay(api: &Api, id: &str, speed: f64) -> Outcome {
    if !speed.is_finite() || speed < 0.0 {
        return Err(Failure::Usage("--speed is a number from 0 up".to_owned()));
    }
    let pieces = api.list(&path(&["sessions", id, "recording"]), LIST_ITEMS_MAX)?;
    if pieces.is_empty() {
        return Err(Failure::Failed("nothing was recorded for this session".to_owned()));
    }
    let session = api.get(&path(&["sessions", id]))?;
    let statements = session
        .get("statements")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let (mut last, mut shown) = (0, None);
    let mut output = std::io::stdout().lock();
    for piece in &pieces {
        let at = piece.get("offset_micros").and_then(Value::as_u64).unwrap_or(last);
        if speed > 0.0 {
            let pause = Duration::from_micros(at.saturating_sub(last)).div_f64(speed);
            std::thread::sleep(pause.min(REPLAY_PAUSE_MAX));
        }
        last = at;
        let batch = piece.get("batch").and_then(Value::as_u64);
        let heading = if batch == shown {
            String::new()
        } else {
            asked(&statements, batch)
        };
        shown = batch;
        let written = writeln!(output, "{heading}{}", replayed(piece)).and_then(|()| output.flush());
        if written.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The statements of a batch behind a prompt, as they were sent.
fn asked(statements: &[Value], batch: Option<u64>) -> String {
    let mut out = String::new();
    for statement in statements
        .iter()
        .filter(|statement| statement.get("batch").and_then(Value::as_u64) == batch)
    {
        let text = statement.get("text").and_then(Value::as_str).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(output::printable).collect();
        out.push_str(&format!("=> {}\n", lines.join("\n   ")));
    }
    out
}

/// One piece as text. Control characters are shown, not obeyed.
fn replayed(piece: &Value) -> String {
    let lines = piece.get("lines").and_then(Value::as_array).into_iter().flatten();
    let columns = |line: &str| line.split('\t').map(output::printable).collect::<Vec<_>>().join(" | ");
    let lines: Vec<String> = lines.filter_map(Value::as_str).map(columns).collect();
    if !lines.is_empty() {
        return lines.join("\n");
    }
    let bytes = piece
        .get("bytes_base64")
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok());
    format!("({} bytes)", bytes.map_or(0, |bytes| bytes.len()))
}

#[cfg(test)]
mod tests {
    //! Tests of the printed forms.

    use super::*;

    #[test]
    fn findings_are_short() {
        let mut session = json!({"findings": [{"detector": "EMAIL_ADDRESS", "count": 4}, {"detector": "COLUMN", "place": "name", "count": 1}]});
        shorten_findings(&mut session);
        assert_eq!(session["findings"], "EMAIL_ADDRESS:4 COLUMN@name:1");
    }

    #[test]
    fn a_replay_shows_statements_behind_a_prompt_and_no_control_characters() {
        let statements = [
            json!({"batch": 1, "text": "select 1\nas x"}),
            json!({"batch": 2, "text": "select 2"}),
        ];
        assert_eq!(asked(&statements, Some(1)), "=> select 1\n   as x\n");
        assert_eq!(
            replayed(&json!({"lines": ["id\tname", "1\ta\u{1b}[2Jb"]})),
            "id | name\n1 | a\u{fffd}[2Jb"
        );
        assert_eq!(replayed(&json!({"lines": [], "bytes_base64": "AAAA"})), "(3 bytes)");
    }
}
