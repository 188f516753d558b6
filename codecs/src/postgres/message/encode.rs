//! Encoders: each appends one whole frame to a buffer, or refuses and leaves the buffer as it was.

use super::backend::{FieldDescription, TransactionStatus};
use super::fields::Format;
use super::frontend::Target;
use super::tag::{backend, frontend};
use crate::postgres::limits::SECRET_BYTES_MAX;

/// Why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A length field cannot hold it.
    #[error("message is too long for its length field")]
    TooLong,
    /// A count field cannot hold it.
    #[error("message has too many entries for its count field")]
    TooMany,
    /// A string that ends with NUL contains one.
    #[error("string contains a NUL byte")]
    Nul,
    /// A secret of a cancel key has between 4 and 256 bytes.
    #[error("cancel key has a length that the protocol does not allow")]
    Secret,
}

type Encoded = Result<(), EncodeError>;

/// Appends a frame whose body `body` writes.
///
/// # Errors
/// What `body` returns, or [`EncodeError::TooLong`] above `i32::MAX` bytes; `out` is unchanged then.
pub fn frame(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>) -> Encoded) -> Encoded {
    let before = out.len();
    out.push(tag);
    let result = with_length(out, body);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Appends a length and what `body` writes, for packets without a tag. On error `out` keeps what was written so far.
pub(in crate::postgres) fn with_length(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>) -> Encoded) -> Encoded {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out)?;
    let length = length_code(out.len() - start)?;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// The four bytes before a nullable value.
///
/// # Errors
/// [`EncodeError::TooLong`] above `i32::MAX`.
pub fn length_code(bytes: usize) -> Result<i32, EncodeError> {
    i32::try_from(bytes).map_err(|_| EncodeError::TooLong)
}

/// Appends a string and its NUL.
///
/// # Errors
/// [`EncodeError::Nul`] if it contains one.
pub fn cstr(out: &mut Vec<u8>, text: &[u8]) -> Encoded {
    if memchr::memchr(0, text).is_some() {
        return Err(EncodeError::Nul);
    }
    out.extend_from_slice(text);
    out.push(0);
    Ok(())
}

/// Appends a value with its length; `None` as SQL NULL.
///
/// # Errors
/// [`EncodeError::TooLong`] above `i32::MAX`.
pub fn nullable(out: &mut Vec<u8>, value: Option<&[u8]>) -> Encoded {
    match value {
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(value) => {
            out.extend_from_slice(&length_code(value.len())?.to_be_bytes());
            out.extend_from_slice(value);
        }
    }
    Ok(())
}

fn count(out: &mut Vec<u8>, entries: usize) -> Encoded {
    let entries = u16::try_from(entries).map_err(|_| EncodeError::TooMany)?;
    out.extend_from_slice(&entries.to_be_bytes());
    Ok(())
}

fn formats(out: &mut Vec<u8>, list: &[Format]) -> Encoded {
    count(out, list.len())?;
    for format in list {
        out.extend_from_slice(&format.code().to_be_bytes());
    }
    Ok(())
}

fn values(out: &mut Vec<u8>, list: &[Option<&[u8]>]) -> Encoded {
    count(out, list.len())?;
    list.iter().try_for_each(|value| nullable(out, *value))
}

fn oids(out: &mut Vec<u8>, list: &[u32]) -> Encoded {
    count(out, list.len())?;
    for oid in list {
        out.extend_from_slice(&oid.to_be_bytes());
    }
    Ok(())
}

fn bare(out: &mut Vec<u8>, tag: u8) {
    out.extend_from_slice(&[tag, 0, 0, 0, 4]);
}

fn string(out: &mut Vec<u8>, tag: u8, text: &[u8]) -> Encoded {
    frame(out, tag, |out| cstr(out, text))
}

fn bytes(out: &mut Vec<u8>, tag: u8, data: &[u8]) -> Encoded {
    frame(out, tag, |out| {
        out.extend_from_slice(data);
        Ok(())
    })
}

// What a client sends.

pub fn query(out: &mut Vec<u8>, text: &[u8]) -> Encoded {
    string(out, frontend::QUERY, text)
}

pub fn parse(out: &mut Vec<u8>, name: &[u8], text: &[u8], parameter_types: &[u32]) -> Encoded {
    frame(out, frontend::PARSE, |out| {
        cstr(out, name)?;
        cstr(out, text)?;
        oids(out, parameter_types)
    })
}

