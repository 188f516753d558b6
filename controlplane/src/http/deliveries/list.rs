//! `GET /api/deliveries`: newest first, by state, target and subject.

use serde::Deserialize;

use super::View;
use crate::App;
use crate::http::input::{Page, PageParams};
use crate::http::problem::Problem;
use crate::store::outbox::{DeliveryFilter, DeliveryState};

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListParams {
    pub state: Option<String>,
    pub target: Option<String>,
    pub subject: Option<String>,
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
    let state = params.state.as_deref().map(|name| {
        DeliveryState::from_name(name)
            .ok_or_else(|| Problem::Request("state must be waiting, delivered or dead".to_owned()))
    });
    let wrong = || Problem::Request("cursor must be one that was given".to_owned());
    let after = params.cursor.as_deref().map(|cursor| {
        let (created, id) = cursor.split_once('_').ok_or_else(wrong)?;
        Ok::<_, Problem>((created.parse().map_err(|_| wrong())?, id.to_owned()))
    });
    let filter = DeliveryFilter {
        state: state.transpose()?,
        target: params.target,
        subject: params.subject,
        after: after.transpose()?,
    };
    let rows = app.store.deliveries(&filter, limit + 1).await?;
    Ok(Page::new(rows, limit, |row| format!("{}_{}", row.created_micros, row.id)).map(View::from))
}
