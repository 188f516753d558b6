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

    /// The answer to a call of gRPC: there is only the end of it ("gRPC over HTTP2", Responses; status codes as that protocol's
    /// "HTTP to gRPC Status Code Mapping" has them).
    pub fn grpc_fields(&self) -> Fields {
        let status: u8 = match self.status {
            401 => 16,
            403 => 7,
            404 => 12,
            408 => 4,
            413 => 8,
            429 | 502 | 503 | 504 => 14,
            400 | 431 => 13,
            _ => 2,
        };
        let mut fields = Fields::new();
        fields.push(b"content-type", b"application/grpc");
        fields.push(b"grpc-status", status.to_string().as_bytes());
        let mut message = String::with_capacity(self.detail.len());
        for byte in self.detail.bytes() {
            match byte {
                b' '..=b'~' if byte != b'%' => message.push(char::from(byte)),
                _ => message.push_str(&format!("%{byte:02X}")),
            }
        }
        fields.push(b"grpc-message", message.as_bytes());
        fields
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_grpc_hear_a_status_of_grpc() {
        for (status, wanted) in [
            (401, "16"),
            (403, "7"),
            (429, "14"),
            (502, "14"),
            (503, "14"),
            (413, "8"),
            (418, "2"),
        ] {
            let fields = Problem::new(status, "100 % wrong\n").grpc_fields();
            assert_eq!(fields.text("grpc-status"), Some(wanted), "{status}");
            assert_eq!(fields.text("grpc-message"), Some("100 %25 wrong%0A"));
        }
    }
}
