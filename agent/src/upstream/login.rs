//! Logging in to PostgreSQL: the codec decides, this file moves its bytes and runs the TLS handshake when it says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use codecs::postgres::login::{self, Nonce, ServerError, Upstream, UpstreamStep};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Place, TargetSocket, UpstreamError};
use crate::limits::{TARGET_LOGIN_BYTES_MAX, TARGET_LOGIN_TIMEOUT, TARGET_READ_BYTES_MIN};

/// A target that is logged in and idle.
pub struct Established {
    /// The socket.
    pub socket: TargetSocket,
    /// What the target said about itself.
    pub facts: login::Established,
    /// Bytes that the target sent after its login; they belong to the session.
    pub leftover: BytesMut,
}

impl Established {
    /// A target that needs no login.
    #[must_use]
    pub fn plain(socket: TargetSocket) -> Established {
        Established {
            socket,
            facts: login::Established {
                params: Vec::new(),
                cancel: None,
                notices: Vec::new(),
                minor: 0,
                columns: Vec::new(),
                relation_oid_max: 0,
            },
            leftover: BytesMut::new(),
        }
    }
}

/// Logs in on a fresh socket.
///
/// # Errors
/// [`UpstreamError`]; the whole takes at most [`TARGET_LOGIN_TIMEOUT`].
pub async fn establish(
    socket: TargetSocket,
    place: &Place,
    tls: Option<Arc<ClientConfig>>,
    config: login::UpstreamConfig,
    known_keys: Arc<login::KeyCache>,
) -> Result<Established, UpstreamError> {
    let mut nonce = Nonce::default();
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| UpstreamError::Protocol("the agent's host has no randomness".to_owned()))?;
    let talk = Talk {
        socket,
        place,
        tls,
        login: Upstream::new(config, nonce).with_known_keys(known_keys),
        input: BytesMut::new(),
        received: 0,
    };
    timed(TARGET_LOGIN_TIMEOUT, talk.run()).await
}

async fn timed<T>(limit: Duration, future: impl Future<Output = Result<T, UpstreamError>>) -> Result<T, UpstreamError> {
    timeout(limit, future)
        .await
        .map_err(|_| UpstreamError::TimedOut(limit.as_secs()))?
}

/// One login in progress.
struct Talk<'a> {
    socket: TargetSocket,
    place: &'a Place,
    tls: Option<Arc<ClientConfig>>,
    login: Upstream,
    input: BytesMut,
    received: usize,
}

impl Talk<'_> {
    async fn run(mut self) -> Result<Established, UpstreamError> {
        loop {
            match self.login.poll() {
                UpstreamStep::Need => self.feed().await?,
                UpstreamStep::Send(bytes) => self.socket.write_all(&bytes).await.map_err(lost)?,
                UpstreamStep::StartTls => self.start_tls().await?,
                UpstreamStep::Ready(facts) => {
                    return Ok(Established {
                        socket: self.socket,
                        facts,
                        leftover: self.input,
                    });
                }
                UpstreamStep::Failed { error } => return Err(refused(error)),
            }
        }
    }

    async fn feed(&mut self) -> Result<(), UpstreamError> {
        if self.input.is_empty() {
            self.socket.flush().await.map_err(lost)?;
            self.input.reserve(TARGET_READ_BYTES_MIN);
            let bytes = self.socket.read_buf(&mut self.input).await.map_err(lost)?;
            self.received = self.received.saturating_add(bytes);
            if bytes == 0 {
                return Err(UpstreamError::Closed);
            }
            if self.received > TARGET_LOGIN_BYTES_MAX {
                return Err(UpstreamError::Protocol(
                    "it sent too much before it was ready".to_owned(),
                ));
            }
        }
        let taken = self.login.feed(&self.input);
        self.input.advance(taken.min(self.input.len()));
        Ok(())
    }

    async fn start_tls(&mut self) -> Result<(), UpstreamError> {
        // Bytes in clear behind the answer to SSLRequest would be taken for encrypted ones (CVE-2021-23222).
        if !self.input.is_empty() {
            return Err(UpstreamError::Protocol(
                "it sent bytes before the TLS handshake".to_owned(),
            ));
        }
        let config = self
            .tls
            .clone()
            .ok_or_else(|| UpstreamError::Tls("not set up".to_owned()))?;
        let socket = std::mem::replace(&mut self.socket, TargetSocket::Gone);
        self.socket = encrypt(socket, &self.place.host, config).await?;
        self.login.tls_started();
        Ok(())
    }
}

/// Runs the TLS handshake on a socket whose peer has agreed to it.
///
/// # Errors
/// [`UpstreamError::Tls`].
pub async fn encrypt(
    socket: TargetSocket,
    name: &str,
    config: Arc<ClientConfig>,
) -> Result<TargetSocket, UpstreamError> {
    let TargetSocket::Tcp(socket) = socket else {
        return Err(UpstreamError::Tls("only a TCP socket can be encrypted".to_owned()));
    };
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| UpstreamError::Tls("the target's host is no name that a certificate can have".to_owned()))?;
    let stream = TlsConnector::from(config).connect(name, socket).await;
    let stream = stream.map_err(|error| UpstreamError::Tls(error.to_string()))?;
    Ok(TargetSocket::Tls(Box::new(stream)))
}

fn lost(error: std::io::Error) -> UpstreamError {
    tracing::debug!(%error, "target lost during login");
    UpstreamError::Closed
}

fn refused(error: login::UpstreamError) -> UpstreamError {
    match error {
        login::UpstreamError::Server(error) => UpstreamError::Refused {
            message: client_text(&error),
            sqlstate: error.sqlstate,
        },
        login::UpstreamError::Protocol(fault) => UpstreamError::Protocol(fault.to_string()),
    }
}

/// What the client may read of the target's refusal. Class 28 (invalid authorization) is about the connection's own
/// credentials, and its text names the target's user; everything else (unknown database, too many connections) helps.
fn client_text(error: &ServerError) -> String {
    if error.sqlstate.starts_with("28") {
        return format!(
            "the target refused the credentials configured for this connection ({})",
            error.sqlstate
        );
    }
    format!("the target refused the login: {} ({})", error.message, error.sqlstate)
}
