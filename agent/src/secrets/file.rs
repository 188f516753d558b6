//! `file:/path`: the content of a file on the agent's host, without its final line end.

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use super::{Secret, SecretError};
use crate::limits::SECRET_BYTES_MAX;

/// Reads the file at `path`, at most one byte more than a secret may have, so that "too large" can be told.
pub(super) async fn resolve(path: &str) -> Result<Secret, SecretError> {
    if !path.starts_with('/') {
        return Err(SecretError::FileRelative);
    }
    let unreadable = |error: std::io::Error| SecretError::FileUnreadable {
        path: path.to_owned(),
        kind: error.kind(),
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    // The whole capacity is reserved at once: a growing vector would leave copies of the secret behind.
    let mut value = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 64));
    file.take(SECRET_BYTES_MAX as u64 + 3)
        .read_to_end(&mut value)
        .await
        .map_err(unreadable)?;
    if value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    Ok(value)
}
