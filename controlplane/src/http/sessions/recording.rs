//! `GET /api/sessions/{id}/recording`: what the client got, after masking, for replay.

use proto::audit::event;

use super::events::chunk_cursor;
use super::{decoded, find};
use crate::App;
use crate::audit::view::RecordingView;
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;

/// Bytes of recording in one page; a page ends after the chunk that passes it.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Answers the request. A page holds whole stored chunks, so that its length may differ from the limit.
pub async fn handle(app: &App, caller: Caller, id: &str, page: PageParams) -> Result<Page<RecordingView>, Problem> {
    let row = find(app, &caller, id).await?;
    let limit = page.limit()?;
    let mut after = chunk_cursor(&page)?;
    let mut items = Vec::new();
    let mut bytes = 0;
    while items.len() < limit && bytes < PAGE_BYTES {
        let Some(chunk) = app.store.session_chunks(&row.id, true, after, 1).await?.pop() else {
            return Ok(Page {
                items,
                next_cursor: None,
            });
        };
        after = chunk.id;
        bytes += chunk.content.len();
        for event in decoded(&chunk)? {
            if let Some(event::Kind::Recording(piece)) = &event.kind {
                items.push(RecordingView::new(&row, event.at_micros, piece));
            }
        }
    }
    Ok(Page {
        items,
        next_cursor: Some(after.to_string()),
    })
}
