//! Stores the objects of the policy, access tokens and settings; a change of them is one transaction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::db::{self, On, Row, Tx};
use super::enrolment::{remove_agent, revoked_agents};
use super::feed::{self, Topic};
use super::outbox::{Delivery, put_deliveries};
use super::reviews::{put_review, reviews_granted};
use super::secrets::Secrets;
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
    /// Of the snapshot that was published of it last.
    pub terms: Option<Terms>,
}

/// What is in a snapshot beside the policy. Stored with the generation, so that every control plane on one store makes the
/// same snapshot of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    pub issued_at_ms: i64,
    pub expires_at_ms: i64,
    pub review_url: String,
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
    /// News of all this, on its way with it.
    pub deliveries: Vec<Delivery>,
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
const TERMS: &str = "terms";

impl Store {
    /// Reads everything that the policy is made of.
    pub async fn policy_state(&self) -> Result<PolicyState, StoreError> {
        let mut state = PolicyState::default();
        // All of it as of one moment, while others write.
        let mut tx = self.begin_snapshot().await?;
        for row in db::query("SELECT kind, name, id, body, managed_by, created_micros, updated_micros FROM object")
            .fetch_all(&mut tx)
            .await?
        {
            let entry = entry_of(&row, self.secrets())?;
            state.catalog.entries.insert(entry.body.key(), entry);
        }
        for row in db::query("SELECT * FROM token").fetch_all(&mut tx).await? {
            let token = token_of(&row)?;
            state.tokens.insert(token.id.clone(), token);
        }
        for row in db::query("SELECT user_id, salt FROM user_salt")
            .fetch_all(&mut tx)
            .await?
        {
            state.salts.insert(row.try_get("user_id")?, row.try_get("salt")?);
        }
        state.revoked_agents = revoked_agents(&mut tx).await?;
        for review in reviews_granted(&mut tx).await? {
            state.grants.insert(review.id.clone(), review);
        }
        if let Some(generation) = setting(&mut tx, GENERATION).await? {
            state.generation = u64_of(&generation)?;
        }
        if let Some(terms) = setting(&mut tx, TERMS).await? {
            state.terms = Some(serde_json::from_slice(&terms).map_err(|e| unreadable("terms", e))?);
        }
        Ok(state)
    }

    /// The generation that was published last.
    pub async fn generation(&self) -> Result<u64, StoreError> {
        let stored = self.setting(GENERATION).await?;
        stored.map_or(Ok(0), |generation| u64_of(&generation))
    }

