//! Stores notifications on their way: written with what happened, taken on by one sender at a time, kept for a while when over.

use super::db::{self, Row, Tx};
use super::{Store, StoreError, unreadable};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    /// Given up.
    Dead,
}

impl DeliveryState {
    /// The word in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        }
    }

    /// The state called `name`.
    pub fn from_name(name: &str) -> Option<DeliveryState> {
        [DeliveryState::Waiting, DeliveryState::Delivered, DeliveryState::Dead]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One event on its way to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: String,
    /// The same for all targets and all tries.
    pub event_id: String,
    pub event: String,
    pub target: String,
    pub subject: String,
    /// JSON.
    pub body: String,
    pub state: DeliveryState,
    pub attempts: u32,
    /// When it is tried next; none when it is over.
    pub due_micros: Option<i64>,
    pub created_micros: i64,
    pub done_micros: Option<i64>,
    /// What the last failed try said.
    pub error: String,
}

/// Which deliveries are wanted.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub target: Option<String>,
    pub subject: Option<String>,
    /// Only those after this one in the order of the list.
    pub after: Option<(i64, String)>,
}

impl Store {
    /// Writes deliveries of something that changes nothing else.
    pub async fn save_deliveries(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_deliveries(&mut tx, deliveries).await?;
        tx.commit().await
    }

