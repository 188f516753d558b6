//! `PUT /api/reviews/{id}`: approves, rejects, revokes or withdraws; the answer is the review as it is then.

use axum::Json;

use super::{Face, View, find, reviewer, state_of};
use crate::App;
use crate::domain::review::{Event, Kind, State};
use crate::http::auth::Caller;
use crate::http::input::Object;
use crate::http::problem::Problem;
use crate::limits::TEXT_CHARS_MAX;
use crate::reviews::change;

/// Answers the request.
pub async fn handle(app: &App, caller: Caller, face: Face, id: &str, body: Object) -> Result<Json<View>, Problem> {
    let (status, comment) = body.read(|fields| {
        let comment = fields.text("comment").unwrap_or_default();
        // It goes into the client's error: one line.
        if comment.chars().count() > TEXT_CHARS_MAX || comment.chars().any(char::is_control) {
            fields.wrong("comment", "is too long or has control characters");
        }
        (fields.text_required("status").unwrap_or_default(), comment)
    })?;
    if caller.user().is_some_and(|member| !member.scope.is_empty()) {
        let detail = "a token for one connection is a stock client's password, not a person's word";
        return Err(Problem::Forbidden(detail.to_owned()));
    }
    let review = find(app, &caller, face, id).await?;
    let who = reviewer(&caller);
    let event = match state_of(&status)? {
        State::Approved | State::Rejected => Event::Decide {
            approve: state_of(&status)? == State::Approved,
            reviewer: who,
            comment,
        },
        State::Revoked => Event::Revoke { reviewer: who, comment },
        State::Withdrawn if who.user_id == review.user_id && review.kind == Kind::Access => Event::Withdraw {
            why: "the requester took it back".to_owned(),
        },
        State::Withdrawn => {
            let detail = "only the requester of access takes it back; a statement is cancelled in its client";
            return Err(Problem::Conflict(detail.to_owned(), Vec::new()));
        }
        _ => {
            let detail = "status: must be APPROVED, REJECTED, REVOKED or WITHDRAWN";
            return Err(Problem::Request(detail.to_owned()));
        }
    };
    Ok(Json(change(app, &review.id, event).await?.into()))
}
