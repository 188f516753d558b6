//! Stores enrol keys and the identities of agents and data planes.

use std::collections::BTreeMap;

use super::db::{self, Row, Tx};
use super::{Store, StoreError, now_micros, unreadable};

/// What an identity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Agent,
    Dataplane,
}

impl Role {
    /// The role's word in the database and in certificates.
    pub fn name(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Dataplane => "dataplane",
        }
    }

    fn from_name(name: &str) -> Result<Role, StoreError> {
        [Role::Agent, Role::Dataplane]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| unreadable("role", name))
    }
}

/// A one-time token's record; the token itself is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolKey {
    pub id: String,
    pub role: Role,
    /// Empty for data planes.
    pub pool: String,
    pub sha256: Vec<u8>,
    pub note: String,
    pub created_micros: i64,
    pub expires_micros: i64,
    pub uses_max: i64,
    pub uses: i64,
}

/// An agent or data plane with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    pub role: Role,
    pub pool: String,
    pub name: String,
    pub version: String,
    pub audit_public_key: Vec<u8>,
    /// SubjectPublicKeyInfo of the present certificate's key.
    pub public_key: Vec<u8>,
    pub enrol_key_id: String,
    pub enrolled_micros: i64,
    /// End of the certificate.
    pub expires_micros: i64,
    pub seen_micros: Option<i64>,
}

