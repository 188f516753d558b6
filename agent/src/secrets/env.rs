//! `env:NAME`: a variable of the agent's own environment.

use zeroize::Zeroizing;

use super::{Secret, SecretError};

/// Reads the variable `name`.
pub(super) fn resolve(name: &str) -> Result<Secret, SecretError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || !plain {
        return Err(SecretError::EnvName);
    }
    match std::env::var(name) {
        Ok(value) => Ok(Zeroizing::new(value.into_bytes())),
        Err(_) => Err(SecretError::EnvMissing(name.to_owned())),
    }
}
