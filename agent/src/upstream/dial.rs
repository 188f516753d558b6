//! A socket to the target: TCP, a Unix socket when the host is a directory, and TLS around the former.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::UpstreamError;
use crate::limits::TARGET_DIAL_TIMEOUT;

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name, address, or the absolute path of a directory with PostgreSQL's Unix socket in it.
    pub host: String,
    /// Port; also part of the Unix socket's name.
    pub port: u16,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// The leg to the target.
pub enum TargetSocket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// Moved into a handshake that did not succeed; every call fails.
    Gone,
}

impl TargetSocket {
    /// The protocol that the target chose in the TLS handshake; empty: none.
    #[must_use]
    pub fn protocol(&self) -> String {
        match self {
            Self::Tls(stream) => {
                let chosen = stream.get_ref().1.alpn_protocol().unwrap_or_default();
                String::from_utf8_lossy(chosen).into_owned()
            }
            Self::Tcp(_) | Self::Unix(_) | Self::Gone => String::new(),
        }
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

/// Reaches the target, trying each address of a name.
///
/// # Errors
/// [`UpstreamError::NotReachable`].
pub async fn dial(place: &Place) -> Result<TargetSocket, UpstreamError> {
    let failed = |what: String| UpstreamError::NotReachable {
        place: place.to_string(),
        what,
    };
    let connected = timeout(TARGET_DIAL_TIMEOUT, connect(place)).await;
    connected
        .map_err(|_| failed(format!("no answer within {} s", TARGET_DIAL_TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))
}

async fn connect(place: &Place) -> io::Result<TargetSocket> {
    if place.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", place.host.trim_end_matches('/'), place.port);
        return UnixStream::connect(path).await.map(TargetSocket::Unix);
    }
    let socket = TcpStream::connect((place.host.as_str(), place.port)).await?;
    socket.set_nodelay(true)?;
    Ok(TargetSocket::Tcp(socket))
}

impl AsyncRead for TargetSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(socket) => Pin::new(socket.as_mut()).poll_read(context, buffer),
            Self::Gone => gone(),
        }
    }
}

impl AsyncWrite for TargetSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => Pin::new(socket.as_mut()).poll_write(context, bytes),
            Self::Gone => gone(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            Self::Tls(socket) => Pin::new(socket.as_mut()).poll_write_vectored(context, pieces),
            Self::Gone => gone(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
            Self::Unix(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(socket.as_mut()).poll_flush(context),
            Self::Gone => gone(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(socket.as_mut()).poll_shutdown(context),
            Self::Gone => gone(),
        }
    }
}
