//! Where a PostgreSQL frame starts and ends: tag and length checked, nothing allocated, nothing skipped.
//!
//! ```text
//! | tag u8 | length i32 big-endian, counts itself and the body, not the tag | body |
//! ```
//! PostgreSQL documentation, "Frontend/Backend Protocol", "Message Formats". Start-up packets have no tag and belong
//! to [`super::login`].

use super::limits::{
    LARGE_FRAME_BYTES_MAX, LOGIN_BACKEND_BYTES_MAX, LOGIN_FRONTEND_BYTES_MAX, ROW_DESCRIPTION_BYTES_MAX,
    SMALL_BACKEND_BYTES_MAX, SMALL_FRONTEND_BYTES_MAX,
};
use super::message::tag::{backend, frontend};
use crate::malformed::Malformed;

/// Bytes before the body: tag and length.
pub const HEADER_BYTES: usize = 5;

/// Who wrote the bytes, and whether the login is over: decides which tags exist and how long a frame may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A client after its login.
    Frontend,
    /// A target after its login.
    Backend,
    /// A client that answers an authentication request.
    FrontendLogin,
    /// A target that is not ready yet.
    BackendLogin,
}

/// What the bytes given to [`Framer::next`] start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed {
    /// The frame is incomplete; so many bytes, counted from its first, are needed before the next step can be made.
    Need(usize),
    /// A complete frame of `len` bytes, header included, so its body is `bytes[HEADER_BYTES..len]`.
    Frame { tag: u8, len: usize },
}

/// A frame's first five bytes, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub tag: u8,
    /// Bytes of the whole frame, header included; at least [`HEADER_BYTES`].
    pub len: usize,
}

/// Finds frames of one direction.
///
/// The caller shows it the bytes from the start of a frame on, and drops `len` bytes after each
/// [`Framed::Frame`]. It holds no bytes itself, so the result depends on the bytes alone and not on how they were cut.
#[derive(Debug, Clone, Copy)]
pub struct Framer {
    speaker: Speaker,
}

impl Framer {
    pub fn new(speaker: Speaker) -> Self {
        Framer { speaker }
    }

    /// Whose frames these are.
    pub fn speaker(&self) -> Speaker {
        self.speaker
    }

    /// Finds the frame at the start of `bytes`.
    ///
    /// # Errors
    /// An unknown tag (found on the first byte), or a length below 4 or above the bound of its tag.
    #[inline]
    pub fn next(&mut self, bytes: &[u8]) -> Result<Framed, Malformed> {
        let Some(Header { tag, len }) = self.header(bytes)? else {
            return Ok(Framed::Need(HEADER_BYTES));
        };
        if bytes.len() < len {
            return Ok(Framed::Need(len));
        }
        Ok(Framed::Frame { tag, len })
    }

    /// Checks the header alone, for frames that are too large to be collected. `None` if fewer than five bytes are there.
    ///
    /// # Errors
    /// As [`Framer::next`].
    #[inline]
    pub fn header(&self, bytes: &[u8]) -> Result<Option<Header>, Malformed> {
        let Some(&tag) = bytes.first() else {
            return Ok(None);
        };
        let Some((place, max)) = bound(self.speaker, tag) else {
            let place = match self.speaker {
                Speaker::Frontend | Speaker::FrontendLogin => "client message",
                Speaker::Backend | Speaker::BackendLogin => "server message",
            };
            return Err(Malformed::Tag { place, tag });
        };
        let Some(&[_, a, b, c, d]) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let announced = i32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(announced).unwrap_or(0);
        if length < HEADER_BYTES - 1 || length > max - 1 {
            return Err(Malformed::Length {
                place,
                announced: i64::from(announced),
                min: HEADER_BYTES - 1,
                max: max - 1,
            });
        }
        Ok(Some(Header { tag, len: length + 1 }))
    }
}

