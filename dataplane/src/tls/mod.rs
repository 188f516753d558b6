//! TLS of every leg: configurations here, the stream over a reactor socket in `stream`.

pub mod binding;
pub mod pinned;
pub mod stream;
pub mod target;

use crate::config::{ClientCertificates, ClientTls};
use crate::identity::Identity;
use crate::link::revoked::{RevokedAgents, Verifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

const ALPN_H2: &[u8] = b"h2";
/// What a PostgreSQL client names (IANA, "TLS Application-Layer Protocol Negotiation (ALPN) Protocol IDs").
pub const ALPN_POSTGRESQL: &[u8] = b"postgresql";

/// How stock clients get TLS.
#[derive(Clone)]
pub struct ClientsTls {
    pub config: Arc<ServerConfig>,
    /// The same for PostgreSQL: clients may show a certificate where authorities for such are configured.
    pub postgres: Arc<ServerConfig>,
    /// What a login can be bound to; `None`: the certificate's signature defines nothing.
    pub channel: Option<Vec<u8>>,
}

/// Who is at the other end of an agent's link, from its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    pub pool: String,
    pub id: String,
}

/// Server side of agents' links: our certificate, and theirs demanded and not revoked.
pub fn link_server(identity: &Identity, revoked: Arc<RevokedAgents>) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = Arc::new(default_provider());
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(identity)?), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(Verifier { inner, revoked }))
        .with_single_cert(chain(identity), identity.key.clone_key())?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// Client side of the connection to the control plane.
pub fn control_client(identity: &Identity) -> anyhow::Result<Arc<ClientConfig>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(identity)?)
        .with_client_auth_cert(chain(identity), identity.key.clone_key())?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// Server side for stock clients; `None` when TLS is off. Certificates of clients are verified within the handshake, so that one that
/// has run out or is of another authority is refused there (RFC 8446, section 6.2).
pub fn client_server(
    source: &ClientTls,
    certificates: Option<&ClientCertificates>,
    identity: &Identity,
) -> anyhow::Result<Option<ClientsTls>> {
    let (chain, key) = match source {
        ClientTls::Off => return Ok(None),
        ClientTls::Issued => (chain(identity), identity.key.clone_key()),
        ClientTls::Files { certificate, key } => {
            let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
            (chain, PrivateKeyDer::from_pem_file(key)?)
        }
    };
    let channel = chain
        .first()
        .and_then(|certificate| binding::tls_server_end_point(certificate));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key.clone_key())?;
    // A client that names protocols has to name this one; one that names none is served after an SSLRequest.
    config.alpn_protocols = vec![ALPN_POSTGRESQL.to_vec()];
    let config = Arc::new(config);
    let postgres = match certificates {
        None => config.clone(),
        Some(certificates) => Arc::new(with_client_certificates(certificates, chain, key)?),
    };
    Ok(Some(ClientsTls {
        config,
        postgres,
        channel,
    }))
}

fn with_client_certificates(
    certificates: &ClientCertificates,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> anyhow::Result<ServerConfig> {
    let mut authorities = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(&certificates.authority)? {
        authorities.add(authority?)?;
    }
    anyhow::ensure!(
        !authorities.is_empty(),
        "{}: holds no certificate",
        certificates.authority.display()
    );
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN_POSTGRESQL.to_vec()];
    Ok(config)
}

/// Whether a certificate is for this user: its common name, or one of its alternative names of the kinds e-mail, DNS and URI, is the
/// user's name (RFC 5280, section 4.2.1.6).
pub fn is_for_user(certificate: &CertificateDer<'_>, user: &str) -> bool {
    use x509_parser::extensions::GeneralName;
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return false;
    };
    let mut common = parsed.subject().iter_common_name();
    if common.any(|name| name.as_str() == Ok(user)) {
        return true;
    }
    let Ok(Some(alternative)) = parsed.subject_alternative_name() else {
        return false;
    };
    alternative.value.general_names.iter().any(|name| match name {
        GeneralName::RFC822Name(name) | GeneralName::DNSName(name) | GeneralName::URI(name) => *name == user,
        _ => false,
    })
}

/// A certificate as the record names it: the SHA-256 of its bytes, as tools show it.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `sluice://agent/POOL/ID` from a verified certificate.
pub fn agent_identity(certificate: &CertificateDer<'_>) -> Option<AgentIdentity> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let uri = parsed
        .valid_uri_names()
        .find_map(|uri| uri.strip_prefix("sluice://agent/"))?;
    let (pool, id) = uri.split_once('/')?;
    let plain = |part: &str| !part.is_empty() && !part.contains('/');
    (plain(pool) && plain(id)).then(|| AgentIdentity {
        pool: pool.to_owned(),
        id: id.to_owned(),
    })
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    vec![identity.certificate.clone(), identity.ca.clone()]
}

fn roots(identity: &Identity) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca.clone())?;
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(common: &str, alternative: &[&str]) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common);
        for name in alternative {
            params
                .subject_alt_names
                .push(rcgen::SanType::Rfc822Name((*name).try_into().unwrap()));
        }
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_is_for_whom_it_names_and_nobody_else() {
        let alice = certificate("alice", &["alice@example.com"]);
        assert!(is_for_user(&alice, "alice") && is_for_user(&alice, "alice@example.com"));
        for other in ["", "Alice", "alic", "alice2", "example.com", "*"] {
            assert!(!is_for_user(&alice, other), "{other}");
        }
        assert!(!is_for_user(&CertificateDer::from(vec![1, 2, 3]), "alice"));
        assert_eq!(fingerprint(&alice).len(), 64);
    }
}
