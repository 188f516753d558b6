//! Bodies and query parameters, read so that every mistake becomes a problem document.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::domain::mistake::Mistakes;
use crate::domain::read::Fields;
use crate::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use crate::store::now_micros;

/// Longest life in seconds that can be asked for: a hundred years.
const LIFE_SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;

/// Query parameters.
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(params)| Params(params))
            .map_err(|error| Problem::Request(error.body_text()))
    }
}

/// A JSON object in the body; an empty body is an empty object.
pub struct Object(pub Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = match Bytes::from_request(request, state).await {
            Ok(bytes) => bytes,
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(Problem::TooLarge),
            Err(_) => return Err(Problem::Request("the body cannot be read".to_owned())),
        };
        if bytes.is_empty() {
            return Ok(Object(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(Object(map)),
            Ok(_) => Err(Problem::Request("the body must be a JSON object".to_owned())),
            Err(error) => Err(Problem::Request(format!("the body is no JSON: {error}"))),
        }
    }
}

impl Object {
    /// Reads the object with all mistakes at once.
    pub fn read<T>(self, read: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Problem> {
        let mut mistakes = Mistakes::default();
        let mut fields = Fields::new("", self.0, &mut mistakes);
        let value = read(&mut fields);
        fields.finish();
        match mistakes.or(value) {
            Ok(value) => Ok(value),
            Err(list) => Err(Problem::Request(
                list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            )),
        }
    }
}

/// A form in the body.
pub struct FormBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for FormBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Form::<T>::from_request(request, state).await {
            Ok(Form(form)) => Ok(FormBody(form)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::TooLarge),
            Err(rejection) => Err(Problem::Request(rejection.body_text())),
        }
    }
}

/// The address that a request comes from, without its port.
pub struct Peer(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Peer(
            peer.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default(),
        ))
    }
}

/// `expires_at` or `expires_in_seconds` as microseconds since 1970; a time that is over is a mistake.
pub fn expiry(fields: &mut Fields<'_>) -> Option<i64> {
    let at = fields.text("expires_at");
    let within = fields.number("expires_in_seconds", 1, LIFE_SECONDS_MAX);
    match (at, within) {
        (Some(_), Some(_)) => {
            fields.wrong("expires_at", "give it or expires_in_seconds, not both");
            None
        }
        (Some(at), None) => {
            let micros = time_micros(&at).filter(|micros| *micros > now_micros());
            if micros.is_none() {
                fields.wrong("expires_at", "must be a time to come, in RFC 3339");
            }
            micros
        }
        (None, Some(seconds)) => Some(now_micros().saturating_add(seconds as i64 * 1_000_000)),
        (None, None) => None,
    }
}

/// A query parameter that is a time.
pub fn moment(name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let micros = time_micros(text).ok_or_else(|| Problem::Request(format!("{name} must be a time in RFC 3339")))?;
    Ok(Some(micros))
}

/// Text as one value in a query (RFC 3986, section 2.3).
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PageParams {
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

impl PageParams {
    /// Items wanted, within bounds.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(PAGE_ITEMS_DEFAULT) {
            limit @ 1..=PAGE_ITEMS_MAX => Ok(limit),
            _ => Err(Problem::Request(format!("limit must be from 1 to {PAGE_ITEMS_MAX}"))),
        }
    }

    /// The key after which the page starts.
    pub fn after(&self) -> &str {
        self.cursor.as_deref().unwrap_or_default()
    }
}

/// Part of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page out of up to `limit + 1` items; the cursor is the key of the last item shown.
    pub fn new(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(key);
        Page { items, next_cursor }
    }

    /// The same page with other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// A moment in microseconds since 1970 as RFC 3339 in UTC.
pub fn time_text(micros: i64) -> Option<String> {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()?;
    time.format(&time::format_description::well_known::Rfc3339).ok()
}

/// Microseconds since 1970 of an RFC 3339 text.
pub fn time_micros(text: &str) -> Option<i64> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways() {
        let text = "2026-11-22T09:30:00.123456Z";
        assert_eq!(time_text(time_micros(text).unwrap()).unwrap(), text);
        assert_eq!(time_micros("yesterday"), None);
    }

    #[test]
    fn a_page_says_whether_there_is_more() {
        let page = Page::new(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!((page.items, page.next_cursor.as_deref()), (vec![1, 2], Some("2")));
        let last = Page::new(vec![1, 2], 2, ToString::to_string);
        assert_eq!(last.next_cursor, None);
    }
}
