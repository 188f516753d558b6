//! How control planes on one store hear of each other's changes: a counter per topic, raised in the transaction that changes
//! something, and a notification that says when to look. Who missed the notification looks anyway, a little later.

use std::collections::BTreeMap;

use super::db::{self, Tx};
use super::{Store, StoreError};

/// The channel of PostgreSQL's notifications.
pub const CHANNEL: &str = "sluice";

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The policy, with its generation.
    Policy,
    /// Reviews.
    Reviews,
    /// Who is connected where.
    Standings,
    /// Orders for data planes.
    Orders,
    /// Data planes were removed.
    Identities,
}

impl Topic {
    const ALL: [Topic; 5] = [
        Topic::Policy,
        Topic::Reviews,
        Topic::Standings,
        Topic::Orders,
        Topic::Identities,
    ];

    fn name(self) -> &'static str {
        match self {
            Topic::Policy => "policy",
            Topic::Reviews => "reviews",
            Topic::Standings => "standings",
            Topic::Orders => "orders",
            Topic::Identities => "identities",
        }
    }

    fn of(name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// The counters as they were read; a topic that nobody has touched is absent.
pub type Numbers = BTreeMap<Topic, i64>;

/// Topics that have changed between two readings.
pub fn changed(before: &Numbers, after: &Numbers) -> Vec<Topic> {
    let new = after.iter().filter(|(topic, number)| before.get(topic) != Some(number));
    new.map(|(topic, _)| *topic).collect()
}

/// Tells the other control planes, when `tx` is committed, that something has changed. Nothing to do where there are none.
pub(crate) async fn touch(tx: &mut Tx, topic: Topic) -> Result<(), StoreError> {
    if !tx.is_postgres() {
        return Ok(());
    }
    db::query(
        "INSERT INTO feed (name, number) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET number = feed.number + 1",
    )
    .bind(topic.name())
    .execute(&mut *tx)
    .await?;
    db::query("SELECT pg_notify(?, ?)")
        .bind(CHANNEL)
        .bind(topic.name())
        .execute(tx)
        .await?;
    Ok(())
}

impl Store {
    /// The counters as they are now.
    pub async fn feed(&self) -> Result<Numbers, StoreError> {
        let rows = db::query("SELECT name, number FROM feed")
            .fetch_all(self.readers())
            .await?;
        let mut numbers = Numbers::new();
        for row in rows {
            let name: String = row.try_get(0)?;
            // A later version may have more topics.
            if let Some(topic) = Topic::of(&name) {
                numbers.insert(topic, row.try_get(1)?);
            }
        }
        Ok(numbers)
    }

    /// Tells the other control planes that something has changed.
    pub async fn tell(&self, topic: Topic) -> Result<(), StoreError> {
        if !self.is_shared() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        touch(&mut tx, topic).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_has_changed() {
        let before = Numbers::from([(Topic::Policy, 3), (Topic::Reviews, 1)]);
        let after = Numbers::from([(Topic::Policy, 4), (Topic::Reviews, 1), (Topic::Orders, 1)]);
        assert_eq!(changed(&before, &after), [Topic::Policy, Topic::Orders]);
        assert!(changed(&after, &after).is_empty());
        for topic in Topic::ALL {
            assert_eq!(Topic::of(topic.name()), Some(topic));
        }
    }
}
