//! Views of what a client sends.

use super::fields::{Cells, Format, Formats, Oids};
use super::tag::frontend as tag;
use crate::malformed::Malformed;
use crate::wire::cursor::Cursor;

/// Any message of a client after its start-up packet.
#[derive(Debug, Clone)]
pub enum Frontend<'a> {
    Query(Query<'a>),
    Parse(Parse<'a>),
    Bind(Bind<'a>),
    Describe(Target<'a>),
    Execute(Execute<'a>),
    Close(Target<'a>),
    Sync,
    Flush,
    FunctionCall(FunctionCall<'a>),
    CopyData(&'a [u8]),
    CopyDone,
    /// With the client's reason.
    CopyFail(&'a [u8]),
    /// Which of the four messages under this tag it is, only the conversation knows.
    Password(PasswordMessage<'a>),
    Terminate,
}

impl<'a> Frontend<'a> {
    /// Reads the body of a frame with this tag.
    ///
    /// # Errors
    /// An unknown tag or a body that does not follow its message's format.
    pub fn parse(frame_tag: u8, body: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match frame_tag {
            tag::QUERY => Frontend::Query(Query::parse(body)?),
            tag::PARSE => Frontend::Parse(Parse::parse(body)?),
            tag::BIND => Frontend::Bind(Bind::parse(body)?),
            tag::DESCRIBE => Frontend::Describe(Target::parse(body, "Describe")?),
            tag::EXECUTE => Frontend::Execute(Execute::parse(body)?),
            tag::CLOSE => Frontend::Close(Target::parse(body, "Close")?),
            tag::SYNC => empty(body, "Sync", Frontend::Sync)?,
            tag::FLUSH => empty(body, "Flush", Frontend::Flush)?,
            tag::FUNCTION_CALL => Frontend::FunctionCall(FunctionCall::parse(body)?),
            tag::COPY_DATA => Frontend::CopyData(body),
            tag::COPY_DONE => empty(body, "CopyDone", Frontend::CopyDone)?,
            tag::COPY_FAIL => Frontend::CopyFail(only_string(body, "CopyFail")?),
            tag::PASSWORD => Frontend::Password(PasswordMessage { body }),
            tag::TERMINATE => empty(body, "Terminate", Frontend::Terminate)?,
            tag => {
                return Err(Malformed::Tag {
                    place: "client message",
                    tag,
                });
            }
        })
    }
}

/// A simple query: one or more statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    pub text: &'a [u8],
}

impl<'a> Query<'a> {
    /// # Errors
    /// No NUL, or bytes behind it.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        only_string(body, "Query").map(|text| Query { text })
    }
}

/// Prepares a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Empty for the unnamed statement.
    pub name: &'a [u8],
    pub text: &'a [u8],
    /// Zero where the server shall infer the type.
    pub parameter_types: Oids<'a>,
}

impl<'a> Parse<'a> {
    /// # Errors
    /// A body that does not follow the format.
    #[expect(
        clippy::self_named_constructors,
        reason = "every view has `parse`, and the protocol calls this message Parse"
    )]
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "Parse");
        let name = cursor.cstr()?;
        let text = cursor.cstr()?;
        let parameter_types = Oids::read(&mut cursor)?;
        cursor.finish()?;
        Ok(Parse {
            name,
            text,
            parameter_types,
        })
    }
}

/// Makes a portal from a statement and values. Checked to the last byte when parsed.
#[derive(Debug, Clone)]
pub struct Bind<'a> {
    /// Empty for the unnamed portal.
    pub portal: &'a [u8],
    /// Empty for the unnamed statement.
    pub statement: &'a [u8],
    pub parameter_formats: Formats<'a>,
    /// Yields no errors: all values were walked when the message was parsed.
    pub parameters: Cells<'a>,
    pub result_formats: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// # Errors
    /// A body that does not follow the format, including a number of formats that fits no number of parameters.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "Bind");
        let portal = cursor.cstr()?;
        let statement = cursor.cstr()?;
        let parameter_formats = Formats::read(&mut cursor, "Bind")?;
        let count = cursor.u16()?;
        if parameter_formats.len() > 1 && parameter_formats.len() != usize::from(count) {
            return Err(Malformed::Value {
                place: "Bind parameter formats",
                value: parameter_formats.len() as i64,
            });
        }
        let parameters = Cells::new(cursor, count, false);
        let mut cursor = parameters.clone().skip()?;
        let result_formats = Formats::read(&mut cursor, "Bind")?;
        cursor.finish()?;
        Ok(Bind {
            portal,
            statement,
            parameter_formats,
            parameters,
            result_formats,
        })
    }
}

