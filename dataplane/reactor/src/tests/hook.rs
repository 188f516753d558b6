//! The pre-submit hook runs before a byte of its turn is visible, and its error stops the sends.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::time::Duration;

use super::*;

on_both!(
    hook_runs_before_the_bytes_are_visible,
    hook_error_fails_the_sends_of_its_turn,
    hook_runs_once_per_turn_with_sends,
    hook_may_use_the_core,
);

async fn hook_runs_before_the_bytes_are_visible() {
    let (near, far) = pair_with_std().await;
    far.set_nonblocking(true).unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (log, mut peer) = (seen.clone(), far.try_clone().unwrap());
    Core::set_pre_submit(move || {
        let mut bytes = [0; 64];
        // What earlier turns have sent is there; what this turn will send is not.
        std::thread::sleep(Duration::from_millis(2));
        let n = peer.read(&mut bytes).or_else(|error| {
            if error.kind() == ErrorKind::WouldBlock {
                Ok(0)
            } else {
                Err(error)
            }
        })?;
        log.borrow_mut().push(bytes[..n].to_vec());
        Ok(())
    });
    for turn in [b"one".as_slice(), b"two", b"three"] {
        send_vec(&near, turn).await.unwrap();
    }
    assert_eq!(*seen.borrow(), vec![b"".to_vec(), b"one".to_vec(), b"two".to_vec()]);
    drop(far);
}

async fn hook_error_fails_the_sends_of_its_turn() {
    let (near, mut far) = pair_with_std().await;
    let fail = Rc::new(Cell::new(true));
    let failing = fail.clone();
    Core::set_pre_submit(move || {
        if failing.get() {
            Err(io::Error::other("the spool is full"))
        } else {
            Ok(())
        }
    });
    let first = send_vec(&near, b"secret");
    let second = send_vec(&near, b"secret too");
    assert_eq!(first.await.unwrap_err().to_string(), "the spool is full");
    assert_eq!(second.await.unwrap_err().to_string(), "the spool is full");
    fail.set(false);
    send_vec(&near, b"recorded").await.unwrap();
    drop(near);
    yield_now().await;
    let mut got = Vec::new();
    sleep(Duration::from_millis(1)).await;
    far.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"recorded");
}

async fn hook_runs_once_per_turn_with_sends() {
    let (near, far) = pair().await;
    let runs = Rc::new(Cell::new(0));
    let count = runs.clone();
    Core::set_pre_submit(move || {
        count.set(count.get() + 1);
        Ok(())
    });
    let sends: Vec<SendFuture> = (0..10).map(|_| send_vec(&near, b"0123456789")).collect();
    for send in sends {
        send.await.unwrap();
    }
    assert_eq!(runs.get(), 1);
    assert_eq!(recv_exactly(&far, 100).await.len(), 100);
    sleep(Duration::from_millis(2)).await;
    assert_eq!(runs.get(), 1);
}

async fn hook_may_use_the_core() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let mut spool = File::create_append(&path).unwrap();
    let (near, far) = pair().await;
    Core::set_pre_submit(move || {
        let _ = now();
        spawn(async {});
        spool.append_now(b"event\n")
    });
    send_vec(&near, b"row").await.unwrap();
    assert_eq!(recv_exactly(&far, 3).await, b"row");
    assert_eq!(std::fs::read(&path).unwrap(), b"event\n");
    Core::set_pre_submit(|| Ok(()));
    send_vec(&near, b"row").await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"event\n");
}
