//! `GET …/keys`: enrol keys without their tokens.

use super::{Holder, View};
use crate::App;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, holder: Holder, page: PageParams) -> Result<Page<View>, Problem> {
    let limit = page.limit()?;
    let keys = app
        .store
        .enrol_keys(holder.role, &holder.pool, page.after(), limit + 1)
        .await?;
    Ok(Page::new(keys, limit, |key| key.id.clone()).map(|key| View::new(&key)))
}
