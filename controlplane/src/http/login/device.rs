//! `POST /api/login/device` and the page `/device` (RFC 8628): a program without a browser shows a code, a person types it
//! where they are logged in and allows it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cli::person;
use super::no_store;
use crate::App;
use crate::agents::token::{random, sha256};
use crate::http::auth::Caller;
use crate::http::meta::page::{escaped, page};
use crate::http::problem::Problem;
use crate::identity::oidc::secret;
use crate::limits::{DEVICE_POLL_SECONDS, FLOW_SECONDS_MAX};
use crate::store::flows::Flow;
use crate::store::{StoreError, now_micros};

/// Letters of codes: no vowels, so no words, and none that look alike (RFC 8628 section 6.1).
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 20^8 codes, of which few are alive, and a rate for each who guesses.
const CODE_LETTERS: usize = 8;

/// What is known of a device that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Whoever has allowed it, and how they had logged in.
    pub user_id: Option<String>,
    #[serde(default)]
    pub method: String,
    #[serde(default)]
    pub denied: bool,
    /// When it asked last.
    #[serde(default)]
    pub asked_micros: i64,
}

/// Begins a login of a device.
pub async fn begin(app: &App) -> Result<Response, Problem> {
    let device_code = secret()?;
    let user_code = user_code()?;
    let flow = Flow {
        sha256: sha256(&device_code),
        kind: "device".to_owned(),
        user_code: Some(user_code.clone()),
        expires_micros: now_micros().saturating_add(FLOW_SECONDS_MAX * 1_000_000),
        body: serde_json::to_string(&Waiting::default()).map_err(|error| Problem::Internal(error.to_string()))?,
    };
    app.store.add_flow(&flow, now_micros()).await?;
    let place = format!("{}/device", app.public_url);
    let mut response = Json(json!({
        "device_code": device_code,
        "user_code": shown(&user_code),
        "verification_uri": place,
        "verification_uri_complete": format!("{place}?user_code={}", shown(&user_code)),
        "expires_in": FLOW_SECONDS_MAX,
        "interval": DEVICE_POLL_SECONDS,
    }))
    .into_response();
    no_store(&mut response);
    Ok(response)
}

/// The code in a link, and the form's fields.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Typed {
    #[serde(default)]
    pub user_code: String,
    /// `allow` or `deny`.
    #[serde(default)]
    pub answer: String,
}

/// Asks the person for the code, and what to do.
pub fn show(caller: &Caller, typed: &Typed) -> Result<Response, Problem> {
    person(caller)?;
    Ok(form(caller, &plain(&typed.user_code), "", StatusCode::OK))
}

/// Takes the person's answer.
pub async fn answer(app: &App, caller: &Caller, typed: &Typed) -> Result<Response, Problem> {
    let (user_id, method) = person(caller)?;
    let code = plain(&typed.user_code);
    let unknown = "No device shows this code now. Codes hold for ten minutes and count once.";
    let Some(flow) = app.store.flow_by_user_code(&code, now_micros()).await? else {
        return Ok(form(caller, &code, unknown, StatusCode::NOT_FOUND));
    };
    let waiting: Waiting = serde_json::from_str(&flow.body).unwrap_or_default();
    if waiting.user_id.is_some() || waiting.denied {
        return Ok(form(caller, &code, unknown, StatusCode::NOT_FOUND));
    }
    let allowed = typed.answer == "allow";
    let decided = Waiting {
        user_id: allowed.then_some(user_id),
        method,
        denied: !allowed,
        ..waiting
    };
    let body = serde_json::to_string(&decided).map_err(|error| Problem::Internal(error.to_string()))?;
    if !app.store.change_flow(&flow, &body).await? {
        return Ok(form(
            caller,
            &code,
            "That crossed with something else: once more, please.",
            StatusCode::CONFLICT,
        ));
    }
    let word = if allowed {
        "The device is logged in."
    } else {
        "The device was refused."
    };
    let body = format!("<main class=\"narrow\"><h1>{word}</h1><p>You can close this page.</p></main>");
    let mut response = page("Device", &body);
    no_store(&mut response);
    Ok(response)
}

fn form(caller: &Caller, code: &str, word: &str, status: StatusCode) -> Response {
    let word = match word {
        "" => String::new(),
        word => format!("<p role=\"alert\" class=\"alert\">{}</p>", escaped(word)),
    };
    let body = format!(
        "<main class=\"narrow\"><h1>Log in a device</h1>{word}\
         <p>Whoever shows you this code will act as <strong>{}</strong>. Allow it only if the code stands on a screen of your own.</p>\
         <form method=\"post\" action=\"/device\">\
         <label>Code<input name=\"user_code\" value=\"{}\" autocomplete=\"off\" autocapitalize=\"characters\" required></label>\
         <button name=\"answer\" value=\"allow\">Allow</button> <button name=\"answer\" value=\"deny\">Refuse</button></form></main>",
        escaped(caller.name()),
        escaped(&shown(code)),
    );
    let mut response = page("Log in a device", &body);
    *response.status_mut() = status;
    no_store(&mut response);
    response
}

fn user_code() -> Result<String, StoreError> {
    let mut code = String::with_capacity(CODE_LETTERS);
    while code.len() < CODE_LETTERS {
        for byte in random::<16>()? {
            // Bytes above the last whole multiple would make some letters likelier.
            let is_even = usize::from(byte) < 256 / LETTERS.len() * LETTERS.len();
            if let Some(letter) = LETTERS.get(usize::from(byte) % LETTERS.len())
                && is_even
                && code.len() < CODE_LETTERS
            {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

/// As people read it: two halves.
fn shown(code: &str) -> String {
    match code.split_at_checked(CODE_LETTERS / 2) {
        Some((first, second)) if !second.is_empty() => format!("{first}-{second}"),
        _ => code.to_owned(),
    }
}

/// As people type it: in any case, with or without anything between.
fn plain(typed: &str) -> String {
    let letters = typed.chars().map(|c| c.to_ascii_uppercase());
    letters
        .filter(|c| u8::try_from(*c).is_ok_and(|byte| LETTERS.contains(&byte)))
        .take(CODE_LETTERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_typed_as_people_type() {
        let code = user_code().unwrap();
        assert_eq!(code.len(), CODE_LETTERS);
        assert_eq!(plain(&shown(&code)), code);
        assert_eq!(plain(" bcdf ghjk! "), "BCDFGHJK");
        assert_eq!(shown("BCDFGHJK"), "BCDF-GHJK");
        assert_eq!(shown("BCD"), "BCD");
        assert_ne!(user_code().unwrap(), user_code().unwrap());
    }
}
