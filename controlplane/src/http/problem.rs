//! Errors of the API as RFC 9457 problem documents: what the caller is told, and what only the log says.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::mistake::Mistake;
use crate::domain::plan::PlanError;
use crate::publish::PublishError;
use crate::store::StoreError;

/// A refused or failed request.
#[derive(Debug, PartialEq)]
pub enum Problem {
    /// The request itself is wrong.
    Request(String),
    /// No token, or one that nobody has.
    Unauthenticated,
    /// A name and a password that do not go together, or a locked account: never said which.
    Credentials,
    /// The caller may not, and why.
    Forbidden(String),
    /// There is no such thing, or the caller may not know.
    NotFound(String),
    /// What is there is in the way.
    Conflict(String, Vec<Mistake>),
    /// The route has no such method; those that it has.
    Method(String),
    /// The object is not the one that the caller has seen.
    Changed,
    /// The body is too large.
    TooLarge,
    /// Too many requests: seconds to wait.
    TooMany(u64),
    /// The policy is wrong, with places.
    Policy(Vec<Mistake>),
    /// Our fault; the text goes to the log only.
    Internal(String),
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "<[Mistake]>::is_empty")]
    errors: &'a [Mistake],
}

impl Problem {
    /// There is no such object.
    pub fn missing(what: &str, name: &str) -> Problem {
        Problem::NotFound(format!(
            "there is no {what} \"{}\"",
            name.chars().take(80).collect::<String>()
        ))
    }

    /// The one place that decides what a caller is told.
    fn told(&self) -> (StatusCode, &'static str, &'static str, String, &[Mistake]) {
        match self {
            Problem::Request(detail) => (
                StatusCode::BAD_REQUEST,
                "request",
                "the request is wrong",
                detail.clone(),
                &[],
            ),
            Problem::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "authentication",
                "a valid token is needed",
                "send it as Authorization: Bearer TOKEN".to_owned(),
                &[],
            ),
            Problem::Credentials => (
                StatusCode::UNAUTHORIZED,
                "authentication",
                "the login was refused",
                "name or password is wrong, or the account is locked for a while after too many attempts".to_owned(),
                &[],
            ),
            Problem::Forbidden(detail) => (StatusCode::FORBIDDEN, "forbidden", "not allowed", detail.clone(), &[]),
            Problem::Method(allowed) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "the route has no such method",
                format!("it has {allowed}"),
                &[],
            ),
            Problem::Changed => (
                StatusCode::PRECONDITION_FAILED,
                "changed",
                "the object has changed",
                "read it again: If-Match does not name what is there now".to_owned(),
                &[],
            ),
            Problem::TooMany(seconds) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many",
                "too many requests",
                format!("try again in {seconds} s"),
                &[],
            ),
            Problem::NotFound(detail) => (StatusCode::NOT_FOUND, "not-found", "not found", detail.clone(), &[]),
            Problem::Conflict(detail, errors) => (
                StatusCode::CONFLICT,
                "conflict",
                "what is there is in the way",
                detail.clone(),
                errors,
            ),
            Problem::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "the body is too large",
                format!("at most {} bytes", crate::limits::REQUEST_BYTES_MAX),
                &[],
            ),
            Problem::Policy(errors) => {
                let detail = match errors.as_slice() {
                    [only] => only.to_string(),
                    several => format!("{} mistakes", several.len()),
                };
                (
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "policy",
                    "the policy was refused",
                    detail,
                    errors,
                )
            }
            Problem::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "inside error",
                "the control plane's log says more".to_owned(),
                &[],
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Problem::Internal(inside) = &self {
            tracing::error!(error = inside, "a request failed");
        }
        let (status, kind, title, detail, errors) = self.told();
        let document = Document {
            r#type: format!("urn:sluice:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail,
            errors,
        };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        let extra = match &self {
            Problem::Unauthenticated | Problem::Credentials => Some((header::WWW_AUTHENTICATE, "Bearer".to_owned())),
            Problem::Method(allowed) => Some((header::ALLOW, allowed.clone())),
            Problem::TooMany(seconds) => Some((header::RETRY_AFTER, seconds.to_string())),
            _ => None,
        };
        if let Some((name, value)) = extra
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(name, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Problem::Internal(error.to_string())
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused(mistakes) => Problem::Policy(mistakes),
            PublishError::TooHigh(_) => Problem::Request(error.to_string()),
            PublishError::TooLarge(_) => Problem::Policy(vec![Mistake {
                place: String::new(),
                message: error.to_string(),
            }]),
            PublishError::Store(error) => error.into(),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Wrong(mistakes) => Problem::Policy(mistakes),
            PlanError::NotOwned(mistakes) => {
                Problem::Conflict("the file names objects that it does not own".to_owned(), mistakes)
            }
        }
    }
}
