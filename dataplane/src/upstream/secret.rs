//! Secret references that the data plane resolves itself: `env:NAME`, `file:PATH`, `literal:TEXT`.

use super::OpenError;
use zeroize::Zeroizing;

/// The value behind a reference; empty for an empty reference. Errors name the reference, never the value.
pub fn resolve(reference: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let missing = |what: String| OpenError::ours(format!("a secret of the connection cannot be resolved: {what}"));
    let (scheme, rest) = match reference.split_once(':') {
        None if reference.is_empty() => return Ok(Zeroizing::default()),
        None => {
            return Err(missing(
                "it has none of the forms env:NAME, file:PATH, literal:TEXT".into(),
            ));
        }
        Some(parts) => parts,
    };
    match scheme {
        "literal" => Ok(Zeroizing::new(rest.as_bytes().to_vec())),
        "env" => std::env::var(rest)
            .map(|value| Zeroizing::new(value.into_bytes()))
            .map_err(|_| missing(format!("environment variable {rest} of the data plane is not set"))),
        "file" => {
            let mut value = Zeroizing::new(std::fs::read(rest).map_err(|error| missing(format!("{rest}: {error}")))?);
            while value.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                value.pop();
            }
            Ok(value)
        }
        other => Err(missing(format!(
            "the data plane knows no \"{other}:\" references, only env:, file: and literal:"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn a_file_loses_its_line_end_and_errors_hold_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(
            resolve(&format!("file:{}", path.display())).unwrap().as_slice(),
            b"s3cret"
        );
        assert_eq!(resolve("literal:a:b").unwrap().as_slice(), b"a:b");
        assert!(resolve("").unwrap().is_empty());
        let error = resolve("hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(resolve("vault:x").unwrap_err().to_string().contains("vault"));
    }
}
