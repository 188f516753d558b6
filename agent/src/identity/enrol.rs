//! First contact: a key made here, a request signed with it, the one-time token, and the certificate that comes back.

use std::path::Path;

use prost::Message as _;
use proto::control::{EnrolReply, EnrolRequest, Role};
use rustls_pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use super::{CONTROL_PLANE_NAME, Credentials, Identity, IdentityError, KeyAndRequest, Store, fingerprint, now_ms, tls};
use crate::config::control_address;
use crate::limits;
use crate::link::backoff::Backoff;
use crate::link::call::unary;
use crate::link::dial::dial;

/// The identity to run with: the stored one, or a new one by the credentials file. Tries again while the control plane is away.
///
/// A credentials file with another token than the one that was used replaces the stored identity; when that fails and the
/// stored one is still valid, it stays in use.
///
/// # Errors
/// [`IdentityError`] when no identity can be had without someone changing something.
pub async fn obtain(store: &Store, cred_file: Option<&Path>, name: &str) -> Result<Identity, IdentityError> {
    let stored = store.load()?.filter(|identity| identity.is_valid_at(now_ms()));
    let credentials = match cred_file {
        // A stored identity outlives its credentials file, which may be removed after use.
        Some(path) if stored.is_some() && !path.exists() => None,
        Some(path) => Some(Credentials::read(path)?),
        None => None,
    };
    match (stored, credentials) {
        (Some(identity), None) => Ok(identity),
        (Some(identity), Some(credentials)) => {
            if identity.token_sha256 == fingerprint(credentials.token.as_bytes()) {
                return Ok(identity);
            }
            match enrol_patiently(store, &credentials, name, false).await {
                Ok(identity) => Ok(identity),
                Err(error) => {
                    tracing::warn!(%error, "the new credentials file was not accepted; the stored identity stays in use");
                    Ok(identity)
                }
            }
        }
        (None, Some(credentials)) => enrol_patiently(store, &credentials, name, true).await,
        (None, None) if store.load()?.is_some() => Err(IdentityError::Expired),
        (None, None) => Err(IdentityError::NotEnrolled),
    }
}

async fn enrol_patiently(
    store: &Store,
    credentials: &Credentials,
    name: &str,
    patient: bool,
) -> Result<Identity, IdentityError> {
    let mut backoff = Backoff::new(limits::ENROL_BACKOFF_MIN, limits::ENROL_BACKOFF_MAX);
    loop {
        match enrol(credentials, name).await {
            Ok(identity) => {
                store.save(&identity)?;
                tracing::info!(agent = %identity.id, pool = %identity.pool, "enrolled");
                return Ok(identity);
            }
            Err(error) if patient && error.is_transient() => {
                let pause = backoff.failed();
                tracing::warn!(%error, pause_ms = pause.as_millis(), "not enrolled yet");
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Enrols once.
///
/// # Errors
/// [`IdentityError`]; the token is in none of its texts.
pub async fn enrol(credentials: &Credentials, name: &str) -> Result<Identity, IdentityError> {
    let made = KeyAndRequest::make(name)?;
    let request = EnrolRequest {
        protocol_version: proto::PROTOCOL_VERSION,
        token: credentials.token.as_str().to_owned(),
        csr_der: made.csr_der,
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        audit_public_key: Vec::new(),
    };
    let request = Zeroizing::new(request.encode_to_vec());
    let config = tls::pinned(&credentials.ca_sha256)?;
    let answer = call(&credentials.url, config, proto::path::ENROL, &request).await?;
    let identity = accept(&answer, made.key_pem, &credentials.url)?;
    if fingerprint(&identity.ca) != super::hex(&credentials.ca_sha256) {
        return Err(IdentityError::Answer(
            "its authority is not the one of the credentials file",
        ));
    }
    Ok(Identity {
        gateways: credentials.gateways.clone(),
        token_sha256: fingerprint(credentials.token.as_bytes()),
        ..identity
    })
}

/// One unary call to the control plane.
pub(super) async fn call(
    url: &str,
    config: std::sync::Arc<rustls::ClientConfig>,
    path: &str,
    request: &[u8],
) -> Result<Vec<u8>, IdentityError> {
    let failed = |what: String, transient| IdentityError::ControlPlane {
        url: url.to_owned(),
        what,
        transient,
    };
    let address = control_address(url).ok_or_else(|| failed("is not https://host:port".to_owned(), false))?;
    let socket = dial(address, config, CONTROL_PLANE_NAME)
        .await
        .map_err(|error| failed(error.to_string(), error.is_transient()))?;
    unary(socket, path, request)
        .await
        .map_err(|error| failed(error.to_string(), error.is_transient()))
}

/// Checks an issued identity: right role, readable certificate for our own key, usable policy key.
pub(super) fn accept(answer: &[u8], key_pem: Zeroizing<String>, url: &str) -> Result<Identity, IdentityError> {
    let reply = EnrolReply::decode(answer).map_err(|_| IdentityError::Answer("it cannot be read"))?;
    if reply.role != Role::Agent as i32 {
        return Err(IdentityError::Answer(
            "the token is not for an agent but for a data plane",
        ));
    }
    if reply.policy_public_key.len() != 32 {
        return Err(IdentityError::Answer("its policy key has not 32 bytes"));
    }
    if reply.pool.is_empty() || reply.id.is_empty() {
        return Err(IdentityError::Answer("it names no pool or no identifier"));
    }
    let (_, certificate) = parse_x509_certificate(&reply.certificate_der)
        .map_err(|_| IdentityError::Answer("its certificate cannot be read"))?;
    let key = rcgen::KeyPair::from_pem(&key_pem).map_err(|error| IdentityError::Key(error.to_string()))?;
    if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err(IdentityError::Answer("its certificate is for another key"));
    }
    let validity = certificate.validity();
    let (valid_from_ms, expires_at_ms) = (
        validity.not_before.timestamp().saturating_mul(1000),
        validity.not_after.timestamp().saturating_mul(1000),
    );
    Ok(Identity {
        id: reply.id,
        pool: reply.pool,
        control_url: url.to_owned(),
        gateways: Vec::new(),
        token_sha256: String::new(),
        key_pem,
        certificate: CertificateDer::from(reply.certificate_der),
        ca: CertificateDer::from(reply.ca_der),
        policy_public_key: reply.policy_public_key,
        valid_from_ms,
        expires_at_ms,
    })
}
