//! Secrets at rest: sealed with a data key, which is stored sealed with the envelope key, which is never stored beside it.
//!
//! ```text
//! sealed = version(1) nonce(12) ciphertext tag(16)       AES-256-GCM; the place is authenticated, so values cannot be swapped
//! ```
//! Texts of objects that hold a literal secret are stored as `sealed:` and base64 of that.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::StoreError;
use crate::agents::token::random;
use crate::private_file;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const LITERAL: &str = "literal:";
const SEALED: &str = "sealed:";

/// The key that seals the data key: 32 bytes.
#[derive(Clone)]
pub struct EnvelopeKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnvelopeKey")
    }
}

impl EnvelopeKey {
    /// A new random key.
    pub fn generate() -> Result<EnvelopeKey, StoreError> {
        Ok(EnvelopeKey(Zeroizing::new(random()?)))
    }

    /// Reads 64 hexadecimal digits; white space around them is no part.
    pub fn from_hex(text: &str) -> Result<EnvelopeKey, StoreError> {
        let text = text.trim().as_bytes();
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if text.len() != KEY_BYTES * 2 {
            return Err(StoreError::EnvelopeKeyForm);
        }
        for (byte, digits) in key.iter_mut().zip(text.chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| StoreError::EnvelopeKeyForm)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| StoreError::EnvelopeKeyForm)?;
        }
        Ok(EnvelopeKey(key))
    }

    /// The key as 64 hexadecimal digits.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(crate::pki::hex(self.0.as_slice()))
    }

    /// Reads the key of a file (mode 0600), or makes the file when it is not there.
    pub fn open_file(path: &Path) -> Result<EnvelopeKey, StoreError> {
        let failed = |source| StoreError::File {
            path: path.to_owned(),
            source,
        };
        match private_file::read(path).map_err(failed)? {
            Some(content) => {
                let content = Zeroizing::new(content);
                EnvelopeKey::from_hex(std::str::from_utf8(&content).map_err(|_| StoreError::EnvelopeKeyForm)?)
            }
            None => {
                let key = EnvelopeKey::generate()?;
                private_file::write(path, format!("{}\n", *key.to_hex()).as_bytes()).map_err(failed)?;
                Ok(key)
            }
        }
    }

    /// Seals a data key for storage.
    pub(super) fn seal_data_key(&self, data_key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, StoreError> {
        seal(self.0.as_slice(), "data_key", data_key)
    }

    /// Opens the stored data key.
    pub(super) fn open_data_key(&self, sealed: &[u8]) -> Result<Secrets, StoreError> {
        let plain = open(self.0.as_slice(), "data_key", sealed).ok_or(StoreError::EnvelopeKeyWrong)?;
        let key: [u8; KEY_BYTES] = plain.as_slice().try_into().map_err(|_| StoreError::EnvelopeKeyWrong)?;
        Ok(Secrets(Zeroizing::new(key)))
    }
}

/// Seals and opens what is stored.
#[derive(Clone)]
pub struct Secrets(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Seals `plain` for one place (a table, column and id as a text): elsewhere it does not open.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        seal(self.0.as_slice(), place, plain)
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        open(self.0.as_slice(), place, sealed)
            .ok_or_else(|| super::unreadable(place, "it does not open with the data key"))
    }

    /// The key, for sealing it with another envelope key.
    pub(super) fn data_key(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Seals every literal secret reference in `value`, which is stored at `place`.
    pub(super) fn seal_literals(&self, place: &str, value: &mut Value) -> Result<(), StoreError> {
        each_text(value, &mut |text| {
            if text.starts_with(LITERAL) || text.starts_with(SEALED) {
                let sealed = self.seal(place, text.as_bytes())?;
                *text = format!("{SEALED}{}", BASE64_STANDARD_NO_PAD.encode(sealed));
            }
            Ok(())
        })
    }

    /// Opens what [`Secrets::seal_literals`] sealed.
    pub(super) fn open_literals(&self, place: &str, value: &mut Value) -> Result<(), StoreError> {
        each_text(value, &mut |text| {
            let Some(encoded) = text.strip_prefix(SEALED) else {
                return Ok(());
            };
            let sealed = BASE64_STANDARD_NO_PAD
                .decode(encoded)
                .map_err(|_| super::unreadable(place, "a sealed value is no base64"))?;
            let plain = self.open(place, &sealed)?;
            *text =
                String::from_utf8(plain.to_vec()).map_err(|_| super::unreadable(place, "a sealed value is no text"))?;
            Ok(())
        })
    }
}

fn each_text(
    value: &mut Value,
    change: &mut dyn FnMut(&mut String) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().try_for_each(|item| each_text(item, change)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| each_text(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn seal(key: &[u8], place: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| StoreError::Random)?;
    let mut content = plain.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut content)
        .map_err(|_| StoreError::Random)?;
    let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + content.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(nonce.as_ref());
    sealed.extend_from_slice(&content);
    Ok(sealed)
}

fn open(key: &[u8], place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let (version, rest) = sealed.split_first()?;
    let (nonce, content) = rest.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut content = Zeroizing::new(content.to_vec());
    if *version != VERSION {
        return None;
    }
    let length = key
        .open_in_place(nonce, Aad::from(place.as_bytes()), &mut content)
        .ok()?
        .len();
    content.truncate(length);
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secrets(byte: u8) -> Secrets {
        Secrets(Zeroizing::new([byte; KEY_BYTES]))
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_alone_and_not_when_changed() {
        let ours = secrets(1);
        let sealed = ours.seal("here", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_eq!(ours.open("here", &sealed).unwrap().as_slice(), b"hunter2");
        assert!(ours.open("there", &sealed).is_err());
        assert!(secrets(2).open("here", &sealed).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(ours.open("here", &changed).is_err(), "byte {place}");
            assert!(ours.open("here", &sealed[..place]).is_err(), "cut at {place}");
        }
        assert_ne!(sealed, ours.seal("here", b"hunter2").unwrap());
    }

    #[test]
    fn literals_are_sealed_wherever_they_stand() {
        let ours = secrets(1);
        let plain = json!({"a": "literal:x", "b": ["env:Y", {"c": "literal:"}], "d": "sealed:z", "e": 1, "f": null});
        let mut value = plain.clone();
        ours.seal_literals("o", &mut value).unwrap();
        let stored = value.to_string();
        assert!(!stored.contains("literal:") && stored.contains("env:Y"), "{stored}");
        ours.open_literals("o", &mut value).unwrap();
        assert_eq!(value, plain);
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("envelope.key");
        let first = EnvelopeKey::open_file(&path).unwrap();
        let again = EnvelopeKey::open_file(&path).unwrap();
        assert_eq!(first.to_hex(), again.to_hex());
        let data_key = [7; KEY_BYTES];
        let sealed = first.seal_data_key(&data_key).unwrap();
        assert_eq!(again.open_data_key(&sealed).unwrap().data_key(), &data_key);
        let other = EnvelopeKey::generate().unwrap();
        assert!(matches!(
            other.open_data_key(&sealed),
            Err(StoreError::EnvelopeKeyWrong)
        ));
        for wrong in ["", "00", &"x".repeat(64), &"é".repeat(32)] {
            assert!(EnvelopeKey::from_hex(wrong).is_err(), "{wrong}");
        }
    }
}
