//! Passwords of local users: argon2id (RFC 9106), kept as PHC strings.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use crate::agents::token::random;
use crate::limits::{
    ARGON2_MEMORY_KIB, ARGON2_PASSES, LOCK_SECONDS_FIRST, LOCK_SECONDS_MAX, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN,
    PASSWORD_FAILURES_MAX,
};
use crate::store::StoreError;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What is wrong with a password that somebody wants to have.
pub fn mistake(password: &str) -> Option<String> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Some(format!("must have at least {PASSWORD_CHARS_MIN} characters"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Some(format!("must have at most {PASSWORD_BYTES_MAX} bytes"));
    }
    None
}

/// Hashes a password with a new salt. It takes a while: not on a thread that serves.
pub fn hash(password: &str) -> Result<String, StoreError> {
    let salt = random::<SALT_BYTES>()?;
    let hash = derive(password, &salt, ARGON2_MEMORY_KIB, ARGON2_PASSES).ok_or(StoreError::Random)?;
    Ok(format!(
        "$argon2id$v=19$m={ARGON2_MEMORY_KIB},t={ARGON2_PASSES},p=1${}${}",
        BASE64_STANDARD_NO_PAD.encode(salt),
        BASE64_STANDARD_NO_PAD.encode(hash)
    ))
}

/// Whether a password is the one that was hashed, by the parameters that the hash names.
pub fn verify(password: &str, phc: &str) -> bool {
    let checked = || {
        let parts: Vec<&str> = phc.split('$').collect();
        let ["", "argon2id", "v=19", params, salt, hash] = parts.as_slice() else {
            return None;
        };
        let mut numbers = params.split(',').zip(["m=", "t=", "p="]);
        let mut number = || {
            numbers
                .next()
                .and_then(|(text, name)| text.strip_prefix(name)?.parse::<u32>().ok())
        };
        let (memory, passes, lanes) = (number()?, number()?, number()?);
        let salt = BASE64_STANDARD_NO_PAD.decode(salt).ok()?;
        let expected = BASE64_STANDARD_NO_PAD.decode(hash).ok()?;
        let found = derive(password, &salt, memory, passes)?;
        (lanes == 1 && verify_slices_are_equal(&found, &expected).is_ok()).then_some(())
    };
    password.len() <= PASSWORD_BYTES_MAX && checked().is_some()
}

/// Spends the time of a check, so that nobody learns from it who has a password.
pub fn pretend(password: &str) {
    if password.len() <= PASSWORD_BYTES_MAX {
        let _ = derive(password, &[0; SALT_BYTES], ARGON2_MEMORY_KIB, ARGON2_PASSES);
    }
}

/// Until when so many failures in a row lock (microseconds since 1970); 0: not.
pub fn locked_until(failures: i64, now_micros: i64) -> i64 {
    if failures < PASSWORD_FAILURES_MAX {
        return 0;
    }
    let doublings = u32::try_from(failures - PASSWORD_FAILURES_MAX)
        .unwrap_or(u32::MAX)
        .min(20);
    let seconds = LOCK_SECONDS_FIRST.saturating_mul(1 << doublings).min(LOCK_SECONDS_MAX);
    now_micros.saturating_add(seconds * 1_000_000)
}

fn derive(password: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Option<[u8; HASH_BYTES]> {
    let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).ok()?;
    let mut out = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let phc = hash("correct horse battery").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery", &phc));
        assert!(!verify("correct horse batterz", &phc));
        assert!(!verify("", &phc));
        assert_ne!(hash("correct horse battery").unwrap(), phc);
        for broken in [
            "",
            "$argon2id$v=19$m=1,t=2$x$y",
            "$argon2i$v=19$m=19456,t=2,p=1$AA$AA",
            "$$$$$",
        ] {
            assert!(!verify("x", broken), "{broken}");
        }
    }

    /// Made with Python's argon2-cffi: `argon2.low_level.hash_secret(b"password", b"somesaltsomesalt", 2, 65536, 1, 32, Type.ID)`.
    #[test]
    fn hashes_of_another_implementation_are_understood() {
        assert!(verify("password", OTHER));
        assert!(!verify("Password", OTHER));
    }

    const OTHER: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$/DO3gTkjHTS3Fia9YkXB1y76GQrWBcPYFmpyrc7fosI";

    #[test]
    fn failures_in_a_row_lock_longer_and_longer_and_not_for_ever() {
        assert_eq!(locked_until(PASSWORD_FAILURES_MAX - 1, 7), 0);
        let seconds = |failures| locked_until(failures, 0) / 1_000_000;
        assert_eq!(seconds(PASSWORD_FAILURES_MAX), LOCK_SECONDS_FIRST);
        assert_eq!(seconds(PASSWORD_FAILURES_MAX + 1), 2 * LOCK_SECONDS_FIRST);
        assert_eq!(seconds(i64::MAX), LOCK_SECONDS_MAX);
    }

    #[test]
    fn short_and_endless_passwords_are_not_taken() {
        assert!(mistake("short").is_some());
        assert!(mistake(&"x".repeat(PASSWORD_BYTES_MAX + 1)).is_some());
        assert_eq!(mistake("twelve chars"), None);
    }
}
