//! The packets without a tag that open a socket: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage.
//!
//! ```text
//! | length i32, counts itself | code u32 | rest |
//! ```
//! PostgreSQL documentation, "Message Formats". A code is a protocol version (major in the upper half) or one of the three
//! request codes, which look like versions 1234.x so that they are none.

use super::{CancelKey, LoginRefusal, Startup};
use crate::malformed::Malformed;
use crate::postgres::limits::{
    MINOR_MAX, SECRET_BYTES_MAX, SECRET_BYTES_V30, STARTUP_BYTES_MAX, STARTUP_NAME_BYTES_MAX, STARTUP_PARAMETERS_MAX,
};
use crate::postgres::message::EncodeError;
use crate::postgres::message::encode::{cstr, with_length};
use crate::postgres::replication::Replication;
use crate::wire::cursor::Cursor;

const CANCEL_REQUEST: u32 = 1234 << 16 | 5678;
const SSL_REQUEST: u32 = 1234 << 16 | 5679;
const GSSENC_REQUEST: u32 = 1234 << 16 | 5680;
const PROTOCOL_MAJOR: u16 = 3;
/// Start-up parameters with this prefix are options of the protocol, not settings of the server.
const PROTOCOL_OPTION_PREFIX: &str = "_pq_.";
pub(super) const PLACE: &str = "startup packet";

/// A packet of a client that has not logged in.
#[derive(Debug)]
pub(super) enum Opening {
    Ssl,
    GssEnc,
    Cancel(CancelKey),
    Startup(StartupPacket),
}

/// A StartupMessage with what has to be answered before the login goes on.
#[derive(Debug)]
pub(super) struct StartupPacket {
    pub startup: Startup,
    /// The client asked for a higher minor version, or for options that we do not know.
    pub negotiate: bool,
    /// `_pq_.` options of the client; we know none.
    pub options: Vec<String>,
}

/// Whether a complete packet is an SSLRequest, and nothing more.
pub(super) fn is_ssl_request(packet: &[u8]) -> bool {
    packet.len() == 8 && packet.get(4..) == Some(&SSL_REQUEST.to_be_bytes()[..])
}

/// Reads a complete packet, length field included.
pub(super) fn parse(packet: &[u8], tls: bool) -> Result<Opening, LoginRefusal> {
    let mut cursor = Cursor::new(packet, PLACE);
    let code = cursor
        .u32()
        .and_then(|_length| cursor.u32())
        .map_err(LoginRefusal::Malformed)?;
    match code {
        SSL_REQUEST | GSSENC_REQUEST => {
            cursor.finish().map_err(LoginRefusal::Malformed)?;
            Ok(if code == SSL_REQUEST {
                Opening::Ssl
            } else {
                Opening::GssEnc
            })
        }
        CANCEL_REQUEST => parse_cancel(cursor)
            .map(Opening::Cancel)
            .map_err(LoginRefusal::Malformed),
        version => parse_startup(version, cursor, tls).map(Opening::Startup),
    }
}

fn parse_cancel(mut cursor: Cursor<'_>) -> Result<CancelKey, Malformed> {
    let pid = cursor.u32()?;
    let secret = cursor.take_rest();
    if secret.len() < SECRET_BYTES_V30 || secret.len() > SECRET_BYTES_MAX {
        return Err(Malformed::Length {
            place: "CancelRequest",
            announced: secret.len() as i64,
            min: SECRET_BYTES_V30,
            max: SECRET_BYTES_MAX,
        });
    }
    Ok(CancelKey {
        pid,
        secret: secret.to_vec(),
    })
}

fn parse_startup(version: u32, cursor: Cursor<'_>, tls: bool) -> Result<StartupPacket, LoginRefusal> {
    let (major, asked) = ((version >> 16) as u16, version as u16);
    if major != PROTOCOL_MAJOR {
        return Err(LoginRefusal::Version { major, minor: asked });
    }
    let mut read = Parameters::default();
    read.read_all(cursor).map_err(LoginRefusal::Malformed)?;
    let replication = match &read.replication {
        None => None,
        Some(value) => Replication::from_startup(value).map_err(|_| LoginRefusal::Replication)?,
    };
    let user = read.user.filter(|user| !user.is_empty()).ok_or(LoginRefusal::NoUser)?;
    let database = read
        .database
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| user.clone());
    Ok(StartupPacket {
        startup: Startup {
            user,
            database,
            params: read.params,
            minor: asked.min(MINOR_MAX),
            tls,
            replication,
        },
        negotiate: asked > MINOR_MAX || !read.options.is_empty(),
        options: read.options,
    })
}

