//! One unary gRPC call over a connection of its own: enrolment and renewal.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tunnel::{GrpcStatus, Limits, Mux};

use super::drive::{Link, drive};
use super::stream::{Incoming, Stream};
use crate::limits::{CALL_ANSWER_BYTES_MAX, CONTROL_CALL_TIMEOUT};

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server said no, and why.
    #[error("{message} ({status})")]
    Refused {
        /// Its status code.
        status: GrpcStatus,
        /// Its words.
        message: String,
    },
    /// The connection ended first.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Took longer than [`CONTROL_CALL_TIMEOUT`].
    #[error("no answer within {} s", CONTROL_CALL_TIMEOUT.as_secs())]
    TimedOut,
    /// Ended well without an answer.
    #[error("the server ended the call without an answer")]
    Empty,
}

impl CallError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                matches!(
                    status,
                    GrpcStatus::Unavailable | GrpcStatus::ResourceExhausted | GrpcStatus::Internal
                )
            }
            Self::Lost(_) | Self::TimedOut => true,
            Self::Empty => false,
        }
    }
}

/// Sends `request` to `path` on `socket` and returns the answer's bytes.
///
/// # Errors
/// [`CallError`].
pub async fn unary<S: AsyncRead + AsyncWrite>(socket: S, path: &str, request: &[u8]) -> Result<Vec<u8>, CallError> {
    let limits = Limits {
        message_bytes_max: CALL_ANSWER_BYTES_MAX,
        ..Limits::default()
    };
    let link = Link::new(Mux::<BytesMut>::client(limits));
    let asking = async {
        let stream = link.open(path).map_err(|error| CallError::Lost(error.to_string()))?;
        stream.send_message(request);
        stream.finish(GrpcStatus::Ok, "");
        answer(&stream).await
    };
    let both = async {
        tokio::select! {
            answer = asking => answer,
            end = drive(socket, &link, |_| ()) => Err(CallError::Lost(end.to_string())),
        }
    };
    timeout(CONTROL_CALL_TIMEOUT, both)
        .await
        .map_err(|_| CallError::TimedOut)?
}

async fn answer(stream: &Stream) -> Result<Vec<u8>, CallError> {
    let mut answer = None;
    loop {
        match stream.next().await {
            Incoming::Message(message) => answer = Some(message),
            Incoming::Data(data) => stream.release(data.len()),
            Incoming::Half => {}
            Incoming::Closed {
                status: GrpcStatus::Ok, ..
            } => return answer.ok_or(CallError::Empty),
            Incoming::Closed { status, message } => {
                return Err(CallError::Refused { status, message });
            }
        }
    }
}
