//! Orders to data planes that are connected: what is not policy and must happen now.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proto::control::KillSession;
use tokio::sync::mpsc;

use crate::limits::ORDERS_WAITING_MAX;

/// Why an order was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    #[error("the data plane is not connected to this control plane")]
    Away,
    #[error("{ORDERS_WAITING_MAX} orders wait for the data plane already")]
    Busy,
}

/// The way to each data plane by id.
#[derive(Debug, Default)]
pub struct Orders(Mutex<BTreeMap<String, mpsc::Sender<KillSession>>>);

impl Orders {
    /// Orders for one data plane from now on; an earlier stream of the same one gets no more.
    pub fn subscribe(&self, dataplane: &str) -> mpsc::Receiver<KillSession> {
        let (sender, orders) = mpsc::channel(ORDERS_WAITING_MAX);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(dataplane.to_owned(), sender);
        orders
    }

    /// Gives an order. That it was carried out shows in the audit.
    pub fn give(&self, dataplane: &str, kill: KillSession) -> Result<(), NotGiven> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = all.get(dataplane).ok_or(NotGiven::Away)?;
        sender.try_send(kill).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotGiven::Busy,
            mpsc::error::TrySendError::Closed(_) => NotGiven::Away,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_reach_the_newest_stream_and_none_that_is_gone() {
        let orders = Orders::default();
        assert_eq!(orders.give("d", KillSession::default()), Err(NotGiven::Away));
        let mut old = orders.subscribe("d");
        let mut new = orders.subscribe("d");
        orders.give("d", KillSession::default()).unwrap();
        assert!(old.try_recv().is_err() && new.try_recv().is_ok());
        drop(new);
        assert_eq!(orders.give("d", KillSession::default()), Err(NotGiven::Away));
    }

    #[test]
    fn orders_that_nobody_takes_are_bounded() {
        let orders = Orders::default();
        let _stuck = orders.subscribe("d");
        for _ in 0..ORDERS_WAITING_MAX {
            orders.give("d", KillSession::default()).unwrap();
        }
        assert_eq!(orders.give("d", KillSession::default()), Err(NotGiven::Busy));
    }
}
