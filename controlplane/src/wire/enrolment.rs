//! `Enrolment/Enroll` and `Enrolment/Renew`: certificates for agents and data planes.

use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use prost::Message;
use proto::control::{EnrolReply, EnrolRequest, RenewRequest};

use super::grpc::{Code, ReplyBody, Requests, Status, unary};
use crate::App;
use crate::agents::enrol::{self, EnrolError};
use crate::pki::identity::Peer;

/// Longest wait for the one message of a call.
const REQUEST_SECONDS_MAX: u64 = 10;

/// Answers `Enroll`.
pub async fn enrol(app: &App, body: Incoming) -> Response<ReplyBody> {
    unary(match one::<EnrolRequest>(body).await {
        Ok(request) => enrol::enrol(app, request).await.map_err(status),
        Err(status) => Err(status),
    })
}

/// Answers `Renew`.
pub async fn renew(app: &App, peer: &Peer, body: Incoming) -> Response<ReplyBody> {
    unary::<EnrolReply>(match one::<RenewRequest>(body).await {
        Ok(request) => enrol::renew(app, peer, request).await.map_err(status),
        Err(status) => Err(status),
    })
}

async fn one<M: Message + Default>(body: Incoming) -> Result<M, Status> {
    let mut requests = Requests::new(body);
    match tokio::time::timeout(Duration::from_secs(REQUEST_SECONDS_MAX), requests.next()).await {
        Ok(Ok(Some(message))) => Ok(message),
        Ok(Ok(None)) => Err(Status::new(Code::InvalidArgument, "the message is missing")),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::new(Code::Unavailable, "the message did not come in time")),
    }
}

/// What a peer is told. Inside errors are logged here and told as such.
fn status(error: EnrolError) -> Status {
    let code = match &error {
        EnrolError::Version(_) => Code::FailedPrecondition,
        EnrolError::Token => Code::Unauthenticated,
        EnrolError::Request(_) => Code::InvalidArgument,
        EnrolError::Removed => Code::PermissionDenied,
        EnrolError::Inside(inside) => {
            tracing::error!(error = %inside, "enrolling failed");
            Code::Internal
        }
        EnrolError::Pki(inside) => {
            tracing::error!(error = %inside, "enrolling failed");
            Code::Internal
        }
    };
    Status::new(code, error.to_string())
}
