//! A fresh ECDSA P-256 key, made here, and the PKCS #10 request that asks for a certificate for it.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

use super::IdentityError;

/// A new private key and the request signed with it.
pub struct KeyAndRequest {
    /// PKCS #8, PEM.
    pub key_pem: Zeroizing<String>,
    /// PKCS #10, DER.
    pub csr_der: Vec<u8>,
}

impl KeyAndRequest {
    /// Makes a key; `name` becomes the request's common name, for people. The control plane decides all names that count.
    ///
    /// # Errors
    /// [`IdentityError::Key`] when the library cannot make the key.
    pub fn make(name: &str) -> Result<Self, IdentityError> {
        let failed = |error: rcgen::Error| IdentityError::Key(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let request = params.serialize_request(&key).map_err(failed)?;
        Ok(Self {
            key_pem: Zeroizing::new(key.serialize_pem()),
            csr_der: request.der().to_vec(),
        })
    }
}
