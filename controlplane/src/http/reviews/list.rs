//! `GET /api/reviews`: reviews that the caller may see, newest first.

use serde::Deserialize;

use super::{Face, View, may_see, state_of};
use crate::App;
use crate::domain::review::{Kind, Review};
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;
use crate::limits::PAGE_ITEMS_MAX;
use crate::store::reviews::ReviewFilter;

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListParams {
    pub status: Option<String>,
    pub kind: Option<String>,
    pub connection: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, face: Face, params: ListParams) -> Result<Page<View>, Problem> {
    let limit = PageParams {
        limit: params.limit,
        cursor: None,
    }
    .limit()?;
    let reviews = visible(app, &caller, filter(face, &params)?, limit + 1).await?;
    Ok(Page::new(reviews, limit, |review| {
        format!("{}_{}", review.created_micros, review.id)
    })
    .map(View::from))
}

/// Up to `wanted` reviews that the caller may see.
pub(super) async fn visible(
    app: &App,
    caller: &Caller,
    mut filter: ReviewFilter,
    wanted: usize,
) -> Result<Vec<Review>, Problem> {
    let mut seen = Vec::new();
    loop {
        let rows = app.store.reviews(&filter, PAGE_ITEMS_MAX).await?;
        let last = rows.last().map(|review| (review.created_micros, review.id.clone()));
        let more = rows.len() == PAGE_ITEMS_MAX;
        seen.extend(rows.into_iter().filter(|review| may_see(caller, review)));
        if !more || seen.len() >= wanted {
            seen.truncate(wanted);
            return Ok(seen);
        }
        filter.after = last;
    }
}

fn filter(face: Face, params: &ListParams) -> Result<ReviewFilter, Problem> {
    let kind = match (face, params.kind.as_deref()) {
        (Face::Jits, None | Some("access")) | (_, Some("access")) => Some(Kind::Access),
        (Face::Reviews, None) => None,
        (Face::Reviews, Some("statement")) => Some(Kind::Statement),
        _ => return Err(Problem::Request("kind must be statement or access".to_owned())),
    };
    let wrong = || Problem::Request("cursor must be one that was given".to_owned());
    let after = params.cursor.as_deref().map(|cursor| {
        let (created, id) = cursor.split_once('_').ok_or_else(wrong)?;
        Ok::<_, Problem>((created.parse().map_err(|_| wrong())?, id.to_owned()))
    });
    Ok(ReviewFilter {
        kind,
        state: params.status.as_deref().map(state_of).transpose()?,
        connection: params.connection.clone(),
        user_id: None,
        after: after.transpose()?,
    })
}
