//! Stores what control planes on one store have to know of each other: who is alive, which data plane is connected where,
//! and orders for data planes that are connected elsewhere. Times are the database's own, so that clocks may differ.

use super::db::{self, Row};
use super::feed::{self, Topic};
use super::{Store, StoreError, unreadable};
use crate::limits::{ORDER_SECONDS_MAX, ORDERS_READ_AT_ONCE, REPLICA_SECONDS_MAX};
use crate::publish::progress::Standing;
use proto::control::KillSession;

/// Microseconds since 1970 by the database's clock.
const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// An order to end a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    pub id: i64,
    pub dataplane: String,
    pub session_id: Vec<u8>,
    pub reason: String,
    pub by: String,
}

impl Store {
    /// Says that a control plane is alive, and forgets those that are long gone.
    pub async fn beat(&self, replica: &str) -> Result<(), StoreError> {
        let mut query = db::build("INSERT INTO replica (id, seen_micros) VALUES (");
        query.push_bind(replica).push(", ").push(NOW);
        query.push(") ON CONFLICT (id) DO UPDATE SET seen_micros = excluded.seen_micros");
        query.execute(self.writer()).await?;
        Ok(())
    }

    /// A control plane has stopped: nobody is connected to it.
    pub async fn leave(&self, replica: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        db::query("DELETE FROM replica WHERE id = ?")
            .bind(replica)
            .execute(&mut tx)
            .await?;
        feed::touch(&mut tx, Topic::Standings).await?;
        tx.commit().await
    }

    /// Stores how data planes stand. What another control plane says of one that has gone there since is left alone.
    pub async fn save_standings(&self, replica: &str, standings: &[(String, Standing)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (dataplane, standing) in standings {
            let body = serde_json::to_string(standing).map_err(|e| unreadable("standing", e))?;
            db::query(
                "INSERT INTO standing (dataplane, replica, connected, body) VALUES (?, ?, ?, ?) ON CONFLICT (dataplane) \
                 DO UPDATE SET replica = excluded.replica, connected = excluded.connected, body = excluded.body \
                 WHERE standing.replica = excluded.replica OR excluded.connected = 1",
            )
            .bind(dataplane)
            .bind(replica)
            .bind(standing.connected)
            .bind(body)
            .execute(&mut tx)
            .await?;
        }
        feed::touch(&mut tx, Topic::Standings).await?;
        tx.commit().await
    }

    /// How data planes stand as the other control planes say. Who is connected to one that is gone is not connected.
    pub async fn standings_elsewhere(&self, replica: &str) -> Result<Vec<(String, Standing)>, StoreError> {
        let mut query = db::build("SELECT dataplane, body, CASE WHEN replica.seen_micros > ");
        query.push(NOW).push(" - ").push_bind(REPLICA_SECONDS_MAX * 1_000_000);
        query.push(
            " THEN connected ELSE CAST(0 AS BIGINT) END AS connected FROM standing LEFT JOIN replica ON replica.id = standing.replica \
             WHERE standing.replica <> ",
        );
        query.push_bind(replica);
        query.fetch_all(self.readers()).await?.iter().map(standing_of).collect()
    }

    /// Stores an order for a data plane that is connected to another control plane.
    pub async fn add_order(&self, dataplane: &str, kill: &KillSession) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let mut query =
            db::build("INSERT INTO kill_order (dataplane, session_id, reason, ordered_by, created_micros) VALUES (");
        query
            .push_bind(dataplane)
            .push(", ")
            .push_bind(&kill.session_id)
            .push(", ");
        query.push_bind(&kill.reason).push(", ").push_bind(&kill.by).push(", ");
        query.push(NOW).push(")");
        query.execute(&mut tx).await?;
        feed::touch(&mut tx, Topic::Orders).await?;
        tx.commit().await
    }

    /// Orders that may still have to be given, oldest first.
    pub async fn orders(&self) -> Result<Vec<StoredOrder>, StoreError> {
        let mut query =
            db::build("SELECT id, dataplane, session_id, reason, ordered_by FROM kill_order WHERE created_micros > ");
        query.push(NOW).push(" - ").push_bind(ORDER_SECONDS_MAX * 1_000_000);
        query.push(" ORDER BY id LIMIT ").push_bind(ORDERS_READ_AT_ONCE);
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(order_of).collect()
    }

    /// Forgets orders that are carried out or too old, and control planes that are long gone.
    pub async fn tidy_replicas(&self) -> Result<(), StoreError> {
        let mut orders = db::build(
            "DELETE FROM kill_order WHERE EXISTS (SELECT 1 FROM session WHERE session.id = kill_order.session_id \
             AND session.ended_micros IS NOT NULL) OR created_micros <= ",
        );
        orders.push(NOW).push(" - ").push_bind(ORDER_SECONDS_MAX * 1_000_000);
        orders.execute(self.writer()).await?;
        let mut replicas = db::build("DELETE FROM replica WHERE seen_micros < ");
        replicas
            .push(NOW)
            .push(" - ")
            .push_bind(REPLICA_SECONDS_MAX * 60 * 1_000_000);
        replicas.execute(self.writer()).await?;
        Ok(())
    }
}

fn standing_of(row: &Row) -> Result<(String, Standing), StoreError> {
    let body: String = row.try_get("body")?;
    let connected: i64 = row.try_get("connected")?;
    let mut standing: Standing = serde_json::from_str(&body).map_err(|e| unreadable("standing", e))?;
    standing.connected = connected == 1;
    Ok((row.try_get("dataplane")?, standing))
}

fn order_of(row: &Row) -> Result<StoredOrder, StoreError> {
    Ok(StoredOrder {
        id: row.try_get("id")?,
        dataplane: row.try_get("dataplane")?,
        session_id: row.try_get("session_id")?,
        reason: row.try_get("reason")?,
        by: row.try_get("ordered_by")?,
    })
}
