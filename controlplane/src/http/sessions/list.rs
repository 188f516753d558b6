//! `GET /api/sessions`: sessions, newest first, by user, connection, status and time.

use serde::Deserialize;

use super::search::{self, SearchParams};
use crate::App;
use crate::audit::view::{SessionView, id_bytes, id_text};
use crate::http::auth::Caller;
use crate::http::input::{Page, PageParams, moment};
use crate::http::problem::Problem;
use crate::store::sessions::{SessionFilter, SessionRow};

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListParams {
    pub user: Option<String>,
    pub connection: Option<String>,
    pub status: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    /// Only those with a statement whose text has all these words.
    pub text: Option<String>,
    pub outcome: Option<String>,
    pub detector: Option<String>,
    pub verb: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

impl ListParams {
    /// What is asked of statements.
    fn statements(&self) -> SearchParams {
        SearchParams {
            text: self.text.clone(),
            outcome: self.outcome.clone(),
            detector: self.detector.clone(),
            verb: self.verb.clone(),
            ..SearchParams::default()
        }
    }
}

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, params: ListParams) -> Result<Page<SessionView>, Problem> {
    let limit = PageParams {
        limit: params.limit,
        cursor: None,
    }
    .limit()?;
    let rows = app.store.sessions(&filter(&caller, &params)?, limit + 1).await?;
    Ok(Page::new(rows, limit, cursor_of).map(SessionView::from))
}

/// What the parameters ask for, narrowed to what the caller may see.
pub(super) fn filter(caller: &Caller, params: &ListParams) -> Result<SessionFilter, Problem> {
    let open = match params.status.as_deref() {
        None => None,
        Some("open") => Some(true),
        Some("closed") => Some(false),
        Some(_) => return Err(Problem::Request("status must be open or closed".to_owned())),
    };
    Ok(SessionFilter {
        user: params.user.clone(),
        user_id: own_only(caller),
        connection: params.connection.clone(),
        open,
        since_micros: moment("since", params.since.as_deref())?,
        until_micros: moment("until", params.until.as_deref())?,
        words: search::wanted(&params.statements())?.words(),
        after: params.cursor.as_deref().map(place_of).transpose()?,
    })
}

/// The user to whose sessions the caller is bound; `None`: to no one's.
pub fn own_only(caller: &Caller) -> Option<String> {
    (!caller.sees_all()).then(|| caller.user_id().unwrap_or_default().to_owned())
}

fn cursor_of(row: &SessionRow) -> String {
    format!("{}_{}", row.started_micros, id_text(&row.id))
}

fn place_of(cursor: &str) -> Result<(i64, Vec<u8>), Problem> {
    let wrong = || Problem::Request("cursor must be one that was given".to_owned());
    let (started, id) = cursor.split_once('_').ok_or_else(wrong)?;
    Ok((started.parse().map_err(|_| wrong())?, id_bytes(id).ok_or_else(wrong)?))
}
