//! Stores logins that are under way, each of which is used once, and which user a person of an identity provider is.

use super::db::{self, Row};
use super::{Store, StoreError, unreadable};
use crate::limits::FLOWS_MAX;

/// A login under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Hash of the secret by which it is found.
    pub sha256: Vec<u8>,
    /// `oidc`, `code` or `device`.
    pub kind: String,
    /// What a person types to find it.
    pub user_code: Option<String>,
    pub expires_micros: i64,
    /// JSON.
    pub body: String,
}

impl Store {
    /// Stores a login under way; those that have run out are forgotten.
    pub async fn add_flow(&self, flow: &Flow, now: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        db::query("DELETE FROM login_flow WHERE expires_micros <= ?")
            .bind(now)
            .execute(&mut tx)
            .await?;
        let present: i64 = db::query("SELECT COUNT(*) FROM login_flow")
            .fetch_one(&mut tx)
            .await?
            .try_get(0)?;
        if present >= FLOWS_MAX {
            return Err(unreadable("logins", "too many are under way"));
        }
        db::query("INSERT INTO login_flow (sha256, kind, user_code, expires_micros, body) VALUES (?, ?, ?, ?, ?)")
            .bind(&flow.sha256)
            .bind(&flow.kind)
            .bind(&flow.user_code)
            .bind(flow.expires_micros)
            .bind(&flow.body)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a login that is under way: nobody gets it a second time.
    pub async fn take_flow(&self, sha256: &[u8], kind: &str, now: i64) -> Result<Option<Flow>, StoreError> {
        let row = db::query("DELETE FROM login_flow WHERE sha256 = ? AND kind = ? AND expires_micros > ? RETURNING *")
            .bind(sha256)
            .bind(kind)
            .bind(now)
            .fetch_optional(self.writer())
            .await?;
        row.map(|row| flow_of(&row)).transpose()
    }

    /// A login that is under way, by its secret.
    pub async fn flow(&self, sha256: &[u8], kind: &str, now: i64) -> Result<Option<Flow>, StoreError> {
        let row = db::query("SELECT * FROM login_flow WHERE sha256 = ? AND kind = ? AND expires_micros > ?")
            .bind(sha256)
            .bind(kind)
            .bind(now)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| flow_of(&row)).transpose()
    }

    /// A login that is under way, by what a person types.
    pub async fn flow_by_user_code(&self, user_code: &str, now: i64) -> Result<Option<Flow>, StoreError> {
        let row = db::query("SELECT * FROM login_flow WHERE user_code = ? AND expires_micros > ?")
            .bind(user_code)
            .bind(now)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| flow_of(&row)).transpose()
    }

    /// Changes what is known of a login under way. False: it has changed meanwhile, or is gone.
    pub async fn change_flow(&self, flow: &Flow, body: &str) -> Result<bool, StoreError> {
        let done = db::query("UPDATE login_flow SET body = ? WHERE sha256 = ? AND body = ?")
            .bind(body)
            .bind(&flow.sha256)
            .bind(&flow.body)
            .execute(self.writer())
            .await?;
        Ok(done > 0)
    }

    /// The id of the user that a person of an identity provider is.
    pub async fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<String>, StoreError> {
        let row = db::query("SELECT user_id FROM identity_link WHERE issuer = ? AND subject = ?")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Keeps which user a person of an identity provider is.
    pub async fn link_user(&self, issuer: &str, subject: &str, user_id: &str) -> Result<(), StoreError> {
        db::query(
            "INSERT INTO identity_link (issuer, subject, user_id) VALUES (?, ?, ?) \
             ON CONFLICT (issuer, subject) DO UPDATE SET user_id = excluded.user_id",
        )
        .bind(issuer)
        .bind(subject)
        .bind(user_id)
        .execute(self.writer())
        .await?;
        Ok(())
    }
}

fn flow_of(row: &Row) -> Result<Flow, StoreError> {
    Ok(Flow {
        sha256: row.try_get("sha256")?,
        kind: row.try_get("kind")?,
        user_code: row.try_get("user_code")?,
        expires_micros: row.try_get("expires_micros")?,
        body: row.try_get("body")?,
    })
}
