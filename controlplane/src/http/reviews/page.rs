//! `GET /reviews` and `GET /reviews/{id}`: where the link in a client's notice leads; it says what waits and how to answer.

use axum::response::Response;

use super::{Face, View, find, list};
use crate::App;
use crate::http::auth::Caller;
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::store::reviews::ReviewFilter;

/// Reviews on the page.
const REVIEWS_SHOWN: usize = 100;

/// The list.
pub async fn list(app: &App, caller: Caller) -> Result<Response, Problem> {
    let reviews = list::visible(app, &caller, ReviewFilter::default(), REVIEWS_SHOWN).await?;
    let mut rows = String::new();
    for view in reviews.into_iter().map(View::from) {
        let what = view.statement.as_deref().unwrap_or(&view.reason);
        let what: String = what.chars().take(120).collect();
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td>\
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

/// One review.
pub async fn show(app: &App, caller: Caller, id: &str) -> Result<Response, Problem> {
    let view = View::from(find(app, &caller, Face::Reviews, id).await?);
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
    let id = escaped(&view.id);
    let body = format!(
        "<h1>Review</h1><table><tbody>{rows}</tbody></table>\
         <p>Answer with <code>sluice reviews approve {id}</code> or <code>sluice reviews reject {id} --comment \"…\"</code>.</p>\
         <p><a href=\"/reviews\">All reviews</a></p>"
    );
    Ok(page("Review", &body))
}
