//! What only the holder of a token can read again: sealed with a key made from the token, of which we keep but a hash.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;

/// Seals bytes for whoever shows the token; `what` keeps uses apart.
pub fn seal(token: &str, what: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = bytes.to_vec();
    let nonce = key(token, what)?
        .seal_in_place_append_tag(Aad::from(what.as_bytes()), &mut sealed)
        .ok()?;
    Some([nonce.as_ref().as_slice(), &sealed].concat())
}

/// Reads what [`seal`] made; `None` with another token, for another use, or when a byte was changed.
pub fn open(token: &str, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut bytes = rest.to_vec();
    let key = key(token, what)?;
    let plain = key.open_in_place(nonce, Aad::from(what.as_bytes()), &mut bytes).ok()?;
    Some(plain.to_vec())
}

/// Tokens have 256 random bits, so one HMAC derives as good a key.
fn key(token: &str, what: &str) -> Option<RandomizedNonceKey> {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()), what.as_bytes());
    RandomizedNonceKey::new(&AES_256_GCM, derived.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_reads_it_and_only_for_the_same_use() {
        let sealed = seal("sls_a", "login", b"refresh").unwrap();
        assert_eq!(open("sls_a", "login", &sealed).unwrap(), b"refresh");
        assert_eq!(open("sls_b", "login", &sealed), None);
        assert_eq!(open("sls_a", "answer", &sealed), None);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(open("sls_a", "login", &changed), None);
        assert_eq!(open("sls_a", "login", &sealed[..5]), None);
        assert_ne!(seal("sls_a", "login", b"refresh").unwrap(), sealed);
    }
}
