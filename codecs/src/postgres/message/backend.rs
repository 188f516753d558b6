//! Views of what a server sends.

use super::fields::{Cells, ErrorFields, Format, Formats, Oids};
use super::frontend::empty;
use super::tag::backend as tag;
use crate::malformed::Malformed;
use crate::postgres::limits::SECRET_BYTES_MAX;
use crate::wire::cursor::Cursor;

/// Any message of a server.
#[derive(Debug, Clone)]
pub enum Backend<'a> {
    Authentication(Authentication<'a>),
    BackendKeyData(BackendKeyData<'a>),
    BindComplete,
    CloseComplete,
    CommandComplete(CommandComplete<'a>),
    CopyBothResponse(CopyResponse<'a>),
    CopyData(&'a [u8]),
    CopyDone,
    CopyInResponse(CopyResponse<'a>),
    CopyOutResponse(CopyResponse<'a>),
    DataRow(DataRow<'a>),
    EmptyQueryResponse,
    ErrorResponse(ErrorFields<'a>),
    FunctionCallResponse(FunctionCallResponse<'a>),
    NegotiateProtocolVersion(NegotiateProtocolVersion<'a>),
    NoData,
    NoticeResponse(ErrorFields<'a>),
    NotificationResponse(NotificationResponse<'a>),
    ParameterDescription(ParameterDescription<'a>),
    ParameterStatus(ParameterStatus<'a>),
    ParseComplete,
    PortalSuspended,
    ReadyForQuery(TransactionStatus),
    RowDescription(RowDescription<'a>),
}

impl<'a> Backend<'a> {
    /// Reads the body of a frame with this tag.
    ///
    /// # Errors
    /// An unknown tag or a body that does not follow its message's format. The values of a [`DataRow`] are checked
    /// while they are walked.
    pub fn parse(frame_tag: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match frame_tag {
            tag::AUTHENTICATION => Backend::Authentication(Authentication::parse(body)?),
            tag::BACKEND_KEY_DATA => Backend::BackendKeyData(BackendKeyData::parse(body)?),
            tag::BIND_COMPLETE => empty(body, "BindComplete", Backend::BindComplete)?,
            tag::CLOSE_COMPLETE => empty(body, "CloseComplete", Backend::CloseComplete)?,
            tag::COMMAND_COMPLETE => Backend::CommandComplete(CommandComplete::parse(body)?),
            tag::COPY_BOTH_RESPONSE => Backend::CopyBothResponse(CopyResponse::parse(body, "CopyBothResponse")?),
            tag::COPY_DATA => Backend::CopyData(body),
            tag::COPY_DONE => empty(body, "CopyDone", Backend::CopyDone)?,
            tag::COPY_IN_RESPONSE => Backend::CopyInResponse(CopyResponse::parse(body, "CopyInResponse")?),
            tag::COPY_OUT_RESPONSE => Backend::CopyOutResponse(CopyResponse::parse(body, "CopyOutResponse")?),
            tag::DATA_ROW => Backend::DataRow(DataRow::parse(body)?),
            tag::EMPTY_QUERY_RESPONSE => empty(body, "EmptyQueryResponse", Backend::EmptyQueryResponse)?,
            tag::ERROR_RESPONSE => Backend::ErrorResponse(error_response_fields(body)?),
            tag::FUNCTION_CALL_RESPONSE => Backend::FunctionCallResponse(FunctionCallResponse::parse(body)?),
            tag::NEGOTIATE_PROTOCOL_VERSION => {
                Backend::NegotiateProtocolVersion(NegotiateProtocolVersion::parse(body)?)
            }
            tag::NO_DATA => empty(body, "NoData", Backend::NoData)?,
            tag::NOTICE_RESPONSE => Backend::NoticeResponse(ErrorFields::parse(body, "NoticeResponse")?),
            tag::NOTIFICATION_RESPONSE => Backend::NotificationResponse(NotificationResponse::parse(body)?),
            tag::PARAMETER_DESCRIPTION => Backend::ParameterDescription(ParameterDescription::parse(body)?),
            tag::PARAMETER_STATUS => Backend::ParameterStatus(ParameterStatus::parse(body)?),
            tag::PARSE_COMPLETE => empty(body, "ParseComplete", Backend::ParseComplete)?,
            tag::PORTAL_SUSPENDED => empty(body, "PortalSuspended", Backend::PortalSuspended)?,
            tag::READY_FOR_QUERY => Backend::ReadyForQuery(TransactionStatus::parse(body)?),
            tag::ROW_DESCRIPTION => Backend::RowDescription(RowDescription::parse(body)?),
            tag => {
                return Err(Malformed::Tag {
                    place: "server message",
                    tag,
                });
            }
        })
    }
}

/// Reads the body of an ErrorResponse.
///
/// # Errors
/// As [`ErrorFields::parse`].
pub fn error_response_fields(body: &[u8]) -> Result<ErrorFields<'_>, Malformed> {
    ErrorFields::parse(body, "ErrorResponse")
}

/// What a server asks for, or that it is satisfied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication<'a> {
    Ok,
    CleartextPassword,
    Md5Password {
        salt: [u8; 4],
    },
    Sasl {
        mechanisms: Mechanisms<'a>,
    },
    SaslContinue(&'a [u8]),
    SaslFinal(&'a [u8]),
    /// A method that we do not speak; see [`Authentication::method_name`].
    Other {
        code: u32,
        data: &'a [u8],
    },
}

impl<'a> Authentication<'a> {
    /// # Errors
    /// A body that does not follow the format of its code.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "Authentication");
        let code = cursor.u32()?;
        let request = match code {
            0 => Authentication::Ok,
            3 => Authentication::CleartextPassword,
            5 => Authentication::Md5Password { salt: cursor.array()? },
            10 => Authentication::Sasl {
                mechanisms: Mechanisms::read(&mut cursor)?,
            },
            11 => Authentication::SaslContinue(cursor.take_rest()),
            12 => Authentication::SaslFinal(cursor.take_rest()),
            code => Authentication::Other {
                code,
                data: cursor.take_rest(),
            },
        };
        cursor.finish()?;
        Ok(request)
    }

    /// The method's name as an administrator knows it.
    pub fn method_name(&self) -> &'static str {
        match self {
            Authentication::Ok => "trust",
            Authentication::CleartextPassword => "password",
            Authentication::Md5Password { .. } => "md5",
            Authentication::Sasl { .. } | Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => "SASL",
            Authentication::Other { code: 1 | 2, .. } => "Kerberos",
            Authentication::Other { code: 4, .. } => "crypt",
            Authentication::Other { code: 6, .. } => "SCM credentials",
            Authentication::Other { code: 7 | 8, .. } => "GSSAPI",
            Authentication::Other { code: 9, .. } => "SSPI",
            Authentication::Other { .. } => "unknown",
        }
    }
}

/// Names of SASL mechanisms, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms<'a> {
    /// Strings, each with its NUL, without the empty one that ends the list.
    bytes: &'a [u8],
}

impl<'a> Mechanisms<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let all = cursor.rest();
        let start = cursor.offset();
        while !cursor.cstr()?.is_empty() {}
        let len = cursor.offset() - start - 1;
        Ok(Mechanisms {
            bytes: all.get(..len).unwrap_or_default(),
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.bytes.split(|&b| b == 0).filter(|name| !name.is_empty())
    }

    pub fn contains(&self, mechanism: &[u8]) -> bool {
        self.iter().any(|name| name == mechanism)
    }
}

/// What a client needs to cancel a statement of this session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    pub process_id: u32,
    /// Four bytes in protocol 3.0, up to 256 in 3.2.
    pub secret: &'a [u8],
}

/// Leaves the secret out.
impl std::fmt::Debug for BackendKeyData<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackendKeyData({}, {} bytes)", self.process_id, self.secret.len())
    }
}

impl<'a> BackendKeyData<'a> {
    /// # Errors
    /// A secret shorter than 4 or longer than 256 bytes.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "BackendKeyData");
        let process_id = cursor.u32()?;
        let secret = cursor.take_rest();
        if secret.len() < 4 || secret.len() > SECRET_BYTES_MAX {
            return Err(Malformed::Length {
                place: "BackendKeyData",
                announced: secret.len() as i64,
                min: 4,
                max: SECRET_BYTES_MAX,
            });
        }
        Ok(BackendKeyData { process_id, secret })
    }
}

/// A statement is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// Such as `SELECT 5` or `INSERT 0 1`.
    pub command_tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// # Errors
    /// No NUL, or bytes behind it.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        super::frontend::only_string(body, "CommandComplete").map(|command_tag| CommandComplete { command_tag })
    }

    /// The number at the end of the command tag: rows returned or changed. `None` for commands that count nothing.
    pub fn rows(&self) -> Option<u64> {
        let last = self.command_tag.rsplit(|&b| b == b' ').next()?;
        std::str::from_utf8(last).ok()?.parse().ok()
    }
}

/// COPY begins: CopyInResponse, CopyOutResponse or CopyBothResponse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyResponse<'a> {
    pub format: Format,
    /// One entry for each column.
    pub columns: Formats<'a>,
}

impl<'a> CopyResponse<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8], place: &'static str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, place);
        let format = Format::from_code(i16::from(cursor.u8()?), place)?;
        let columns = Formats::read(&mut cursor, place)?;
        cursor.finish()?;
        Ok(CopyResponse { format, columns })
    }
}

/// One row.
#[derive(Debug, Clone)]
pub struct DataRow<'a> {
    cells: Cells<'a>,
}

