//! The bytes below HTTP: a socket of this core, or a stream of an agent's link.

use crate::link::driver::{Incoming, Stream, StreamEnd};
use crate::transport::{self, Transport};
use crate::upstream::{Upstream, linked};
use proto::Message as _;
use proto::tunnel::session_frame::Kind;
use proto::tunnel::{EndCause, Put, SessionFrame};
use reactor::{Buf, Gather, SendFuture};
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// A byte stream to a client or a target.
pub enum Pipe {
    Socket(Rc<Transport>),
    Linked {
        stream: Stream,
        /// Received and not acknowledged yet.
        unreleased: Cell<usize>,
    },
}

impl From<Upstream> for Pipe {
    fn from(way: Upstream) -> Pipe {
        match way {
            Upstream::Direct(transport) => Pipe::Socket(Rc::new(transport)),
            Upstream::Linked(stream) => Pipe::Linked {
                stream,
                unreleased: Cell::new(0),
            },
        }
    }
}

fn lost(end: StreamEnd) -> io::Error {
    io::Error::other(end.message)
}

impl Pipe {
    /// Sends bytes in order.
    pub async fn send(&self, gather: Gather) -> io::Result<()> {
        let sending = self.send_start(gather).await?;
        transport::finish(sending).await
    }

    /// Queues bytes, see [`Transport::send_start`].
    pub async fn send_start(&self, gather: Gather) -> io::Result<Option<SendFuture>> {
        match self {
            Pipe::Socket(transport) => transport.send_start(gather).await,
            Pipe::Linked { stream, .. } => {
                for piece in gather {
                    stream.send_data(piece).await.map_err(lost)?;
                }
                Ok(None)
            }
        }
    }

    /// Asks the agent to write the credential here.
    ///
    /// # Errors
    /// There is no agent.
    pub fn put(&self, put: Put) -> io::Result<()> {
        match self {
            Pipe::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
            Pipe::Linked { stream, .. } => {
                let kind = Some(Kind::Put(put));
                stream.send_message(&SessionFrame { kind }.encode_to_vec());
                Ok(())
            }
        }
    }

    /// The next bytes; empty at the end. Asking for more says that what came before has gone on.
    pub async fn recv(&self) -> io::Result<Buf> {
        match self {
            Pipe::Socket(transport) => transport.recv().await,
            Pipe::Linked { stream, unreleased } => {
                let done = unreleased.take();
                if done > 0 {
                    stream.release(done);
                }
                loop {
                    match stream.next().await {
                        Ok(Incoming::Data(data)) => {
                            unreleased.set(data.len());
                            return Ok(data);
                        }
                        Ok(Incoming::Message(message)) => match linked::control_message(&message) {
                            Some(Kind::End(end)) if end.cause() == EndCause::Failed => {
                                return Err(io::Error::other(end.message));
                            }
                            Some(Kind::End(end))
                                if end.cause() == EndCause::UpstreamLost && end.message != linked::CLOSED =>
                            {
                                return Err(io::Error::other(end.message));
                            }
                            Some(Kind::End(_)) => return Ok(Buf::new()),
                            _ => {}
                        },
                        Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                    }
                }
            }
        }
    }

    /// Arms the receive that will get what comes next, see [`reactor::Socket::listen`].
    pub fn listen(&self) {
        if let Pipe::Socket(transport) = self {
            transport.listen();
        }
    }

    /// Whether the peer is there and nothing has arrived that was not taken.
    pub fn is_quiet(&self) -> bool {
        match self {
            Pipe::Socket(transport) => transport.is_quiet(),
            Pipe::Linked { stream, .. } => stream.is_quiet(),
        }
    }

    /// Whether an agent stands between.
    pub fn is_linked(&self) -> bool {
        matches!(self, Pipe::Linked { .. })
    }

    /// Ends our side.
    pub async fn shutdown(&self) {
        match self {
            Pipe::Socket(transport) => transport.shutdown().await,
            Pipe::Linked { stream, .. } => stream.finish(),
        }
    }
}
