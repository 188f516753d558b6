//! TLS of the control listener: our own certificate, made at start and renewed in memory, and optional client certificates.

use std::sync::{Arc, RwLock};

use rcgen::{DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;

use super::{CONTROLPLANE_NAME, Pki, PkiError, leaf_params};

/// Life of the server certificate; it is renewed at half of it.
const SERVER_DAYS: i64 = 30;
/// When [`renew_server_certificate`] makes the next one.
const RENEW_AFTER: std::time::Duration = std::time::Duration::from_secs(15 * 24 * 3600);

/// The present server certificate, replaced while handshakes go on.
#[derive(Debug)]
pub struct ServerCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().ok().map(|key| key.clone())
    }
}

/// Makes the TLS side of the control listener: TLS 1.3, `h2`, client certificates of our authority verified when shown.
pub fn server_config(pki: &Pki) -> Result<(Arc<rustls::ServerConfig>, Arc<ServerCertificate>), PkiError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der().clone()).map_err(tls_error)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(tls_error)?;
    let certificate = Arc::new(ServerCertificate(RwLock::new(Arc::new(issue(pki)?))));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls_error)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate.clone());
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((Arc::new(config), certificate))
}

/// Replaces the server certificate at half of its life, for as long as the program runs.
pub async fn renew_server_certificate(pki: Arc<Pki>, certificate: Arc<ServerCertificate>) {
    loop {
        tokio::time::sleep(RENEW_AFTER).await;
        match issue(&pki) {
            Ok(fresh) => {
                if let Ok(mut current) = certificate.0.write() {
                    *current = Arc::new(fresh);
                }
            }
            Err(error) => tracing::error!(%error, "the server certificate could not be renewed"),
        }
    }
}

/// The chain ends with the authority, so that a peer that only knows its hash can verify us.
fn issue(pki: &Pki) -> Result<CertifiedKey, PkiError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = leaf_params(SERVER_DAYS)?;
    params.distinguished_name.push(DnType::CommonName, CONTROLPLANE_NAME);
    params
        .subject_alt_names
        .push(SanType::DnsName(CONTROLPLANE_NAME.try_into()?));
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let leaf = params.signed_by(&key, &pki.issuer)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(|e| PkiError::Tls(e.to_owned()))?;
    let signer = aws_lc_rs::sign::any_supported_type(&private).map_err(tls_error)?;
    Ok(CertifiedKey::new(
        vec![leaf.der().clone(), pki.ca_der().clone()],
        signer,
    ))
}

fn tls_error(error: impl std::fmt::Display) -> PkiError {
    PkiError::Tls(error.to_string())
}
