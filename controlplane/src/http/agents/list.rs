//! `GET /api/agents` and `GET /api/pools/{name}/agents`.

use super::View;
use crate::App;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;
use crate::store::enrolment::Role;

/// Answers the request, for one pool when given.
pub async fn handle(app: &App, pool: Option<&str>, page: PageParams) -> Result<Page<View>, Problem> {
    let limit = page.limit()?;
    let agents = app.store.identities(Role::Agent, pool, page.after(), limit + 1).await?;
    Ok(Page::new(agents, limit, |agent| agent.id.clone()).map(|agent| View::new(app, agent)))
}
