//! What only connections of type `postgres` have: bounds of results and statements.

use serde::{Deserialize, Serialize};

use super::read::Fields;
use crate::limits::{RESULT_BYTES_MAX, RESULT_ROWS_MAX, STATEMENT_SECONDS_MAX};

/// Whether replication connections are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replication {
    #[default]
    Deny,
    Allow,
}

/// Bounds of a connection. Its keys stand beside those of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgres {
    /// Most rows of one result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// Most bytes of one result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// How long a statement may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    #[serde(default, skip_serializing_if = "super::model::is_default")]
    pub replication: Replication,
}

/// Reads the keys of a connection of type `postgres`.
pub fn connection(fields: &mut Fields<'_>) -> Postgres {
    Postgres {
        max_rows: fields.number("max_rows", 1, RESULT_ROWS_MAX),
        max_bytes: fields.number("max_bytes", 1, RESULT_BYTES_MAX),
        statement_timeout_seconds: fields.number("statement_timeout_seconds", 1, STATEMENT_SECONDS_MAX),
        read_only: fields.flag("read_only"),
        replication: fields.choice("replication", &["deny", "allow"]),
    }
}
