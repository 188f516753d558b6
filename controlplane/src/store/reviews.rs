//! Stores reviews; what grants access is saved with the policy's generation, by [`Store::save_change`](super::Store::save_change).

use super::db::{self, Row, Tx};
use super::feed::{self, Topic};
use super::outbox::{Delivery, put_deliveries};
use super::{Store, StoreError, unreadable};
use crate::domain::review::{Kind, Review, State};

/// Which reviews are wanted.
#[derive(Clone, Debug, Default)]
pub struct ReviewFilter {
    pub kind: Option<Kind>,
    pub state: Option<State>,
    pub connection: Option<String>,
    pub user_id: Option<String>,
    /// Only those after this one in the order of the list.
    pub after: Option<(i64, String)>,
}

impl Store {
    /// Reviews, newest first.
    pub async fn reviews(&self, filter: &ReviewFilter, limit: usize) -> Result<Vec<Review>, StoreError> {
        let mut query = db::build("SELECT body FROM review WHERE 1 = 1");
        let texts = [
            ("kind", filter.kind.map(|kind| kind.name().to_owned())),
            ("state", filter.state.map(|state| state.name().to_owned())),
            ("connection", filter.connection.clone()),
            ("user_id", filter.user_id.clone()),
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
        rows.iter().map(review_of).collect()
    }

    /// One review.
    pub async fn review(&self, id: &str) -> Result<Option<Review>, StoreError> {
        let row = db::query("SELECT body FROM review WHERE id = ?")
            .bind(id)
            .fetch_optional(self.writer())
            .await?;
        row.as_ref().map(review_of).transpose()
    }

    /// Reviews that time changes by `now_micros`.
    pub async fn reviews_due(&self, now_micros: i64, limit: usize) -> Result<Vec<Review>, StoreError> {
        let rows = db::query("SELECT body FROM review WHERE due_micros <= ? ORDER BY due_micros, id LIMIT ?")
            .bind(now_micros)
            .bind(limit as i64)
            .fetch_all(self.writer())
            .await?;
        rows.iter().map(review_of).collect()
    }

    /// Decisions that a data plane has not confirmed, in the order in which they were made.
    pub async fn reviews_undelivered(&self, dataplane: &str) -> Result<Vec<Review>, StoreError> {
        let rows = db::query(
            "SELECT body FROM review WHERE dataplane = ? AND undelivered = 1 ORDER BY decided_micros, created_micros, id",
        )
        .bind(dataplane)
        .fetch_all(self.writer())
        .await?;
        rows.iter().map(review_of).collect()
    }

    /// Statements of a data plane that are not over.
    pub async fn reviews_open(&self, dataplane: &str) -> Result<Vec<Review>, StoreError> {
        let rows = db::query("SELECT body FROM review WHERE dataplane = ? AND state IN ('PENDING', 'APPROVED')")
            .bind(dataplane)
            .fetch_all(self.writer())
            .await?;
        rows.iter().map(review_of).collect()
    }

    /// Writes a review with the news of it. Both are durable when this returns.
    pub async fn save_review(&self, review: &Review, deliveries: &[Delivery]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_review(&mut tx, review).await?;
        put_deliveries(&mut tx, deliveries).await?;
        feed::touch(&mut tx, Topic::Reviews).await?;
        tx.commit().await
    }
}

/// Access that is granted.
pub(super) async fn reviews_granted(tx: &mut Tx) -> Result<Vec<Review>, StoreError> {
    let rows = db::query("SELECT body FROM review WHERE kind = 'access' AND state = 'APPROVED'")
        .fetch_all(tx)
        .await?;
    rows.iter().map(review_of).collect()
}

pub(super) async fn put_review(tx: &mut Tx, review: &Review) -> Result<(), StoreError> {
    let body = serde_json::to_string(review).map_err(|e| unreadable("review", e))?;
    db::query(
        "INSERT INTO review (id, kind, state, user_id, connection, dataplane, undelivered, due_micros, created_micros, \
         decided_micros, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET \
         state = excluded.state, undelivered = excluded.undelivered, due_micros = excluded.due_micros, \
         decided_micros = excluded.decided_micros, body = excluded.body",
    )
    .bind(&review.id)
    .bind(review.kind.name())
    .bind(review.state.name())
    .bind(&review.user_id)
    .bind(&review.connection)
    .bind(&review.dataplane)
    .bind(i64::from(review.is_undelivered()))
    .bind(review.due_micros())
    .bind(review.created_micros)
    .bind(review.decided_micros)
    .bind(body)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

fn review_of(row: &Row) -> Result<Review, StoreError> {
    let body: String = row.try_get("body")?;
    serde_json::from_str(&body).map_err(|e| unreadable("review", e))
}
