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
    /// What the rules cost; `null` where nothing is looked for.
    cost: Option<Cost>,
}

/// What compiling the rules found out.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// Most bytes that a stream keeps back.
    hold_back_bytes_max: usize,
    /// Rough cost of a byte of ordinary text, in hundredths of that of a scan for nothing.
    cost_percent: u32,
    memory_bytes: usize,
    detectors: usize,
    custom_detectors: usize,
}

/// One finding; positions are bytes of the text in the request.
#[derive(Debug, Serialize)]
pub struct Found {
    detector: String,
    start: u32,
    end: u32,
    confidence: u8,
    encoded: bool,
    action: &'static str,
    /// What takes the value's place; empty where the rule only analyses.
    mask: String,
}

/// Answers the request.
pub async fn handle(app: &App, body: Object) -> Result<Json<Tested>, Problem> {
    let (text, mut rules, connection, column) = body.read(|fields| {
        let text = fields.text_required("text").unwrap_or_default();
        if text.len() > TEXT_BYTES_MAX {
            fields.wrong("text", format!("is longer than {TEXT_BYTES_MAX} bytes"));
        }
        (
            text,
            fields.texts("rules"),
            fields.text("connection"),
            fields.text("column"),
        )
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
                cost: None,
            }));
        }
    }
    // Building a scanner and running it takes milliseconds to tens of them: not on a thread that serves others.
    let tested = tokio::task::spawn_blocking(move || preview(&snapshot, &rules, column.as_deref(), &text));
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
        confidence: found.confidence,
        encoded: found.encoded,
        action: found.action,
        mask: found.mask,
    });
    let cost = tested.cost.map(|report| Cost {
        hold_back_bytes_max: report.hold_back_bytes_max,
        cost_percent: report.cost_percent,
        memory_bytes: report.memory_bytes,
        detectors: report.built_in_count,
        custom_detectors: report.custom_count,
    });
    Ok(Json(Tested {
        text: tested.text,
        findings: findings.collect(),
        cost,
    }))
}
