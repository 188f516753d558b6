//! Stores what people and programs prove themselves with: passwords, API keys, logins.

use super::db::{self, Row};
use super::{Store, StoreError, unreadable};

/// A key for the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: String,
    pub user_id: String,
    pub name: String,
    pub sha256: Vec<u8>,
    /// `RESOURCE:read`, `RESOURCE:write`, `RESOURCE:*` or `*`.
    pub scopes: Vec<String>,
    pub created_micros: i64,
    pub expires_micros: Option<i64>,
}

/// Somebody who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSession {
    pub sha256: Vec<u8>,
    pub user_id: String,
    /// `password` or `oidc`.
    pub method: String,
    pub created_micros: i64,
    pub expires_micros: i64,
    pub mfa_micros: Option<i64>,
    pub checked_micros: i64,
    pub sealed: Option<Vec<u8>>,
}

/// What an attempt with a password meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The user has none.
    None,
    /// Too many were wrong: not before this moment (microseconds since 1970).
    Locked(i64),
    /// Check it against this; the attempt counts as failed until [`Store::password_good`].
    Check(String),
}

impl Store {
    /// Counts an attempt before it is checked, so that many at once count too. `lock` says until when the given number of
    /// failures locks (microseconds since 1970; 0: not).
    pub async fn password_attempt(
        &self,
        user_id: &str,
        now: i64,
        lock: impl FnOnce(i64) -> i64 + Send,
    ) -> Result<Attempt, StoreError> {
        let mut tx = self.begin().await?;
        // Attempts at the same time count one after the other.
        let row = db::query("SELECT phc, failures, locked_until_micros FROM password WHERE user_id = ?")
            .bind(user_id)
            .for_update(&tx)
            .fetch_optional(&mut tx)
            .await?;
        let Some(row) = row else {
            return Ok(Attempt::None);
        };
        let locked: i64 = row.try_get("locked_until_micros")?;
        if locked > now {
            return Ok(Attempt::Locked(locked));
        }
        let failures = row.try_get::<i64, _>("failures")?.saturating_add(1);
        db::query("UPDATE password SET failures = ?, locked_until_micros = ? WHERE user_id = ?")
            .bind(failures)
            .bind(lock(failures))
            .bind(user_id)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(Attempt::Check(row.try_get("phc")?))
    }

    /// The last attempt was right.
    pub async fn password_good(&self, user_id: &str) -> Result<(), StoreError> {
        db::query("UPDATE password SET failures = 0, locked_until_micros = 0 WHERE user_id = ?")
            .bind(user_id)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Sets a user's password; failures are forgotten.
    pub async fn set_password(&self, user_id: &str, phc: &str, now: i64) -> Result<(), StoreError> {
        db::query(
            "INSERT INTO password (user_id, phc, changed_micros, failures, locked_until_micros) VALUES (?, ?, ?, 0, 0) \
             ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, changed_micros = excluded.changed_micros, \
             failures = 0, locked_until_micros = 0",
        )
        .bind(user_id)
        .bind(phc)
        .bind(now)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Takes a user's password away. False: there was none.
    pub async fn remove_password(&self, user_id: &str) -> Result<bool, StoreError> {
        let done = db::query("DELETE FROM password WHERE user_id = ?")
            .bind(user_id)
            .execute(self.writer())
            .await?;
        Ok(done > 0)
    }

    /// Stores a key.
    pub async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        let scopes = serde_json::to_string(&key.scopes).map_err(|e| unreadable("key", e))?;
        db::query(
            "INSERT INTO api_key (id, user_id, name, sha256, scopes, created_micros, expires_micros) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&key.id)
        .bind(&key.user_id)
        .bind(&key.name)
        .bind(&key.sha256)
        .bind(scopes)
        .bind(key.created_micros)
        .bind(key.expires_micros)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The key with this hash.
    pub async fn api_key_by_hash(&self, sha256: &[u8]) -> Result<Option<ApiKey>, StoreError> {
        let row = db::query("SELECT * FROM api_key WHERE sha256 = ?")
            .bind(sha256)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| api_key_of(&row)).transpose()
    }

    /// The key with this id.
    pub async fn api_key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let row = db::query("SELECT * FROM api_key WHERE id = ?")
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| api_key_of(&row)).transpose()
    }

