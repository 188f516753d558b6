//! TLS towards targets with libpq's meanings: `prefer` and `require` encrypt, `verify-full` also proves who the target is.
//!
//! As with libpq, an authority given for `require` is checked (chain, not name). Set-ups are kept, so that reading the
//! system's authorities happens once and TLS sessions can be resumed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use proto::policy::TlsMode;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::identity::{fingerprint, tls::provider};
use crate::limits::TARGET_TLS_KEPT_MAX;

/// Why no TLS set-up can be made: the connection's or the host's configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text behind `tls_ca` holds no certificate.
    #[error("the connection's certificate authority is no PEM certificate")]
    Authority,
    /// This host trusts nobody.
    #[error("verify-full needs an authority, and this host has none; set the connection's certificate authority")]
    NoSystemAuthorities,
    /// The library refused.
    #[error("{0}")]
    Setup(String),
}

/// TLS set-ups by mode and authority.
#[derive(Default)]
pub struct TargetTls(Mutex<HashMap<(bool, String), Arc<ClientConfig>>>);

impl TargetTls {
    /// The set-up for a mode and an optional authority (PEM).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn config(&self, mode: TlsMode, authority_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, TlsError> {
        let full = mode == TlsMode::VerifyFull;
        let key = (full, authority_pem.map(fingerprint).unwrap_or_default());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = kept.get(&key) {
            return Ok(config.clone());
        }
        if kept.len() >= TARGET_TLS_KEPT_MAX {
            kept.clear();
        }
        let config = Arc::new(build(full, authority_pem)?);
        kept.insert(key, config.clone());
        Ok(config)
    }
}

fn build(full: bool, authority_pem: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    let roots = match authority_pem {
        Some(pem) => Some(authorities(pem)?),
        None if full => Some(system_authorities()?),
        None => None,
    };
    let builder = match roots {
        Some(roots) if full => builder.with_root_certificates(roots),
        other => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ChainOnly::new(other)?)),
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.map_err(|_| TlsError::Authority)?)
            .map_err(|_| TlsError::Authority)?;
    }
    if roots.is_empty() {
        Err(TlsError::Authority)
    } else {
        Ok(roots)
    }
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err(TlsError::NoSystemAuthorities)
    } else {
        Ok(roots)
    }
}

/// Checks the chain when there is an authority, nothing when there is none; never the name.
#[derive(Debug)]
struct ChainOnly {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ChainOnly {
    fn new(roots: Option<RootCertStore>) -> Result<Self, TlsError> {
        let build = |roots| WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let chain = roots
            .map(build)
            .transpose()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        Ok(Self {
            chain,
            provider: provider(),
        })
    }
}

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is the last thing that webpki looks at, so an answer about the name means that the chain is good.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