/// What a Describe or Close names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    Statement(&'a [u8]),
    Portal(&'a [u8]),
}

impl<'a> Target<'a> {
    /// # Errors
    /// A kind other than `S` and `P`, or a name without end.
    pub fn parse(body: &'a [u8], place: &'static str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, place);
        let kind = cursor.u8()?;
        let name = cursor.cstr()?;
        cursor.finish()?;
        match kind {
            b'S' => Ok(Target::Statement(name)),
            b'P' => Ok(Target::Portal(name)),
            other => Err(Malformed::Value {
                place,
                value: i64::from(other),
            }),
        }
    }
}

/// Runs a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    pub portal: &'a [u8],
    /// Zero and below mean all rows.
    pub rows_max: i32,
}

impl<'a> Execute<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "Execute");
        let portal = cursor.cstr()?;
        let rows_max = cursor.i32()?;
        cursor.finish()?;
        Ok(Execute { portal, rows_max })
    }
}

/// The fast-path call of one function, without a statement text.
#[derive(Debug, Clone)]
pub struct FunctionCall<'a> {
    pub function_oid: u32,
    pub argument_formats: Formats<'a>,
    /// Yields no errors: all values were walked when the message was parsed.
    pub arguments: Cells<'a>,
    pub result_format: Format,
}

impl<'a> FunctionCall<'a> {
    /// # Errors
    /// A body that does not follow the format.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body, "FunctionCall");
        let function_oid = cursor.u32()?;
        let argument_formats = Formats::read(&mut cursor, "FunctionCall")?;
        let count = cursor.u16()?;
        if argument_formats.len() > 1 && argument_formats.len() != usize::from(count) {
            return Err(Malformed::Value {
                place: "FunctionCall argument formats",
                value: argument_formats.len() as i64,
            });
        }
        let arguments = Cells::new(cursor, count, false);
        let mut cursor = arguments.clone().skip()?;
        let result_format = Format::from_code(cursor.i16()?, "FunctionCall")?;
        cursor.finish()?;
        Ok(FunctionCall {
            function_oid,
            argument_formats,
            arguments,
            result_format,
        })
    }
}

/// The body of a frame with tag `p`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordMessage<'a> {
    body: &'a [u8],
}

/// Leaves the body out: it may be a password.
impl std::fmt::Debug for PasswordMessage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordMessage({} bytes)", self.body.len())
    }
}

impl<'a> PasswordMessage<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        PasswordMessage { body }
    }

    /// As PasswordMessage: the password, clear or hashed.
    ///
    /// # Errors
    /// No NUL, or bytes behind it.
    pub fn password(&self) -> Result<&'a [u8], Malformed> {
        only_string(self.body, "PasswordMessage")
    }

    /// As SASLInitialResponse.
    ///
    /// # Errors
    /// A body that does not follow the format.
    pub fn sasl_initial(&self) -> Result<SaslInitialResponse<'a>, Malformed> {
        let mut cursor = Cursor::new(self.body, "SASLInitialResponse");
        let mechanism = cursor.cstr()?;
        let data = cursor.nullable()?;
        cursor.finish()?;
        Ok(SaslInitialResponse { mechanism, data })
    }

    /// As SASLResponse: the whole body.
    pub fn sasl_response(&self) -> &'a [u8] {
        self.body
    }
}

/// The mechanism that a client chose, and its first data if it sent some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaslInitialResponse<'a> {
    pub mechanism: &'a [u8],
    pub data: Option<&'a [u8]>,
}

/// A body that is one string and nothing else.
pub(super) fn only_string<'a>(body: &'a [u8], place: &'static str) -> Result<&'a [u8], Malformed> {
    let mut cursor = Cursor::new(body, place);
    let text = cursor.cstr()?;
    cursor.finish()?;
    Ok(text)
}

/// A message without a body.
pub(super) fn empty<T>(body: &[u8], place: &'static str, message: T) -> Result<T, Malformed> {
    Cursor::new(body, place).finish()?;
    Ok(message)
}
