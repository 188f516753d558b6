//! `GET /api/sessions/{id}/events`: the events as they were taken in, without the content of recordings.

use serde_json::Value;

use super::{decoded, find};
use crate::App;
use crate::audit::view::event_view;
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;

/// Answers the request. A page holds whole stored chunks, so that its length may differ from the limit.
pub async fn handle(app: &App, caller: Caller, id: &str, page: PageParams) -> Result<Page<Value>, Problem> {
    let row = find(app, &caller, id).await?;
    let limit = page.limit()?;
    let mut after = chunk_cursor(&page)?;
    let mut items = Vec::new();
    while items.len() < limit {
        let Some(chunk) = app.store.session_chunks(&row.id, false, after, 1).await?.pop() else {
            return Ok(Page {
                items,
                next_cursor: None,
            });
        };
        after = chunk.id;
        items.extend(decoded(&chunk)?.into_iter().map(event_view));
    }
    Ok(Page {
        items,
        next_cursor: Some(after.to_string()),
    })
}

/// The chunk after which the page starts.
pub(super) fn chunk_cursor(page: &PageParams) -> Result<i64, Problem> {
    match page.cursor.as_deref() {
        None => Ok(0),
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Problem::Request("cursor must be one that was given".to_owned())),
    }
}
