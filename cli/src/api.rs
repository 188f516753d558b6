//! The control plane's REST API as this program uses it: JSON in, JSON out, problems turned into failures.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{Method, Request};

use crate::failure::{Failure, Outcome};
use crate::settings::Settings;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Items asked for at once.
const PAGE_ITEMS: usize = 500;

/// A client of one control plane.
pub struct Api {
    agent: ureq::Agent,
    settings: Settings,
}

impl Api {
    /// A client with the settings; nothing is sent yet.
    pub fn new(settings: Settings) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT));
        if settings.url.starts_with("https://") {
            config = config.tls_config(tls());
        }
        Self {
            agent: config.build().into(),
            settings,
        }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// GET.
    pub fn get(&self, path: &str) -> Outcome<Value> {
        self.call(Method::GET, path, None)
    }

    /// POST.
    pub fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::POST, path, Some(body))
    }

    /// PUT.
    pub fn put(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::PUT, path, Some(body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Outcome<Value> {
        self.call(Method::DELETE, path, None)
    }

    /// POST of a form, without a token: the status and the answer, whichever they are.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> Outcome<(u16, Value)> {
        let url = format!("{}{path}", self.settings.url);
        let failed = |error: ureq::Error| unreachable_or_failed(&self.settings.url, &error);
        let mut response = self
            .agent
            .post(&url)
            .send_form(fields.iter().copied())
            .map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string().map_err(failed)?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// All items of a list, page by page, at most `most`.
    pub fn list(&self, path: &str, most: usize) -> Outcome<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let limit = PAGE_ITEMS.min(most.saturating_sub(items.len()));
            if limit == 0 {
                return Ok(items);
            }
            let mut query = vec![("limit", limit.to_string())];
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor.clone()));
            }
            let page = self.get(&with_query(path, &query))?;
            match page.get("items").and_then(Value::as_array) {
                Some(some) => items.extend(some.iter().cloned()),
                None => return Err(Failure::Failed(format!("{path}: the answer is not a list"))),
            }
            cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let url = format!("{}{path}", self.settings.url);
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header("accept", "application/json");
        if let Some(token) = &self.settings.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = match body {
            Some(body) => {
                let text = body.to_string();
                let request = request.header("content-type", "application/json").body(text);
                self.agent
                    .run(request.map_err(|error| Failure::Usage(format!("{url}: {error}")))?)
            }
            None => self.agent.run(
                request
                    .body(())
                    .map_err(|error| Failure::Usage(format!("{url}: {error}")))?,
            ),
        };
        let mut response = response.map_err(|error| unreachable_or_failed(&self.settings.url, &error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| unreachable_or_failed(&self.settings.url, &error))?;
        if (200..300).contains(&status) {
            return Ok(serde_json::from_str(&text).unwrap_or_else(|_| plain(text)));
        }
        Err(problem(status, &text, self.settings.token.is_some()))
    }
}

/// An answer that is not JSON (the exported policy) or empty.
fn plain(text: String) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        Value::String(text)
    }
}

fn tls() -> ureq::tls::TlsConfig {
    let native = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = native
        .iter()
        .map(|der| ureq::tls::Certificate::from_der(der.as_ref()).to_owned())
        .collect();
    ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(roots)))
        .build()
}

fn unreachable_or_failed(url: &str, error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Io(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Timeout(_)
        | ureq::Error::Rustls(_) => Failure::NotReachable(format!("control plane {url} is not reachable: {error}")),
        other => Failure::Failed(format!("{url}: {other}")),
    }
}

/// Turns a problem document (RFC 9457) into a failure that shows all of it.
fn problem(status: u16, text: &str, had_token: bool) -> Failure {
    let document: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let part = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .filter(|part| !part.is_empty())
    };
    let mut message = match (part("title"), part("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => format!("the control plane answered with status {status}"),
    };
    for error in document.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let colon = if part("place").is_empty() { "" } else { ": " };
        let _ = write!(message, "\n  {}{colon}{}", part("place"), part("message"));
    }
    match status {
        401 if !had_token => Failure::NotAllowed("no token; run `sluice login` or set SLUICE_TOKEN".to_owned()),
        401 | 403 => Failure::NotAllowed(message),
        _ => Failure::Failed(message),
    }
}

/// A path from segments, each encoded.
pub fn path(segments: &[&str]) -> String {
    let mut path = "/api".to_owned();
    for segment in segments {
        path.push('/');
        path.push_str(&encode(segment));
    }
    path
}

/// Adds a query; values are encoded.
pub fn with_query(path: &str, query: &[(&str, String)]) -> String {
    let mut result = path.to_owned();
    for (name, value) in query {
        result.push(if result.contains('?') { '&' } else { '?' });
        let _ = write!(result, "{name}={}", encode(value));
    }
    result
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut result, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            result.push(char::from(byte));
        } else {
            let _ = write!(result, "%{byte:02X}");
        }
        result
    })
}

/// `{"name": name}` and the given pairs whose value is there.
pub fn body(name: &str, pairs: &[(&str, Option<Value>)]) -> Value {
    let mut body = json!({ "name": name });
    for (key, value) in pairs {
        if let Some(value) = value {
            body[*key] = value.clone();
        }
    }
    body
}

#[cfg(test)]
mod tests {
    //! Tests of paths and problems.

    use super::*;

    #[test]
    fn segments_and_values_are_encoded() {
        assert_eq!(path(&["users", "a/b ü"]), "/api/users/a%2Fb%20%C3%BC");
        assert_eq!(
            with_query("/x", &[("a", "1&2".into()), ("b", "3".into())]),
            "/x?a=1%262&b=3"
        );
    }

    #[test]
    fn a_problem_shows_every_place_and_decides_the_exit_code() {
        let text = r#"{"title":"the policy was refused","detail":"1 mistake","status":422,
            "errors":[{"place":"connection \"orders\": redact","message":"unknown rule \"x\""}]}"#;
        let failure = problem(422, text, true);
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.to_string(),
            "the policy was refused: 1 mistake\n  connection \"orders\": redact: unknown rule \"x\""
        );
        assert_eq!(problem(403, "", true).exit_code(), 4);
        assert_eq!(problem(401, "{}", true).exit_code(), 4);
        assert!(problem(401, "{}", false).to_string().contains("sluice login"));
        assert_eq!(
            problem(500, "<html>", true).to_string(),
            "the control plane answered with status 500"
        );
    }

    #[test]
    fn nobody_listening_is_not_reachable() {
        let settings = Settings::resolve(Some("http://127.0.0.1:1".into()), Some("t".into())).unwrap();
        assert_eq!(Api::new(settings).get("/api/userinfo").unwrap_err().exit_code(), 3);
    }
}
