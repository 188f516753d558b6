//! A byte stream to a peer, plain or in TLS, with one surface.

use crate::tls::stream::{TlsState, TlsStream};
use reactor::{Buf, Gather, RecvFuture, SendFuture, Socket};
use rustls_pki_types::CertificateDer;
use std::io;
use std::os::fd::OwnedFd;

/// A stream on this core.
pub enum Transport {
    Plain(Socket),
    Tls(TlsStream),
}

/// A receive that was started where that is possible, so that it is submitted together with a send.
pub enum NextRecv {
    Started(RecvFuture),
    NotStarted,
}

/// A stream on its way to another core.
pub struct Parcel {
    fd: OwnedFd,
    tls: Option<TlsState>,
}

impl Transport {
    /// The peer's certificate, if it has shown one that was verified.
    pub fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.peer_certificate(),
        }
    }

    /// The next bytes; empty at the end of the stream.
    pub async fn recv(&self) -> io::Result<Buf> {
        match self {
            Self::Plain(socket) => socket.recv().await,
            Self::Tls(stream) => stream.recv().await,
        }
    }

    /// Whether nothing has arrived that was not taken, see [`Socket::is_quiet`].
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_quiet(),
            Self::Tls(stream) => stream.is_quiet(),
        }
    }

    /// Arms a receive, see [`Socket::listen`].
    pub fn listen(&self) {
        match self {
            Self::Plain(socket) => socket.listen(),
            Self::Tls(stream) => stream.listen(),
        }
    }

    /// Starts the next receive; finish it with [`Transport::recv_finish`].
    pub fn recv_start(&self) -> NextRecv {
        match self {
            Self::Plain(socket) => NextRecv::Started(socket.recv_start()),
            Self::Tls(_) => NextRecv::NotStarted,
        }
    }

    /// Waits for a receive that was started.
    pub async fn recv_finish(&self, next: NextRecv) -> io::Result<Buf> {
        match next {
            NextRecv::Started(future) => future.await,
            // Rarely small: the state of a TLS stream that reads.
            NextRecv::NotStarted => Box::pin(self.recv()).await,
        }
    }

    /// As [`Transport::send_start`], where that needs no waiting; gives the pieces back otherwise.
    pub fn try_send(&self, gather: Gather) -> Result<io::Result<Option<SendFuture>>, Gather> {
        match self {
            Self::Plain(socket) => Ok(Ok(Some(socket.send(gather)))),
            Self::Tls(stream) => stream.try_send(gather),
        }
    }

    /// Queues a send; waits only where it is more than a TLS stream encrypts ahead. A queued one leaves with the next receive
    /// in one call to the kernel, and is not over before [`finish`] says so.
    pub async fn send_start(&self, gather: Gather) -> io::Result<Option<SendFuture>> {
        match self {
            Self::Plain(socket) => Ok(Some(socket.send(gather))),
            Self::Tls(stream) => stream.send_start(gather).await,
        }
    }

    /// Sends everything, in order.
    pub async fn send(&self, gather: Gather) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.send(gather).await,
            Self::Tls(stream) => stream.send(gather).await,
        }
    }

    /// Ends our side after what was sent.
    pub async fn shutdown(&self) {
        match self {
            Self::Plain(socket) => socket.shutdown_write(),
            // The peer may be gone already; there is nobody left to tell.
            Self::Tls(stream) => drop(stream.shutdown().await),
        }
    }

    /// Packs the stream for another core. No operation may be in flight.
    pub fn pack(self) -> io::Result<Parcel> {
        let (socket, tls) = match self {
            Self::Plain(socket) => (socket, None),
            Self::Tls(stream) => {
                let (socket, tls) = stream.into_parts();
                (socket, Some(tls))
            }
        };
        Ok(Parcel {
            fd: socket.into_fd()?,
            tls,
        })
    }
}

impl Parcel {
    /// Unpacks the stream on the core that it shall live on.
    pub fn unpack(self) -> io::Result<Transport> {
        let socket = Socket::from_fd(self.fd)?;
        Ok(match self.tls {
            None => Transport::Plain(socket),
            Some(tls) => Transport::Tls(TlsStream::from_parts(socket, tls)),
        })
    }
}

/// Waits for a send that was queued.
pub async fn finish(sending: Option<SendFuture>) -> io::Result<()> {
    match sending {
        Some(sending) => sending.await,
        None => Ok(()),
    }
}
