//! The way of one request to its target and back: a socket of its own for that time, or a stream among others.

use super::trunk::Flight;
use super::upstream::Target;
use codecs::http::h1::{BodyReader, write};
use codecs::http::{BodyKind, Fields, ResponseHead};
use proto::policy::CredentialScheme;
use reactor::{Buf, Gather};
use session::http::HttpPolicy;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// A request as it goes to a target.
pub struct Asking<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub fields: &'a Fields,
    pub framing: BodyKind,
    /// The protocol that the socket shall change to.
    pub upgrade: Option<&'a [u8]>,
    pub http: &'a HttpPolicy,
    /// The target's credential is put on.
    pub swaps: bool,
}

impl Asking<'_> {
    /// Methods that have a body say so even when it is empty (RFC 9110 section 8.6).
    pub fn length(&self) -> BodyKind {
        match (self.framing, self.method) {
            (BodyKind::Empty, "POST" | "PUT" | "PATCH") => BodyKind::Length(0),
            (framing, _) => framing,
        }
    }

    /// The head in HTTP/1.1, cut where the credential goes.
    pub fn lines(&self) -> (Vec<u8>, Vec<u8>) {
        let mut before = Vec::with_capacity(HEAD_BYTES_USUAL);
        write::request_line(&mut before, self.method, self.target);
        write::field(&mut before, b"host", self.http.authority.as_bytes());
        write::fields(&mut before, self.fields);
        write::framing(&mut before, self.length());
        if let Some(protocol) = self.upgrade {
            write::field(&mut before, b"connection", b"upgrade");
            write::field(&mut before, b"upgrade", protocol);
        }
        let mut after = Vec::new();
        let scheme = self.http.credential_scheme;
        if self.swaps && scheme != CredentialScheme::Nothing {
            before.extend_from_slice(self.http.credential_header.as_bytes());
            before.extend_from_slice(match scheme {
                CredentialScheme::Bearer => b": Bearer ",
                CredentialScheme::Basic => b": Basic ",
                _ => b": ",
            });
            after.extend_from_slice(b"\r\n");
        }
        write::end(&mut after);
        (before, after)
    }
}

/// What the head of a request usually takes.
const HEAD_BYTES_USUAL: usize = 512;

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    #[error("the target's answer is malformed: {0}")]
    Malformed(#[from] codecs::http::Refused),
    #[error("the target's answer is malformed")]
    MalformedFrames,
    /// The target says so: the request can be sent again, whatever it is.
    #[error("the target did not look at the request")]
    Unprocessed,
    #[error("the target was lost: {0}")]
    Io(io::Error),
}

/// A way that was begun.
pub enum Leg {
    Socket {
        target: Rc<Target>,
        /// The body of the answer, once it has begun.
        reader: RefCell<BodyReader>,
        chunked: bool,
    },
    Stream(Flight),
}

impl Leg {
    /// Sends a request's head on a socket.
    ///
    /// # Errors
    /// The socket is gone.
    pub async fn on_socket(target: Rc<Target>, asking: &Asking<'_>) -> io::Result<Leg> {
        let (before, after) = asking.lines();
        let scheme = match asking.swaps {
            true => asking.http.credential_scheme,
            false => CredentialScheme::Nothing,
        };
        target.send_head(scheme, &before, &after).await?;
        Ok(Leg::Socket {
            target,
            reader: RefCell::new(BodyReader::response(BodyKind::Empty)),
            chunked: asking.framing == BodyKind::Chunked,
        })
    }

    /// Sends content of the request's body, framed as its head says.
    ///
    /// # Errors
    /// The target takes no more, which it may still answer.
    pub async fn send(&self, piece: Buf) -> io::Result<()> {
        match self {
            Leg::Stream(flight) => flight.send(piece).await,
            Leg::Socket { target, chunked, .. } => {
                let mut gather = Gather::new();
                if *chunked {
                    let mut head = Vec::new();
                    write::chunk_head(&mut head, piece.len());
                    gather.push_vec(head);
                    gather.push(piece);
                    gather.push_vec(b"\r\n".to_vec());
                } else {
                    gather.push(piece);
                }
                target.send(gather).await
            }
        }
    }

    /// Ends the request's body.
    ///
    /// # Errors
    /// As [`Leg::send`].
    pub async fn finish(&self) -> io::Result<()> {
        match self {
            Leg::Stream(flight) => flight.finish(),
            Leg::Socket {
                target, chunked: true, ..
            } => target.send(Gather::from(write::LAST_CHUNK.to_vec())).await?,
            Leg::Socket { .. } => {}
        }
        Ok(())
    }

    /// The next head of the answer. `None`: the target is gone without one.
    ///
    /// # Errors
    /// [`HeadError`].
    pub async fn head(&self, method: &str) -> Result<Option<ResponseHead>, HeadError> {
        match self {
            Leg::Stream(flight) => flight.head().await,
            Leg::Socket { target, reader, .. } => {
                let head = target.head(method).await?;
                if let Some(head) = &head {
                    reader.replace(BodyReader::response(head.body));
                }
                Ok(head)
            }
        }
    }

    /// Whether something of the answer is here already.
    pub fn has_more(&self) -> bool {
        match self {
            Leg::Stream(flight) => flight.has_more(),
            Leg::Socket { target, .. } => target.has_more(),
        }
    }

    /// The next content of the answer's body; `None` at its end. An end that is none is an error.
    ///
    /// # Errors
    /// [`HeadError`].
    pub async fn body(&self) -> Result<Option<Buf>, HeadError> {
        match self {
            Leg::Stream(flight) => flight.body().await,
            Leg::Socket { target, reader, .. } => {
                let piece = target.body(reader).await?;
                target.settle(&mut reader.borrow_mut())?;
                Ok(piece)
            }
        }
    }

    /// Whether the whole answer was taken.
    pub fn is_done(&self) -> bool {
        match self {
            Leg::Stream(flight) => flight.is_done(),
            Leg::Socket { reader, .. } => reader.borrow().is_done(),
        }
    }

    /// Fields after the body.
    pub fn trailers(&self) -> Fields {
        match self {
            Leg::Stream(flight) => flight.trailers(),
            Leg::Socket { reader, .. } => reader.borrow().trailers().clone(),
        }
    }

    /// The socket, if it is one.
    pub fn socket(&self) -> Option<&Rc<Target>> {
        match self {
            Leg::Socket { target, .. } => Some(target),
            Leg::Stream(_) => None,
        }
    }
}
