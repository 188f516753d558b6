//! The identity on disk: one file, 0600, replaced in one step, so that key and certificate always belong together.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Identity, IdentityError, from_hex, hex};
use crate::config::read_file;

const FILE_NAME: &str = "identity.toml";

/// Where the identity is kept.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    cert_path: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    id: String,
    pool: String,
    control_url: String,
    gateways: Vec<String>,
    token_sha256: String,
    valid_from_ms: i64,
    expires_at_ms: i64,
    policy_public_key: String,
    certificate_der: String,
    ca_der: String,
    key_pem: Zeroizing<String>,
}

impl Store {
    /// A store in `dir`; a copy of the certificate also goes to `cert_path` when one is given.
    #[must_use]
    pub fn new(dir: &Path, cert_path: Option<&Path>) -> Self {
        Self {
            dir: dir.to_owned(),
            cert_path: cert_path.map(Path::to_owned),
        }
    }

    /// The stored identity; `None` when there is none yet.
    ///
    /// # Errors
    /// [`IdentityError::Store`] when the file is unreadable, damaged, or open to other users of the host.
    pub fn load(&self) -> Result<Option<Identity>, IdentityError> {
        let path = self.dir.join(FILE_NAME);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(IdentityError::Store(format!(
                "{0} is open to other users; run `chmod 600 {0}` and, if anyone else can log in here, enrol again",
                path.display()
            )));
        }
        let text = Zeroizing::new(read_file(&path).map_err(IdentityError::Store)?);
        let written: Written = toml::from_str(&text).map_err(|_| damaged(&path))?;
        written.into_identity().map(Some).ok_or_else(|| damaged(&path))
    }

    /// Writes the identity: temporary file, sync, rename, sync of the directory.
    ///
    /// # Errors
    /// [`IdentityError::Store`] with the path and what the operating system said.
    pub fn save(&self, identity: &Identity) -> Result<(), IdentityError> {
        if !self.dir.is_dir() {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(&self.dir)
                .map_err(|error| failed(&self.dir, &error))?;
        }
        let written = Written::from_identity(identity);
        let text = toml::to_string(&written).map_err(|error| IdentityError::Store(error.to_string()))?;
        replace(&self.dir.join(FILE_NAME), Zeroizing::new(text).as_bytes(), 0o600)?;
        if let Some(path) = &self.cert_path {
            replace(path, pem("CERTIFICATE", &identity.certificate).as_bytes(), 0o644)?;
        }
        Ok(())
    }
}

impl Written {
    fn from_identity(identity: &Identity) -> Self {
        Self {
            id: identity.id.clone(),
            pool: identity.pool.clone(),
            control_url: identity.control_url.clone(),
            gateways: identity.gateways.clone(),
            token_sha256: identity.token_sha256.clone(),
            valid_from_ms: identity.valid_from_ms,
            expires_at_ms: identity.expires_at_ms,
            policy_public_key: hex(&identity.policy_public_key),
            certificate_der: STANDARD.encode(&identity.certificate),
            ca_der: STANDARD.encode(&identity.ca),
            key_pem: identity.key_pem.clone(),
        }
    }

    fn into_identity(self) -> Option<Identity> {
        Some(Identity {
            id: self.id,
            pool: self.pool,
            control_url: self.control_url,
            gateways: self.gateways,
            token_sha256: self.token_sha256,
            key_pem: self.key_pem,
            certificate: CertificateDer::from(STANDARD.decode(self.certificate_der).ok()?),
            ca: CertificateDer::from(STANDARD.decode(self.ca_der).ok()?),
            policy_public_key: from_hex(&self.policy_public_key).filter(|key| key.len() == 32)?,
            valid_from_ms: self.valid_from_ms,
            expires_at_ms: self.expires_at_ms,
        })
    }
}

/// Writes `bytes` beside `path` and moves them over it, so that a reader never sees a half-written file.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => fs::File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(|error| failed(path, &error))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn failed(path: &Path, error: &std::io::Error) -> IdentityError {
    IdentityError::Store(format!("{}: {error}", path.display()))
}

fn damaged(path: &Path) -> IdentityError {
    IdentityError::Store(format!("{} is damaged; remove it and enrol again", path.display()))
}
