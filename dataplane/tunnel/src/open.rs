//! The gRPC methods of our links, and the control messages of a session's stream.

use prost::Message;
use proto::tunnel::{SessionFrame, session_frame::Kind};

/// One stream per session, data plane to agent. Its messages are `SessionFrame`s; their payload comes as `Event::Data`.
pub const SESSION_PATH: &str = "/sluice.tunnel.v1.Agent/Session";
/// The first stream of a link, data plane to agent.
pub const HELLO_PATH: &str = "/sluice.tunnel.v1.Agent/Hello";
/// Snapshots down, acknowledgements up, data plane to control plane.
pub const SYNC_PATH: &str = "/sluice.control.v1.DataPlane/Sync";
/// Audit batches up, acknowledgements down, data plane to control plane.
pub const AUDIT_PATH: &str = "/sluice.control.v1.DataPlane/Audit";
/// Unary: one-time token and CSR for a certificate.
pub const ENROLL_PATH: &str = "/sluice.control.v1.Enrolment/Enroll";
/// Unary: a new certificate for an old one.
pub const RENEW_PATH: &str = "/sluice.control.v1.Enrolment/Renew";

/// Why a message of a session's stream is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// No protobuf.
    #[error("not a session frame")]
    Undecodable,
    /// A kind that this version does not know, or none.
    #[error("session frame of unknown kind")]
    UnknownKind,
    /// A session is named by 16 bytes.
    #[error("session id is not 16 bytes")]
    SessionId,
}

/// The message for [`Mux::send_message`](crate::Mux::send_message): `Open`, `Accept`, `Refuse`, `End` or `Cancel`.
pub fn encode(kind: Kind) -> Vec<u8> {
    SessionFrame { kind: Some(kind) }.encode_to_vec()
}

/// Reads what came as `Event::Message` on a session's stream. A peer that writes the data field in an unusual but valid way
/// makes `Kind::Data` come here too; it is to be handled like `Event::Data`, but needs no `release`.
pub fn decode(message: &[u8]) -> Result<Kind, BadFrame> {
    let kind = SessionFrame::decode(message)
        .map_err(|_| BadFrame::Undecodable)?
        .kind
        .ok_or(BadFrame::UnknownKind)?;
    match &kind {
        Kind::Open(open) if open.session_id.len() != 16 => Err(BadFrame::SessionId),
        Kind::Cancel(cancel) if cancel.session_id.len() != 16 => Err(BadFrame::SessionId),
        _ => Ok(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::tunnel::{Cancel, End};

    #[test]
    fn control_messages_are_read_back_and_checked() {
        let end = Kind::End(End {
            cause: 1,
            message: "gone".into(),
        });
        assert_eq!(decode(&encode(end.clone())), Ok(end));
        let cancel = Kind::Cancel(Cancel {
            session_id: vec![1; 15],
        });
        assert_eq!(decode(&encode(cancel)), Err(BadFrame::SessionId));
        assert_eq!(decode(&[]), Err(BadFrame::UnknownKind));
        assert_eq!(decode(&[0xff]), Err(BadFrame::Undecodable));
        assert_eq!(decode(&[0x7a, 0]), Err(BadFrame::UnknownKind));
    }
}
