//! `/reviews` and `/reviews/{id}`: where the link in a client's notice leads; it says what waits, and takes the answer by button.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Map;

use super::{Face, View, decide, find, list, reviewer};
use crate::App;
use crate::domain::review::{Groups, Kind, Review, State};
use crate::http::auth::{Caller, same_origin};
use crate::http::form;
use crate::http::input::Object;
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::store::reviews::ReviewFilter;

/// Reviews on the page.
const REVIEWS_SHOWN: usize = 100;

/// The list.
pub async fn list(app: &App, caller: Caller) -> Result<Response, Problem> {
    let reviews = list::visible(app, &caller, ReviewFilter::default(), REVIEWS_SHOWN).await?;
    let mut rows = String::new();
    for review in reviews {
        let yours = match review.state {
            State::Pending if !buttons(&caller, &review).is_empty() => " <strong>waits for you</strong>",
            _ => "",
        };
        let view = View::from(review);
        let what = view.statement.as_deref().unwrap_or(&view.reason);
        let what: String = what.chars().take(120).collect();
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}{yours}</td><td>{}</td><td>{}</td><td><code>{}</code></td>\
             <td><a href=\"/reviews/{id}\">{id}</a></td></tr>",
            escaped(view.created_at.as_deref().unwrap_or_default()),
            view.status,
            escaped(&view.user),
            escaped(&view.connection),
            escaped(&what),
            id = escaped(&view.id),
        ));
    }
    let body = if rows.is_empty() {
        "<p>There are none.</p>".to_owned()
    } else {
        let head = ["since", "status", "user", "connection", "what", "id"].map(|word| format!("<th>{word}</th>"));
        format!(
            "<table><thead><tr>{}</tr></thead><tbody>{rows}</tbody></table>",
            head.concat()
        )
    };
    Ok(page(
        "Reviews",
        &format!("<h1>Reviews</h1>{body}<p><a href=\"/\">Connections and sessions</a></p>"),
    ))
}

/// One review, with buttons for whoever may press them.
pub async fn show(app: &App, caller: Caller, id: &str) -> Result<Response, Problem> {
    let review = find(app, &caller, Face::Reviews, id).await?;
    Ok(render(&caller, review, ""))
}

/// Takes a button. What a browser sends by itself counts only from this very page, however it proves who sits there.
pub async fn answer(
    app: &App,
    caller: Caller,
    headers: &HeaderMap,
    id: &str,
    body: &[u8],
) -> Result<Response, Problem> {
    let review = find(app, &caller, Face::Reviews, id).await?;
    same_origin(app, headers)?;
    let mut fields = Map::new();
    for name in ["status", "comment"] {
        if let Some(value) = form::value(body, name) {
            fields.insert(name.to_owned(), value.into());
        }
    }
    match decide::handle(app, caller.clone(), Face::Reviews, id, Object(fields)).await {
        Ok(_) => Ok(Redirect::to(&format!("/reviews/{}", review.id)).into_response()),
        // Somebody was faster, or it is not theirs to decide: the page as it is now says so.
        Err(Problem::Conflict(why, _) | Problem::Forbidden(why) | Problem::Request(why)) => {
            let mut response = render(&caller, find(app, &caller, Face::Reviews, id).await?, &why);
            *response.status_mut() = StatusCode::CONFLICT;
            Ok(response)
        }
        Err(other) => Err(other),
    }
}

/// The buttons that this caller may press now: value, word.
fn buttons(caller: &Caller, review: &Review) -> Vec<(&'static str, &'static str)> {
    // A token for one connection is a stock client's password, not a person's word.
    if caller.user().is_some_and(|member| !member.scope.is_empty()) {
        return Vec::new();
    }
    let who = reviewer(caller);
    let own = !who.user_id.is_empty() && who.user_id == review.user_id;
    let decides = review.may_decide(&who).is_ok();
    match (review.kind, review.state) {
        (_, State::Pending) if decides => vec![("APPROVED", "Approve"), ("REJECTED", "Reject")],
        (Kind::Access, State::Pending) if own => vec![("WITHDRAWN", "Take it back")],
        (Kind::Access, State::Approved) if own || decides => vec![("REVOKED", "Revoke the access")],
        _ => Vec::new(),
    }
}

fn form_of(caller: &Caller, review: &Review) -> String {
    let buttons = buttons(caller, review);
    if buttons.is_empty() {
        return String::new();
    }
    let shown: String = buttons
        .iter()
        .map(|(value, word)| format!("<button name=\"status\" value=\"{value}\">{word}</button> "))
        .collect();
    format!(
        "<form method=\"post\" action=\"/reviews/{}\"><label>Comment, which the requester is told\
         <input name=\"comment\" maxlength=\"2000\" autocomplete=\"off\"></label><p>{shown}</p></form>",
        escaped(&review.id)
    )
}

fn render(caller: &Caller, review: Review, word: &str) -> Response {
    let form = form_of(caller, &review);
    let view = View::from(review);
    let seconds = view.seconds.map(|seconds| format!("{seconds} s"));
    let facts = [
        ("status", Some(view.status.to_owned())),
        ("user", Some(view.user)),
        ("connection", Some(view.connection)),
        ("statement", view.statement),
        ("guardrail", view.guardrail),
        ("reason", Some(view.reason)),
        ("for", seconds),
        ("reviewers", Some(view.reviewers.join(", "))),
        ("approvals needed", Some(view.approvals.to_string())),
        (
            "from each group",
            (view.groups == Groups::All).then(|| "yes".to_owned()),
        ),
        (
            "break-glass",
            view.break_glass.then(|| "yes: nobody approved it".to_owned()),
        ),
        ("asked", view.created_at),
        ("expires", view.expires_at),
        ("granted until", view.access_until),
        ("note", Some(view.note)),
    ];
    let mut rows: String = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(&value)))
        .collect();
    for decision in &view.decisions {
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td>{} {}</td></tr>",
            decision.status.to_lowercase(),
            escaped(&decision.by),
            escaped(&decision.comment)
        ));
    }
    let alert = match word {
        "" => String::new(),
        word => format!("<p role=\"alert\" class=\"alert\">{}</p>", escaped(word)),
    };
    let body = format!(
        "<h1>Review</h1>{alert}<table><tbody>{rows}</tbody></table>{form}\
         <p><a href=\"/reviews\">All reviews</a></p>"
    );
    page("Review", &body)
}
