//! `GET` and `POST /login/cli`: a person allows a command line on their machine to act for them. It listens on a loopback port,
//! gets a code there (RFC 8252 section 7.3), and exchanges it with the secret that only it knows (PKCE).

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::no_store;
use crate::App;
use crate::agents::token::sha256;
use crate::http::auth::{Caller, Via};
use crate::http::input::encoded;
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::identity::oidc::secret;
use crate::limits::FLOW_SECONDS_MAX;
use crate::store::flows::Flow;
use crate::store::now_micros;

/// What the command line asks for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Wish {
    /// `http://127.0.0.1:PORT/…`
    #[serde(default)]
    pub redirect_uri: String,
    #[serde(default)]
    pub state: String,
    /// S256 (RFC 7636).
    #[serde(default)]
    pub code_challenge: String,
}

/// A code that waits to be exchanged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Granted {
    pub user_id: String,
    pub method: String,
    pub challenge: String,
    pub redirect_uri: String,
}

/// Asks the person.
pub fn show(caller: &Caller, wish: &Wish) -> Result<Response, Problem> {
    check(wish)?;
    person(caller)?;
    let hidden = [
        ("redirect_uri", &wish.redirect_uri),
        ("state", &wish.state),
        ("code_challenge", &wish.code_challenge),
    ]
    .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value)))
    .concat();
    let body = format!(
        "<main class=\"narrow\"><h1>Log in the command line</h1>\
         <p>A program on this machine asks to act as <strong>{}</strong>. Allow it only if you have just typed <code>sluice login</code>.</p>\
         <form method=\"post\" action=\"/login/cli\">{hidden}<button>Allow</button></form></main>",
        escaped(caller.name())
    );
    let mut response = page("Log in the command line", &body);
    // The answer to this form leads to the loopback port, which the policy of our other pages forbids.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http://127.0.0.1:*; \
                  frame-ancestors 'none'; base-uri 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    no_store(&mut response);
    Ok(response)
}

/// The person has allowed it: a code for the loopback port.
pub async fn allow(app: &App, caller: &Caller, wish: Wish) -> Result<Response, Problem> {
    check(&wish)?;
    let (user_id, method) = person(caller)?;
    let code = secret()?;
    let granted = Granted {
        user_id,
        method,
        challenge: wish.code_challenge,
        redirect_uri: wish.redirect_uri.clone(),
    };
    let flow = Flow {
        sha256: sha256(&code),
        kind: "code".to_owned(),
        user_code: None,
        expires_micros: now_micros().saturating_add(FLOW_SECONDS_MAX / 10 * 1_000_000),
        body: serde_json::to_string(&granted).map_err(|error| Problem::Internal(error.to_string()))?,
    };
    app.store.add_flow(&flow, now_micros()).await?;
    let mark = if wish.redirect_uri.contains('?') { '&' } else { '?' };
    let place = format!("{}{mark}code={code}&state={}", wish.redirect_uri, encoded(&wish.state));
    let mut response = Redirect::to(&place).into_response();
    no_store(&mut response);
    Ok(response)
}

/// Only a person who has logged in hands a login on: no token and no key does.
pub fn person(caller: &Caller) -> Result<(String, String), Problem> {
    match (caller.user(), caller.via()) {
        (Some(member), Via::Login { session, .. }) => Ok((member.user_id.clone(), session.method.clone())),
        _ => Err(Problem::Forbidden(
            "only somebody who has logged in with a name hands the login on; log out and in again".to_owned(),
        )),
    }
}

fn check(wish: &Wish) -> Result<(), Problem> {
    let rest = wish.redirect_uri.strip_prefix("http://127.0.0.1:");
    let is_loopback = rest.is_some_and(|rest| {
        let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
        port.parse::<u16>().is_ok_and(|port| port > 0)
            && path.len() < 200
            && path
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/_-.?=&".contains(&byte))
    });
    let is_text = |text: &str, bytes: std::ops::RangeInclusive<usize>| {
        bytes.contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match () {
        () if !is_loopback => Err(Problem::Request(
            "redirect_uri: must be http://127.0.0.1:PORT/…".to_owned(),
        )),
        () if !is_text(&wish.state, 8..=200) => Err(Problem::Request("state: must be 8 to 200 letters".to_owned())),
        () if !is_text(&wish.code_challenge, 43..=43) => Err(Problem::Request(
            "code_challenge: must be an S256 challenge (RFC 7636)".to_owned(),
        )),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_to_this_machine_alone() {
        let wish = |redirect_uri: &str| Wish {
            redirect_uri: redirect_uri.to_owned(),
            state: "12345678".to_owned(),
            code_challenge: "x".repeat(43),
        };
        assert!(check(&wish("http://127.0.0.1:4711/callback")).is_ok());
        assert!(check(&wish("http://127.0.0.1:1")).is_ok());
        for other in [
            "http://127.0.0.1:4711@evil.example/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1/",
            "http://127.0.0.1.evil.example:1/",
            "http://localhost:4711/",
            "https://evil.example/",
            "http://127.0.0.1:1/\r\nx",
            "http://127.0.0.1:1/#a",
        ] {
            assert!(check(&wish(other)).is_err(), "{other}");
        }
    }
}
