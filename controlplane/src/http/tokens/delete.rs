//! `DELETE /api/tokens/{id}`: revokes a token in the next generation.

use axum::http::StatusCode;

use super::is_visible;
use crate::App;
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::store::objects::Change;

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, id: &str) -> Result<StatusCode, Problem> {
    app.publisher
        .edit(|state| {
            let token = state.tokens.get(id).filter(|token| is_visible(&caller, token));
            let token = token.ok_or_else(|| Problem::missing("token", id))?;
            if !caller.is_admin() && !caller.is_user(&token.user_id) {
                return Err(Problem::Forbidden("this needs the role admin".to_owned()));
            }
            Ok::<_, Problem>((
                Change {
                    tokens_revoked: vec![token.id.clone()],
                    ..Change::default()
                },
                (),
            ))
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