impl Store {
    /// Stores a new enrol key.
    pub async fn add_enrol_key(&self, key: &EnrolKey) -> Result<(), StoreError> {
        db::query(
            "INSERT INTO enrol_key (id, role, pool, sha256, note, created_micros, expires_micros, uses_max, uses) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&key.id)
        .bind(key.role.name())
        .bind(&key.pool)
        .bind(&key.sha256)
        .bind(&key.note)
        .bind(key.created_micros)
        .bind(key.expires_micros)
        .bind(key.uses_max)
        .bind(key.uses)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Enrol keys of a pool (or of data planes), by id, after `cursor`.
    pub async fn enrol_keys(
        &self,
        role: Role,
        pool: &str,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<EnrolKey>, StoreError> {
        db::query("SELECT * FROM enrol_key WHERE role = ? AND pool = ? AND id > ? ORDER BY id LIMIT ?")
            .bind(role.name())
            .bind(pool)
            .bind(cursor)
            .bind(limit as i64)
            .fetch_all(self.readers())
            .await?
            .iter()
            .map(key_of)
            .collect()
    }

    /// Deletes an enrol key; false when there is none.
    pub async fn delete_enrol_key(&self, role: Role, pool: &str, id: &str) -> Result<bool, StoreError> {
        let done = db::query("DELETE FROM enrol_key WHERE role = ? AND pool = ? AND id = ?")
            .bind(role.name())
            .bind(pool)
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(done > 0)
    }

    /// Looks a token up by its hash without using it. None when it is unknown, used up or too old.
    pub async fn find_enrol_key(&self, sha256: &[u8]) -> Result<Option<EnrolKey>, StoreError> {
        let row = db::query("SELECT * FROM enrol_key WHERE sha256 = ? AND uses < uses_max AND expires_micros > ?")
            .bind(sha256)
            .bind(now_micros())
            .fetch_optional(self.writer())
            .await?;
        row.as_ref().map(key_of).transpose()
    }

    /// Uses a key and stores the identity it gave, both or neither. False when the key was used up meanwhile.
    pub async fn enrol(&self, key: &EnrolKey, identity: &Identity) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let used =
            db::query("UPDATE enrol_key SET uses = uses + 1 WHERE id = ? AND uses < uses_max AND expires_micros > ?")
                .bind(&key.id)
                .bind(now_micros())
                .execute(&mut tx)
                .await?;
        if used != 1 {
            return Ok(false);
        }
        db::query(
            "INSERT INTO identity (id, role, pool, name, version, audit_public_key, public_key, enrol_key_id, \
             enrolled_micros, expires_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&identity.id)
        .bind(identity.role.name())
        .bind(&identity.pool)
        .bind(&identity.name)
        .bind(&identity.version)
        .bind(&identity.audit_public_key)
        .bind(&identity.public_key)
        .bind(&identity.enrol_key_id)
        .bind(identity.enrolled_micros)
        .bind(identity.expires_micros)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Stores that an identity got a new certificate. False when it was removed.
    pub async fn renew(&self, id: &str, public_key: &[u8], expires_micros: i64) -> Result<bool, StoreError> {
        let done = db::query(
            "UPDATE identity SET public_key = ?, expires_micros = ?, seen_micros = ? WHERE id = ? AND removed_micros IS NULL",
        )
        .bind(public_key)
        .bind(expires_micros)
        .bind(now_micros())
        .bind(id)
        .execute(self.writer())
        .await?;
        Ok(done > 0)
    }

    /// An identity that was not removed.
    pub async fn identity(&self, role: Role, id: &str) -> Result<Option<Identity>, StoreError> {
        let row = db::query("SELECT * FROM identity WHERE role = ? AND id = ? AND removed_micros IS NULL")
            .bind(role.name())
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(identity_of).transpose()
    }

    /// Identities by id after `cursor`, of one pool when given.
    pub async fn identities(
        &self,
        role: Role,
        pool: Option<&str>,
        cursor: &str,
        limit: usize,
    ) -> Result<Vec<Identity>, StoreError> {
        db::query(
            "SELECT * FROM identity WHERE role = ? AND (? IS NULL OR pool = ?) AND removed_micros IS NULL AND id > ? \
             ORDER BY id LIMIT ?",
        )
        .bind(role.name())
        .bind(pool)
        .bind(pool)
        .bind(cursor)
        .bind(limit as i64)
        .fetch_all(self.readers())
        .await?
        .iter()
        .map(identity_of)
        .collect()
    }

    /// How many identities there are.
    pub async fn identity_count(&self, role: Role, pool: Option<&str>) -> Result<i64, StoreError> {
        let row = db::query(
            "SELECT count(*) FROM identity WHERE role = ? AND (? IS NULL OR pool = ?) AND removed_micros IS NULL",
        )
        .bind(role.name())
        .bind(pool)
        .bind(pool)
        .fetch_one(self.readers())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Marks an identity removed: it is not renewed and not served any more. False when there is none.
    pub async fn remove_identity(&self, role: Role, id: &str) -> Result<bool, StoreError> {
        let done =
            db::query("UPDATE identity SET removed_micros = ? WHERE role = ? AND id = ? AND removed_micros IS NULL")
                .bind(now_micros())
                .bind(role.name())
                .bind(id)
                .execute(self.writer())
                .await?;
        Ok(done > 0)
    }

    /// Notes that an identity was there just now, and which version it runs.
    pub async fn seen(&self, id: &str, version: &str) -> Result<(), StoreError> {
        db::query("UPDATE identity SET seen_micros = ?, version = ? WHERE id = ?")
            .bind(now_micros())
            .bind(version)
            .bind(id)
            .execute(self.writer())
            .await?;
        Ok(())
    }
}

/// Removed agents whose last certificate has not run out, by id, with its end.
pub(super) async fn revoked_agents(tx: &mut Tx) -> Result<BTreeMap<String, i64>, StoreError> {
    db::query(
        "SELECT id, expires_micros FROM identity WHERE role = ? AND removed_micros IS NOT NULL AND expires_micros > ?",
    )
    .bind(Role::Agent.name())
    .bind(now_micros())
    .fetch_all(tx)
    .await?
    .iter()
    .map(|row| Ok((row.try_get("id")?, row.try_get("expires_micros")?)))
    .collect()
}

/// Marks an agent removed, as part of a change of the policy.
pub(super) async fn remove_agent(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    db::query("UPDATE identity SET removed_micros = ? WHERE role = ? AND id = ? AND removed_micros IS NULL")
        .bind(now_micros())
        .bind(Role::Agent.name())
        .bind(id)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

fn key_of(row: &Row) -> Result<EnrolKey, StoreError> {
    let role: String = row.try_get("role")?;
    Ok(EnrolKey {
        id: row.try_get("id")?,
        role: Role::from_name(&role)?,
        pool: row.try_get("pool")?,
        sha256: row.try_get("sha256")?,
        note: row.try_get("note")?,
        created_micros: row.try_get("created_micros")?,
        expires_micros: row.try_get("expires_micros")?,
        uses_max: row.try_get("uses_max")?,
        uses: row.try_get("uses")?,
    })
}

fn identity_of(row: &Row) -> Result<Identity, StoreError> {
    let role: String = row.try_get("role")?;
    Ok(Identity {
        id: row.try_get("id")?,
        role: Role::from_name(&role)?,
        pool: row.try_get("pool")?,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        audit_public_key: row.try_get("audit_public_key")?,
        public_key: row.try_get("public_key")?,
        enrol_key_id: row.try_get("enrol_key_id")?,
        enrolled_micros: row.try_get("enrolled_micros")?,
        expires_micros: row.try_get("expires_micros")?,
        seen_micros: row.try_get("seen_micros")?,
    })
}