pub fn bind(
    out: &mut Vec<u8>,
    portal: &[u8],
    statement: &[u8],
    parameter_formats: &[Format],
    parameters: &[Option<&[u8]>],
    result_formats: &[Format],
) -> Encoded {
    frame(out, frontend::BIND, |out| {
        cstr(out, portal)?;
        cstr(out, statement)?;
        formats(out, parameter_formats)?;
        values(out, parameters)?;
        formats(out, result_formats)
    })
}

pub fn describe(out: &mut Vec<u8>, target: Target<'_>) -> Encoded {
    target_frame(out, frontend::DESCRIBE, target)
}

pub fn close(out: &mut Vec<u8>, target: Target<'_>) -> Encoded {
    target_frame(out, frontend::CLOSE, target)
}

fn target_frame(out: &mut Vec<u8>, tag: u8, target: Target<'_>) -> Encoded {
    let (kind, name) = match target {
        Target::Statement(name) => (b'S', name),
        Target::Portal(name) => (b'P', name),
    };
    frame(out, tag, |out| {
        out.push(kind);
        cstr(out, name)
    })
}

pub fn execute(out: &mut Vec<u8>, portal: &[u8], rows_max: i32) -> Encoded {
    frame(out, frontend::EXECUTE, |out| {
        cstr(out, portal)?;
        out.extend_from_slice(&rows_max.to_be_bytes());
        Ok(())
    })
}

pub fn sync(out: &mut Vec<u8>) {
    bare(out, frontend::SYNC);
}

pub fn flush(out: &mut Vec<u8>) {
    bare(out, frontend::FLUSH);
}

pub fn terminate(out: &mut Vec<u8>) {
    bare(out, frontend::TERMINATE);
}

pub fn function_call(
    out: &mut Vec<u8>,
    function_oid: u32,
    argument_formats: &[Format],
    arguments: &[Option<&[u8]>],
    result_format: Format,
) -> Encoded {
    frame(out, frontend::FUNCTION_CALL, |out| {
        out.extend_from_slice(&function_oid.to_be_bytes());
        formats(out, argument_formats)?;
        values(out, arguments)?;
        out.extend_from_slice(&result_format.code().to_be_bytes());
        Ok(())
    })
}

/// The same in both directions.
pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) -> Encoded {
    bytes(out, frontend::COPY_DATA, data)
}

/// The same in both directions.
pub fn copy_done(out: &mut Vec<u8>) {
    bare(out, frontend::COPY_DONE);
}

pub fn copy_fail(out: &mut Vec<u8>, reason: &[u8]) -> Encoded {
    string(out, frontend::COPY_FAIL, reason)
}

pub fn password(out: &mut Vec<u8>, password: &[u8]) -> Encoded {
    string(out, frontend::PASSWORD, password)
}

pub fn sasl_initial_response(out: &mut Vec<u8>, mechanism: &[u8], data: Option<&[u8]>) -> Encoded {
    frame(out, frontend::PASSWORD, |out| {
        cstr(out, mechanism)?;
        nullable(out, data)
    })
}

pub fn sasl_response(out: &mut Vec<u8>, data: &[u8]) -> Encoded {
    bytes(out, frontend::PASSWORD, data)
}

// What a server sends.

/// AuthenticationOk.
pub fn authentication_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(&[backend::AUTHENTICATION, 0, 0, 0, 8, 0, 0, 0, 0]);
}

/// An Authentication message with any code and data: 3 cleartext, 5 md5, 11 SASLContinue, 12 SASLFinal.
pub fn authentication(out: &mut Vec<u8>, code: u32, data: &[u8]) -> Encoded {
    frame(out, backend::AUTHENTICATION, |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(data);
        Ok(())
    })
}

/// AuthenticationSASL with the mechanisms, best first.
pub fn authentication_sasl(out: &mut Vec<u8>, mechanisms: &[&[u8]]) -> Encoded {
    frame(out, backend::AUTHENTICATION, |out| {
        out.extend_from_slice(&10u32.to_be_bytes());
        for mechanism in mechanisms {
            cstr(out, mechanism)?;
        }
        out.push(0);
        Ok(())
    })
}