/// The largest frame (bytes with header) that `speaker` may send under `tag`; `None` if there is no such message.
fn bound(speaker: Speaker, tag: u8) -> Option<(&'static str, usize)> {
    match speaker {
        Speaker::Frontend => frontend_bound(tag),
        Speaker::Backend => backend_bound(tag),
        Speaker::FrontendLogin if tag == frontend::PASSWORD => Some(("password message", LOGIN_FRONTEND_BYTES_MAX)),
        Speaker::FrontendLogin => None,
        Speaker::BackendLogin => backend_bound(tag).map(|(place, max)| (place, max.min(LOGIN_BACKEND_BYTES_MAX))),
    }
}

/// The bounds that the server itself sets (`SocketBackend` in its sources draws the same line between small and large).
fn frontend_bound(tag: u8) -> Option<(&'static str, usize)> {
    Some(match tag {
        frontend::QUERY => ("Query", LARGE_FRAME_BYTES_MAX),
        frontend::PARSE => ("Parse", LARGE_FRAME_BYTES_MAX),
        frontend::BIND => ("Bind", LARGE_FRAME_BYTES_MAX),
        frontend::FUNCTION_CALL => ("FunctionCall", LARGE_FRAME_BYTES_MAX),
        frontend::COPY_DATA => ("CopyData", LARGE_FRAME_BYTES_MAX),
        frontend::DESCRIBE => ("Describe", SMALL_FRONTEND_BYTES_MAX),
        frontend::EXECUTE => ("Execute", SMALL_FRONTEND_BYTES_MAX),
        frontend::CLOSE => ("Close", SMALL_FRONTEND_BYTES_MAX),
        frontend::SYNC => ("Sync", SMALL_FRONTEND_BYTES_MAX),
        frontend::FLUSH => ("Flush", SMALL_FRONTEND_BYTES_MAX),
        frontend::COPY_DONE => ("CopyDone", SMALL_FRONTEND_BYTES_MAX),
        frontend::COPY_FAIL => ("CopyFail", SMALL_FRONTEND_BYTES_MAX),
        frontend::TERMINATE => ("Terminate", SMALL_FRONTEND_BYTES_MAX),
        _ => return None,
    })
}

