//! `GET /api/export`: the policy as a file that `apply` takes; literal passwords are masked.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::domain::file;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App) -> Result<Response, Problem> {
    let text = file::export(&app.publisher.state().catalog).map_err(|e| Problem::Internal(e.to_string()))?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
