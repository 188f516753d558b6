//! `GET /api/dataplanes`.

use super::View;
use crate::App;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;
use crate::store::enrolment::Role;

/// Answers the request.
pub async fn handle(app: &App, page: PageParams) -> Result<Page<View>, Problem> {
    let limit = page.limit()?;
    let found = app
        .store
        .identities(Role::Dataplane, None, page.after(), limit + 1)
        .await?;
    Ok(Page::new(found, limit, |it| it.id.clone()).map(|it| View::new(app, it)))
}
