//! gRPC framing over an HTTP/2 server: messages in, messages and a status in the trailers out.
//!
//! ```text
//! message = compressed:u8 length:u32 payload          (big-endian; we neither take nor send compressed ones)
//! ```
//! Source: the protocol document "gRPC over HTTP2" of the gRPC project.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use prost::Message;
use tokio::sync::mpsc;

use crate::limits::GRPC_MESSAGE_BYTES_MAX;

/// Bytes before each message.
const PREFIX_BYTES: usize = 5;
/// Messages that wait for a peer to read them; what comes more often than that replaces or waits.
const REPLIES_WAITING_MAX: usize = 64;

/// Status codes that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 3,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: String,
}

impl Status {
    /// A status with its explanation.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status {
            code,
            message: message.into(),
        }
    }

    /// The call went well.
    pub fn ok() -> Status {
        Status::new(Code::Ok, "")
    }
}

/// Reads messages of one call.
pub struct Requests {
    body: Incoming,
    held: Vec<u8>,
}

impl Requests {
    /// Starts on a request's body.
    pub fn new(body: Incoming) -> Requests {
        Requests { body, held: Vec::new() }
    }

    /// The next message; None when the peer has ended its side.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(payload) = self.complete()? {
                let message = M::decode(&self.held[PREFIX_BYTES..PREFIX_BYTES + payload])
                    .map_err(|_| Status::new(Code::InvalidArgument, "a message cannot be read"))?;
                self.held.drain(..PREFIX_BYTES + payload);
                return Ok(Some(message));
            }
            match self.body.frame().await {
                None if self.held.is_empty() => return Ok(None),
                None => return Err(Status::new(Code::InvalidArgument, "the last message is cut off")),
                Some(Err(error)) => return Err(Status::new(Code::Unavailable, format!("the stream broke: {error}"))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// Length of the message at the front when all of it is there.
    fn complete(&self) -> Result<Option<usize>, Status> {
        let Some((flag, length)) = self.held.first().zip(self.held.get(1..PREFIX_BYTES)) else {
            return Ok(None);
        };
        if *flag != 0 {
            return Err(Status::new(Code::Unimplemented, "compressed messages are not taken"));
        }
        let length = length.iter().fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte));
        if length > GRPC_MESSAGE_BYTES_MAX {
            return Err(Status::new(
                Code::ResourceExhausted,
                format!("a message of {length} bytes is too large"),
            ));
        }
        Ok((self.held.len() >= PREFIX_BYTES + length).then_some(length))
    }
}

/// Writes messages of one call.
#[derive(Clone)]
pub struct Replies(mpsc::Sender<Result<Bytes, Status>>);

impl Replies {
    /// Sends a message; false when the peer is gone.
    pub async fn send<M: Message>(&self, message: &M) -> bool {
        self.0.send(Ok(framed(message))).await.is_ok()
    }

    /// Ends the call.
    pub async fn finish(&self, status: Status) {
        let _ = self.0.send(Err(status)).await;
    }
}

/// The body of a streamed response.
pub struct ReplyBody {
    source: Source,
    done: bool,
}

enum Source {
    Stream(mpsc::Receiver<Result<Bytes, Status>>),
    Once(Option<Bytes>, Status),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let next = match &mut self.source {
            Source::Stream(receiver) => match receiver.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(next) => next.unwrap_or_else(|| Err(Status::ok())),
            },
            Source::Once(message, status) => message.take().map_or_else(|| Err(status.clone()), Ok),
        };
        match next {
            Ok(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Err(status) => {
                self.done = true;
                Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
            }
        }
    }
}

/// A response whose messages come from the returned handle.
pub fn streamed() -> (Response<ReplyBody>, Replies) {
    let (sender, receiver) = mpsc::channel(REPLIES_WAITING_MAX);
    (response(Source::Stream(receiver)), Replies(sender))
}

/// A response of one message, or of none and a status.
pub fn unary<M: Message>(result: Result<M, Status>) -> Response<ReplyBody> {
    match result {
        Ok(message) => response(Source::Once(Some(framed(&message)), Status::ok())),
        Err(status) => response(Source::Once(None, status)),
    }
}

fn response(source: Source) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody { source, done: false });
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    response
}

fn framed<M: Message>(message: &M) -> Bytes {
    let length = message.encoded_len();
    let mut out = Vec::with_capacity(PREFIX_BYTES + length);
    out.push(0);
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.extend_from_slice(&message.encode_to_vec());
    out.into()
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from(status.code as u16));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&status.message))
        && !message.is_empty()
    {
        trailers.insert("grpc-message", message);
    }
    trailers
}

/// Everything that is not printable ASCII, and `%`, as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_in_trailers_are_percent_encoded() {
        assert_eq!(percent_encoded("100% \u{fc}\n"), "100%25 %C3%BC%0A");
        let trailers = trailers(&Status::new(Code::DataLoss, "no"));
        assert_eq!(trailers["grpc-status"], "15");
        assert_eq!(trailers["grpc-message"], "no");
        assert!(!super::trailers(&Status::ok()).contains_key("grpc-message"));
    }
}
