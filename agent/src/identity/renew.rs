//! The next certificate, asked for with the present one when two thirds of its life are over.

use std::sync::Arc;

use prost::Message as _;
use proto::control::RenewRequest;
use tokio::sync::watch;

use super::enrol::{accept, call};
use super::{Identity, IdentityError, KeyAndRequest, Store, now_ms, tls};
use crate::limits;
use crate::link::backoff::Backoff;

/// Asks once for a new certificate, for a new key.
///
/// # Errors
/// [`IdentityError`].
pub async fn renew(identity: &Identity, control_url: &str, name: &str) -> Result<Identity, IdentityError> {
    let made = KeyAndRequest::make(name)?;
    let request = RenewRequest { csr_der: made.csr_der }.encode_to_vec();
    let answer = call(control_url, tls::mutual(identity)?, proto::path::RENEW, &request).await?;
    let renewed = accept(&answer, made.key_pem, &identity.control_url)?;
    if renewed.id != identity.id || renewed.pool != identity.pool {
        return Err(IdentityError::Answer("it renews another agent's identity"));
    }
    Ok(Identity {
        gateways: identity.gateways.clone(),
        token_sha256: identity.token_sha256.clone(),
        ..renewed
    })
}

/// Renews for as long as the agent runs; links dialled later use what is in `current`.
///
/// The control plane being away is no reason to stop: the present certificate serves until it runs out.
pub async fn keep_fresh(
    current: Arc<watch::Sender<Arc<Identity>>>,
    store: Store,
    control_url: Option<String>,
    name: String,
) {
    let mut backoff = Backoff::new(limits::RENEW_INTERVAL_MIN, limits::ENROL_BACKOFF_MAX);
    loop {
        let identity = current.borrow().clone();
        let due = identity.renew_in(now_ms()).max(limits::RENEW_INTERVAL_MIN);
        tokio::time::sleep(due).await;
        let url = control_url.as_ref().unwrap_or(&identity.control_url);
        let renewed = match renew(&identity, url, &name).await {
            Ok(renewed) => store.save(&renewed).map(|()| renewed),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(renewed) => {
                tracing::info!(expires_at_ms = renewed.expires_at_ms, "certificate renewed");
                backoff.succeeded();
                current.send_replace(Arc::new(renewed));
            }
            Err(error) => {
                let pause = backoff.failed();
                tracing::warn!(%error, pause_ms = pause.as_millis(), "certificate not renewed yet");
                tokio::time::sleep(pause).await;
            }
        }
    }
}
