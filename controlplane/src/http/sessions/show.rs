//! `GET /api/sessions/{id}`: a session with its statements.

use axum::Json;
use proto::Message;
use proto::audit::{Event, Statement, event};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{CHUNKS_AT_ONCE, decoded, find};
use crate::App;
use crate::audit::view::{SessionView, StatementView};
use crate::domain::review::{Kind, Review};
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::limits::{PAGE_ITEMS_MAX, STATEMENTS_SHOWN_DEFAULT, STATEMENTS_SHOWN_MAX};
use crate::store::reviews::ReviewFilter;
use crate::store::sessions::SessionRow;

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
    /// The grants by which it was allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    access: Vec<Access>,
}

/// A review that granted access to a session.
#[derive(Debug, Serialize)]
struct Access {
    review_id: String,
    break_glass: bool,
    approved_by: String,
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
        .map(|told| match told {
            Told::Whole(statement) => StatementView::new(statement),
            Told::Promised(statement) => StatementView::promised(statement, open),
        })
        .collect();
    let access = access(app, &row).await?;
    Ok(Json(Shown {
        access,
        session: row.into(),
        statements,
        statements_truncated,
    }))
}

/// Reviews that had granted this user this connection when the session began.
async fn access(app: &App, row: &SessionRow) -> Result<Vec<Access>, Problem> {
    let filter = ReviewFilter {
        kind: Some(Kind::Access),
        user_id: Some(row.user_id.clone()),
        connection: Some(row.connection.clone()),
        ..ReviewFilter::default()
    };
    let reviews = app.store.reviews(&filter, PAGE_ITEMS_MAX).await?;
    let granted = |review: &Review| match (review.decided_micros, review.until_micros) {
        (Some(from), Some(until)) => (from..until).contains(&row.started_micros),
        _ => false,
    };
    let shown = |review: Review| Access {
        approved_by: review.deciders(),
        review_id: review.id,
        break_glass: review.break_glass,
    };
    Ok(reviews.into_iter().filter(granted).map(shown).collect())
}

/// What is known of a statement.
enum Told {
    Whole(Statement),
    Promised(Statement),
}

/// A stored promise as the event that it came as.
pub(super) fn promised(content: &[u8]) -> Result<Event, Problem> {
    Event::decode(content).map_err(|e| Problem::Internal(format!("a stored promise cannot be read: {e}")))
}

/// The first statements by number, with what is still being answered.
async fn statements(app: &App, id: &[u8], most: usize) -> Result<(BTreeMap<u64, Told>, bool), Problem> {
    // Before the events: a promise that is superseded meanwhile is replaced, not lost.
    let promises = app.store.session_promises(id).await?;
    let (mut shown, mut truncated) = told(app, id, most).await?;
    for promise in promises {
        let Some(event::Kind::Promise(statement)) = promised(&promise)?.kind else {
            continue;
        };
        if shown.len() < most {
            shown.entry(statement.number).or_insert(Told::Promised(statement));
        } else {
            truncated |= !shown.contains_key(&statement.number);
        }
    }
    Ok((shown, truncated))
}

async fn told(app: &App, id: &[u8], most: usize) -> Result<(BTreeMap<u64, Told>, bool), Problem> {
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
                    shown.insert(statement.number, Told::Whole(statement));
                } else {
                    truncated = true;
                }
            }
        }
    }
}
