//! `GET /`: connections and recent sessions on one page, rendered here, without scripts.

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::App;
use crate::audit::view::SessionView;
use crate::domain::model::{Connection, Entry};
use crate::http::auth::Caller;
use crate::http::objects::may_connect;
use crate::http::problem::Problem;
use crate::http::sessions::list::own_only;
use crate::store::sessions::SessionFilter;

/// Sessions on the page.
const SESSIONS_SHOWN: usize = 50;
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1a1a1a;\
background:#fff}table{border-collapse:collapse;width:100%;margin-bottom:2rem}th,td{text-align:left;padding:.35rem .8rem .35rem 0;\
border-bottom:1px solid #ddd;vertical-align:top}code{font-size:90%}@media(prefers-color-scheme:dark){body{background:#161616;\
color:#e6e6e6}th,td{border-color:#383838}a{color:#8ab4f8}}\
.narrow{max-width:22rem;margin:12vh auto}label{display:block;margin:.8rem 0}input{display:block;width:100%;\
box-sizing:border-box;font:inherit;padding:.45rem;margin-top:.2rem}button,.button{font:inherit;padding:.45rem 1.2rem}.button{display:inline-block;border:1px solid;\
border-radius:.2rem;text-decoration:none}\
details{margin-top:2rem}.alert{border-left:.25rem solid #c0392b;padding-left:.8rem}.who{float:right}";

/// Answers the request.
pub async fn handle(app: &App, caller: Caller) -> Result<Response, Problem> {
    let state = app.publisher.state();
    let seen: Vec<(&Entry, &Connection)> = state
        .catalog
        .connections()
        .filter(|(_, connection)| {
            caller.sees_all() || caller.user().is_some_and(|member| may_connect(member, connection))
        })
        .collect();
    let filter = SessionFilter {
        user_id: own_only(&caller),
        ..SessionFilter::default()
    };
    let sessions = app
        .store
        .sessions(&filter, SESSIONS_SHOWN)
        .await?
        .into_iter()
        .map(SessionView::from)
        .collect::<Vec<_>>();
    let body = format!(
        "<form class=\"who\" method=\"post\" action=\"/logout\">{} ({}) <button>Log out</button></form><h1>Sluice</h1>\
         <p>Policy generation {}. <a href=\"/reviews\">Reviews</a>. The API is described at \
         <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p>\
         <h2>Connections</h2>{}<h2>Recent sessions</h2>{}",
        escaped(caller.name()),
        caller.roles().strongest(),
        state.generation,
        connections(&seen),
        table(&sessions),
    );
    Ok(page("Sluice", &body))
}

/// A page of ours: no scripts, nothing from elsewhere.
pub fn page(title: &str, body: &str) -> Response {
    let whole = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    );
    let policy = [(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    )];
    (policy, Html(whole)).into_response()
}

fn connections(connections: &[(&Entry, &Connection)]) -> String {
    if connections.is_empty() {
        return "<p>There are none yet. <code>sluice apply -f policy.toml</code> makes them.</p>".to_owned();
    }
    let rows = connections.iter().map(|(_, c)| {
        let through = c
            .pool
            .as_ref()
            .map_or_else(|| "direct".to_owned(), |pool| format!("pool {pool}"));
        cells(&[
            &c.name,
            "postgres",
            &through,
            &c.groups.join(", "),
            &c.redact.join(", "),
            &c.guardrails.join(", "),
        ])
    });
    let head = "<tr><th>name<th>type<th>through<th>groups<th>redaction<th>guardrails";
    format!("<table>{head}{}</table>", rows.collect::<String>())
}

fn table(sessions: &[SessionView]) -> String {
    if sessions.is_empty() {
        return "<p>There are none yet.</p>".to_owned();
    }
    let rows = sessions.iter().map(|s| {
        let found = s
            .findings
            .iter()
            .map(|f| format!("{} {}", f.count, f.detector))
            .collect::<Vec<_>>()
            .join(", ");
        cells(&[
            s.started_at.as_deref().unwrap_or_default(),
            &s.user,
            &s.connection,
            s.status,
            &s.statement_count.to_string(),
            &s.denied_count.to_string(),
            &s.rows.to_string(),
            &found,
            &s.id,
        ])
    });
    let head = "<tr><th>start<th>user<th>connection<th>status<th>statements<th>denied<th>rows<th>found<th>id";
    format!("<table>{head}{}</table>", rows.collect::<String>())
}

fn cells(texts: &[&str]) -> String {
    let cells: String = texts.iter().map(|text| format!("<td>{}", escaped(text))).collect();
    format!("<tr>{cells}")
}

/// Text as markup can hold it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_wrote_cannot_become_markup() {
        assert_eq!(
            cells(&["<script>alert('x')</script>&\""]),
            "<tr><td>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"
        );
    }
}
