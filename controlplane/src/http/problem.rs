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
    /// The caller's role is not enough.
    Forbidden,
    /// There is no such thing, or the caller may not know.
    NotFound(String),
    /// What is there is in the way.
    Conflict(String, Vec<Mistake>),
    /// The body is too large.
    TooLarge,
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
            Problem::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "not allowed",
                "this needs the administrator's token".to_owned(),
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
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
