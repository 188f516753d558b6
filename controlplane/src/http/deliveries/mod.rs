//! `/api/deliveries`: notifications on their way, delivered, and given up.

pub mod list;
pub mod retry;
pub mod show;

use serde::Serialize;
use serde_json::Value;

use super::input::time_text;
use crate::store::outbox::Delivery;

/// A delivery as the administrator sees it.
#[derive(Debug, PartialEq, Serialize)]
pub struct View {
    pub id: String,
    /// What receivers know it by: the same for all targets and tries.
    pub event_id: String,
    pub event: String,
    pub target: String,
    /// Id of what it is about.
    pub subject: String,
    /// `waiting`, `delivered` or `dead`.
    pub state: &'static str,
    pub attempts: u32,
    pub created_at: Option<String>,
    /// When it is tried next.
    pub due_at: Option<String>,
    pub done_at: Option<String>,
    /// What the last failed try said.
    pub error: Option<String>,
    pub body: Value,
}

impl From<Delivery> for View {
    fn from(delivery: Delivery) -> Self {
        View {
            state: delivery.state.name(),
            created_at: time_text(delivery.created_micros),
            due_at: delivery.due_micros.and_then(time_text),
            done_at: delivery.done_micros.and_then(time_text),
            error: Some(delivery.error).filter(|error| !error.is_empty()),
            body: serde_json::from_str(&delivery.body).unwrap_or_default(),
            id: delivery.id,
            event_id: delivery.event_id,
            event: delivery.event,
            target: delivery.target,
            subject: delivery.subject,
            attempts: delivery.attempts,
        }
    }
}