    /// Keys by id after `after`, of one user or of all.
    pub async fn api_keys(&self, user_id: Option<&str>, after: &str, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        let rows = db::query("SELECT * FROM api_key WHERE id > ? AND (? = '' OR user_id = ?) ORDER BY id LIMIT ?")
            .bind(after)
            .bind(user_id.unwrap_or_default())
            .bind(user_id.unwrap_or_default())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(api_key_of).collect()
    }

    /// Deletes a key. False: there was none.
    pub async fn delete_api_key(&self, id: &str) -> Result<bool, StoreError> {
        let done = db::query("DELETE FROM api_key WHERE id = ?")
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(done > 0)
    }

    /// Stores a login.
    pub async fn add_login(&self, login: &LoginSession) -> Result<(), StoreError> {
        db::query(
            "INSERT INTO login_session (sha256, user_id, method, created_micros, expires_micros, mfa_micros, \
             checked_micros, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&login.sha256)
        .bind(&login.user_id)
        .bind(&login.method)
        .bind(login.created_micros)
        .bind(login.expires_micros)
        .bind(login.mfa_micros)
        .bind(login.checked_micros)
        .bind(&login.sealed)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The login with this hash that has not run out.
    pub async fn login(&self, sha256: &[u8], now: i64) -> Result<Option<LoginSession>, StoreError> {
        let row = db::query("SELECT * FROM login_session WHERE sha256 = ? AND expires_micros > ?")
            .bind(sha256)
            .bind(now)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| login_of(&row)).transpose()
    }

    /// Takes it on to ask the provider about a login. False: somebody else does.
    pub async fn claim_login_check(&self, login: &LoginSession, now: i64) -> Result<bool, StoreError> {
        let done = db::query("UPDATE login_session SET checked_micros = ? WHERE sha256 = ? AND checked_micros = ?")
            .bind(now)
            .bind(&login.sha256)
            .bind(login.checked_micros)
            .execute(self.writer())
            .await?;
        Ok(done > 0)
    }

    /// Stores what the provider gave anew.
    pub async fn reseal_login(&self, sha256: &[u8], sealed: Option<Vec<u8>>) -> Result<(), StoreError> {
        db::query("UPDATE login_session SET sealed = ? WHERE sha256 = ?")
            .bind(sealed)
            .bind(sha256)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Ends a login.
    pub async fn end_login(&self, sha256: &[u8]) -> Result<(), StoreError> {
        db::query("DELETE FROM login_session WHERE sha256 = ?")
            .bind(sha256)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Ends all logins of a user but the one with this hash.
    pub async fn end_other_logins(&self, user_id: &str, but: &[u8]) -> Result<(), StoreError> {
        db::query("DELETE FROM login_session WHERE user_id = ? AND sha256 <> ?")
            .bind(user_id)
            .bind(but)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Forgets what has run out.
    pub async fn forget_old_logins(&self, now: i64) -> Result<(), StoreError> {
        db::query("DELETE FROM login_session WHERE expires_micros <= ?")
            .bind(now)
            .execute(self.writer())
            .await?;
        Ok(())
    }
}

fn api_key_of(row: &Row) -> Result<ApiKey, StoreError> {
    let scopes: String = row.try_get("scopes")?;
    Ok(ApiKey {
        id: row.try_get("id")?,
        user_id: row.try_get("user_id")?,
        name: row.try_get("name")?,
        sha256: row.try_get("sha256")?,
        scopes: serde_json::from_str(&scopes).map_err(|e| unreadable("key", e))?,
        created_micros: row.try_get("created_micros")?,
        expires_micros: row.try_get("expires_micros")?,
    })
}

fn login_of(row: &Row) -> Result<LoginSession, StoreError> {
    Ok(LoginSession {
        sha256: row.try_get("sha256")?,
        user_id: row.try_get("user_id")?,
        method: row.try_get("method")?,
        created_micros: row.try_get("created_micros")?,
        expires_micros: row.try_get("expires_micros")?,
        mfa_micros: row.try_get("mfa_micros")?,
        checked_micros: row.try_get("checked_micros")?,
        sealed: row.try_get("sealed")?,
    })
}
