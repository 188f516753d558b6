//! Cancelling what a session is doing: a socket of its own to the same target with the key that the agent kept.

use std::sync::Arc;

use codecs::postgres::login::{CancelKey, cancel_request};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::login::encrypt;
use super::{Place, UpstreamError, dial};
use crate::limits::TARGET_CANCEL_TIMEOUT;

/// What it takes to cancel a session's statement. The key leaves the agent only towards the target.
pub struct CancelHandle {
    /// The session's target.
    pub place: Place,
    /// The key that the target gave at login.
    pub key: CancelKey,
    /// How the session's own socket was encrypted; the key is worth the same protection.
    pub tls: Option<Arc<ClientConfig>>,
}

impl CancelHandle {
    /// Asks the target once. It gives no answer; it closes the socket when it has taken the request.
    ///
    /// # Errors
    /// [`UpstreamError`] when the request could not be delivered.
    pub async fn cancel(&self) -> Result<(), UpstreamError> {
        let limit = TARGET_CANCEL_TIMEOUT;
        timeout(limit, self.deliver())
            .await
            .map_err(|_| UpstreamError::TimedOut(limit.as_secs()))?
    }

    async fn deliver(&self) -> Result<(), UpstreamError> {
        let mut socket = dial(&self.place).await?;
        if let Some(config) = &self.tls {
            let mut answer = [0_u8; 1];
            socket
                .write_all(&SSL_REQUEST)
                .await
                .map_err(|_| UpstreamError::Closed)?;
            socket
                .read_exact(&mut answer)
                .await
                .map_err(|_| UpstreamError::Closed)?;
            if answer != *b"S" {
                return Err(UpstreamError::Tls("the target no longer offers it".to_owned()));
            }
            socket = encrypt(socket, &self.place.host, config.clone()).await?;
        }
        socket
            .write_all(&cancel_request(&self.key))
            .await
            .map_err(|_| UpstreamError::Closed)?;
        socket.flush().await.map_err(|_| UpstreamError::Closed)?;
        // The end of the target's side says that the postmaster has handled it; a reset says the same.
        let _ = socket.read(&mut [0_u8; 1]).await;
        Ok(())
    }
}

/// Length 8, code 80877103 (PostgreSQL, "Message Formats", SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
