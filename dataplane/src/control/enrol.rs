//! The first contact: a one-time token and two new keys for an identity. Later: the next certificate.

use super::call;
use crate::identity::{self, Identity, IdentityError, NewKeys};
use crate::tls;
use anyhow::{Context, ensure};
use proto::control::{EnrolReply, EnrolRequest, RenewRequest, Role};
use std::path::Path;
use std::time::Duration;

const RETRY: Duration = Duration::from_millis(500);
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);

/// Loads the identity, or enrols with the credentials file. Runs inside a reactor.
pub async fn identity(data_dir: &Path, cred_file: Option<&Path>) -> anyhow::Result<Identity> {
    if let Some(identity) = identity::load(data_dir)? {
        return Ok(identity);
    }
    let path = cred_file.ok_or(IdentityError::NotEnrolled)?;
    let credentials = identity::read_credentials(path)?;
    let control = credentials
        .url
        .strip_prefix("https://")
        .context("the credentials' url must begin with https://")?
        .trim_end_matches('/');
    let ca_sha256 = identity::unhex(&credentials.ca_sha256).context("the credentials' ca_sha256 is not hexadecimal")?;
    let keys = NewKeys::make()?;
    let request = EnrolRequest {
        protocol_version: proto::PROTOCOL_VERSION,
        token: credentials.token,
        csr_der: keys.csr_der.clone(),
        name: host_name(),
        version: env!("CARGO_PKG_VERSION").into(),
        audit_public_key: keys.audit_key.public(),
    };
    let reply = enrol_with_retries(control, ca_sha256, &request).await?;
    ensure!(
        reply.role() == Role::Dataplane,
        "the credentials are for an agent, not for a data plane"
    );
    let identity = identity::store(data_dir, keys, control, reply)?;
    tracing::info!(id = identity.id, "enrolled");
    Ok(identity)
}

/// Asks for the next certificate once two thirds of this one's life are over. `None`: not yet.
pub async fn renew_if_due(
    control: &super::Control,
    driver: &std::rc::Rc<crate::link::driver::Driver>,
) -> anyhow::Result<()> {
    let identity = control.shared.identity();
    let left_ms = identity.expires_at_ms - (crate::core::wall_micros() / 1000) as i64;
    if left_ms > RENEW_LEFT.as_millis() as i64 {
        return Ok(());
    }
    let request = RenewRequest {
        csr_der: identity::renewal_request(&identity)?,
    };
    let reply: EnrolReply = call::unary(driver, proto::path::RENEW, &request).await?;
    let data_dir = &control.shared.config.data_dir;
    identity::store_certificate(data_dir, &identity.control, &reply)?;
    let renewed = identity::load(data_dir)?.context("the renewed identity cannot be read")?;
    let tls = crate::core::shared::TlsConfigs {
        links: tls::link_server(&renewed, control.shared.revoked.clone())?,
        clients: tls::client_server(
            &control.shared.config.client_tls,
            control.shared.config.client_certificates.as_ref(),
            &renewed,
        )?,
    };
    *control
        .shared
        .tls
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = tls;
    *control
        .shared
        .identity
        .write()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = std::sync::Arc::new(renewed);
    tracing::info!("the certificate was renewed");
    Ok(())
}

/// A certificate with less life than this is renewed.
const RENEW_LEFT: Duration = Duration::from_secs(10 * 24 * 3600);

async fn enrol_with_retries(control: &str, ca_sha256: Vec<u8>, request: &EnrolRequest) -> anyhow::Result<EnrolReply> {
    let config = tls::pinned::client(ca_sha256)?;
    let deadline = reactor::now() + RETRY_TIME_MAX;
    loop {
        let error = match call::connect(control, config.clone()).await {
            // Once connected the answer is final: the token may be used up.
            Ok(driver) => {
                return call::unary(&driver, proto::path::ENROL, request)
                    .await
                    .context("enrolment");
            }
            Err(error) => error,
        };
        if reactor::now() >= deadline {
            return Err(error.context("enrolment"));
        }
        tracing::info!(error = format!("{error:#}"), "waiting for the control plane");
        reactor::sleep(RETRY).await;
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "dataplane".into(), |name| name.trim().to_owned())
}
