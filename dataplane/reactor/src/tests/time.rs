//! Timers in a running core.

use std::cell::RefCell;
use std::time::Duration;

use super::*;

on_both!(
    sleeps_end_in_order,
    timeouts,
    an_earlier_timer_is_not_late,
    now_is_cached_within_a_turn
);

async fn sleeps_end_in_order() {
    let order = Rc::new(RefCell::new(Vec::new()));
    for millis in [30u64, 10, 20, 0, 25, 5] {
        let order = order.clone();
        spawn(async move {
            let start = Instant::now();
            sleep(Duration::from_millis(millis)).await;
            assert!(start.elapsed() >= Duration::from_millis(millis.saturating_sub(1)));
            order.borrow_mut().push(millis);
        });
    }
    sleep(Duration::from_millis(60)).await;
    assert_eq!(*order.borrow(), [0, 5, 10, 20, 25, 30]);
}

async fn timeouts() {
    let waited = timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
    assert_eq!(waited, Err(Elapsed));
    assert_eq!(timeout(Duration::from_secs(100), async { 7 }).await, Ok(7));
    assert_eq!(timeout(Duration::MAX, async { 8 }).await, Ok(8));
}

async fn an_earlier_timer_is_not_late() {
    let late = spawn(sleep(Duration::from_secs(20)));
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    sleep(Duration::from_millis(10)).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    late.abort();
}

async fn now_is_cached_within_a_turn() {
    let first = now();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(first, now());
    sleep(Duration::from_millis(1)).await;
    assert!(now() > first);
}
