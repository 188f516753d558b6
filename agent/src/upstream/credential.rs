//! The credential of a target that needs no login, in the forms in which it is written into requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::tunnel::{Put, PutForm};
use tunnel::frame::{HEADER_BYTES, put_last_fields};
use tunnel::hpack::put_never_indexed;
use zeroize::Zeroizing;

use super::UpstreamError;
use crate::secrets::Secret;

/// What the gateway may ask to be written; it never learns it. Wiped when dropped.
#[derive(Default)]
pub struct Credential {
    secret: Secret,
    basic: Secret,
}

impl Credential {
    /// A secret, and the user name that belongs to it or nothing.
    ///
    /// # Errors
    /// What could not stand in a header: an empty secret, line ends, control characters; a user name with a colon.
    pub fn new(user: &[u8], secret: Secret) -> Result<Credential, UpstreamError> {
        let unfit = |what| UpstreamError::Unfit(what);
        let visible = |bytes: &[u8]| bytes.iter().all(|b| (0x20..0x7f).contains(b));
        if secret.is_empty() || !visible(&secret) || secret.first() == Some(&b' ') || secret.last() == Some(&b' ') {
            return Err(unfit("the secret is empty or holds characters that a header may not"));
        }
        if user.contains(&b':') || !visible(user) {
            return Err(unfit("the user name holds a colon or a control character"));
        }
        let mut pair = Zeroizing::new(Vec::with_capacity(user.len() + 1 + secret.len()));
        pair.extend_from_slice(user);
        pair.push(b':');
        pair.extend_from_slice(&secret);
        let basic = Zeroizing::new(STANDARD.encode(pair.as_slice()).into_bytes());
        Ok(Credential { secret, basic })
    }

    /// The text to write; none when the connection has no credential.
    pub fn text(&self, form: PutForm) -> Option<&[u8]> {
        let text = match form {
            PutForm::Secret | PutForm::FieldSecret => &self.secret,
            PutForm::Basic | PutForm::FieldBasic => &self.basic,
        };
        (!text.is_empty()).then_some(text.as_slice())
    }

    /// What is written at the place of a [`Put`]: the text, or a frame of HTTP/2 with a field that holds it.
    pub fn written(&self, put: &Put) -> Option<Secret> {
        let form = PutForm::try_from(put.form).ok()?;
        let text = self.text(form)?;
        if matches!(form, PutForm::Secret | PutForm::Basic) {
            return Some(Zeroizing::new(text.to_vec()));
        }
        let mut value = Zeroizing::new(Vec::with_capacity(put.prefix.len() + text.len()));
        value.extend_from_slice(&put.prefix);
        value.extend_from_slice(text);
        // Sized for all of it, so that no growing leaves copies behind.
        let room = put.name.len() + value.len() + FIELD_BYTES_MORE;
        let mut block = Zeroizing::new(Vec::with_capacity(room));
        put_never_indexed(&mut block, put.name.as_bytes(), &value);
        let mut frame = Zeroizing::new(Vec::with_capacity(block.len() + HEADER_BYTES));
        put_last_fields(&mut frame, put.stream, &block);
        Some(frame)
    }
}

/// What a literal takes besides its name and its value, at most, bytes.
const FIELD_BYTES_MORE: usize = 16;

#[cfg(test)]
mod tests {
    //! Tests of credentials.

    use super::*;

    fn secret(text: &str) -> Secret {
        Zeroizing::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_credential_is_written_in_both_forms() {
        let credential = Credential::new(b"u", secret("pass")).unwrap();
        assert_eq!(credential.text(PutForm::Secret), Some(&b"pass"[..]));
        assert_eq!(credential.text(PutForm::Basic), Some(&b"dTpwYXNz"[..]));
        assert_eq!(Credential::default().text(PutForm::Secret), None);
    }

    #[test]
    fn a_credential_is_a_field_of_a_frame() {
        let credential = Credential::new(b"u", secret("pass")).unwrap();
        let put = |form: PutForm| Put {
            form: form as i32,
            stream: 5,
            name: "authorization".to_owned(),
            prefix: b"Bearer ".to_vec(),
        };
        let frame = credential.written(&put(PutForm::FieldSecret)).unwrap();
        assert_eq!(
            &frame[..9],
            b"\0\0\x1b\x09\x04\0\0\0\x05",
            "27 bytes, CONTINUATION, END_HEADERS, stream 5"
        );
        assert_eq!(&frame[9..], b"\x10\x0dauthorization\x0bBearer pass");
        assert_eq!(
            credential.written(&put(PutForm::Secret)).as_deref().map(Vec::as_slice),
            Some(&b"pass"[..])
        );
        let unknown = Put {
            form: 99,
            ..put(PutForm::Secret)
        };
        assert!(credential.written(&unknown).is_none());
    }

    #[test]
    fn what_would_begin_a_header_of_its_own_is_refused() {
        for (user, text) in [
            ("u", "a\r\nX: y"),
            ("u", ""),
            ("u", "a\0"),
            ("u:v", "a"),
            ("u", " a"),
            ("u\n", "a"),
        ] {
            assert!(
                Credential::new(user.as_bytes(), secret(text)).is_err(),
                "{user:?} {text:?}"
            );
        }
    }
}
