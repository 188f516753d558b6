//! Agents that the policy in force has revoked: their certificates are refused although they have not run out.

use proto::policy::Snapshot;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The list, written by the control thread and read by every core.
#[derive(Debug, Default)]
pub struct RevokedAgents(RwLock<Arc<HashSet<String>>>);

impl RevokedAgents {
    /// Takes the list of a snapshot over.
    pub fn replace(&self, snapshot: &Snapshot) {
        let ids = snapshot.revoked_agents.iter().map(|agent| agent.agent_id.clone());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ids.collect());
    }

    pub fn contains(&self, agent_id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(agent_id)
    }
}

/// Verifies agents' certificates as `inner` does, and refuses revoked agents within the handshake, so that they read why
/// (RFC 8446, section 6.2: `certificate_revoked`).
#[derive(Debug)]
pub struct Verifier {
    pub inner: Arc<dyn ClientCertVerifier>,
    pub revoked: Arc<RevokedAgents>,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        match crate::tls::agent_identity(certificate) {
            Some(agent) if self.revoked.contains(&agent.id) => Err(CertificateError::Revoked.into()),
            _ => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
