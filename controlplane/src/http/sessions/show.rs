//! `GET /api/sessions/{id}`: a session with its statements.

use axum::Json;
use proto::audit::{Statement, event};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{CHUNKS_AT_ONCE, decoded, find};
use crate::App;
use crate::audit::view::{SessionView, StatementView};
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::limits::{STATEMENTS_SHOWN_DEFAULT, STATEMENTS_SHOWN_MAX};

/// Query parameters.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct ShowParams {
    pub statements_max: Option<usize>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    session: SessionView,
    statements: Vec<StatementView>,
    statements_truncated: bool,
}

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, id: &str, params: ShowParams) -> Result<Json<Shown>, Problem> {
    let row = find(app, &caller, id).await?;
    let most = params
        .statements_max
        .unwrap_or(STATEMENTS_SHOWN_DEFAULT)
        .min(STATEMENTS_SHOWN_MAX);
    let (statements, statements_truncated) = statements(app, &row.id, most).await?;
    let open = row.ended_micros.is_none();
    let statements = statements
        .into_values()
        .map(|statement| StatementView::new(statement, open))
        .collect();
    Ok(Json(Shown {
        session: row.into(),
        statements,
        statements_truncated,
    }))
}

/// The first statements by number; an event that completes a statement replaces the interim one.
async fn statements(app: &App, id: &[u8], most: usize) -> Result<(BTreeMap<u64, Statement>, bool), Problem> {
    let mut shown = BTreeMap::new();
    let mut truncated = false;
    let mut after = 0;
    loop {
        let chunks = app.store.session_chunks(id, false, after, CHUNKS_AT_ONCE).await?;
        let Some(last) = chunks.last() else {
            return Ok((shown, truncated));
        };
        after = last.id;
        for chunk in &chunks {
            for event in decoded(chunk)? {
                let Some(event::Kind::Statement(statement)) = event.kind else {
                    continue;
                };
                if shown.len() < most || shown.contains_key(&statement.number) {
                    shown.insert(statement.number, statement);
                } else {
                    truncated = true;
                }
            }
        }
    }
}
