//! Stores answers of requests that are to be done once, sealed for whoever asked.

use super::db;
use super::{Store, StoreError};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub status: i64,
    pub content_type: String,
    pub sealed: Vec<u8>,
}

/// What was there for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: it is to be done now.
    New,
    /// The same request, which is being done.
    Pending,
    /// The same request, done.
    Done(Kept),
    /// Another request.
    Other,
}

impl Store {
    /// Begins a request under a key, unless one was begun; those of before `oldest` are forgotten.
    pub async fn begin_answer(&self, place: &[u8], asked: &[u8], now: i64, oldest: i64) -> Result<Begun, StoreError> {
        let mut tx = self.begin().await?;
        db::query("DELETE FROM kept_answer WHERE created_micros < ?")
            .bind(oldest)
            .execute(&mut tx)
            .await?;
        // Of two at the same time one is first.
        let is_new =
            db::query("INSERT INTO kept_answer (place, asked, created_micros) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(place)
                .bind(asked)
                .bind(now)
                .execute(&mut tx)
                .await?;
        let row = db::query("SELECT asked, status, content_type, sealed FROM kept_answer WHERE place = ?")
            .bind(place)
            .fetch_one(&mut tx)
            .await?;
        tx.commit().await?;
        if is_new > 0 {
            return Ok(Begun::New);
        }
        if row.try_get::<Vec<u8>, _>("asked")? != asked {
            return Ok(Begun::Other);
        }
        let (Some(status), Some(sealed)) = (row.try_get("status")?, row.try_get("sealed")?) else {
            return Ok(Begun::Pending);
        };
        Ok(Begun::Done(Kept {
            status,
            content_type: row.try_get("content_type")?,
            sealed,
        }))
    }

    /// Keeps the answer of a request that was begun.
    pub async fn end_answer(&self, place: &[u8], kept: &Kept) -> Result<(), StoreError> {
        db::query("UPDATE kept_answer SET status = ?, content_type = ?, sealed = ? WHERE place = ?")
            .bind(kept.status)
            .bind(&kept.content_type)
            .bind(&kept.sealed)
            .bind(place)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// The request may be done anew.
    pub async fn forget_answer(&self, place: &[u8]) -> Result<(), StoreError> {
        db::query("DELETE FROM kept_answer WHERE place = ?")
            .bind(place)
            .execute(self.writer())
            .await?;
        Ok(())
    }
}
