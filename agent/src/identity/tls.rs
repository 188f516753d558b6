//! TLS of the agent's own connections: to a control plane known only by its authority's digest, and mutual TLS afterwards.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::{Identity, IdentityError};

/// The protocol of every connection of ours.
const ALPN: &[u8] = b"h2";

/// The one provider of cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// For enrolment: trusts exactly the authority whose certificate has this SHA-256; shows no certificate of its own.
///
/// # Errors
/// [`IdentityError::Key`] when the library refuses the set-up.
pub fn pinned(ca_sha256: &[u8]) -> Result<Arc<ClientConfig>, IdentityError> {
    let verifier = PinnedAuthority {
        ca_sha256: ca_sha256.to_vec(),
        provider: provider(),
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// For links and renewals: trusts the installation's authority and shows the agent's certificate.
///
/// # Errors
/// [`IdentityError::Key`] when the stored key and certificate do not belong together.
pub fn mutual(identity: &Identity) -> Result<Arc<ClientConfig>, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca.clone()).map_err(refused)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|_| IdentityError::Key("the stored key cannot be read".to_owned()))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.certificate.clone()], key)
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn refused(error: rustls::Error) -> IdentityError {
    IdentityError::Key(error.to_string())
}

/// Accepts a server whose chain carries the authority with the known digest and is signed by it for the right name.
#[derive(Debug)]
struct PinnedAuthority {
    ca_sha256: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let digest = |der: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let authority = intermediates
            .iter()
            .find(|certificate| digest(certificate).as_ref() == self.ca_sha256.as_slice())
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
