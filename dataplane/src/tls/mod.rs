//! TLS of every leg: configurations here, the stream over a reactor socket in `stream`.

pub mod binding;
pub mod pinned;
pub mod stream;
pub mod target;

use crate::config::ClientTls;
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

/// Server side for stock clients; `None` when TLS is off.
pub fn client_server(source: &ClientTls, identity: &Identity) -> anyhow::Result<Option<ClientsTls>> {
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
        .with_single_cert(chain, key)?;
    // A client that names protocols has to name this one; one that names none is served after an SSLRequest.
    config.alpn_protocols = vec![ALPN_POSTGRESQL.to_vec()];
    Ok(Some(ClientsTls {
        config: Arc::new(config),
        channel,
    }))
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
