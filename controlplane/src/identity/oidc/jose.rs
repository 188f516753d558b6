//! Signed tokens of an identity provider (JWS compact form, RFC 7515; keys, RFC 7517), read strictly: asymmetric algorithms
//! alone, and a key only for the algorithm that it is of.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Value};

use crate::limits::{JWKS_KEYS_MAX, JWT_BYTES_MAX};

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token's algorithm is not one of RS256, PS256, ES256, EdDSA")]
    Algorithm,
    #[error("the token names a key that the provider does not have")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
}

/// The algorithms of signatures that are taken (RFC 7518 section 3, RFC 8037). `none` and those with a shared secret are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn from_name(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "PS256" => Some(Algorithm::Ps256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

/// The provider's keys for signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks {
    keys: Vec<Key>,
}

impl Jwks {
    /// Reads a set of keys (RFC 7517 section 5). Keys that are not for signatures, of other kinds or broken are left out.
    pub fn parse(json: &[u8]) -> Option<Jwks> {
        let set: Value = serde_json::from_slice(json).ok()?;
        let keys = set.get("keys")?.as_array()?;
        Some(Jwks {
            keys: keys.iter().take(JWKS_KEYS_MAX).filter_map(key_of).collect(),
        })
    }

    /// The claims of a token, if one of these keys has signed it.
    pub fn verify(&self, token: &str) -> Result<Map<String, Value>, JoseError> {
        if token.len() > JWT_BYTES_MAX {
            return Err(JoseError::Malformed("it is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JoseError::Malformed("it has not three parts"));
        };
        let fields = object(header)?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::from_name).ok_or(JoseError::Algorithm)?;
        if fields.contains_key("crit") || fields.contains_key("b64") {
            return Err(JoseError::Malformed("it wants extensions"));
        }
        if text("typ").is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
            return Err(JoseError::Malformed("it is no JWT"));
        }
        let signed = token.get(..header.len() + 1 + payload.len());
        let signed = signed.ok_or(JoseError::Malformed("it is cut"))?;
        let signature = decoded(signature)?;
        let key = self.key(text("kid"), algorithm)?;
        if !key.has_signed(algorithm, signed.as_bytes(), &signature) {
            return Err(JoseError::Signature);
        }
        object(payload)
    }

    /// The key that is named; without a name, the only one that there is for the algorithm.
    fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, JoseError> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| id.is_none_or(|id| key.id.as_deref() == Some(id)) && key.is_for(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(JoseError::UnknownKey),
        }
    }
}

impl Key {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let fits = match &self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        fits && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn has_signed(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let params: &RsaParameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                let key = RsaPublicKeyComponents {
                    n: modulus.as_slice(),
                    e: exponent.as_slice(),
                };
                key.verify(params, signed, signature).is_ok()
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(signed, signature)
                .is_ok(),
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point)
                .verify(signed, signature)
                .is_ok(),
        }
    }
}

fn key_of(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if text("use").is_some_and(|used| used != "sig") {
        return None;
    }
    let algorithm = match text("alg") {
        None => None,
        Some(name) => Some(Algorithm::from_name(name)?),
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rsa {
            modulus: bytes("n")?,
            exponent: bytes("e")?,
        },
        ("EC", Some("P-256")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            Material::P256([&[4][..], &x, &y].concat())
        }
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key {
        id: text("kid").map(str::to_owned),
        algorithm,
        material,
    })
}

fn decoded(part: &str) -> Result<Vec<u8>, JoseError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JoseError::Malformed("a part is no base64url"))
}

/// A JSON object in which no name stands twice: readers that disagree on which one counts have been fooled before.
fn object(part: &str) -> Result<Map<String, Value>, JoseError> {
    serde_json::from_slice::<Unique>(&decoded(part)?)
        .map(|Unique(map)| map)
        .map_err(|_| JoseError::Malformed("a part is no JSON object with each name once"))
}

struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(de::Error::custom("a name stands twice"));
                    }
                }
                Ok(map)
            }
        }
        deserializer.deserialize_map(Names).map(Unique)
    }
}

#[cfg(test)]
mod tests;