impl<'a> DataRow<'a> {
    /// Reads the number of columns; the values are checked while they are walked.
    ///
    /// # Errors
    /// A body shorter than two bytes.
    #[inline]
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "DataRow");
        let count = cursor.u16()?;
        Ok(DataRow {
            cells: Cells::new(cursor, count, true),
        })
    }

    pub fn columns(&self) -> usize {
        self.cells.left()
    }

    /// The values in order. Going to the end checks the whole row.
    #[inline]
    pub fn cells(&self) -> Cells<'a> {
        self.cells.clone()
    }

    /// Checks the whole row.
    ///
    /// # Errors
    /// A length that does not fit, or bytes behind the last value.
    pub fn check(&self) -> Result<(), Malformed> {
        self.cells.clone().skip().map(drop)
    }
}

/// The answer to a FunctionCall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionCallResponse<'a> {
    /// `None` is SQL NULL. The value starts at offset 4 of the body.
    pub value: Option<&'a [u8]>,
}

impl<'a> FunctionCallResponse<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "FunctionCallResponse");
        let value = cursor.nullable()?;
        cursor.finish()?;
        Ok(FunctionCallResponse { value })
    }
}

/// The server does not speak the asked minor version, or some `_pq_.` options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The version it does speak, major in the upper half.
    pub version: u32,
    options: &'a [u8],
    count: u32,
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "NegotiateProtocolVersion");
        let version = cursor.u32()?;
        let count = cursor.u32()?;
        let options = cursor.rest();
        for _ in 0..count {
            cursor.cstr()?;
        }
        cursor.finish()?;
        Ok(NegotiateProtocolVersion {
            version,
            options,
            count,
        })
    }

    /// The options that the server does not know.
    pub fn options(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.options.split(|&b| b == 0).take(self.count as usize)
    }
}

