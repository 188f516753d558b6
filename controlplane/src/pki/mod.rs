//! The certificate authority: its keys, certificates for agents and data planes, and our own server certificate.

pub mod identity;
mod server;

pub use server::{renew_server_certificate, server_config};

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use proto::sign::{SignError, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use time::{Duration, OffsetDateTime};

use crate::limits::CSR_BYTES_MAX;
use crate::private_file;
use crate::store::enrolment::Role;

/// Name in the control plane's server certificate.
pub const CONTROLPLANE_NAME: &str = "controlplane.sluice.internal";
/// Name in data planes' certificates, which are shown to agents.
pub const DATAPLANE_NAME: &str = "dataplane.sluice.internal";
/// Life of the authority.
const CA_DAYS: i64 = 3650;
/// Certificates start this early, for peers whose clock is behind.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// Why a key or certificate could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0} is there and its key is not: restore it from a backup, or start with an empty data directory")]
    KeyMissing(PathBuf),
    #[error("{0} cannot be read as what its name says")]
    Unreadable(PathBuf),
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the certificate request is refused: {0}")]
    Request(String),
    #[error("policy key: {0}")]
    Sign(#[from] SignError),
    #[error("TLS: {0}")]
    Tls(String),
}

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate_der: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Microseconds since 1970.
    pub expires_micros: i64,
}

/// The keys of an installation.
pub struct Pki {
    ca_der: CertificateDer<'static>,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    policy_key: SigningKey,
    certificate_days: i64,
}

impl Pki {
    /// Reads the keys from `dir`, or makes them there.
    pub fn open(dir: &Path, certificate_days: u32) -> Result<Pki, PkiError> {
        private_file::make_dir(dir).map_err(|source| PkiError::File {
            path: dir.to_owned(),
            source,
        })?;
        let (key_path, ca_path) = (dir.join("ca.key"), dir.join("ca.pem"));
        let (key_file, ca_file) = (read(&key_path)?, read(&ca_path)?);
        let key = match (&key_file, &ca_file) {
            (Some(pem), _) => KeyPair::from_pem(text(&key_path, pem)?)?,
            (None, Some(_)) => return Err(PkiError::KeyMissing(ca_path)),
            (None, None) => {
                let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
                write(&key_path, key.serialize_pem().as_bytes())?;
                key
            }
        };
        let ca_pem = match ca_file {
            Some(pem) => text(&ca_path, &pem)?.to_owned(),
            // A crash between the two files leaves a key that has signed nothing yet.
            None => {
                let pem = ca_params().self_signed(&key)?.pem();
                write(&ca_path, pem.as_bytes())?;
                pem
            }
        };
        let ca_der = der_of(&ca_path, &ca_pem)?;
        Ok(Pki {
            issuer: Issuer::from_ca_cert_der(&ca_der, key)?,
            ca_der,
            ca_pem,
            policy_key: policy_key(&dir.join("policy.key"))?,
            certificate_days: i64::from(certificate_days),
        })
    }

    /// The authority's certificate, DER.
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        &self.ca_der
    }

    /// The authority's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// SHA-256 of the authority's certificate in hex: how a new agent or data plane knows us.
    pub fn ca_sha256(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.ca_der).as_ref())
    }

    /// Signs snapshots and grants.
    pub fn policy_key(&self) -> &SigningKey {
        &self.policy_key
    }

    /// Issues a certificate for the key of a request. Names are ours; whatever the request asks for is ignored.
    pub fn issue(&self, role: Role, pool: &str, id: &str, csr_der: &[u8]) -> Result<Issued, PkiError> {
        if csr_der.len() > CSR_BYTES_MAX {
            return Err(PkiError::Request(format!("it is larger than {CSR_BYTES_MAX} bytes")));
        }
        let csr = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
            .map_err(|e| PkiError::Request(e.to_string()))?;
        let uri = identity::uri(role, pool, id);
        let mut params = leaf_params(self.certificate_days)?;
        params.distinguished_name.push(DnType::CommonName, id);
        let uri = uri
            .as_str()
            .try_into()
            .map_err(|_| PkiError::Request("the name is not ASCII".to_owned()))?;
        params.subject_alt_names.push(SanType::URI(uri));
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        if role == Role::Dataplane {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            params
                .subject_alt_names
                .push(SanType::DnsName(DATAPLANE_NAME.try_into()?));
        }
        let expires = params.not_after;
        let certificate = params.signed_by(&csr.public_key, &self.issuer)?;
        Ok(Issued {
            certificate_der: certificate.der().to_vec(),
            public_key: csr.public_key.subject_public_key_info(),
            expires_micros: (expires.unix_timestamp_nanos() / 1000) as i64,
        })
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Sluice internal authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params.not_before = now() - CLOCK_SKEW;
    params.not_after = now() + Duration::days(CA_DAYS);
    params
}

fn leaf_params(days: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = now() - CLOCK_SKEW;
    params.not_after = now() + Duration::days(days);
    Ok(params)
}

/// X.509 times have whole seconds.
fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now)
}

fn policy_key(path: &Path) -> Result<SigningKey, PkiError> {
    if let Some(pkcs8) = read(path)? {
        return SigningKey::from_pkcs8(&pkcs8).map_err(|_| PkiError::Unreadable(path.to_owned()));
    }
    let (key, pkcs8) = SigningKey::generate()?;
    write(path, &pkcs8)?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, PkiError> {
    private_file::read(path).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    private_file::write(path, content).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

fn text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, PkiError> {
    std::str::from_utf8(bytes).map_err(|_| PkiError::Unreadable(path.to_owned()))
}

fn der_of(path: &Path, pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    use rustls_pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| PkiError::Unreadable(path.to_owned()))
}

#[cfg(test)]
mod tests;
