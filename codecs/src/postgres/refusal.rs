//! Refusals as PostgreSQL's clients read them: ErrorResponse and NoticeResponse with SQLSTATE.

use super::limits::REFUSAL_TEXT_BYTES_MAX;
use super::message::encode;
use super::message::fields::ErrorFields;
use crate::refusal::{RefusalKind, Refused};

/// SQLSTATE codes that we send (PostgreSQL documentation, appendix "PostgreSQL Error Codes").
pub mod sqlstate {
    pub const PROTOCOL_VIOLATION: &str = "08P01";
    pub const CONNECTION_FAILURE: &str = "08006";
    pub const TARGET_UNREACHABLE: &str = "08001";
    pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub const INVALID_AUTHORIZATION: &str = "28000";
    pub const INVALID_PARAMETER_VALUE: &str = "22023";
    pub const INVALID_PASSWORD: &str = "28P01";
    pub const INVALID_CATALOG_NAME: &str = "3D000";
    pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub const TOO_MANY_CONNECTIONS: &str = "53300";
    pub const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
    pub const ADMIN_SHUTDOWN: &str = "57P01";
    pub const CANNOT_CONNECT_NOW: &str = "57P03";
    pub const SYSTEM_ERROR: &str = "58000";
}

/// Writes one of the two messages that consist of fields.
type WriteFields = fn(&mut Vec<u8>, &[(u8, &[u8])]) -> Result<(), encode::EncodeError>;

/// How bad it is: FATAL ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Fatal,
    Error,
    Warning,
    Notice,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Fatal => "FATAL",
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
        }
    }
}

/// An error or a notice that we write ourselves. NUL bytes in the texts are dropped,
/// because the format cannot hold them, and texts are cut at [`REFUSAL_TEXT_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub severity: Severity,
    /// Five characters.
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Refusal {
    /// An error that ends the session.
    pub fn fatal(sqlstate: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(Severity::Fatal, sqlstate, message)
    }

    /// An error that ends the statement.
    pub fn error(sqlstate: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(Severity::Error, sqlstate, message)
    }

    /// A notice, written with [`Refusal::to_notice`].
    pub fn notice(severity: Severity, sqlstate: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(severity, sqlstate, message)
    }

    fn new(severity: Severity, sqlstate: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            severity,
            sqlstate: sqlstate.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Refusal {
        self.detail = Some(detail.into());
        self
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    /// Appends an ErrorResponse.
    pub fn append_error(&self, out: &mut Vec<u8>) {
        self.append(out, encode::error_response);
    }

    /// Appends a NoticeResponse.
    pub fn append_notice(&self, out: &mut Vec<u8>) {
        self.append(out, encode::notice_response);
    }

    /// The ErrorResponse alone.
    pub fn to_error(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append_error(&mut out);
        out
    }

    /// The NoticeResponse alone.
    pub fn to_notice(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append_notice(&mut out);
        out
    }

    fn append(&self, out: &mut Vec<u8>, write: WriteFields) {
        let clean = |text: &str| {
            let end = text.floor_char_boundary(REFUSAL_TEXT_BYTES_MAX);
            text.get(..end).unwrap_or_default().replace('\0', "").into_bytes()
        };
        let severity = self.severity.name().as_bytes().to_vec();
        let mut fields = vec![
            (ErrorFields::SEVERITY, severity.clone()),
            (ErrorFields::SEVERITY_PLAIN, severity),
            (ErrorFields::SQLSTATE, clean(&self.sqlstate)),
            (ErrorFields::MESSAGE, clean(&self.message)),
        ];
        fields.extend(self.detail.as_deref().map(|text| (ErrorFields::DETAIL, clean(text))));
        fields.extend(self.hint.as_deref().map(|text| (ErrorFields::HINT, clean(text))));
        let borrowed: Vec<(u8, &[u8])> = fields.iter().map(|(code, text)| (*code, text.as_slice())).collect();
        let written = write(out, &borrowed);
        debug_assert_eq!(written, Ok(()), "texts are bounded and hold no NUL");
    }
}

impl From<&Refused> for Refusal {
    fn from(refused: &Refused) -> Refusal {
        let severity = if refused.fatal {
            Severity::Fatal
        } else {
            Severity::Error
        };
        Refusal {
            severity,
            sqlstate: sqlstate_of(refused.kind).to_owned(),
            message: refused.message.clone(),
            detail: None,
            hint: refused.hint.clone(),
        }
    }
}

/// The one place that decides which code a client sees.
pub fn sqlstate_of(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Credentials => sqlstate::INVALID_PASSWORD,
        RefusalKind::Forbidden | RefusalKind::ReviewNeeded => sqlstate::INSUFFICIENT_PRIVILEGE,
        RefusalKind::Protocol => sqlstate::PROTOCOL_VIOLATION,
        RefusalKind::Unsupported => sqlstate::FEATURE_NOT_SUPPORTED,
        RefusalKind::TargetUnavailable => sqlstate::TARGET_UNREACHABLE,
        RefusalKind::TooMuch => sqlstate::TOO_MANY_CONNECTIONS,
        RefusalKind::Revoked | RefusalKind::ShuttingDown => sqlstate::ADMIN_SHUTDOWN,
        RefusalKind::Unable => sqlstate::CANNOT_CONNECT_NOW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::message::Backend;

    #[test]
    fn an_error_reads_back() {
        let bytes = Refusal::error(sqlstate::INSUFFICIENT_PRIVILEGE, "no\0 way")
            .with_hint("ask #dba")
            .to_error();
        let Ok(Backend::ErrorResponse(fields)) = Backend::parse(bytes[0], &bytes[5..]) else {
            panic!("not an error: {bytes:?}");
        };
        assert_eq!(fields.severity(), b"ERROR");
        assert_eq!(fields.sqlstate(), b"42501");
        assert_eq!(fields.message(), b"no way");
        assert_eq!(fields.field(ErrorFields::HINT), Some(&b"ask #dba"[..]));
        assert_eq!(fields.field(ErrorFields::DETAIL), None);
    }

    #[test]
    fn a_neutral_refusal_gets_its_code() {
        let refused = Refused {
            kind: RefusalKind::TargetUnavailable,
            message: "the target does not answer".into(),
            hint: None,
            fatal: true,
        };
        let refusal = Refusal::from(&refused);
        assert_eq!(
            (refusal.severity, refusal.sqlstate.as_str()),
            (Severity::Fatal, "08001")
        );
    }
}
