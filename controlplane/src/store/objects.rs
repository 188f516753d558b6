//! Stores the objects of the policy, access tokens and settings; a change of them is one transaction.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::enrolment::remove_agent;
use super::reviews::put_review;
use super::{Store, StoreError, unreadable};
use crate::domain::model::{Body, Catalog, Entry, Key, Kind, Owner};
use crate::domain::review::Review;

/// What is known of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    pub user_id: String,
    pub name: String,
    pub salt: Vec<u8>,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
    pub sha256: Vec<u8>,
    /// Names of the connections it may open; empty: all that its user may.
    pub connections: Vec<String>,
    pub created_micros: i64,
    pub expires_micros: Option<i64>,
}

/// Everything that a snapshot is built from.
#[derive(Clone, Debug, Default)]
pub struct PolicyState {
    pub catalog: Catalog,
    /// By id.
    pub tokens: BTreeMap<String, Token>,
    /// SCRAM salts by user id.
    pub salts: BTreeMap<String, Vec<u8>>,
    /// Removed agents by id, with the end of their last certificate (microseconds since 1970).
    pub revoked_agents: BTreeMap<String, i64>,
    /// Access that reviews gave, by the review's id.
    pub grants: BTreeMap<String, Review>,
    pub generation: u64,
}

/// What changes in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub puts: Vec<Entry>,
    pub deletes: Vec<Key>,
    pub tokens_new: Vec<Token>,
    pub tokens_revoked: Vec<String>,
    pub salts_new: BTreeMap<String, Vec<u8>>,
    /// Ids of agents to remove, with the latest end that a certificate of theirs can have (microseconds since 1970).
    pub agents_revoked: BTreeMap<String, i64>,
    /// Reviews whose grant begins or ends.
    pub reviews: Vec<Review>,
}

impl Change {
    /// True when nothing would change.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
            && self.deletes.is_empty()
            && self.tokens_new.is_empty()
            && self.tokens_revoked.is_empty()
            && self.agents_revoked.is_empty()
            && self.reviews.is_empty()
    }
}

const GENERATION: &str = "generation";

impl Store {
    /// Reads everything that the policy is made of.
    pub async fn policy_state(&self) -> Result<PolicyState, StoreError> {
        let mut state = PolicyState::default();
        for row in sqlx::query("SELECT kind, name, id, body, managed_by, created_micros, updated_micros FROM object")
            .fetch_all(self.writer())
            .await?
        {
            let entry = entry_of(&row)?;
            state.catalog.entries.insert(entry.body.key(), entry);
        }
        for row in sqlx::query("SELECT * FROM token").fetch_all(self.writer()).await? {
            let token = token_of(&row)?;
            state.tokens.insert(token.id.clone(), token);
        }
        for row in sqlx::query("SELECT user_id, salt FROM user_salt")
            .fetch_all(self.writer())
            .await?
        {
            state.salts.insert(row.try_get("user_id")?, row.try_get("salt")?);
        }
        state.revoked_agents = self.revoked_agents().await?;
        for review in self.reviews_granted().await? {
            state.grants.insert(review.id.clone(), review);
        }
        if let Some(generation) = self.setting(GENERATION).await? {
            state.generation = u64_of(&generation)?;
        }
        Ok(state)
    }

    /// Writes a change together with the generation that it makes. It is durable when this returns.
    pub async fn save_change(&self, change: &Change, generation: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for key in &change.deletes {
            sqlx::query("DELETE FROM object WHERE kind = ? AND name = ?")
                .bind(key.0.name())
                .bind(&key.1)
                .execute(&mut *tx)
                .await?;
        }
        for entry in &change.puts {
            put_entry(&mut tx, entry).await?;
        }
        for id in &change.tokens_revoked {
            sqlx::query("DELETE FROM token WHERE id = ?")
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        for (user, salt) in &change.salts_new {
            sqlx::query("INSERT INTO user_salt (user_id, salt) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(user)
                .bind(salt)
                .execute(&mut *tx)
                .await?;
        }
        for token in &change.tokens_new {
            put_token(&mut tx, token).await?;
        }
        for id in change.agents_revoked.keys() {
            remove_agent(&mut tx, id).await?;
        }
        for review in &change.reviews {
            put_review(&mut tx, review).await?;
        }
        put_setting(&mut tx, GENERATION, &generation.to_be_bytes()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A named value.
    pub async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT value FROM setting WHERE name = ?")
            .bind(name)
            .fetch_optional(self.writer())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Stores a named value.
    pub async fn set_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_setting(&mut tx, name, value).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn put_setting(tx: &mut Transaction<'static, Sqlite>, name: &str, value: &[u8]) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn put_entry(tx: &mut Transaction<'static, Sqlite>, entry: &Entry) -> Result<(), StoreError> {
    let body = serde_json::to_string(&entry.body).map_err(|e| unreadable("object", e))?;
    sqlx::query(
        "INSERT INTO object (kind, name, id, body, managed_by, created_micros, updated_micros) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body, managed_by = excluded.managed_by, \
         updated_micros = excluded.updated_micros",
    )
    .bind(entry.body.kind().name())
    .bind(entry.body.name())
    .bind(&entry.id)
    .bind(body)
    .bind(entry.managed_by.name())
    .bind(entry.created_micros)
    .bind(entry.updated_micros)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn put_token(tx: &mut Transaction<'static, Sqlite>, token: &Token) -> Result<(), StoreError> {
    let connections = serde_json::to_string(&token.connections).map_err(|e| unreadable("token", e))?;
    sqlx::query(
        "INSERT INTO token (id, user_id, name, salt, stored_key, server_key, sha256, connections, created_micros, \
         expires_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&token.id)
    .bind(&token.user_id)
    .bind(&token.name)
    .bind(&token.salt)
    .bind(&token.stored_key)
    .bind(&token.server_key)
    .bind(&token.sha256)
    .bind(connections)
    .bind(token.created_micros)
    .bind(token.expires_micros)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn entry_of(row: &SqliteRow) -> Result<Entry, StoreError> {
    let kind: String = row.try_get("kind")?;
    let name: String = row.try_get("name")?;
    let body: String = row.try_get("body")?;
    let managed_by: String = row.try_get("managed_by")?;
    let what = || format!("{kind} \"{name}\"");
    let kind = Kind::from_name(&kind).ok_or_else(|| unreadable(what(), "unknown kind"))?;
    Ok(Entry {
        id: row.try_get("id")?,
        body: Body::from_stored(kind, &body).map_err(|e| unreadable(what(), e))?,
        managed_by: Owner::from_name(&managed_by).ok_or_else(|| unreadable(what(), "unknown owner"))?,
        created_micros: row.try_get("created_micros")?,
        updated_micros: row.try_get("updated_micros")?,
    })
}

fn token_of(row: &SqliteRow) -> Result<Token, StoreError> {
    let connections: String = row.try_get("connections")?;
    Ok(Token {
        id: row.try_get("id")?,
        user_id: row.try_get("user_id")?,
        name: row.try_get("name")?,
        salt: row.try_get("salt")?,
        stored_key: row.try_get("stored_key")?,
        server_key: row.try_get("server_key")?,
        sha256: row.try_get("sha256")?,
        connections: serde_json::from_str(&connections).map_err(|e| unreadable("token", e))?,
        created_micros: row.try_get("created_micros")?,
        expires_micros: row.try_get("expires_micros")?,
    })
}

fn u64_of(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| unreadable("number", "not 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}