    /// Writes a change of generation `before` together with the generation that it makes. It is durable when this returns.
    /// Fails when somebody else has published meanwhile.
    pub async fn save_change(
        &self,
        change: &Change,
        before: u64,
        generation: u64,
        terms: &Terms,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_generation(&mut tx, before, generation).await?;
        for key in &change.deletes {
            db::query("DELETE FROM object WHERE kind = ? AND name = ?")
                .bind(key.0.name())
                .bind(&key.1)
                .execute(&mut tx)
                .await?;
        }
        for entry in &change.puts {
            put_entry(&mut tx, entry, self.secrets()).await?;
        }
        for id in &change.tokens_revoked {
            db::query("DELETE FROM token WHERE id = ?")
                .bind(id)
                .execute(&mut tx)
                .await?;
        }
        for (user, salt) in &change.salts_new {
            db::query("INSERT INTO user_salt (user_id, salt) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(user)
                .bind(salt)
                .execute(&mut tx)
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
        let terms = serde_json::to_vec(terms).map_err(|e| unreadable("terms", e))?;
        put_setting(&mut tx, TERMS, &terms).await?;
        feed::touch(&mut tx, Topic::Policy).await?;
        put_deliveries(&mut tx, &change.deliveries).await?;
        if !change.reviews.is_empty() {
            feed::touch(&mut tx, Topic::Reviews).await?;
        }
        tx.commit().await
    }

    /// Seals literal secrets that an earlier version stored as they are.
    pub(super) async fn seal_plain_objects(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rows = db::query("SELECT kind, name, id, body FROM object WHERE body LIKE '%\"literal:%'")
            .fetch_all(&mut tx)
            .await?;
        for row in rows {
            let (id, body): (String, String) = (row.try_get("id")?, row.try_get("body")?);
            let mut body: serde_json::Value = serde_json::from_str(&body).map_err(|e| unreadable("object", e))?;
            self.secrets().open_literals(&place_of(&id), &mut body)?;
            self.secrets().seal_literals(&place_of(&id), &mut body)?;
            db::query("UPDATE object SET body = ? WHERE id = ?")
                .bind(body.to_string())
                .bind(id)
                .execute(&mut tx)
                .await?;
        }
        tx.commit().await
    }

    /// A named value.
    pub async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        setting(self.writer(), name).await
    }

    /// Stores a named value.
    pub async fn set_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_setting(&mut tx, name, value).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn setting(on: impl Into<On<'_>>, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row = db::query("SELECT value FROM setting WHERE name = ?")
        .bind(name)
        .fetch_optional(on)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Where the secrets of an object are sealed for.
fn place_of(id: &str) -> String {
    format!("object/{id}")
}

/// First in the transaction: whoever comes second waits here, and finds another generation.
async fn put_generation(tx: &mut Tx, before: u64, generation: u64) -> Result<(), StoreError> {
    let changed = db::query("UPDATE setting SET value = ? WHERE name = ? AND value = ?")
        .bind(&generation.to_be_bytes())
        .bind(GENERATION)
        .bind(&before.to_be_bytes())
        .execute(&mut *tx)
        .await?;
    if changed == 1 {
        return Ok(());
    }
    let inserted = match before {
        0 => {
            db::query("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(GENERATION)
                .bind(&generation.to_be_bytes())
                .execute(tx)
                .await?
        }
        _ => 0,
    };
    if inserted == 1 {
        Ok(())
    } else {
        Err(StoreError::Overtaken)
    }
}

async fn put_setting(tx: &mut Tx, name: &str, value: &[u8]) -> Result<(), StoreError> {
    db::query(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn put_entry(tx: &mut Tx, entry: &Entry, secrets: &Secrets) -> Result<(), StoreError> {
    let mut body = serde_json::to_value(&entry.body).map_err(|e| unreadable("object", e))?;
    secrets.seal_literals(&place_of(&entry.id), &mut body)?;
    db::query(
        "INSERT INTO object (kind, name, id, body, managed_by, created_micros, updated_micros) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body, managed_by = excluded.managed_by, \
         updated_micros = excluded.updated_micros",
    )
    .bind(entry.body.kind().name())
    .bind(entry.body.name())
    .bind(&entry.id)
    .bind(body.to_string())
    .bind(entry.managed_by.name())
    .bind(entry.created_micros)
    .bind(entry.updated_micros)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn put_token(tx: &mut Tx, token: &Token) -> Result<(), StoreError> {
    let connections = serde_json::to_string(&token.connections).map_err(|e| unreadable("token", e))?;
    db::query(
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
    .execute(&mut *tx)
    .await?;
    Ok(())
}

fn entry_of(row: &Row, secrets: &Secrets) -> Result<Entry, StoreError> {
    let kind: String = row.try_get("kind")?;
    let name: String = row.try_get("name")?;
    let body: String = row.try_get("body")?;
    let managed_by: String = row.try_get("managed_by")?;
    let what = || format!("{kind} \"{name}\"");
    let kind = Kind::from_name(&kind).ok_or_else(|| unreadable(what(), "unknown kind"))?;
    let id: String = row.try_get("id")?;
    let mut body: serde_json::Value = serde_json::from_str(&body).map_err(|e| unreadable(what(), e))?;
    secrets.open_literals(&place_of(&id), &mut body)?;
    Ok(Entry {
        id,
        body: Body::from_stored(kind, body).map_err(|e| unreadable(what(), e))?,
        managed_by: Owner::from_name(&managed_by).ok_or_else(|| unreadable(what(), "unknown owner"))?,
        created_micros: row.try_get("created_micros")?,
        updated_micros: row.try_get("updated_micros")?,
    })
}

fn token_of(row: &Row) -> Result<Token, StoreError> {
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