/// # Errors
/// [`EncodeError::Secret`] for a secret shorter than 4 or longer than 256 bytes.
pub fn backend_key_data(out: &mut Vec<u8>, process_id: u32, secret: &[u8]) -> Encoded {
    if secret.len() < 4 || secret.len() > SECRET_BYTES_MAX {
        return Err(EncodeError::Secret);
    }
    frame(out, backend::BACKEND_KEY_DATA, |out| {
        out.extend_from_slice(&process_id.to_be_bytes());
        out.extend_from_slice(secret);
        Ok(())
    })
}

pub fn parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Encoded {
    frame(out, backend::PARAMETER_STATUS, |out| {
        cstr(out, name)?;
        cstr(out, value)
    })
}

pub fn ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    out.extend_from_slice(&[backend::READY_FOR_QUERY, 0, 0, 0, 5, status.code()]);
}

pub fn command_complete(out: &mut Vec<u8>, command_tag: &[u8]) -> Encoded {
    string(out, backend::COMMAND_COMPLETE, command_tag)
}

/// The `offset` of the fields is not looked at.
pub fn row_description(out: &mut Vec<u8>, fields: &[FieldDescription<'_>]) -> Encoded {
    frame(out, backend::ROW_DESCRIPTION, |out| {
        count(out, fields.len())?;
        for field in fields {
            cstr(out, field.name)?;
            out.extend_from_slice(&field.table_oid.to_be_bytes());
            out.extend_from_slice(&field.attribute.to_be_bytes());
            out.extend_from_slice(&field.type_oid.to_be_bytes());
            out.extend_from_slice(&field.type_bytes.to_be_bytes());
            out.extend_from_slice(&field.type_modifier.to_be_bytes());
            out.extend_from_slice(&field.format.code().to_be_bytes());
        }
        Ok(())
    })
}

pub fn data_row(out: &mut Vec<u8>, cells: &[Option<&[u8]>]) -> Encoded {
    frame(out, backend::DATA_ROW, |out| values(out, cells))
}

/// ErrorResponse with fields as (code, value).
pub fn error_response(out: &mut Vec<u8>, fields: &[(u8, &[u8])]) -> Encoded {
    fields_frame(out, backend::ERROR_RESPONSE, fields)
}

/// NoticeResponse with fields as (code, value).
pub fn notice_response(out: &mut Vec<u8>, fields: &[(u8, &[u8])]) -> Encoded {
    fields_frame(out, backend::NOTICE_RESPONSE, fields)
}

fn fields_frame(out: &mut Vec<u8>, tag: u8, fields: &[(u8, &[u8])]) -> Encoded {
    frame(out, tag, |out| {
        for (code, value) in fields {
            out.push(*code);
            cstr(out, value)?;
        }
        out.push(0);
        Ok(())
    })
}

pub fn notification_response(out: &mut Vec<u8>, process_id: u32, channel: &[u8], payload: &[u8]) -> Encoded {
    frame(out, backend::NOTIFICATION_RESPONSE, |out| {
        out.extend_from_slice(&process_id.to_be_bytes());
        cstr(out, channel)?;
        cstr(out, payload)
    })
}

/// `tag` is one of the three COPY responses.
pub fn copy_response(out: &mut Vec<u8>, tag: u8, format: Format, columns: &[Format]) -> Encoded {
    frame(out, tag, |out| {
        out.push(format.code() as u8);
        formats(out, columns)
    })
}

/// `version` has the major version in its upper half.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, version: u32, options: &[&[u8]]) -> Encoded {
    frame(out, backend::NEGOTIATE_PROTOCOL_VERSION, |out| {
        out.extend_from_slice(&version.to_be_bytes());
        let entries = u32::try_from(options.len()).map_err(|_| EncodeError::TooMany)?;
        out.extend_from_slice(&entries.to_be_bytes());
        options.iter().try_for_each(|option| cstr(out, option))
    })
}

pub fn parameter_description(out: &mut Vec<u8>, types: &[u32]) -> Encoded {
    frame(out, backend::PARAMETER_DESCRIPTION, |out| oids(out, types))
}

pub fn function_call_response(out: &mut Vec<u8>, value: Option<&[u8]>) -> Encoded {
    frame(out, backend::FUNCTION_CALL_RESPONSE, |out| nullable(out, value))
}

/// Messages of a server that have no body: ParseComplete, BindComplete, CloseComplete, NoData, EmptyQueryResponse,
/// PortalSuspended, CopyDone.
pub fn bodiless(out: &mut Vec<u8>, tag: u8) {
    bare(out, tag);
}
