//! Secret references of a connection (`env:`, `file:`, `literal:`), resolved here and nowhere else.
//!
//! A value never appears in an error, a log line or a `Debug` output; only the scheme and the place do. The text
//! of a reference whose scheme is not known is not repeated either, because it may be a password typed by mistake.

mod env;
mod file;
mod literal;

use zeroize::Zeroizing;

use crate::limits;

/// A resolved value; wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// Schemes that the product knows by name but that this agent does not resolve.
const SCHEMES_NOT_BUILT: &[&str] = &["vault", "aws-sm", "exec", "gcp-sm", "azure-kv"];

/// Why a reference gave no value. Always a fault of the connection's configuration or of the agent's host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    /// Nothing was written.
    #[error("the secret reference is empty")]
    Empty,
    /// No scheme that means anything here.
    #[error("the secret reference has no scheme that the agent knows; write env:NAME, file:/path or literal:VALUE")]
    SchemeUnknown,
    /// A provider of the product that this agent cannot ask.
    #[error("this agent cannot resolve `{0}:` references; it knows env:, file: and literal:")]
    SchemeNotBuilt(&'static str),
    /// `env:` names a variable that is not set, or that is not valid UTF-8.
    #[error("environment variable {0} is not set for the agent")]
    EnvMissing(String),
    /// `env:` without a usable name.
    #[error("`env:` needs the name of a variable (letters, digits and _)")]
    EnvName,
    /// `file:` with a relative path.
    #[error("`file:` needs an absolute path")]
    FileRelative,
    /// The file could not be read.
    #[error("cannot read secret file {path}: {kind}")]
    FileUnreadable {
        /// The path as written in the reference.
        path: String,
        /// What the operating system said.
        kind: std::io::ErrorKind,
    },
    /// The value is larger than [`limits::SECRET_BYTES_MAX`].
    #[error("the secret is larger than {} bytes", limits::SECRET_BYTES_MAX)]
    TooLarge,
}

/// Resolves one reference to its value.
///
/// # Errors
/// [`SecretError`], whose text is safe to show to users and to log.
pub async fn resolve(reference: &str) -> Result<Secret, SecretError> {
    if reference.is_empty() {
        return Err(SecretError::Empty);
    }
    let Some((scheme, rest)) = reference.split_once(':') else {
        return Err(SecretError::SchemeUnknown);
    };
    let value = match scheme {
        "env" => env::resolve(rest)?,
        "file" => file::resolve(rest).await?,
        "literal" => literal::resolve(rest),
        other => return Err(refuse(other)),
    };
    if value.len() > limits::SECRET_BYTES_MAX {
        return Err(SecretError::TooLarge);
    }
    Ok(value)
}

/// Resolves a user name: a reference, or plain text without a colon, which is taken as it is written.
///
/// # Errors
/// As [`resolve`].
pub async fn resolve_user_name(reference: &str) -> Result<Secret, SecretError> {
    if !reference.is_empty() && !reference.contains(':') {
        return Ok(literal::resolve(reference));
    }
    resolve(reference).await
}

fn refuse(scheme: &str) -> SecretError {
    match SCHEMES_NOT_BUILT.iter().find(|known| **known == scheme) {
        Some(known) => SecretError::SchemeNotBuilt(known),
        None => SecretError::SchemeUnknown,
    }
}

#[cfg(test)]
mod tests;