fn backend_bound(tag: u8) -> Option<(&'static str, usize)> {
    Some(match tag {
        backend::DATA_ROW => ("DataRow", LARGE_FRAME_BYTES_MAX),
        backend::COPY_DATA => ("CopyData", LARGE_FRAME_BYTES_MAX),
        backend::ERROR_RESPONSE => ("ErrorResponse", LARGE_FRAME_BYTES_MAX),
        backend::NOTICE_RESPONSE => ("NoticeResponse", LARGE_FRAME_BYTES_MAX),
        backend::FUNCTION_CALL_RESPONSE => ("FunctionCallResponse", LARGE_FRAME_BYTES_MAX),
        backend::ROW_DESCRIPTION => ("RowDescription", ROW_DESCRIPTION_BYTES_MAX),
        backend::PARAMETER_DESCRIPTION => ("ParameterDescription", ROW_DESCRIPTION_BYTES_MAX),
        backend::AUTHENTICATION => ("Authentication", SMALL_BACKEND_BYTES_MAX),
        backend::BACKEND_KEY_DATA => ("BackendKeyData", SMALL_BACKEND_BYTES_MAX),
        backend::BIND_COMPLETE => ("BindComplete", SMALL_BACKEND_BYTES_MAX),
        backend::CLOSE_COMPLETE => ("CloseComplete", SMALL_BACKEND_BYTES_MAX),
        backend::COMMAND_COMPLETE => ("CommandComplete", SMALL_BACKEND_BYTES_MAX),
        backend::COPY_BOTH_RESPONSE => ("CopyBothResponse", SMALL_BACKEND_BYTES_MAX),
        backend::COPY_DONE => ("CopyDone", SMALL_BACKEND_BYTES_MAX),
        backend::COPY_IN_RESPONSE => ("CopyInResponse", SMALL_BACKEND_BYTES_MAX),
        backend::COPY_OUT_RESPONSE => ("CopyOutResponse", SMALL_BACKEND_BYTES_MAX),
        backend::EMPTY_QUERY_RESPONSE => ("EmptyQueryResponse", SMALL_BACKEND_BYTES_MAX),
        backend::NEGOTIATE_PROTOCOL_VERSION => ("NegotiateProtocolVersion", SMALL_BACKEND_BYTES_MAX),
        backend::NO_DATA => ("NoData", SMALL_BACKEND_BYTES_MAX),
        backend::NOTIFICATION_RESPONSE => ("NotificationResponse", SMALL_BACKEND_BYTES_MAX),
        backend::PARAMETER_STATUS => ("ParameterStatus", SMALL_BACKEND_BYTES_MAX),
        backend::PARSE_COMPLETE => ("ParseComplete", SMALL_BACKEND_BYTES_MAX),
        backend::PORTAL_SUSPENDED => ("PortalSuspended", SMALL_BACKEND_BYTES_MAX),
        backend::READY_FOR_QUERY => ("ReadyForQuery", SMALL_BACKEND_BYTES_MAX),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(speaker: Speaker, bytes: &[u8]) -> Result<Framed, Malformed> {
        Framer::new(speaker).next(bytes)
    }

    #[test]
    fn a_frame_needs_its_header_then_its_body() {
        assert_eq!(next(Speaker::Frontend, b""), Ok(Framed::Need(5)));
        assert_eq!(next(Speaker::Frontend, b"Q\0\0"), Ok(Framed::Need(5)));
        assert_eq!(next(Speaker::Frontend, b"Q\0\0\0\x09abcd"), Ok(Framed::Need(10)));
        let frame = Framed::Frame { tag: b'Q', len: 10 };
        assert_eq!(next(Speaker::Frontend, b"Q\0\0\0\x09abcd\0Q"), Ok(frame));
    }

    #[test]
    fn hostile_lengths_are_refused_on_the_header() {
        for length in [0u32, 3, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff, 1 << 30] {
            let header = [b"Q".as_slice(), &length.to_be_bytes()].concat();
            assert!(
                matches!(next(Speaker::Frontend, &header), Err(Malformed::Length { .. })),
                "{length:#x}"
            );
            let header = [b"D".as_slice(), &length.to_be_bytes()].concat();
            assert!(
                matches!(next(Speaker::Backend, &header), Err(Malformed::Length { .. })),
                "{length:#x}"
            );
        }
        assert_eq!(
            next(Speaker::Frontend, b"Q\x3f\xff\xff\xfe"),
            Ok(Framed::Need(LARGE_FRAME_BYTES_MAX))
        );
        assert!(next(Speaker::Frontend, b"Q\x3f\xff\xff\xff").is_err());
        assert!(next(Speaker::Frontend, b"S\0\0\xff\xff").is_err(), "Sync is small");
    }

    #[test]
    fn tags_belong_to_their_speaker() {
        assert!(next(Speaker::Frontend, b"T").is_err());
        assert!(next(Speaker::Backend, b"Q").is_err());
        assert!(next(Speaker::Frontend, b"p").is_err(), "no passwords after the login");
        assert!(next(Speaker::FrontendLogin, b"Q").is_err(), "no statements before it");
        assert_eq!(next(Speaker::FrontendLogin, b"p"), Ok(Framed::Need(5)));
        assert!(next(Speaker::FrontendLogin, b"p\0\0\x27\x10").is_err(), "10,001 bytes");
        assert!(next(Speaker::BackendLogin, b"E\0\x01\0\0").is_err());
    }

    proptest! {
        #[test]
        fn need_is_never_too_much_nor_wrong(bytes: Vec<u8>, frontend: bool) {
            let speaker = if frontend { Speaker::Frontend } else { Speaker::Backend };
            match next(speaker, &bytes) {
                Ok(Framed::Frame { len, .. }) => {
                    prop_assert!(len >= HEADER_BYTES && len <= bytes.len());
                    for cut in 0..len {
                        let need = matches!(next(speaker, &bytes[..cut]), Ok(Framed::Need(n)) if n > cut && n <= len);
                        prop_assert!(need);
                    }
                }
                Ok(Framed::Need(n)) => prop_assert!(n > bytes.len() && n <= LARGE_FRAME_BYTES_MAX),
                Err(_) => {}
            }
        }
    }
}
