//! Sessions, statements and recordings as the API shows them.

use proto::audit::{Event, Finding, Outcome, Parameter, Recording, Review, Statement, event};
use serde::Serialize;
use serde_json::{Value, json};

use super::postgres;
use super::words::{outcome_name, verb};
use crate::http::input::time_text;
use crate::store::sessions::SessionRow;

/// How often a detector was found.
#[derive(Debug, PartialEq, Serialize)]
pub struct Count {
    pub detector: String,
    pub count: u64,
}

/// A session's summary.
#[derive(Debug, PartialEq, Serialize)]
pub struct SessionView {
    pub id: String,
    pub user: String,
    pub user_id: String,
    pub token_id: String,
    pub connection: String,
    pub r#type: String,
    pub database: String,
    pub client_addr: String,
    pub application_name: String,
    pub dataplane: String,
    pub generation: i64,
    pub status: &'static str,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub duration_micros: Option<i64>,
    pub end_cause: Option<String>,
    pub end_message: Option<String>,
    pub unclean: bool,
    /// Events that are missing in the stored sequence; more than 0 is a loss that is shown as one.
    pub events_missing: i64,
    pub statement_count: i64,
    pub denied_count: i64,
    pub failed_count: i64,
    pub rows: i64,
    pub bytes_to_target: i64,
    pub bytes_to_client: i64,
    pub findings: Vec<Count>,
}

impl From<SessionRow> for SessionView {
    fn from(row: SessionRow) -> Self {
        SessionView {
            id: id_text(&row.id),
            status: if row.ended_micros.is_some() { "closed" } else { "open" },
            started_at: time_text(row.started_micros),
            ended_at: row.ended_micros.and_then(time_text),
            duration_micros: row.ended_micros.map(|ended| ended.saturating_sub(row.started_micros)),
            unclean: row.end_cause.as_deref() == Some("unclean"),
            events_missing: row.sequence_max.saturating_add(1).saturating_sub(row.events).max(0),
            user: row.user,
            user_id: row.user_id,
            token_id: row.token_id,
            connection: row.connection,
            r#type: row.protocol,
            database: row.database,
            client_addr: row.client_address,
            application_name: row.application,
            dataplane: row.dataplane,
            generation: row.generation,
            end_cause: row.end_cause,
            end_message: row.end_message,
            statement_count: row.statements,
            denied_count: row.denied,
            failed_count: row.failed,
            rows: row.rows,
            bytes_to_target: row.bytes_to_upstream,
            bytes_to_client: row.bytes_to_downstream,
            findings: row
                .findings
                .into_iter()
                .map(|(detector, count)| Count { detector, count })
                .collect(),
        }
    }
}

/// One finding of a statement.
#[derive(Debug, PartialEq, Serialize)]
pub struct FindingView {
    pub detector: String,
    pub place: String,
    pub action: String,
    pub count: u64,
}

/// One statement.
#[derive(Debug, PartialEq, Serialize)]
pub struct StatementView {
    pub number: u64,
    pub text: String,
    pub text_cut: bool,
    pub params: Vec<Option<String>>,
    pub verb: String,
    pub outcome: &'static str,
    pub outcome_detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<String>,
    pub start: Option<String>,
    pub duration_micros: u64,
    pub rows: u64,
    pub bytes: u64,
    pub findings: Vec<FindingView>,
    pub batch: u64,
    pub form: String,
    pub prepared: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<ReviewView>,
}

/// What people said about a statement before it ran or was refused.
#[derive(Debug, PartialEq, Serialize)]
pub struct ReviewView {
    pub id: String,
    pub outcome: String,
    pub by: String,
    pub waited_micros: u64,
}

impl StatementView {
    /// A statement that was only promised: it is running, or was when its process was killed.
    pub fn promised(statement: Statement, session_open: bool) -> StatementView {
        StatementView {
            outcome: if session_open {
                "running"
            } else {
                outcome_name(Outcome::Unfinished)
            },
            ..StatementView::new(statement)
        }
    }

    /// The statement as people see it: numbers start at 1.
    pub fn new(statement: Statement) -> StatementView {
        let outcome = statement.outcome();
        let detail = statement.outcome_detail;
        StatementView {
            number: statement.number.saturating_add(1),
            verb: verb(&statement.text),
            text_cut: statement.text_cut,
            params: statement.parameters.into_iter().map(parameter).collect(),
            outcome: outcome_name(outcome),
            sqlstate: (outcome == Outcome::Error).then(|| detail.clone()),
            guardrail: (outcome == Outcome::Denied).then(|| detail.clone()),
            outcome_detail: detail,
            start: i64::try_from(statement.started_at_micros).ok().and_then(time_text),
            duration_micros: statement.duration_micros,
            rows: statement.rows,
            bytes: statement.bytes,
            findings: statement.findings.into_iter().map(finding).collect(),
            batch: statement.batch,
            form: statement.form,
            prepared: statement.prepared,
            reviews: statement.reviews.into_iter().map(review).collect(),
            text: statement.text,
        }
    }
}

