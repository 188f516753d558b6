//! `GET /api/sessions/{id}/events`: the events as they were taken in, without the content of recordings; what is still
//! being answered stands at the end.

use std::collections::BTreeSet;

use proto::audit::{Event, event};
use serde_json::Value;

use super::show::promised;
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
    let open = row.ended_micros.is_none();
    // Read before the events: what supersedes one meanwhile is in chunks that are read below.
    let promises = app.store.session_promises(&row.id).await?;
    let (mut items, mut told) = (Vec::new(), BTreeSet::new());
    while items.len() < limit {
        let Some(chunk) = app.store.session_chunks(&row.id, false, after, 1).await?.pop() else {
            for promise in promises {
                let promise = promised(&promise)?;
                if !number_of(&promise).is_some_and(|number| told.contains(&number)) {
                    items.push(event_view(promise, open));
                }
            }
            return Ok(Page {
                items,
                next_cursor: None,
            });
        };
        after = chunk.id;
        let events = decoded(&chunk)?;
        told.extend(events.iter().filter_map(number_of));
        items.extend(events.into_iter().map(|event| event_view(event, open)));
    }
    Ok(Page {
        items,
        next_cursor: Some(after.to_string()),
    })
}

fn number_of(event: &Event) -> Option<u64> {
    match &event.kind {
        Some(event::Kind::Statement(statement) | event::Kind::Promise(statement)) => Some(statement.number),
        _ => None,
    }
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
