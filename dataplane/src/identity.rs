//! Who this data plane is: keys made here, certificate from the control plane, all of it in files that only we can read.

use proto::control::EnrolReply;
use proto::sign::SigningKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name that every data plane's certificate carries; agents check it.
pub const DATAPLANE_NAME: &str = "dataplane.sluice.internal";
/// Name that the control plane's certificate carries; we check it.
pub const CONTROLPLANE_NAME: &str = "controlplane.sluice.internal";

/// What a one-time credentials file says; it also has keys that only agents need.
#[derive(Debug, Clone, Deserialize)]
pub struct Credentials {
    /// `https://HOST:PORT` of the control plane's port for data planes and agents.
    pub url: String,
    /// One-time token.
    pub token: String,
    /// SHA-256 of the authority's certificate (DER), hexadecimal.
    pub ca_sha256: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{path}: {error}")]
    Credentials { path: PathBuf, error: String },
    #[error(
        "{0} cannot be read as a key or certificate; remove the directory and enrol again with a new credentials file"
    )]
    Damaged(PathBuf),
    #[error(
        "this data plane is not enrolled and no credentials file is given: create one with `sluice pools keys create --dataplane` and name it as `cred_file`"
    )]
    NotEnrolled,
    #[error("a key could not be made: {0}")]
    Key(String),
}

/// The identity in use.
pub struct Identity {
    pub id: String,
    /// `HOST:PORT` of the control plane.
    pub control: String,
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    pub ca: CertificateDer<'static>,
    /// Ed25519 public key of snapshots and grants.
    pub policy_key: Vec<u8>,
    /// Seals audit segments.
    pub audit_key: Arc<SigningKey>,
    /// End of the certificate (milliseconds since the Unix epoch).
    pub expires_at_ms: i64,
}

/// Keys before they are certified.
pub struct NewKeys {
    pub key: rcgen::KeyPair,
    pub csr_der: Vec<u8>,
    pub audit_key: SigningKey,
    audit_pkcs8: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    id: String,
    control: String,
    policy_key: String,
    expires_at_ms: i64,
}

impl NewKeys {
    /// Makes both keys and the request for a certificate.
    pub fn make() -> Result<Self, IdentityError> {
        let key = rcgen::KeyPair::generate().map_err(|error| IdentityError::Key(error.to_string()))?;
        let csr_der = request(&key)?;
        let (audit_key, audit_pkcs8) = SigningKey::generate().map_err(|error| IdentityError::Key(error.to_string()))?;
        Ok(Self {
            key,
            csr_der,
            audit_key,
            audit_pkcs8,
        })
    }
}

fn request(key: &rcgen::KeyPair) -> Result<Vec<u8>, IdentityError> {
    let failed = |error: rcgen::Error| IdentityError::Key(error.to_string());
    let params = rcgen::CertificateParams::new(vec![DATAPLANE_NAME.to_owned()]).map_err(failed)?;
    Ok(params.serialize_request(key).map_err(failed)?.der().to_vec())
}

/// A request for the next certificate of the key that is in use.
pub fn renewal_request(identity: &Identity) -> Result<Vec<u8>, IdentityError> {
    let key =
        rcgen::KeyPair::try_from(identity.key.secret_der()).map_err(|error| IdentityError::Key(error.to_string()))?;
    request(&key)
}

/// Reads a credentials file.
pub fn read_credentials(path: &Path) -> Result<Credentials, IdentityError> {
    let text = std::fs::read_to_string(path).map_err(|error| IdentityError::File {
        path: path.into(),
        error,
    })?;
    toml::from_str(&text).map_err(|error| IdentityError::Credentials {
        path: path.into(),
        error: error.message().to_owned(),
    })
}

/// Loads the identity of an earlier enrolment, if there was one.
pub fn load(data_dir: &Path) -> Result<Option<Identity>, IdentityError> {
    let dir = dir(data_dir);
    let Some(meta) = read(&dir.join("identity.json")).transpose() else {
        return Ok(None);
    };
    let damaged = || IdentityError::Damaged(dir.clone());
    let meta: Meta = serde_json::from_slice(&meta?).map_err(|_| damaged())?;
    let file = |name: &str| read(&dir.join(name))?.ok_or_else(damaged);
    let audit_key = SigningKey::from_pkcs8(&file("audit-key.pkcs8")?).map_err(|_| damaged())?;
    Ok(Some(Identity {
        id: meta.id,
        control: meta.control,
        certificate: CertificateDer::from(file("certificate.der")?),
        key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(file("key.pkcs8")?)),
        ca: CertificateDer::from(file("ca.der")?),
        policy_key: unhex(&meta.policy_key).ok_or_else(damaged)?,
        audit_key: Arc::new(audit_key),
        expires_at_ms: meta.expires_at_ms,
    }))
}

/// Stores what the control plane answered and returns the identity.
pub fn store(data_dir: &Path, keys: NewKeys, control: &str, reply: EnrolReply) -> Result<Identity, IdentityError> {
    let dir = dir(data_dir);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|error| IdentityError::File {
            path: dir.clone(),
            error,
        })?;
    write(&dir.join("key.pkcs8"), keys.key.serialized_der())?;
    write(&dir.join("audit-key.pkcs8"), &keys.audit_pkcs8)?;
    write(&dir.join("ca.der"), &reply.ca_der)?;
    store_certificate(data_dir, control, &reply)?;
    load(data_dir)?.ok_or(IdentityError::NotEnrolled)
}

/// Stores a renewed certificate. `identity.json` is written last, so that a crash leaves the old or the new identity.
pub fn store_certificate(data_dir: &Path, control: &str, reply: &EnrolReply) -> Result<(), IdentityError> {
    let dir = dir(data_dir);
    write(&dir.join("certificate.der"), &reply.certificate_der)?;
    let meta = Meta {
        id: reply.id.clone(),
        control: control.to_owned(),
        policy_key: hex(&reply.policy_public_key),
        expires_at_ms: reply.expires_at_ms,
    };
    let text = serde_json::to_vec_pretty(&meta).map_err(|error| IdentityError::Key(error.to_string()))?;
    write(&dir.join("identity.json"), &text)
}

/// Writes a file that only its owner can read: whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&partial, path)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a hexadecimal text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

fn dir(data_dir: &Path) -> PathBuf {
    data_dir.join("identity")
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    write_private(path, bytes).map_err(|error| IdentityError::File {
        path: path.into(),
        error,
    })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IdentityError::File {
            path: path.into(),
            error,
        }),
    }
}
