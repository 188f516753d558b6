//! Our own answers: problem documents (RFC 9457), with what clients need to do better.

use codecs::http::{Fields, reason_phrase};

/// An answer of ours.
#[derive(Debug)]
pub struct Problem {
    pub status: u16,
    pub detail: String,
    /// Name of the rule that says no.
    pub rule: Option<&'static str>,
    pub retry_after_seconds: Option<u64>,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            detail: detail.into(),
            rule: None,
            retry_after_seconds: None,
        }
    }

    /// The document.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let document = serde_json::json!({
            "type": "about:blank",
            "title": reason_phrase(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        });
        let mut body = document.to_string().into_bytes();
        body.push(b'\n');
        body
    }

    /// The fields of the answer. `key_header`: where the connection wants the key.
    pub fn fields(&self, key_header: &str) -> Fields {
        let mut fields = Fields::new();
        fields.push(b"content-type", b"application/problem+json");
        fields.push(b"cache-control", b"no-store");
        if self.status == 401 {
            let challenge = match key_header {
                "" | "authorization" => "Bearer realm=\"sluice\", Basic realm=\"sluice\"".to_owned(),
                header => format!("ApiKey realm=\"sluice\", header=\"{header}\""),
            };
            fields.push(b"www-authenticate", challenge.as_bytes());
        }
        if let Some(seconds) = self.retry_after_seconds {
            fields.push(b"retry-after", seconds.to_string().as_bytes());
        }
        fields
    }
}