#[derive(Default)]
struct Parameters {
    user: Option<String>,
    database: Option<String>,
    replication: Option<String>,
    options: Vec<String>,
    params: Vec<(String, String)>,
    names: Vec<String>,
}

impl Parameters {
    /// Name and value by turns; an empty name ends the list, and nothing may follow it.
    fn read_all(&mut self, mut cursor: Cursor<'_>) -> Result<(), Malformed> {
        loop {
            let name = text(cursor.cstr()?)?;
            if name.is_empty() {
                return cursor.finish();
            }
            let value = text(cursor.cstr()?)?;
            if self.names.len() >= STARTUP_PARAMETERS_MAX {
                return Err(Malformed::TooMany {
                    place: PLACE,
                    max: STARTUP_PARAMETERS_MAX,
                });
            }
            self.add(name, value)?;
        }
    }

    /// Settings are case-insensitive in PostgreSQL; a name given twice, in whatever case, could mean one thing here and
    /// another at the target, so it is refused.
    fn add(&mut self, name: &str, value: &str) -> Result<(), Malformed> {
        let folded = name.to_ascii_lowercase();
        if self.names.contains(&folded) {
            return Err(Malformed::Duplicate { place: PLACE });
        }
        match folded.as_str() {
            "user" => self.user = Some(bounded_name(value)?),
            "database" => self.database = Some(bounded_name(value)?),
            "replication" => self.replication = Some(value.to_owned()),
            _ if folded.starts_with(PROTOCOL_OPTION_PREFIX) => self.options.push(name.to_owned()),
            _ => self.params.push((name.to_owned(), value.to_owned())),
        }
        self.names.push(folded);
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::Text { place: PLACE })
}

fn bounded_name(value: &str) -> Result<String, Malformed> {
    if value.len() > STARTUP_NAME_BYTES_MAX {
        return Err(Malformed::Length {
            place: "user or database name",
            announced: value.len() as i64,
            min: 0,
            max: STARTUP_NAME_BYTES_MAX,
        });
    }
    Ok(value.to_owned())
}

pub(super) fn ssl_request() -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    out.extend_from_slice(&8u32.to_be_bytes());
    out.extend_from_slice(&SSL_REQUEST.to_be_bytes());
    out
}

/// A secret that is too long for its packet cannot come from our own parsers; it would make an unusable packet, so it is
/// cut to the longest that the protocol allows and matches nothing.
pub(super) fn cancel_request(key: &CancelKey) -> Vec<u8> {
    let secret = key.secret.get(..SECRET_BYTES_MAX).unwrap_or(&key.secret);
    let mut out = Vec::with_capacity(12 + secret.len());
    out.extend_from_slice(&(12 + secret.len() as u32).to_be_bytes());
    out.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
    out.extend_from_slice(&key.pid.to_be_bytes());
    out.extend_from_slice(secret);
    out
}

/// A StartupMessage of protocol 3.`minor`. Of `params`, those that would name user, database, replication or options of the
/// protocol are left out.
///
/// # Errors
/// A NUL or an empty name in a parameter, or more bytes than a server accepts.
pub(super) fn startup_message(
    minor: u16,
    user: &str,
    database: &str,
    replication: Option<Replication>,
    params: &[(String, String)],
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    with_length(&mut out, |out| {
        out.extend_from_slice(&(u32::from(PROTOCOL_MAJOR) << 16 | u32::from(minor)).to_be_bytes());
        let mut pair = |name: &str, value: &str| {
            cstr(out, name.as_bytes())?;
            cstr(out, value.as_bytes())
        };
        pair("user", user)?;
        if !database.is_empty() {
            pair("database", database)?;
        }
        if let Some(replication) = replication {
            pair("replication", replication.to_startup())?;
        }
        for (name, value) in params.iter().filter(|(name, _)| is_forwarded(name)) {
            pair(name, value)?;
        }
        out.push(0);
        Ok(())
    })?;
    if out.len() > STARTUP_BYTES_MAX {
        return Err(EncodeError::TooLong);
    }
    Ok(out)
}

/// An empty name would end the list early.
fn is_forwarded(name: &str) -> bool {
    let folded = name.to_ascii_lowercase();
    !folded.is_empty()
        && !matches!(folded.as_str(), "user" | "database" | "replication")
        && !folded.starts_with(PROTOCOL_OPTION_PREFIX)
}