/// What a LISTEN of this session was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// The session that sent it.
    pub process_id: u32,
    pub channel: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "NotificationResponse");
        let process_id = cursor.u32()?;
        let channel = cursor.cstr()?;
        let payload = cursor.cstr()?;
        cursor.finish()?;
        Ok(NotificationResponse {
            process_id,
            channel,
            payload,
        })
    }
}

/// The types of a prepared statement's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterDescription<'a> {
    pub types: Oids<'a>,
}

impl<'a> ParameterDescription<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "ParameterDescription");
        let types = Oids::read(&mut cursor)?;
        cursor.finish()?;
        Ok(ParameterDescription { types })
    }
}

/// A setting that clients care about has this value now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "ParameterStatus");
        let name = cursor.cstr()?;
        let value = cursor.cstr()?;
        cursor.finish()?;
        Ok(ParameterStatus { name, value })
    }
}

/// Where the session stands at a ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

impl TransactionStatus {
    /// # Errors
    /// A status other than `I`, `T` and `E`.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "ReadyForQuery");
        let status = cursor.u8()?;
        cursor.finish()?;
        match status {
            b'I' => Ok(TransactionStatus::Idle),
            b'T' => Ok(TransactionStatus::InTransaction),
            b'E' => Ok(TransactionStatus::Failed),
            other => Err(Malformed::Value {
                place: "ReadyForQuery",
                value: i64::from(other),
            }),
        }
    }

    /// The byte on the wire.
    pub fn code(self) -> u8 {
        match self {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        }
    }
}

/// The columns of the rows that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowDescription<'a> {
    body: &'a [u8],
    count: u16,
}

/// One column of a [`RowDescription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldDescription<'a> {
    /// Where the column's description starts, counted from the start of the body; its name comes first.
    pub offset: usize,
    pub name: &'a [u8],
    /// The table that the column comes from; 0 if it is an expression.
    pub table_oid: u32,
    /// The column's number in that table; 0 if it is an expression, negative for system columns.
    pub attribute: i16,
    pub type_oid: u32,
    /// Negative for types of varying size.
    pub type_bytes: i16,
    pub type_modifier: i32,
    /// Text in the answer to a Describe of a statement, where it is not known yet.
    pub format: Format,
}

impl<'a> RowDescription<'a> {
    /// Checks the whole message.
    ///
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "RowDescription");
        let count = cursor.u16()?;
        for _ in 0..count {
            FieldDescription::read(&mut cursor)?;
        }
        cursor.finish()?;
        Ok(RowDescription { body, count })
    }

    pub fn columns(&self) -> usize {
        usize::from(self.count)
    }

    pub fn fields(&self) -> impl Iterator<Item = FieldDescription<'a>> + 'a {
        let mut cursor = Cursor::new(self.body, "RowDescription");
        let count = cursor.u16().unwrap_or(0);
        (0..count).map_while(move |_| FieldDescription::read(&mut cursor).ok())
    }
}

impl<'a> FieldDescription<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        Ok(FieldDescription {
            offset: cursor.offset(),
            name: cursor.cstr()?,
            table_oid: cursor.u32()?,
            attribute: cursor.i16()?,
            type_oid: cursor.u32()?,
            type_bytes: cursor.i16()?,
            type_modifier: cursor.i32()?,
            format: Format::from_code(cursor.i16()?, "RowDescription")?,
        })
    }
}
