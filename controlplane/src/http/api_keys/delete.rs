//! `DELETE /api/api-keys/{id}`: a key that counts no more, from now on.

use axum::http::StatusCode;

use crate::App;
use crate::http::auth::Caller;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, id: &str) -> Result<StatusCode, Problem> {
    let key = app.store.api_key(id).await?;
    let key = key
        .filter(|key| caller.sees_all() || caller.is_user(&key.user_id))
        .ok_or_else(|| Problem::missing("API key", id))?;
    if !caller.is_admin() && !caller.is_user(&key.user_id) {
        return Err(Problem::Forbidden("this needs the role admin".to_owned()));
    }
    app.store.delete_api_key(&key.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
