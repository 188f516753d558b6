//! One at a time, over all control planes of an installation: in the process by a mutex, among processes by PostgreSQL's
//! advisory locks, which end with their connection, so that one that dies holds nothing up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{Postgres, Transaction};
use tokio::sync::OwnedMutexGuard;

use super::{Store, StoreError};

/// What is done one at a time. The numbers are the keys of the advisory locks: never use one for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum Lock {
    /// First start: keys of the installation.
    Setup = 0x0005_11ce_0001,
    /// Changes of the policy.
    Policy = 0x0005_11ce_0002,
    /// Changes of reviews.
    Reviews = 0x0005_11ce_0003,
    /// Ending what time ends.
    Time = 0x0005_11ce_0004,
    /// Deleting what is too old.
    Retention = 0x0005_11ce_0005,
    /// Sending notifications.
    Outbox = 0x0005_11ce_0006,
}

/// Key of the lock under which the database is brought to the present form.
pub(super) const MIGRATION: i64 = 0x0005_11ce_0000;

/// The locks of this process.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<BTreeMap<Lock, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    fn of(&self, lock: Lock) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(lock).or_default().clone()
    }
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct Held {
    // Let go of first, so that the next one in this process finds it free.
    _among_processes: Option<Transaction<'static, Postgres>>,
    _in_process: OwnedMutexGuard<()>,
}

impl Store {
    /// Waits until the lock is free. Whoever holds one may take others, in the order of their numbers from high to low.
    pub async fn exclusive(&self, lock: Lock) -> Result<Held, StoreError> {
        // First in the process: at most one connection of the pool waits for each lock.
        let in_process = self.locks.of(lock).lock_owned().await;
        let among_processes = match self.postgres() {
            None => None,
            Some(pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(lock as i64)
                    .execute(&mut *tx)
                    .await?;
                Some(tx)
            }
        };
        Ok(Held {
            _among_processes: among_processes,
            _in_process: in_process,
        })
    }

    /// The lock, when it is free: for what one of the control planes has to do, no matter which.
    pub async fn try_exclusive(&self, lock: Lock) -> Result<Option<Held>, StoreError> {
        let Ok(in_process) = self.locks.of(lock).try_lock_owned() else {
            return Ok(None);
        };
        let among_processes = match self.postgres() {
            None => None,
            Some(pool) => {
                let mut tx = pool.begin().await?;
                let (free,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_xact_lock($1)")
                    .bind(lock as i64)
                    .fetch_one(&mut *tx)
                    .await?;
                if !free {
                    return Ok(None);
                }
                Some(tx)
            }
        };
        Ok(Some(Held {
            _among_processes: among_processes,
            _in_process: in_process,
        }))
    }
}
