//! Who this agent is: its key, its certificate from the control plane's authority, and how both are made, kept and renewed.

mod creds;
mod csr;
mod enrol;
mod renew;
mod store;
pub mod tls;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

pub use creds::{Credentials, fingerprint};
pub use csr::KeyAndRequest;
pub use enrol::{enrol, obtain};
pub use renew::{keep_fresh, renew};
pub use store::Store;

use crate::limits;

/// DNS name in the control plane's certificate.
pub const CONTROL_PLANE_NAME: &str = "controlplane.sluice.internal";
/// DNS name in every data plane's certificate.
pub const DATA_PLANE_NAME: &str = "dataplane.sluice.internal";

/// Everything an enrolled agent holds. The key is wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct Identity {
    /// Identifier given by the control plane; also in the certificate's URI.
    pub id: String,
    /// Pool whose grants this agent may use.
    pub pool: String,
    /// `https://host:port` of the control plane.
    pub control_url: String,
    /// Data planes of the credentials file.
    pub gateways: Vec<String>,
    /// SHA-256 of the token that was used to enrol (hex), to notice a replaced credentials file.
    pub token_sha256: String,
    /// PKCS #8 private key, PEM.
    pub key_pem: Zeroizing<String>,
    /// Leaf certificate.
    pub certificate: CertificateDer<'static>,
    /// The installation's authority.
    pub ca: CertificateDer<'static>,
    /// Ed25519 public key that signs grants (32 bytes).
    pub policy_public_key: Vec<u8>,
    /// Start of the certificate's validity (milliseconds since the Unix epoch).
    pub valid_from_ms: i64,
    /// End of the certificate's validity (milliseconds since the Unix epoch).
    pub expires_at_ms: i64,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("id", &self.id)
            .field("pool", &self.pool)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Whether the certificate is still valid at `now_ms`.
    #[must_use]
    pub fn is_valid_at(&self, now_ms: i64) -> bool {
        now_ms < self.expires_at_ms
    }

    /// How long to wait from `now_ms` until two thirds of the certificate's lifetime are over.
    #[must_use]
    pub fn renew_in(&self, now_ms: i64) -> Duration {
        let lifetime = self
            .expires_at_ms
            .saturating_sub(self.valid_from_ms)
            .max(0)
            .unsigned_abs();
        let (share, whole) = limits::RENEW_AFTER;
        let age = now_ms.saturating_sub(self.valid_from_ms).max(0).unsigned_abs();
        Duration::from_millis((lifetime / whole * share).saturating_sub(age))
    }
}

/// Why the agent has no identity, by whose fault.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nothing stored and nothing to enrol with.
    #[error(
        "this agent is not enrolled and has no credentials file; make one with `sluice pools keys create POOL` and set cred_file"
    )]
    NotEnrolled,
    /// The stored certificate ran out and there is no new token.
    #[error("this agent's certificate ran out; make a new credentials file with `sluice pools keys create POOL`")]
    Expired,
    /// The credentials file is wrong.
    #[error("credentials file {path}: {what}")]
    Credentials {
        /// Path of the file.
        path: String,
        /// All mistakes.
        what: String,
    },
    /// The data directory cannot be used.
    #[error("data directory: {0}")]
    Store(String),
    /// Key or request could not be made.
    #[error("cannot make a key: {0}")]
    Key(String),
    /// The control plane could not be reached or is not the one of the credentials file.
    #[error("control plane {url}: {what}")]
    ControlPlane {
        /// Where it was tried.
        url: String,
        /// What happened.
        what: String,
        /// Whether trying again later can help.
        transient: bool,
    },
    /// The control plane's answer is not usable.
    #[error("the control plane's answer is not usable: {0}")]
    Answer(&'static str),
}

impl IdentityError {
    /// Whether trying again later can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::ControlPlane { transient: true, .. })
    }
}

/// The host's clock, in milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The bytes behind hexadecimal digits.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
