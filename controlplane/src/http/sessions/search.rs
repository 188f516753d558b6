//! `GET /api/events`: events of all sessions that the caller may see, newest first, by user, connection, time, and by what
//! statements say, do and hold.

use proto::audit::{Event, event};
use serde::Deserialize;
use serde_json::{Value, json};

use super::list::own_only;
use crate::App;
use crate::audit::ingest::events_of;
use crate::audit::view::{event_view, id_text};
use crate::audit::words::Wanted;
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams, moment};
use crate::http::problem::Problem;
use crate::limits::{EVENT_CHUNKS_AT_ONCE, EVENT_CHUNKS_EXAMINED_MAX, SEARCH_TEXT_CHARS_MAX};
use crate::store::search::{ChunkFilter, FoundChunk};

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SearchParams {
    pub user: Option<String>,
    pub connection: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    /// Words that must all be in a statement's text.
    pub text: Option<String>,
    pub outcome: Option<String>,
    pub detector: Option<String>,
    pub verb: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

/// What is looked for.
struct Search {
    wanted: Wanted,
    since: Option<i64>,
    until: Option<i64>,
}

/// Answers the request. A page may be shorter than the limit and still not be the last: a search that finds little looks at
/// a bounded number of stored chunks for each page.
pub async fn handle(app: &App, caller: Caller, params: SearchParams) -> Result<Page<Value>, Problem> {
    let limit = page(&params).limit()?;
    let search = Search {
        wanted: wanted(&params)?,
        since: moment("since", params.since.as_deref())?,
        until: moment("until", params.until.as_deref())?,
    };
    let (mut from, mut skipped) = place_of(params.cursor.as_deref())?;
    let mut items = Vec::new();
    let mut examined = 0;
    loop {
        let filter = ChunkFilter {
            user: params.user.clone(),
            user_id: own_only(&caller),
            connection: params.connection.clone(),
            since_micros: search.since,
            until_micros: search.until,
            words: search.wanted.words(),
            from,
        };
        let chunks = app.store.event_chunks(&filter, EVENT_CHUNKS_AT_ONCE).await?;
        let is_last = chunks.len() < EVENT_CHUNKS_AT_ONCE;
        for chunk in &chunks {
            // The place is inclusive, so that a page may end within a chunk.
            let skip = if from == Some((chunk.last_micros, chunk.id)) {
                skipped
            } else {
                0
            };
            let found = search.events_of(chunk)?;
            let fresh = found.into_iter().skip(skip);
            let room = limit - items.len();
            let before = items.len();
            items.extend(fresh.take(room).map(|event| view(chunk, event)));
            from = Some((chunk.last_micros, chunk.id));
            skipped = skip.saturating_add(items.len() - before);
            if items.len() == limit {
                return Ok(Page {
                    items,
                    next_cursor: Some(cursor(chunk, skipped)),
                });
            }
            // All of it was looked at.
            skipped = usize::MAX;
        }
        examined += chunks.len();
        if is_last || examined >= EVENT_CHUNKS_EXAMINED_MAX {
            let next_cursor = chunks
                .last()
                .filter(|_| !is_last)
                .map(|chunk| cursor(chunk, usize::MAX));
            return Ok(Page { items, next_cursor });
        }
    }
}

impl Search {
    /// The wanted events of a chunk, newest first.
    fn events_of(&self, chunk: &FoundChunk) -> Result<Vec<Event>, Problem> {
        let mut events =
            events_of(&chunk.content).map_err(|e| Problem::Internal(format!("stored events cannot be read: {e}")))?;
        events.retain(|event| self.is_wanted(event));
        events.reverse();
        Ok(events)
    }

    fn is_wanted(&self, event: &Event) -> bool {
        let at = i64::try_from(event.at_micros).unwrap_or(i64::MAX);
        let in_time = self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until);
        in_time
            && match &event.kind {
                Some(event::Kind::Statement(statement)) => self.wanted.matches(statement),
                _ => self.wanted.is_empty(),
            }
    }
}

/// Words and marks that are asked for.
pub(super) fn wanted(params: &SearchParams) -> Result<Wanted, Problem> {
    let texts = [&params.text, &params.outcome, &params.detector, &params.verb];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.chars().count() > SEARCH_TEXT_CHARS_MAX)
    {
        return Err(Problem::Request(format!(
            "what is searched for may have {SEARCH_TEXT_CHARS_MAX} characters"
        )));
    }
    Ok(Wanted {
        text: params.text.clone(),
        outcome: params.outcome.clone(),
        detector: params.detector.clone(),
        verb: params.verb.clone(),
    })
}

fn page(params: &SearchParams) -> PageParams {
    PageParams {
        limit: params.limit,
        cursor: None,
    }
}

fn view(chunk: &FoundChunk, event: Event) -> Value {
    let mut view = event_view(event, false);
    view["session_id"] = json!(id_text(&chunk.session_id));
    view["user"] = json!(chunk.user);
    view["connection"] = json!(chunk.connection);
    view
}

fn cursor(chunk: &FoundChunk, skipped: usize) -> String {
    format!("{}_{}_{skipped}", chunk.last_micros, chunk.id)
}

/// The chunk to go on with, and how many of its wanted events were shown.
fn place_of(cursor: Option<&str>) -> Result<(Option<(i64, i64)>, usize), Problem> {
    let Some(cursor) = cursor else { return Ok((None, 0)) };
    let wrong = || Problem::Request("cursor must be one that was given".to_owned());
    let mut parts = cursor.splitn(3, '_');
    let mut next = || parts.next().ok_or_else(wrong);
    let (last, id, skipped) = (next()?, next()?, next()?);
    let place = (last.parse().map_err(|_| wrong())?, id.parse().map_err(|_| wrong())?);
    Ok((Some(place), skipped.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        assert_eq!(place_of(Some("7_3_2")).unwrap(), (Some((7, 3)), 2));
        assert_eq!(place_of(None).unwrap(), (None, 0));
        for wrong in ["", "7", "7_3", "7_3_x", "a_3_1"] {
            assert!(place_of(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
