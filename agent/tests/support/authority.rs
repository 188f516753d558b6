//! A certificate authority as the control plane has one.

use std::sync::Arc;

use agent::identity::{fingerprint, tls::provider};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub fn sha256(&self) -> String {
        fingerprint(&self.der)
    }

    /// TLS of a server with this DNS name; client certificates are asked for, and required when `mutual`.
    pub fn server(&self, name: &str, mutual: bool) -> Arc<ServerConfig> {
        let (chain, key) = self.leaf(name);
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = if mutual {
            verifier
        } else {
            verifier.allow_unauthenticated()
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    pub fn leaf(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![leaf.der().clone(), self.der.clone()], private)
    }

    /// Signs an agent's request as the control plane does: key from the request, names from here.
    pub fn sign(&self, csr_der: &[u8], uri: &str) -> CertificateDer<'static> {
        let request = CertificateSigningRequestDer::from(csr_der);
        let mut request = CertificateSigningRequestParams::from_der(&request).unwrap();
        request.params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.signed_by(&self.issuer).unwrap().der().clone()
    }
}
