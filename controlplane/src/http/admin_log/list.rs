//! `GET /api/admin-log`: lines, newest first, by actor, phase and time.

use serde::Deserialize;

use super::View;
use crate::App;
use crate::http::input::{Page, PageParams, moment};
use crate::http::problem::Problem;
use crate::store::admin_log::LogFilter;

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListParams {
    pub actor: Option<String>,
    pub phase: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

/// Answers the request.
pub async fn handle(app: &App, params: ListParams) -> Result<Page<View>, Problem> {
    let limit = PageParams {
        limit: params.limit,
        cursor: None,
    }
    .limit()?;
    if params
        .phase
        .as_deref()
        .is_some_and(|phase| !matches!(phase, "begun" | "ended" | "event"))
    {
        return Err(Problem::Request("phase must be begun, ended or event".to_owned()));
    }
    let wrong = || Problem::Request("cursor must be one that was given".to_owned());
    let before = params
        .cursor
        .map(|cursor| cursor.parse().map_err(|_| wrong()))
        .transpose()?;
    let filter = LogFilter {
        actor: params.actor.filter(|actor| !actor.is_empty()),
        phase: params.phase,
        since_micros: moment("since", params.since.as_deref())?,
        until_micros: moment("until", params.until.as_deref())?,
        before,
    };
    let lines = app.store.admin_log(&filter, limit + 1).await?;
    Ok(Page::new(lines, limit, |line| line.seq.to_string()).map(View::from))
}
