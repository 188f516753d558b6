//! Signatures after Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. Pure.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Bytes that the specification wants a key to have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The headers of one try. `seconds` is the time of the try, since 1970.
pub fn headers(secret: &str, id: &str, seconds: i64, body: &str) -> Result<[(&'static str, String); 3], String> {
    let key = key_of(secret)?;
    let signed = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        format!("{id}.{seconds}.{body}").as_bytes(),
    );
    Ok([
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", BASE64_STANDARD.encode(signed))),
    ])
}

/// The bytes of a secret: base64, with or without `whsec_`. The error never repeats it.
fn key_of(secret: &str) -> Result<Vec<u8>, String> {
    let text = secret.trim();
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let key = BASE64_STANDARD
        .decode(text)
        .map_err(|_| "the secret must be whsec_ and base64".to_owned())?;
    if KEY_BYTES.contains(&key.len()) {
        Ok(key)
    } else {
        Err(format!(
            "the secret must be 24 to 64 bytes in base64, not {}",
            key.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_own_example_comes_out() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let told = headers(
            secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        )
        .unwrap();
        assert_eq!(told[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!((told[0].0, told[1].1.as_str()), ("webhook-id", "1614265330"));
    }

    #[test]
    fn weak_and_wrong_keys_are_refused_and_not_repeated() {
        assert!(headers("whsec_c2hvcnQ=", "a", 1, "").unwrap_err().contains("not 5"));
        assert!(!headers("hunter2!", "a", 1, "").unwrap_err().contains("hunter2"));
    }
}
