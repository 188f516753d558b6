//! Enrol keys and what they buy: the first certificate of an agent or data plane, and the ones after it.

use proto::control::{EnrolReply, EnrolRequest, RenewRequest, Role as WireRole};
use serde::Serialize;

use super::token::{self, Prefix};
use crate::App;
use crate::domain::model::Kind;
use crate::pki::identity::Peer;
use crate::pki::{Issued, PkiError};
use crate::store::enrolment::{EnrolKey, Identity, Role};
use crate::store::{Store, StoreError, now_micros};

/// Longest name or version that a peer may give itself, in characters.
const PEER_TEXT_CHARS_MAX: usize = 128;
/// Bytes of an Ed25519 public key.
const AUDIT_KEY_BYTES: usize = 32;

/// Why nobody was enrolled. The peer is told the text.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("protocol version {0} is not spoken here; this control plane speaks {ours}", ours = proto::PROTOCOL_VERSION)]
    Version(u32),
    #[error("the token is not known, used up or too old")]
    Token,
    #[error("{0}")]
    Request(String),
    #[error("the identity was removed")]
    Removed,
    #[error("inside error")]
    Inside(#[source] StoreError),
    #[error("inside error")]
    Pki(#[source] PkiError),
}

impl From<StoreError> for EnrolError {
    fn from(error: StoreError) -> Self {
        EnrolError::Inside(error)
    }
}

impl From<PkiError> for EnrolError {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::Request(text) => EnrolError::Request(format!("the certificate request is refused: {text}")),
            other => EnrolError::Pki(other),
        }
    }
}

/// What a new key may do.
#[derive(Clone, Debug)]
pub struct KeyTerms {
    pub expires_in_seconds: u64,
    pub uses_max: u32,
    pub note: String,
}

/// Makes an enrol key and returns it with the token, which is kept nowhere.
pub async fn create_key(
    store: &Store,
    role: Role,
    pool: &str,
    terms: KeyTerms,
) -> Result<(EnrolKey, String), StoreError> {
    let token = token::generate(Prefix::Enrol)?;
    let now = now_micros();
    let key = EnrolKey {
        id: uuid::Uuid::now_v7().to_string(),
        role,
        pool: pool.to_owned(),
        sha256: token::sha256(&token),
        note: terms.note,
        created_micros: now,
        expires_micros: now.saturating_add(
            i64::try_from(terms.expires_in_seconds)
                .unwrap_or(0)
                .saturating_mul(1_000_000),
        ),
        uses_max: i64::from(terms.uses_max),
        uses: 0,
    };
    store.add_enrol_key(&key).await?;
    Ok((key, token))
}

/// A credentials file: where to enrol, with what, and how to know us.
#[derive(Clone, Debug, Serialize)]
pub struct Credentials {
    pub url: String,
    pub token: String,
    pub ca_sha256: String,
    pub gateways: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

impl Credentials {
    /// The credentials that go with a key's token.
    pub fn new(app: &App, key: &EnrolKey, token: &str) -> Credentials {
        Credentials {
            url: app.control_url.clone(),
            token: token.to_owned(),
            ca_sha256: app.pki.ca_sha256(),
            gateways: app.config.gateways.clone(),
            pool: (key.role == Role::Agent).then(|| key.pool.clone()),
        }
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

/// Gives a certificate to whoever shows a good token, and uses the token up.
pub async fn enrol(app: &App, request: EnrolRequest) -> Result<EnrolReply, EnrolError> {
    if request.protocol_version != proto::PROTOCOL_VERSION {
        return Err(EnrolError::Version(request.protocol_version));
    }
    let key = app
        .store
        .find_enrol_key(&token::sha256(&request.token))
        .await?
        .ok_or(EnrolError::Token)?;
    if key.role == Role::Agent && !app.publisher.state().catalog.has(Kind::Pool, &key.pool) {
        return Err(EnrolError::Request(format!("pool \"{}\" was deleted", key.pool)));
    }
    let name = text("name", &request.name)?;
    let version = text("version", &request.version)?;
    if key.role == Role::Dataplane && request.audit_public_key.len() != AUDIT_KEY_BYTES {
        return Err(EnrolError::Request(
            "a data plane must give the public key that seals its audit".to_owned(),
        ));
    }
    let id = uuid::Uuid::now_v7().to_string();
    let issued = app.pki.issue(key.role, &key.pool, &id, &request.csr_der)?;
    let identity = Identity {
        id: id.clone(),
        role: key.role,
        pool: key.pool.clone(),
        name,
        version,
        audit_public_key: request.audit_public_key,
        public_key: issued.public_key.clone(),
        enrol_key_id: key.id.clone(),
        enrolled_micros: now_micros(),
        expires_micros: issued.expires_micros,
        seen_micros: None,
    };
    if !app.store.enrol(&key, &identity).await? {
        return Err(EnrolError::Token);
    }
    tracing::info!(role = key.role.name(), %id, pool = key.pool, name = identity.name, "enrolled");
    Ok(reply(app, identity.role, &identity.pool, &id, issued))
}

/// Gives an identity its next certificate.
pub async fn renew(app: &App, peer: &Peer, request: RenewRequest) -> Result<EnrolReply, EnrolError> {
    let identity = app
        .store
        .identity(peer.role, &peer.id)
        .await?
        .ok_or(EnrolError::Removed)?;
    let issued = app
        .pki
        .issue(identity.role, &identity.pool, &identity.id, &request.csr_der)?;
    if !app
        .store
        .renew(&identity.id, &issued.public_key, issued.expires_micros)
        .await?
    {
        return Err(EnrolError::Removed);
    }
    tracing::info!(role = identity.role.name(), id = identity.id, "certificate renewed");
    Ok(reply(app, identity.role, &identity.pool, &identity.id, issued))
}

fn reply(app: &App, role: Role, pool: &str, id: &str, issued: Issued) -> EnrolReply {
    let role = match role {
        Role::Agent => WireRole::Agent,
        Role::Dataplane => WireRole::Dataplane,
    };
    EnrolReply {
        id: id.to_owned(),
        role: role.into(),
        pool: pool.to_owned(),
        certificate_der: issued.certificate_der,
        ca_der: app.pki.ca_der().to_vec(),
        policy_public_key: app.pki.policy_key().public(),
        expires_at_ms: issued.expires_micros / 1000,
    }
}

fn text(what: &str, text: &str) -> Result<String, EnrolError> {
    if text.chars().count() > PEER_TEXT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(EnrolError::Request(format!(
            "the {what} is too long or has control characters"
        )));
    }
    Ok(text.to_owned())
}
