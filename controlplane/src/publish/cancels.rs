//! Cancel requests that reached another data plane than their session: asked of all others, answered to the one that asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proto::control::{CancelLooked, CancelOver, CancelSession, CancelWanted};

use super::orders::{Order, Orders};
use crate::limits::CANCELS_WAITING_MAX;

/// Requests that data planes are looking at.
#[derive(Debug, Default)]
pub struct Cancels(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    /// By our ticket, the oldest first.
    asked: BTreeMap<u64, Asked>,
}

#[derive(Debug)]
struct Asked {
    dataplane: String,
    ticket: u64,
    /// Data planes that have not answered.
    left: usize,
}

impl Cancels {
    /// Asks every other data plane. The one that asks is answered at once if there is none.
    pub fn wanted(&self, orders: &Orders, dataplane: &str, wanted: CancelWanted) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.last += 1;
        let ticket = waiting.last;
        let order = Order::Cancel(CancelSession {
            ticket,
            pid: wanted.pid,
            secret: wanted.secret,
        });
        let left = orders.give_others(dataplane, &order);
        if left == 0 {
            return over(orders, dataplane, wanted.ticket);
        }
        if waiting.asked.len() >= CANCELS_WAITING_MAX
            && let Some((_, oldest)) = waiting.asked.pop_first()
        {
            // Of a data plane that went away, most likely: who asked goes on without a word.
            over(orders, &oldest.dataplane, oldest.ticket);
        }
        let asked = Asked {
            dataplane: dataplane.to_owned(),
            ticket: wanted.ticket,
            left,
        };
        waiting.asked.insert(ticket, asked);
    }

    /// A data plane has looked.
    pub fn looked(&self, orders: &Orders, looked: &CancelLooked) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = waiting.asked.get_mut(&looked.ticket) else {
            return;
        };
        asked.left = asked.left.saturating_sub(1);
        if (looked.found || asked.left == 0)
            && let Some(asked) = waiting.asked.remove(&looked.ticket)
        {
            over(orders, &asked.dataplane, asked.ticket);
        }
    }
}

/// A data plane that is away needs no answer: its clients' sockets are gone or wait for their time-out.
fn over(orders: &Orders, dataplane: &str, ticket: u64) {
    let _ = orders.give(dataplane, Order::CancelOver(CancelOver { ticket }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(ticket: u64) -> CancelWanted {
        CancelWanted {
            ticket,
            pid: 7,
            secret: vec![1; 4],
        }
    }

    #[test]
    fn the_first_that_finds_it_answers_for_all() {
        let (orders, cancels) = (Orders::default(), Cancels::default());
        let mut asking = orders.subscribe("a");
        let (mut second, mut third) = (orders.subscribe("b"), orders.subscribe("c"));
        cancels.wanted(&orders, "a", wanted(5));
        let Ok(Order::Cancel(order)) = second.try_recv() else {
            panic!("not asked");
        };
        assert_eq!((order.pid, order.secret), (7, vec![1; 4]));
        assert!(third.try_recv().is_ok() && asking.try_recv().is_err());
        let looked = |found| CancelLooked {
            ticket: order.ticket,
            found,
        };
        cancels.looked(&orders, &looked(true));
        assert_eq!(asking.try_recv(), Ok(Order::CancelOver(CancelOver { ticket: 5 })));
        cancels.looked(&orders, &looked(false));
        assert!(asking.try_recv().is_err(), "once");
    }

    #[test]
    fn nobody_has_it() {
        let (orders, cancels) = (Orders::default(), Cancels::default());
        let mut asking = orders.subscribe("a");
        cancels.wanted(&orders, "a", wanted(5));
        assert_eq!(asking.try_recv(), Ok(Order::CancelOver(CancelOver { ticket: 5 })));
        let mut other = orders.subscribe("b");
        cancels.wanted(&orders, "a", wanted(6));
        let Ok(Order::Cancel(order)) = other.try_recv() else {
            panic!("not asked");
        };
        let ticket = order.ticket;
        cancels.looked(&orders, &CancelLooked { ticket, found: false });
        assert_eq!(asking.try_recv(), Ok(Order::CancelOver(CancelOver { ticket: 6 })));
    }

    #[test]
    fn requests_that_nobody_answers_are_bounded() {
        let (orders, cancels) = (Orders::default(), Cancels::default());
        let mut asking = orders.subscribe("a");
        for ticket in 0..CANCELS_WAITING_MAX as u64 + 1 {
            let _other = orders.subscribe("b");
            cancels.wanted(&orders, "a", wanted(ticket));
        }
        assert_eq!(asking.try_recv(), Ok(Order::CancelOver(CancelOver { ticket: 0 })));
        assert!(asking.try_recv().is_err());
    }
}
