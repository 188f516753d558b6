//! Signatures over snapshots, grants and audit seals: Ed25519 with a domain prefix for each use.

use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::policy::{SignedGrant, SignedSnapshot, Snapshot, TargetGrant};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use prost::Message;

/// What a signature is for; a signature for one use never passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Snapshot,
    Grant,
    AuditSeal,
    /// The summary of a stored session.
    SessionRecord,
}

impl Use {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Snapshot => b"sluice-snapshot-v1\0",
            Self::Grant => b"sluice-grant-v1\0",
            Self::AuditSeal => b"sluice-audit-seal-v1\0",
            Self::SessionRecord => b"sluice-session-record-v1\0",
        }
    }
}

/// Why signed bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("the signature does not match the installation's policy key")]
    BadSignature,
    #[error("the signed content cannot be read: {0}")]
    Unreadable(String),
    #[error("the signed content has {0} bytes, above the bound of {SNAPSHOT_BYTES_MAX}")]
    TooLong(usize),
    #[error("the key cannot be read")]
    BadKey,
}

/// A private signing key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Makes a new key and returns it with its PKCS #8 form for storage.
    pub fn generate() -> Result<(Self, Vec<u8>), SignError> {
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).map_err(|_| SignError::BadKey)?;
        let bytes = pkcs8.as_ref().to_vec();
        Ok((Self::from_pkcs8(&bytes)?, bytes))
    }

    /// Reads a key from its PKCS #8 form.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, SignError> {
        Ed25519KeyPair::from_pkcs8(bytes)
            .map(Self)
            .map_err(|_| SignError::BadKey)
    }

    /// The public half, 32 bytes.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// Signature over `content` for one use, 64 bytes.
    pub fn sign(&self, usage: Use, content: &[u8]) -> Vec<u8> {
        self.0.sign(&prefixed(usage, content)).as_ref().to_vec()
    }

    /// Encodes and signs a snapshot.
    pub fn sign_snapshot(&self, snapshot: &Snapshot) -> SignedSnapshot {
        let bytes = snapshot.encode_to_vec();
        let signature = self.sign(Use::Snapshot, &bytes);
        SignedSnapshot {
            snapshot: bytes,
            signature,
        }
    }

    /// Encodes and signs a target grant.
    pub fn sign_grant(&self, grant: &TargetGrant) -> SignedGrant {
        let bytes = grant.encode_to_vec();
        let signature = self.sign(Use::Grant, &bytes);
        SignedGrant {
            grant: bytes,
            signature,
        }
    }
}

/// Checks a signature made by [`SigningKey::sign`].
pub fn verify(public: &[u8], usage: Use, content: &[u8], signature: &[u8]) -> Result<(), SignError> {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(&prefixed(usage, content), signature)
        .map_err(|_| SignError::BadSignature)
}

/// Checks and decodes a snapshot.
pub fn open_snapshot(public: &[u8], signed: &SignedSnapshot) -> Result<Snapshot, SignError> {
    if signed.snapshot.len() > SNAPSHOT_BYTES_MAX {
        return Err(SignError::TooLong(signed.snapshot.len()));
    }
    verify(public, Use::Snapshot, &signed.snapshot, &signed.signature)?;
    Snapshot::decode(&signed.snapshot[..]).map_err(|error| SignError::Unreadable(error.to_string()))
}

/// Checks and decodes a target grant. The caller checks expiry and pool.
pub fn open_grant(public: &[u8], signed: &SignedGrant) -> Result<TargetGrant, SignError> {
    verify(public, Use::Grant, &signed.grant, &signed.signature)?;
    TargetGrant::decode(&signed.grant[..]).map_err(|error| SignError::Unreadable(error.to_string()))
}

fn prefixed(usage: Use, content: &[u8]) -> Vec<u8> {
    [usage.prefix(), content].concat()
}
