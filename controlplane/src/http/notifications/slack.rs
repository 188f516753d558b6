//! `POST /api/notifications/{name}/slack`: a button of a Slack message was pressed. Slack's signature says that it is Slack.

use axum::Json;
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::App;
use crate::domain::model::{Catalog, UserStatus};
use crate::domain::notification::Notification;
use crate::domain::review::{Event, Refused, Reviewer};
use crate::http::form;
use crate::http::problem::Problem;
use crate::limits::CHAT_REQUEST_BYTES_MAX;
use crate::notify::slack::{Press, is_genuine, press};
use crate::notify::{is_interactive, target, target_of};
use crate::reviews::change;

/// Answers the request. Who is not Slack learns nothing, not even whether there is such a target.
pub async fn handle(app: &App, name: &str, headers: &HeaderMap, body: Bytes) -> Result<Json<Value>, Problem> {
    let state = app.publisher.state();
    let chat = target_of(&state.catalog, name)
        .filter(is_interactive)
        .ok_or(Problem::Unauthenticated)?;
    let reference = chat.signing_secret.as_deref().unwrap_or_default();
    let secret = target::resolved(reference).map_err(|fault| {
        tracing::error!(target = name, %fault, "a button of a chat cannot be checked");
        Problem::Unauthenticated
    })?;
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let (time, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let now = crate::store::now_micros() / 1_000_000;
    if body.len() > CHAT_REQUEST_BYTES_MAX || !is_genuine(&secret, time, signature, &body, now) {
        return Err(Problem::Unauthenticated);
    }
    let wrong = || Problem::Request("payload: must be Slack's JSON".to_owned());
    let payload = form::value(&body, "payload").ok_or_else(wrong)?;
    let payload: Value = serde_json::from_str(&payload).map_err(|_| wrong())?;
    // Links and what is to come are buttons too: they need no answer.
    let Some(pressed) = press(&payload) else {
        return Ok(Json(json!({})));
    };
    let (done, text) = decide(app, &state.catalog, &chat, &pressed).await;
    let answer = json!({
        "response_type": if done { "in_channel" } else { "ephemeral" }, "replace_original": done, "text": text,
    });
    tell(app, &chat, &pressed, &answer).await;
    Ok(Json(answer))
}

/// Decides in the name of the user whom the target knows by this Slack id. True: the review changed.
async fn decide(app: &App, catalog: &Catalog, chat: &Notification, pressed: &Press) -> (bool, String) {
    let known = chat.people.get(&pressed.person).and_then(|name| {
        let mut users = catalog.users().filter(|(_, user)| user.status == UserStatus::Active);
        users.find(|(_, user)| user.name == *name)
    });
    let Some((entry, user)) = known else {
        return (
            false,
            "Your Slack user is no user of Sluice here; ask for an entry in people.".to_owned(),
        );
    };
    let event = Event::Decide {
        reviewer: Reviewer {
            user_id: entry.id.clone(),
            name: user.name.clone(),
            groups: user.groups.clone(),
            admin: false,
        },
        approve: pressed.approve,
        comment: pressed.comment.clone(),
    };
    match change(app, &pressed.review, event).await {
        Ok(review) => {
            let word = if pressed.approve { "approved" } else { "rejected" };
            (true, format!("{} {word} it: {}", user.name, review.state.name()))
        }
        // What one may not see is not told from what is not there.
        Err(Problem::Forbidden(_) | Problem::NotFound(_)) => (false, format!("Not done: {}", Refused::NotReviewer)),
        Err(Problem::Conflict(detail, _)) => (false, format!("Not done: {detail}")),
        Err(problem) => {
            tracing::error!(
                ?problem,
                review = pressed.review,
                "a decision by a chat's button failed"
            );
            (false, "Not done: the control plane failed.".to_owned())
        }
    }
}

/// Says in the chat what came of it, where the answer's address is on the host that we send to anyway. It is a courtesy:
/// the review's own news is on its way.
async fn tell(app: &App, chat: &Notification, pressed: &Press, answer: &Value) {
    let (Some(url), Ok(ours)) = (&pressed.response_url, target::url_of(chat)) else {
        return;
    };
    if origin(url) != origin(&ours) {
        return tracing::warn!(target = chat.name, "a chat wants its answer on another host: not sent");
    }
    if let Err(fault) = app
        .notifier
        .poster
        .json(url.clone(), Vec::new(), answer.to_string())
        .await
    {
        tracing::warn!(target = chat.name, %fault, "the answer to a chat's button was not taken");
    }
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url.get(host..)?.find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    url.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        assert_eq!(origin("https://hooks.slack.com/a/b"), Some("https://hooks.slack.com"));
        assert_ne!(
            origin("https://hooks.slack.com@evil.example/"),
            origin("https://hooks.slack.com/")
        );
        assert_ne!(origin("http://hooks.slack.com/"), origin("https://hooks.slack.com/"));
        assert_eq!(origin("nonsense"), None);
    }
}
