//! Orders to data planes that are connected: what is not policy and must happen now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::control::sync_reply::Kind;
use proto::control::{CancelOver, CancelSession, KillSession};
use tokio::sync::mpsc;

use crate::limits::ORDERS_WAITING_MAX;
use crate::store::replicas::StoredOrder;

/// Why an order was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    #[error("the data plane is not connected to this control plane")]
    Away,
    #[error("{ORDERS_WAITING_MAX} orders wait for the data plane already")]
    Busy,
}

/// What is ordered.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    Kill(KillSession),
    Cancel(CancelSession),
    CancelOver(CancelOver),
}

impl Order {
    /// As it goes over the wire.
    pub fn into_reply(self) -> Kind {
        match self {
            Order::Kill(kill) => Kind::Kill(kill),
            Order::Cancel(cancel) => Kind::CancelSession(cancel),
            Order::CancelOver(over) => Kind::CancelOver(over),
        }
    }
}

/// The way to each data plane by id.
#[derive(Debug, Default)]
pub struct Orders(Mutex<BTreeMap<String, Way>>);

#[derive(Debug)]
struct Way {
    sender: mpsc::Sender<Order>,
    /// Numbers of the stored orders that went this way.
    given: BTreeSet<i64>,
}

impl Orders {
    /// Orders for one data plane from now on; an earlier stream of the same one gets no more.
    pub fn subscribe(&self, dataplane: &str) -> mpsc::Receiver<Order> {
        let (sender, orders) = mpsc::channel(ORDERS_WAITING_MAX);
        let given = BTreeSet::new();
        self.lock().insert(dataplane.to_owned(), Way { sender, given });
        orders
    }

    /// Gives an order. That it was carried out shows in the audit.
    pub fn give(&self, dataplane: &str, order: Order) -> Result<(), NotGiven> {
        let all = self.lock();
        let way = all.get(dataplane).ok_or(NotGiven::Away)?;
        way.sender.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotGiven::Busy,
            mpsc::error::TrySendError::Closed(_) => NotGiven::Away,
        })
    }

    /// Gives an order to every data plane but one; returns how many took it.
    pub fn give_others(&self, but: &str, order: &Order) -> usize {
        let all = self.lock();
        let others = all.iter().filter(|(id, _)| *id != but);
        others
            .filter(|(_, way)| way.sender.try_send(order.clone()).is_ok())
            .count()
    }

    /// Whether any data plane is here to get orders.
    pub fn are_wanted(&self) -> bool {
        self.lock().values().any(|way| !way.sender.is_closed())
    }

    /// Gives stored orders to the data planes that are connected here, each once for each stream: the one before may have
    /// broken with the order on its way, and a session cannot be ended twice.
    pub fn give_stored(&self, orders: &[StoredOrder]) {
        let mut all = self.lock();
        for way in all.values_mut() {
            way.given.retain(|id| orders.iter().any(|order| order.id == *id));
        }
        for order in orders {
            let Some(way) = all
                .get_mut(&order.dataplane)
                .filter(|way| !way.given.contains(&order.id))
            else {
                continue;
            };
            let kill = KillSession {
                session_id: order.session_id.clone(),
                reason: order.reason.clone(),
                by: order.by.clone(),
            };
            // One that finds no room is given at the next look.
            if way.sender.try_send(Order::Kill(kill)).is_ok() {
                way.given.insert(order.id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Way>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kill() -> Order {
        Order::Kill(KillSession::default())
    }

    #[test]
    fn orders_reach_the_newest_stream_and_none_that_is_gone() {
        let orders = Orders::default();
        assert_eq!(orders.give("d", kill()), Err(NotGiven::Away));
        let mut old = orders.subscribe("d");
        let mut new = orders.subscribe("d");
        orders.give("d", kill()).unwrap();
        assert!(old.try_recv().is_err() && new.try_recv().is_ok());
        drop(new);
        assert_eq!(orders.give("d", kill()), Err(NotGiven::Away));
    }

    #[test]
    fn the_others_are_all_but_one() {
        let orders = Orders::default();
        let (mut one, mut two) = (orders.subscribe("a"), orders.subscribe("b"));
        drop(orders.subscribe("gone"));
        assert_eq!(orders.give_others("a", &kill()), 1);
        assert!(one.try_recv().is_err() && two.try_recv().is_ok());
    }

    #[test]
    fn a_stored_order_is_given_once_for_each_stream() {
        let orders = Orders::default();
        let order = StoredOrder {
            id: 7,
            dataplane: "d".to_owned(),
            session_id: vec![1; 16],
            reason: String::new(),
            by: "me".to_owned(),
        };
        orders.give_stored(std::slice::from_ref(&order));
        let mut stream = orders.subscribe("d");
        assert!(orders.are_wanted());
        for _ in 0..2 {
            orders.give_stored(std::slice::from_ref(&order));
        }
        assert!(matches!(stream.try_recv(), Ok(Order::Kill(kill)) if kill.by == "me"));
        assert!(stream.try_recv().is_err());
        let mut next = orders.subscribe("d");
        orders.give_stored(std::slice::from_ref(&order));
        assert!(next.try_recv().is_ok());
        drop(next);
        assert!(!orders.are_wanted());
    }

    #[test]
    fn orders_that_nobody_takes_are_bounded() {
        let orders = Orders::default();
        let _stuck = orders.subscribe("d");
        for _ in 0..ORDERS_WAITING_MAX {
            orders.give("d", kill()).unwrap();
        }
        assert_eq!(orders.give("d", kill()), Err(NotGiven::Busy));
    }
}