/// A piece of a recording.
#[derive(Debug, PartialEq, Serialize)]
pub struct RecordingView {
    pub at: Option<String>,
    pub offset_micros: i64,
    pub offset_bytes: u64,
    pub batch: u64,
    pub bytes_base64: String,
    pub lines: Vec<String>,
}

impl RecordingView {
    /// The piece, with its time counted from the session's start.
    pub fn new(session: &SessionRow, at_micros: u64, piece: &Recording) -> RecordingView {
        use base64::Engine;
        let at = i64::try_from(at_micros).unwrap_or(i64::MAX);
        RecordingView {
            at: time_text(at),
            offset_micros: at.saturating_sub(session.started_micros),
            offset_bytes: piece.offset,
            batch: piece.batch,
            bytes_base64: base64::prelude::BASE64_STANDARD.encode(&piece.data),
            lines: match session.protocol.as_str() {
                "postgres" => postgres::lines(&piece.data),
                _ => Vec::new(),
            },
        }
    }
}

/// An event with all that it says; `session_open` tells what a promise means.
pub fn event_view(event: Event, session_open: bool) -> Value {
    let at = i64::try_from(event.at_micros).ok().and_then(time_text);
    let (kind, content) = match event.kind {
        Some(event::Kind::Start(s)) => (
            "start",
            json!({
                "user": s.user, "user_id": s.user_id, "token_id": s.token_id, "connection": s.connection,
                "connection_id": s.connection_id, "type": s.protocol, "database": s.database,
                "client_addr": s.client_address, "application_name": s.application, "generation": s.generation,
            }),
        ),
        Some(event::Kind::Statement(s)) => ("statement", json!(StatementView::new(s))),
        Some(event::Kind::Promise(s)) => ("statement", json!(StatementView::promised(s, session_open))),
        Some(event::Kind::Recording(r)) => (
            "recording",
            json!({"batch": r.batch, "offset_bytes": r.offset, "bytes": r.data.len()}),
        ),
        Some(event::Kind::End(e)) => (
            "end",
            json!({
                "cause": e.cause, "message": e.message, "bytes_to_target": e.bytes_to_upstream,
                "bytes_to_client": e.bytes_to_downstream, "statements": e.statements,
            }),
        ),
        None => ("unknown", Value::Null),
    };
    json!({"sequence": event.sequence, "at": at, "kind": kind, "content": content})
}

/// A session's id as people see it: a UUID.
pub fn id_text(id: &[u8]) -> String {
    uuid::Uuid::from_slice(id).map_or_else(|_| crate::pki::hex(id), |uuid| uuid.to_string())
}

/// The bytes of a session's id.
pub fn id_bytes(text: &str) -> Option<Vec<u8>> {
    uuid::Uuid::parse_str(text).ok().map(|uuid| uuid.as_bytes().to_vec())
}

fn parameter(parameter: Parameter) -> Option<String> {
    (!parameter.null).then_some(parameter.text)
}

fn review(review: Review) -> ReviewView {
    ReviewView {
        id: id_text(&review.id),
        outcome: review.outcome,
        by: review.by,
        waited_micros: review.waited_micros,
    }
}

fn finding(finding: Finding) -> FindingView {
    FindingView {
        detector: finding.detector,
        place: finding.place,
        action: finding.action,
        count: finding.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_say_what_their_detail_means() {
        let statement = |outcome: Outcome, detail: &str| {
            let raw = Statement {
                text: " delete from t".to_owned(),
                outcome: outcome.into(),
                outcome_detail: detail.to_owned(),
                parameters: vec![Parameter {
                    null: true,
                    ..Parameter::default()
                }],
                ..Statement::default()
            };
            StatementView::new(raw)
        };
        let denied = statement(Outcome::Denied, "no-accidents");
        assert_eq!(
            (denied.outcome, denied.guardrail.as_deref(), denied.sqlstate),
            ("denied", Some("no-accidents"), None)
        );
        assert_eq!(denied.verb, "DELETE");
        assert_eq!(denied.params, [None]);
        assert_eq!(denied.number, 1);
        assert_eq!(statement(Outcome::Error, "42P01").sqlstate.as_deref(), Some("42P01"));
        assert_eq!(StatementView::promised(Statement::default(), true).outcome, "running");
        assert_eq!(
            StatementView::promised(Statement::default(), false).outcome,
            "unfinished"
        );
    }
}
