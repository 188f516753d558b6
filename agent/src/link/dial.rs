//! Dialling one of our own programs: name look-up, TCP, TLS against a certificate name that is not the address.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits;

/// Why a dial failed, by where it failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No name, no route, nobody listening.
    #[error("not reachable: {0}")]
    NotReachable(std::io::Error),
    /// TLS was refused by one of the two sides.
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    /// The peer speaks TLS but not HTTP/2.
    #[error("the peer does not speak HTTP/2; is it a Sluice program's port?")]
    NotHttp2,
    /// Took too long.
    #[error("no answer within {} s", limits::LINK_DIAL_TIMEOUT.as_secs())]
    TimedOut,
}

impl DialError {
    /// Whether the same dial may succeed later without anyone changing anything. A refused certificate may too: the
    /// other side can be restarting with a new one.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NotReachable(_) | Self::TimedOut)
    }
}

/// Connects to `address` (`host:port`) and makes sure that the peer's certificate is for `name`.
///
/// # Errors
/// [`DialError`]; the whole takes at most [`limits::LINK_DIAL_TIMEOUT`].
pub async fn dial(
    address: &str,
    tls: Arc<ClientConfig>,
    name: &'static str,
) -> Result<TlsStream<TcpStream>, DialError> {
    timeout(limits::LINK_DIAL_TIMEOUT, connect(address, tls, name))
        .await
        .map_err(|_| DialError::TimedOut)?
}

async fn connect(address: &str, tls: Arc<ClientConfig>, name: &'static str) -> Result<TlsStream<TcpStream>, DialError> {
    let socket = TcpStream::connect(address).await.map_err(DialError::NotReachable)?;
    socket.set_nodelay(true).map_err(DialError::NotReachable)?;
    let name = ServerName::try_from(name).map_err(|error| DialError::Tls(std::io::Error::other(error)))?;
    let stream = TlsConnector::from(tls)
        .connect(name, socket)
        .await
        .map_err(DialError::Tls)?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(DialError::NotHttp2);
    }
    Ok(stream)
}
