//! `/api/admin-log`: what was done in the control plane, by whom, and whether that record is whole.

pub mod list;
pub mod verify;

use serde::Serialize;
use serde_json::Value;

use super::input::time_text;
use crate::pki::hex;
use crate::store::admin_log::Logged;

/// One line as auditors see it.
#[derive(Debug, Serialize)]
pub struct View {
    pub number: i64,
    pub at: Option<String>,
    pub actor: String,
    pub actor_id: String,
    pub via: String,
    pub address: String,
    pub action: String,
    pub target: String,
    pub phase: String,
    pub begun: Option<i64>,
    pub status: Option<i64>,
    pub detail: Value,
    pub hash: String,
}

impl From<Logged> for View {
    fn from(logged: Logged) -> View {
        let line = logged.line;
        View {
            number: logged.seq,
            at: time_text(line.at_micros),
            actor: line.actor,
            actor_id: line.actor_id,
            via: line.via,
            address: line.address,
            action: line.action,
            target: line.target,
            phase: line.phase.into_owned(),
            begun: line.begun_seq,
            status: (line.status != 0).then_some(line.status),
            detail: serde_json::from_str(&line.detail).unwrap_or(Value::Null),
            hash: hex(&logged.hash),
        }
    }
}
