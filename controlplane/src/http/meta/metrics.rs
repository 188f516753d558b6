//! `GET /metrics`: counts of the control plane in Prometheus's text format; no names of users, no values.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::http::problem::Problem;

/// Answers the request.
pub async fn handle(app: &App) -> Result<Response, Problem> {
    let mut text = String::from(
        "# HELP sluice_notifications Notifications by target and state; dead ones were given up.\n\
         # TYPE sluice_notifications gauge\n",
    );
    for (target, state, count) in app.store.delivery_counts().await? {
        let line = format!(
            "sluice_notifications{{target=\"{target}\",state=\"{}\"}} {count}\n",
            state.name()
        );
        text.push_str(&line);
    }
    text.push_str("# HELP sluice_policy_generation The published generation.\n# TYPE sluice_policy_generation gauge\n");
    text.push_str(&format!(
        "sluice_policy_generation {}\n",
        app.publisher.current().generation
    ));
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
