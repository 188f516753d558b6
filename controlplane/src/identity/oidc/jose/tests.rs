//! Signatures made here with each algorithm, and every way to lie about them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use serde_json::json;

use super::*;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn token(header: &Value, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

fn rsa() -> (RsaKeyPair, Value) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = signature::KeyPair::public_key(&pair);
    let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
    let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
    (
        pair,
        json!({"kty": "RSA", "kid": "r", "use": "sig", "n": encode(modulus), "e": encode(exponent)}),
    )
}

fn rsa_signed(pair: &RsaKeyPair, how: &'static dyn RsaEncoding, bytes: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(how, &SystemRandom::new(), bytes, &mut signature).unwrap();
    signature
}

fn jwks(keys: &[&Value]) -> Jwks {
    Jwks::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

const CLAIMS: &str = r#"{"sub":"alice"}"#;

#[test]
fn each_algorithm_is_verified_with_its_own_key() {
    let (pair, jwk) = rsa();
    let keys = jwks(&[&jwk]);
    for (name, how) in [
        ("RS256", &RSA_PKCS1_SHA256 as &'static dyn RsaEncoding),
        ("PS256", &RSA_PSS_SHA256),
    ] {
        let good = token(&json!({"alg": name, "kid": "r"}), CLAIMS, |b| rsa_signed(&pair, how, b));
        assert_eq!(keys.verify(&good).unwrap()["sub"], "alice", "{name}");
    }
    let random = SystemRandom::new();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = ec.public_key().as_ref().to_vec();
    let ec_jwk =
        json!({"kty": "EC", "crv": "P-256", "kid": "e", "x": encode(&point[1..33]), "y": encode(&point[33..])});
    let good = token(&json!({"alg": "ES256", "kid": "e"}), CLAIMS, |b| {
        ec.sign(&random, b).unwrap().as_ref().to_vec()
    });
    assert!(jwks(&[&jwk, &ec_jwk]).verify(&good).is_ok());
    let ed = Ed25519KeyPair::generate().unwrap();
    let ed_jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(ed.public_key().as_ref())});
    let good = token(&json!({"alg": "EdDSA", "typ": "JWT"}), CLAIMS, |b| {
        ed.sign(b).as_ref().to_vec()
    });
    // No name of a key: the only one for the algorithm is meant.
    assert!(jwks(&[&jwk, &ec_jwk, &ed_jwk]).verify(&good).is_ok());
    let other = json!({"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": encode([7; 32])});
    assert_eq!(jwks(&[&ed_jwk, &other]).verify(&good), Err(JoseError::UnknownKey));
}

#[test]
fn algorithms_cannot_be_confused() {
    let (pair, jwk) = rsa();
    let keys = jwks(&[&jwk]);
    let none = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(CLAIMS));
    assert_eq!(keys.verify(&none), Err(JoseError::Algorithm));
    // The public key as the secret of an HMAC.
    let secret = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    for name in ["HS256", "hs256", "none", "None", "nOnE", "RS512", "ES384", ""] {
        let forged = token(&json!({"alg": name, "kid": "r"}), CLAIMS, |b| {
            hmac::sign(&secret, b).as_ref().to_vec()
        });
        assert_eq!(keys.verify(&forged), Err(JoseError::Algorithm), "{name}");
    }
    // A key for one algorithm serves no other, even of the same kind.
    let mut only = jwk.clone();
    only["alg"] = json!("PS256");
    let good = token(&json!({"alg": "RS256", "kid": "r"}), CLAIMS, |b| {
        rsa_signed(&pair, &RSA_PKCS1_SHA256, b)
    });
    assert!(keys.verify(&good).is_ok());
    assert_eq!(jwks(&[&only]).verify(&good), Err(JoseError::UnknownKey));
    let mut secret_key = jwk.clone();
    secret_key["use"] = json!("enc");
    assert_eq!(jwks(&[&secret_key]).verify(&good), Err(JoseError::UnknownKey));
    // A key in the token's own header is nobody's.
    let (thief, thiefs) = rsa();
    let forged = token(&json!({"alg": "RS256", "jwk": thiefs}), CLAIMS, |b| {
        rsa_signed(&thief, &RSA_PKCS1_SHA256, b)
    });
    assert_eq!(keys.verify(&forged), Err(JoseError::Signature));
}

#[test]
fn what_was_changed_is_not_believed() {
    let (pair, jwk) = rsa();
    let keys = jwks(&[&jwk]);
    let header = json!({"alg": "RS256", "kid": "r"});
    let good = token(&header, CLAIMS, |b| rsa_signed(&pair, &RSA_PKCS1_SHA256, b));
    let parts: Vec<&str> = good.split('.').collect();
    let other = format!("{}.{}.{}", parts[0], encode(r#"{"sub":"mallory"}"#), parts[2]);
    assert_eq!(keys.verify(&other), Err(JoseError::Signature));
    assert_eq!(
        keys.verify(&format!("{}.{}.", parts[0], parts[1])),
        Err(JoseError::Signature)
    );
    for broken in [
        String::new(),
        "..".to_owned(),
        parts[..2].join("."),
        format!("{good}.x"),
        format!("{good}="),
        "x".repeat(JWT_BYTES_MAX + 1),
    ] {
        assert!(
            matches!(keys.verify(&broken), Err(JoseError::Malformed(_))),
            "{broken:.40}"
        );
    }
    let sign = |header: &Value, claims: &str| token(header, claims, |b| rsa_signed(&pair, &RSA_PKCS1_SHA256, b));
    let twice = sign(&header, r#"{"sub":"alice","sub":"mallory"}"#);
    assert!(matches!(keys.verify(&twice), Err(JoseError::Malformed(_))));
    let wanting = sign(&json!({"alg": "RS256", "kid": "r", "crit": ["exp"]}), CLAIMS);
    assert!(matches!(keys.verify(&wanting), Err(JoseError::Malformed(_))));
    let logout = sign(&json!({"alg": "RS256", "kid": "r", "typ": "logout+jwt"}), CLAIMS);
    assert!(matches!(keys.verify(&logout), Err(JoseError::Malformed(_))));
    let unknown = sign(&json!({"alg": "RS256", "kid": "s"}), CLAIMS);
    assert_eq!(keys.verify(&unknown), Err(JoseError::UnknownKey));
}

#[test]
fn broken_keys_are_left_out_and_short_ones_verify_nothing() {
    assert_eq!(Jwks::parse(b"{}"), None);
    assert_eq!(Jwks::parse(b"[]"), None);
    let short = json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"});
    let secret = json!({"kty": "oct", "k": "AAAA"});
    let alien = json!({"kty": "RSA", "alg": "HS256", "n": "AA", "e": "AQAB"});
    assert_eq!(jwks(&[&short, &secret, &alien, &json!(7)]), Jwks::default());
    let weak = json!({"kty": "RSA", "n": encode([0xC7; 64]), "e": "AQAB"});
    let forged = token(&json!({"alg": "RS256"}), CLAIMS, |_| vec![1; 64]);
    assert_eq!(jwks(&[&weak]).verify(&forged), Err(JoseError::Signature));
}
