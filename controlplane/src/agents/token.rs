//! Tokens: 256 random bits with a prefix that says what they are, and the verifiers that are kept of them.

use std::num::NonZeroU32;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::limits::SCRAM_ITERATIONS;
use crate::store::StoreError;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// The administrator's token of an installation.
    Admin,
    /// An access token of a user.
    User,
    /// A one-time token of an agent or data plane.
    Enrol,
    /// A key for the API alone.
    ApiKey,
    /// Somebody's login.
    Login,
}

impl Prefix {
    /// The text with which such tokens begin.
    pub fn text(self) -> &'static str {
        match self {
            Prefix::Admin => "sla_",
            Prefix::User => "slu_",
            Prefix::Enrol => "sle_",
            Prefix::ApiKey => "slk_",
            Prefix::Login => "sls_",
        }
    }

    /// What a token says that it is.
    pub fn of(token: &str) -> Option<Prefix> {
        [
            Prefix::Admin,
            Prefix::User,
            Prefix::Enrol,
            Prefix::ApiKey,
            Prefix::Login,
        ]
        .into_iter()
        .find(|prefix| token.starts_with(prefix.text()))
    }
}

/// Random bytes of the system.
pub fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StoreError::Random)?;
    Ok(bytes)
}

/// A new token: the prefix and 256 random bits in 43 characters of base64url.
pub fn generate(prefix: Prefix) -> Result<String, StoreError> {
    Ok(format!(
        "{}{}",
        prefix.text(),
        BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?)
    ))
}

/// SHA-256 of a token's text. Fit for look-ups because the token has 256 random bits.
pub fn sha256(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.as_bytes()).as_ref().to_vec()
}

/// What a SCRAM-SHA-256 server keeps of a password (RFC 5802 section 3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

/// Derives the SCRAM keys of a token with [`SCRAM_ITERATIONS`]. Tokens are ASCII, so SASLprep leaves them as they are.
pub fn scram_keys(token: &str, salt: &[u8]) -> ScramKeys {
    let mut salted = [0; 32];
    let iterations = NonZeroU32::new(SCRAM_ITERATIONS).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        token.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    ScramKeys {
        stored_key: digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec(),
        server_key: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::hex;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (generate(Prefix::User).unwrap(), generate(Prefix::User).unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("slu_"));
        assert_eq!(one.len(), 4 + 43);
    }

    #[test]
    fn scram_keys_are_those_of_an_independent_implementation() {
        // Computed with Python: hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096), then hmac and sha256.
        let keys = scram_keys(
            "pencil",
            &[0x41, 0x25, 0xc2, 0x47, 0xe4, 0x3a, 0xb1, 0xe9, 0x3c, 0x6d, 0xff, 0x76],
        );
        assert_eq!(hex(&keys.stored_key), STORED_KEY);
        assert_eq!(hex(&keys.server_key), SERVER_KEY);
    }

    const STORED_KEY: &str = "14efbd8c16f7314ba4b7a8c99f38cf64e59ce68c3f3eee89b4fca3bb46aa684f";
    const SERVER_KEY: &str = "ab127549b992022e44712d09e4293f70a026ffe2316be2b0a7addfe0e1c3833a";
}
