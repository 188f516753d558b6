//! `Idempotency-Key` on POST: the same request sent again gets the answer of the first one, and nothing is done twice.
//!
//! The answer is kept for a day, sealed with a key made from what the caller showed: it may hold a token that is shown only once.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::{Caller, shown};
use super::problem::Problem;
use crate::App;
use crate::agents::token::sha256;
use crate::identity::seal;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, KEPT_ANSWER_BYTES_MAX, KEPT_ANSWER_SECONDS, REQUEST_BYTES_MAX};
use crate::store::answers::{Begun, Kept};
use crate::store::now_micros;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const USE: &str = "kept answer";

/// A request that is to be done once.
#[derive(Clone, Debug)]
pub struct Once {
    /// Hash of caller, route and key.
    place: Vec<u8>,
    /// What seals the answer: the caller's token and the key.
    secret: String,
}

impl Once {
    /// What the headers ask for; `None` without the header.
    pub fn of(caller: &Caller, path: &str, headers: &HeaderMap) -> Result<Option<Once>, Problem> {
        let Some(key) = headers.get(HEADER) else {
            return Ok(None);
        };
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| {
            Problem::Request(format!(
                "Idempotency-Key: must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible letters"
            ))
        })?;
        let who = caller.user_id().unwrap_or("admin");
        Ok(Some(Once {
            place: sha256(&format!("{who}\n{path}\n{key}")),
            secret: format!("{}\n{key}", shown(path, headers).unwrap_or_default()),
        }))
    }

    /// Runs the request, or gives the answer that it had.
    pub async fn run<F>(self, app: &App, request: Request, run: impl FnOnce(Request) -> F) -> Result<Response, Problem>
    where
        F: Future<Output = Response>,
    {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| Problem::TooLarge)?;
        let asked = [parts.uri.to_string().as_bytes(), b"\n", &body].concat();
        let asked = sha256(&String::from_utf8_lossy(&asked));
        let now = now_micros();
        match app
            .store
            .begin_answer(&self.place, &asked, now, now - KEPT_ANSWER_SECONDS * 1_000_000)
            .await?
        {
            Begun::New => {}
            Begun::Other => {
                let detail = "this Idempotency-Key was used for another request";
                return Err(Problem::Conflict(detail.to_owned(), Vec::new()));
            }
            Begun::Pending => {
                let detail = "the request with this Idempotency-Key is being carried out, or its end is not known";
                return Err(Problem::Conflict(detail.to_owned(), Vec::new()));
            }
            Begun::Done(kept) => return self.replayed(kept),
        }
        let response = run(Request::from_parts(parts, Body::from(body))).await;
        self.kept(app, response).await
    }

    /// Keeps an answer and gives it. What failed inside may be tried again.
    async fn kept(&self, app: &App, response: Response) -> Result<Response, Problem> {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX)
            .await
            .map_err(|error| Problem::Internal(error.to_string()))?;
        let sealed = seal::seal(&self.secret, USE, &bytes).filter(|_| bytes.len() <= KEPT_ANSWER_BYTES_MAX);
        match sealed {
            Some(sealed) if !parts.status.is_server_error() => {
                let kind = parts
                    .headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|kind| kind.to_str().ok());
                let kept = Kept {
                    status: i64::from(parts.status.as_u16()),
                    content_type: kind.unwrap_or_default().to_owned(),
                    sealed,
                };
                app.store.end_answer(&self.place, &kept).await?;
            }
            _ => app.store.forget_answer(&self.place).await?,
        }
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }

    fn replayed(&self, kept: Kept) -> Result<Response, Problem> {
        let Some(bytes) = seal::open(&self.secret, USE, &kept.sealed) else {
            let detail = "the answer was kept for another token than the one shown";
            return Err(Problem::Conflict(detail.to_owned(), Vec::new()));
        };
        let status = u16::try_from(kept.status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok());
        let mut response = (status.unwrap_or(StatusCode::OK), Bytes::from(bytes)).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if let Ok(kind) = HeaderValue::from_str(&kept.content_type)
            && !kept.content_type.is_empty()
        {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}
