//! `POST /api/redactions/test`: what rules do to a text; nothing of it is stored or logged.

use axum::Json;
use proto::Message as _;
use proto::policy::Snapshot;
use serde::Serialize;
use session::preview::preview;

use crate::App;
use crate::domain::mistake::Mistake;
use crate::http::input::Object;
use crate::http::problem::Problem;

/// Longest text that is tried, in bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Tested {
    text: String,
    findings: Vec<Found>,
}

/// One finding; positions are bytes of the text in the request.
#[derive(Debug, Serialize)]
pub struct Found {
    detector: String,
    start: u32,
    end: u32,
    action: &'static str,
}

/// Answers the request.
pub async fn handle(app: &App, body: Object) -> Result<Json<Tested>, Problem> {
    let (text, mut rules, connection) = body.read(|fields| {
        let text = fields.text_required("text").unwrap_or_default();
        if text.len() > TEXT_BYTES_MAX {
            fields.wrong("text", format!("is longer than {TEXT_BYTES_MAX} bytes"));
        }
        (text, fields.texts("rules"), fields.text("connection"))
    })?;
    let current = app.publisher.current();
    let snapshot =
        Snapshot::decode(current.signed.snapshot.as_slice()).map_err(|e| Problem::Internal(e.to_string()))?;
    if let Some(name) = connection {
        let found = snapshot.connections.iter().find(|connection| connection.name == name);
        rules = found
            .ok_or_else(|| Problem::missing("connection", &name))?
            .redact
            .clone();
        // A connection without rules redacts nothing; an empty list would mean the default detectors.
        if rules.is_empty() {
            return Ok(Json(Tested {
                text,
                findings: Vec::new(),
            }));
        }
    }
    // Building a scanner and running it takes milliseconds to tens of them: not on a thread that serves others.
    let tested = tokio::task::spawn_blocking(move || preview(&snapshot, &rules, &text));
    let tested = tested
        .await
        .map_err(|e| Problem::Internal(e.to_string()))?
        .map_err(|errors| {
            Problem::Policy(
                errors
                    .into_iter()
                    .map(|e| Mistake {
                        place: e.place,
                        message: e.message,
                    })
                    .collect(),
            )
        })?;
    let findings = tested.findings.into_iter().map(|found| Found {
        detector: found.detector,
        start: found.start,
        end: found.end,
        action: found.action,
    });
    Ok(Json(Tested {
        text: tested.text,
        findings: findings.collect(),
    }))
}
