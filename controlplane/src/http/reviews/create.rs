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
use crate::reviews::{AskError, ask};

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, body: Object) -> Result<(StatusCode, Json<View>), Problem> {
    let (name, seconds, reason) = body.read(|fields| {
        let reason = fields.text("reason").unwrap_or_default();
        if reason.chars().count() > TEXT_CHARS_MAX || reason.chars().any(|c| c.is_control() && c != '\n') {
            fields.wrong("reason", "is too long or has control characters");
        }
        (
            fields.text_required("connection"),
            fields.number("seconds", 1, ACCESS_SECONDS_MAX),
            reason,
        )
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
    let user = (member.user_id.as_str(), member.user.name.as_str());
    match ask(app, user, connection, seconds, reason).await {
        Ok(review) => Ok((StatusCode::CREATED, Json(review.into()))),
        Err(AskError::Store(error)) => Err(error.into()),
        Err(error @ (AskError::NotNeeded | AskError::TooMany)) => Err(Problem::Conflict(error.to_string(), Vec::new())),
        Err(error) => Err(Problem::Request(error.to_string())),
    }
}
