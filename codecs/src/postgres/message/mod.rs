//! PostgreSQL messages: tags, borrowed and checked views of every body, and encoders.
//!
//! A view is made from a frame's body, that is without the five header bytes. Strings are bytes without their NUL,
//! because their encoding is whatever the session's `client_encoding` says. Source: PostgreSQL documentation,
//! "Frontend/Backend Protocol", "Message Formats", protocol 3.2.

pub mod backend;
pub mod encode;
pub mod fields;
pub mod frontend;
pub mod tag;
#[cfg(test)]
mod tests;

pub use backend::{
    Authentication, Backend, BackendKeyData, CommandComplete, CopyResponse, DataRow, FieldDescription,
    FunctionCallResponse, NegotiateProtocolVersion, NotificationResponse, ParameterDescription, ParameterStatus,
    RowDescription, TransactionStatus, error_response_fields,
};
pub use encode::EncodeError;
pub use fields::{Cell, Cells, ErrorFields, Format, Formats, Oids};
pub use frontend::{Bind, Execute, Frontend, FunctionCall, Parse, PasswordMessage, Query, SaslInitialResponse, Target};
