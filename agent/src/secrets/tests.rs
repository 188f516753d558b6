//! Tests of the secret providers.

use super::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn resolved(reference: &str) -> Result<Vec<u8>, SecretError> {
    block_on(resolve(reference)).map(|value| value.to_vec())
}

#[test]
fn a_literal_is_everything_after_the_first_colon() {
    assert_eq!(resolved("literal:a:b c").unwrap(), b"a:b c");
    assert_eq!(resolved("literal:").unwrap(), b"");
}

#[test]
fn an_environment_variable_is_read_and_a_missing_one_is_named() {
    assert_eq!(resolved("env:CARGO_PKG_NAME").unwrap(), b"agent");
    assert_eq!(
        resolved("env:SLUICE_TEST_NOT_SET").unwrap_err().to_string(),
        "environment variable SLUICE_TEST_NOT_SET is not set for the agent"
    );
    assert_eq!(resolved("env:").unwrap_err(), SecretError::EnvName);
    assert_eq!(resolved("env:A=B").unwrap_err(), SecretError::EnvName);
}

#[test]
fn a_file_loses_one_line_end_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    for (content, expected) in [
        ("x y \n", "x y "),
        ("x\n\n", "x\n"),
        ("x\r\n", "x"),
        ("x", "x"),
        ("", ""),
    ] {
        std::fs::write(&path, content).unwrap();
        let reference = format!("file:{}", path.display());
        assert_eq!(resolved(&reference).unwrap(), expected.as_bytes());
    }
}

#[test]
fn a_file_that_is_missing_relative_or_too_large_is_refused() {
    assert!(matches!(
        resolved("file:/no/such/file").unwrap_err(),
        SecretError::FileUnreadable {
            kind: std::io::ErrorKind::NotFound,
            ..
        }
    ));
    assert_eq!(resolved("file:secret").unwrap_err(), SecretError::FileRelative);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    std::fs::write(&path, vec![b'x'; limits::SECRET_BYTES_MAX + 10]).unwrap();
    let reference = format!("file:{}", path.display());
    assert_eq!(resolved(&reference).unwrap_err(), SecretError::TooLarge);
}

#[test]
fn an_unknown_scheme_is_refused_without_repeating_the_text() {
    let error = resolved("hunter2:my-password").unwrap_err();
    assert_eq!(error, SecretError::SchemeUnknown);
    assert!(!error.to_string().contains("hunter2"));
    assert!(!error.to_string().contains("my-password"));
    assert_eq!(resolved("no-scheme").unwrap_err(), SecretError::SchemeUnknown);
    assert_eq!(resolved("").unwrap_err(), SecretError::Empty);
}

#[test]
fn a_provider_that_is_not_built_says_so() {
    let error = resolved("vault:secret/data/x#y").unwrap_err();
    assert_eq!(error, SecretError::SchemeNotBuilt("vault"));
    assert!(error.to_string().contains("vault:"));
}

#[test]
fn a_user_name_may_be_plain_but_a_password_may_not() {
    let name = block_on(resolve_user_name("app")).unwrap();
    assert_eq!(name.as_slice(), b"app");
    assert!(block_on(resolve_user_name("bogus:app")).is_err());
    assert!(block_on(resolve("app")).is_err());
}
