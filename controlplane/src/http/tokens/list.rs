//! `GET /api/tokens`: what is known of access tokens; a member sees its own.

use serde::Deserialize;

use super::{View, is_visible, user_name};
use crate::App;
use crate::domain::model::Kind;
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams};
use crate::http::objects::find;
use crate::http::problem::Problem;

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListParams {
    pub user: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, params: ListParams) -> Result<Page<View>, Problem> {
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let limit = page.limit()?;
    let state = app.publisher.state();
    let user_id = match (caller.sees_all(), &params.user) {
        (true, Some(user)) => Some(find(&state, Kind::User, user)?.id.clone()),
        _ => None,
    };
    let wanted = state
        .tokens
        .values()
        .filter(|token| token.id.as_str() > page.after() && is_visible(&caller, token))
        .filter(|token| user_id.as_ref().is_none_or(|id| *id == token.user_id))
        .take(limit + 1)
        .collect();
    let page = Page::new(wanted, limit, |token| token.id.clone());
    Ok(page.map(|token| View::new(token, user_name(&state, &token.user_id))))
}
