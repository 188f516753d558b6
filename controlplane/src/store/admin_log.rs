//! The append-only record of what was done in the control plane: each row's hash covers the row and the one before it.

use std::borrow::Cow;

use aws_lc_rs::digest;

use super::db::{self, Row};
use super::{Store, StoreError};

/// One line, as it is before it has its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    pub at_micros: i64,
    pub actor: String,
    pub actor_id: String,
    /// What the actor proved themselves with.
    pub via: String,
    pub address: String,
    /// Method and path as the table of routes has them, or a word for what else happened.
    pub action: String,
    /// The path as it was asked for.
    pub target: String,
    /// `begun` before something is done, `ended` after it, `event` for what is over at once.
    pub phase: Cow<'static, str>,
    /// Of `ended`: where it began.
    pub begun_seq: Option<i64>,
    /// Status of the answer, 0 where there is none yet.
    pub status: i64,
    /// JSON, without secrets.
    pub detail: String,
}

/// One line with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub seq: i64,
    pub line: LogLine,
    pub hash: Vec<u8>,
}

/// Which lines are wanted; newest first.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub actor: Option<String>,
    pub phase: Option<String>,
    pub since_micros: Option<i64>,
    pub until_micros: Option<i64>,
    /// Below this number.
    pub before: Option<i64>,
}

impl Logged {
    /// The hash that a line must have after a line with the hash `previous` (empty for the first).
    pub fn hash_after(seq: i64, line: &LogLine, previous: &[u8]) -> Vec<u8> {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut put = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        put(previous);
        put(&seq.to_be_bytes());
        put(&line.at_micros.to_be_bytes());
        for text in [
            &line.actor,
            &line.actor_id,
            &line.via,
            &line.address,
            &line.action,
            &line.target,
        ] {
            put(text.as_bytes());
        }
        put(line.phase.as_bytes());
        put(&line.begun_seq.unwrap_or(-1).to_be_bytes());
        put(&line.status.to_be_bytes());
        put(line.detail.as_bytes());
        context.finish().as_ref().to_vec()
    }
}

impl Store {
    /// Adds a line; it is durable when this returns. Gives its number.
    pub async fn log_admin(&self, line: &LogLine) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        if tx.is_postgres() {
            // One line after the other: each has the hash of the one before.
            db::query("LOCK TABLE admin_log IN EXCLUSIVE MODE")
                .execute(&mut tx)
                .await?;
        }
        let last = db::query("SELECT seq, hash FROM admin_log ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&mut tx)
            .await?;
        let (last, previous) = match last {
            Some(row) => (row.try_get::<i64, _>("seq")?, row.try_get::<Vec<u8>, _>("hash")?),
            None => (0, Vec::new()),
        };
        let seq = last + 1;
        db::query(
            "INSERT INTO admin_log (seq, at_micros, actor, actor_id, via, address, action, target, phase, begun_seq, \
             status, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(seq)
        .bind(line.at_micros)
        .bind(&line.actor)
        .bind(&line.actor_id)
        .bind(&line.via)
        .bind(&line.address)
        .bind(&line.action)
        .bind(&line.target)
        .bind(&*line.phase)
        .bind(line.begun_seq)
        .bind(line.status)
        .bind(&line.detail)
        .bind(Logged::hash_after(seq, line, &previous))
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(seq)
    }

    /// Lines, newest first.
    pub async fn admin_log(&self, filter: &LogFilter, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let rows = db::query(
            "SELECT * FROM admin_log WHERE seq < ? AND (? = '' OR actor = ?) AND (? = '' OR phase = ?) \
             AND at_micros >= ? AND at_micros < ? ORDER BY seq DESC LIMIT ?",
        )
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.actor.clone().unwrap_or_default())
        .bind(filter.actor.clone().unwrap_or_default())
        .bind(filter.phase.clone().unwrap_or_default())
        .bind(filter.phase.clone().unwrap_or_default())
        .bind(filter.since_micros.unwrap_or(i64::MIN))
        .bind(filter.until_micros.unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(logged_of).collect()
    }

    /// Lines in order after a number.
    pub async fn admin_log_after(&self, after: i64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let rows = db::query("SELECT * FROM admin_log WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(logged_of).collect()
    }
}

fn logged_of(row: &Row) -> Result<Logged, StoreError> {
    Ok(Logged {
        seq: row.try_get("seq")?,
        line: LogLine {
            at_micros: row.try_get("at_micros")?,
            actor: row.try_get("actor")?,
            actor_id: row.try_get("actor_id")?,
            via: row.try_get("via")?,
            address: row.try_get("address")?,
            action: row.try_get("action")?,
            target: row.try_get("target")?,
            phase: Cow::Owned(row.try_get("phase")?),
            begun_seq: row.try_get("begun_seq")?,
            status: row.try_get("status")?,
            detail: row.try_get("detail")?,
        },
        hash: row.try_get("hash")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_line_is_in_its_hash() {
        let line = LogLine {
            at_micros: 1,
            actor: "a".to_owned(),
            phase: Cow::Borrowed("begun"),
            ..LogLine::default()
        };
        let hash = Logged::hash_after(1, &line, b"p");
        let others: [(i64, LogLine, &[u8]); 8] = [
            (2, line.clone(), b"p"),
            (1, line.clone(), b"q"),
            (
                1,
                LogLine {
                    at_micros: 2,
                    ..line.clone()
                },
                b"p",
            ),
            (
                1,
                LogLine {
                    actor: "b".to_owned(),
                    ..line.clone()
                },
                b"p",
            ),
            (
                1,
                LogLine {
                    actor: String::new(),
                    actor_id: "a".to_owned(),
                    ..line.clone()
                },
                b"p",
            ),
            (
                1,
                LogLine {
                    phase: Cow::Borrowed("ended"),
                    ..line.clone()
                },
                b"p",
            ),
            (
                1,
                LogLine {
                    status: 200,
                    ..line.clone()
                },
                b"p",
            ),
            (
                1,
                LogLine {
                    detail: "{}".to_owned(),
                    ..line.clone()
                },
                b"p",
            ),
        ];
        for (seq, other, previous) in others {
            assert_ne!(Logged::hash_after(seq, &other, previous), hash, "{other:?}");
        }
        assert_eq!(Logged::hash_after(1, &line, b"p"), hash);
    }
}
