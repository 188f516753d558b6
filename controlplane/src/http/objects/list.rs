//! `GET /api/{objects}`: a page of objects by name; a member sees only the connections that it may open.

use axum::response::{IntoResponse, Response};

use super::{may_connect, view, view_for_member};
use crate::App;
use crate::domain::model::{Body, Entry, Kind};
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, kind: Kind, caller: Caller, page: PageParams) -> Result<Response, Problem> {
    let limit = page.limit()?;
    let state = app.publisher.state();
    let after = state.catalog.of(kind).filter(|entry| entry.body.name() > page.after());
    let name = |entry: &&Entry| entry.body.name().to_owned();
    match caller.user() {
        Some(member) if !caller.sees_all() => {
            if kind != Kind::Connection {
                return Err(Problem::Forbidden("this needs the role auditor".to_owned()));
            }
            let allowed = after.filter_map(|entry| match &entry.body {
                Body::Connection(connection) if may_connect(member, connection) => Some((entry, connection)),
                _ => None,
            });
            let page = Page::new(allowed.take(limit + 1).collect(), limit, |(entry, _)| name(entry));
            Ok(page
                .map(|(entry, connection)| view_for_member(entry, connection))
                .into_response())
        }
        _ => {
            let page = Page::new(after.take(limit + 1).collect(), limit, name);
            let mut items = Vec::with_capacity(page.items.len());
            for entry in page.items {
                items.push(view(app, &state, entry).await?);
            }
            Ok(Page {
                items,
                next_cursor: page.next_cursor,
            }
            .into_response())
        }
    }
}
