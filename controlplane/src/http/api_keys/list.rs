//! `GET /api/api-keys`: what is known of keys; a member sees its own.

use serde::Deserialize;

use super::View;
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
        (true, None) => None,
        (false, _) => Some(caller.user_id().unwrap_or_default().to_owned()),
    };
    let keys = app.store.api_keys(user_id.as_deref(), page.after(), limit + 1).await?;
    Ok(Page::new(keys, limit, |key| key.id.clone()).map(|key| View::new(&state, key)))
}
