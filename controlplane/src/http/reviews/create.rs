//! `POST /api/reviews`: asks for access to a connection. The same wish again is the same review.

use axum::Json;
use axum::http::StatusCode;

use super::View;
use crate::App;
use crate::http::auth::Caller;
use crate::http::input::Object;
use crate::http::objects::may_connect;
use crate::http::problem::Problem;
use crate::limits::{ACCESS_SECONDS_MAX, TEXT_CHARS_MAX};
use crate::reviews::{AskError, Wish, ask};

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, body: Object) -> Result<(StatusCode, Json<View>), Problem> {
    let (name, wish) = body.read(|fields| {
        let reason = fields.text("reason").unwrap_or_default();
        if reason.chars().count() > TEXT_CHARS_MAX || reason.chars().any(|c| c.is_control() && c != '\n') {
            fields.wrong("reason", "is too long or has control characters");
        }
        let wish = Wish {
            seconds: fields.number("seconds", 1, ACCESS_SECONDS_MAX),
            reason,
            break_glass: fields.flag("break_glass"),
        };
        (fields.text_required("connection"), wish)
    })?;
    let name = name.unwrap_or_default();
    let Some(member) = caller.user() else {
        return Err(Problem::Request(
            "an administrator's token is nobody's: ask with a user's".to_owned(),
        ));
    };
    let state = app.publisher.state();
    let connection = state
        .catalog
        .connections()
        .find(|(_, connection)| connection.name == name && may_connect(member, connection))
        .ok_or_else(|| Problem::missing("connection", &name))?;
    if wish.break_glass && !member.scope.is_empty() {
        // A token for one connection is a stock client's password, not a person's word.
        let detail = "a token that is scoped to connections does not break the glass";
        return Err(Problem::Forbidden(detail.to_owned()));
    }
    let user = (member.user_id.as_str(), &member.user);
    match ask(app, user, connection, wish).await {
        Ok(review) => Ok((StatusCode::CREATED, Json(review.into()))),
        Err(AskError::Store(error)) => Err(error.into()),
        Err(AskError::Save(problem)) => Err(problem),
        Err(error @ AskError::NotForYou) => Err(Problem::Forbidden(error.to_string())),
        Err(error @ (AskError::NotNeeded | AskError::TooMany)) => Err(Problem::Conflict(error.to_string(), Vec::new())),
        Err(error) => Err(Problem::Request(error.to_string())),
    }
}