    /// Targets for which something is due.
    pub async fn delivery_targets_due(&self, now_micros: i64) -> Result<Vec<String>, StoreError> {
        let rows = db::query("SELECT DISTINCT target FROM delivery WHERE state = 'waiting' AND due_micros <= ?")
            .bind(now_micros)
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// What is due for a target, in the order in which it happened.
    pub async fn deliveries_due(
        &self,
        target: &str,
        now_micros: i64,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let rows = db::query(
            "SELECT * FROM delivery WHERE target = ? AND state = 'waiting' AND due_micros <= ? \
             ORDER BY created_micros, id LIMIT ?",
        )
        .bind(target)
        .bind(now_micros)
        .bind(limit as i64)
        .fetch_all(self.writer())
        .await?;
        rows.iter().map(delivery_of).collect()
    }

    /// Takes a delivery on until `until_micros`. False: it is somebody else's, or over.
    pub async fn claim_delivery(&self, id: &str, now_micros: i64, until_micros: i64) -> Result<bool, StoreError> {
        let done = db::query(
            "UPDATE delivery SET claimed_micros = ? WHERE id = ? AND state = 'waiting' \
             AND (claimed_micros IS NULL OR claimed_micros <= ?)",
        )
        .bind(until_micros)
        .bind(id)
        .bind(now_micros)
        .execute(self.writer())
        .await?;
        Ok(done == 1)
    }

    /// Notes how a try went: state, tries, when the next one is due, and the error.
    pub async fn finish_delivery(&self, delivery: &Delivery) -> Result<(), StoreError> {
        db::query(
            "UPDATE delivery SET state = ?, attempts = ?, due_micros = ?, done_micros = ?, error = ?, claimed_micros = NULL \
             WHERE id = ? AND state = 'waiting'",
        )
        .bind(delivery.state.name())
        .bind(i64::from(delivery.attempts))
        .bind(delivery.due_micros)
        .bind(delivery.done_micros)
        .bind(&delivery.error)
        .bind(&delivery.id)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Lets everything that is due for a target wait until then.
    pub async fn pause_deliveries(&self, target: &str, until_micros: i64) -> Result<(), StoreError> {
        db::query("UPDATE delivery SET due_micros = ? WHERE target = ? AND state = 'waiting' AND due_micros < ?")
            .bind(until_micros)
            .bind(target)
            .bind(until_micros)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Deliveries, newest first.
    pub async fn deliveries(&self, filter: &DeliveryFilter, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let mut query = db::build("SELECT * FROM delivery WHERE 1 = 1");
        let texts = [
            ("state", filter.state.map(|state| state.name().to_owned())),
            ("target", filter.target.clone()),
            ("subject", filter.subject.clone()),
        ];
        for (column, value) in texts {
            if let Some(value) = value {
                query.push(" AND ").push(column).push(" = ").push_bind(value);
            }
        }
        if let Some((created, id)) = &filter.after {
            query.push(" AND (created_micros, id) < (").push_bind(*created);
            query.push(", ").push_bind(id.clone()).push(")");
        }
        query
            .push(" ORDER BY created_micros DESC, id DESC LIMIT ")
            .push_bind(limit as i64);
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(delivery_of).collect()
    }

    /// One delivery.
    pub async fn delivery(&self, id: &str) -> Result<Option<Delivery>, StoreError> {
        let row = db::query("SELECT * FROM delivery WHERE id = ?")
            .bind(id)
            .fetch_optional(self.writer())
            .await?;
        row.as_ref().map(delivery_of).transpose()
    }

    /// Tries a delivery that is not delivered again, from now on and as if it were new. False: it is delivered, or unknown.
    pub async fn retry_delivery(&self, id: &str, now_micros: i64) -> Result<bool, StoreError> {
        let done = db::query(
            "UPDATE delivery SET state = 'waiting', attempts = 0, due_micros = ?, done_micros = NULL, \
             created_micros = ?, claimed_micros = NULL WHERE id = ? AND state <> 'delivered'",
        )
        .bind(now_micros)
        .bind(now_micros)
        .bind(id)
        .execute(self.writer())
        .await?;
        Ok(done == 1)
    }

    /// How many deliveries there are by target and state.
    pub async fn delivery_counts(&self) -> Result<Vec<(String, DeliveryState, i64)>, StoreError> {
        let rows = db::query("SELECT target, state, count(*) FROM delivery GROUP BY target, state ORDER BY 1, 2")
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| {
                let state: String = row.try_get(1)?;
                Ok((row.try_get(0)?, state_of(&state)?, row.try_get(2)?))
            })
            .collect()
    }

    /// Forgets what was over before then.
    pub async fn prune_deliveries(&self, before_micros: i64) -> Result<u64, StoreError> {
        let done = db::query("DELETE FROM delivery WHERE state <> 'waiting' AND done_micros < ?")
            .bind(before_micros)
            .execute(self.writer())
            .await?;
        Ok(done)
    }
}

pub(super) async fn put_deliveries(tx: &mut Tx, deliveries: &[Delivery]) -> Result<(), StoreError> {
    for delivery in deliveries {
        db::query(
            "INSERT INTO delivery (id, event_id, event, target, subject, body, state, attempts, due_micros, \
             created_micros, done_micros, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&delivery.id)
        .bind(&delivery.event_id)
        .bind(&delivery.event)
        .bind(&delivery.target)
        .bind(&delivery.subject)
        .bind(&delivery.body)
        .bind(delivery.state.name())
        .bind(i64::from(delivery.attempts))
        .bind(delivery.due_micros)
        .bind(delivery.created_micros)
        .bind(delivery.done_micros)
        .bind(&delivery.error)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

fn delivery_of(row: &Row) -> Result<Delivery, StoreError> {
    let state: String = row.try_get("state")?;
    let attempts: i64 = row.try_get("attempts")?;
    Ok(Delivery {
        id: row.try_get("id")?,
        event_id: row.try_get("event_id")?,
        event: row.try_get("event")?,
        target: row.try_get("target")?,
        subject: row.try_get("subject")?,
        body: row.try_get("body")?,
        state: state_of(&state)?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        due_micros: row.try_get("due_micros")?,
        created_micros: row.try_get("created_micros")?,
        done_micros: row.try_get("done_micros")?,
        error: row.try_get("error")?,
    })
}

fn state_of(name: &str) -> Result<DeliveryState, StoreError> {
    DeliveryState::from_name(name).ok_or_else(|| unreadable("delivery", format!("unknown state \"{name}\"")))
}
