//! Futures and sockets dropped at every point: nothing leaks, nothing is lost that must not be.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use super::*;

on_both!(
    dropped_receives_lose_no_bytes,
    receive_dropped_at_each_point,
    send_dropped_at_each_point,
    send_cut_in_the_middle_tears_the_stream,
    accept_dropped_at_each_point,
    connect_dropped_at_each_point,
    socket_dropped_under_a_receive_future,
    tasks_aborted_with_operations_in_flight,
    aborting_oneself_and_finishing,
    panicking_task_ends_alone,
    file_append_dropped,
);

async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

async fn dropped_receives_lose_no_bytes() {
    let (near, far) = pair().await;
    let bytes = pattern(100_000);
    let expected = bytes.clone();
    spawn(async move {
        for piece in bytes.chunks(100) {
            send_vec(&far, piece).await.unwrap();
            yield_now().await;
        }
        far.shutdown_write();
        assert!(far.recv().await.unwrap().is_empty());
    });
    let mut got = Vec::new();
    let mut round = 0;
    loop {
        round += 1;
        let mut recv = near.recv_start();
        if round % 3 != 0 {
            turns(round % 4).await;
            match poll_once(&mut recv).await {
                None => continue,
                Some(piece) => got.extend_from_slice(&piece.unwrap()),
            }
            continue;
        }
        let piece = recv.await.unwrap();
        if piece.is_empty() {
            break;
        }
        got.extend_from_slice(&piece);
    }
    assert!(got == expected);
}

async fn receive_dropped_at_each_point() {
    for points in 0..6 {
        for data in [false, true] {
            let (near, far) = pair().await;
            let recv = near.recv_start();
            if data {
                send_vec(&far, b"too late").await.unwrap();
            }
            turns(points).await;
            drop(recv);
            turns(points / 2).await;
            drop(near);
            turns(points % 2).await;
        }
    }
    settle().await;
}

async fn send_dropped_at_each_point() {
    for points in 0..6 {
        for size in [10, 100_000, 20_000_000] {
            let (near, far) = pair().await;
            let send = send_vec(&near, &pattern(size));
            let queued = send_vec(&near, b"behind it");
            turns(points).await;
            drop(send);
            if points % 2 == 0 {
                drop(queued);
            } else {
                turns(2).await;
                drop(near);
                drop(queued);
            }
            drop(far);
        }
    }
    settle().await;
}

async fn send_cut_in_the_middle_tears_the_stream() {
    let (near, far) = pair().await;
    let mut send = send_vec(&near, &pattern(20_000_000));
    assert!(timeout(Duration::from_millis(50), &mut send).await.is_err());
    drop(send);
    turns(20).await;
    let torn = send_vec(&near, b"must not follow").await.unwrap_err();
    assert_eq!(torn.kind(), ErrorKind::BrokenPipe);
    drop(near);
    let got = recv_exactly(&far, usize::MAX).await;
    assert!(got.len() < 20_000_000 && got == pattern(got.len()));
}

async fn accept_dropped_at_each_point() {
    for points in 0..5 {
        let listener = Listener::bind(local(), ListenOptions::default()).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut accept = Box::pin(listener.accept());
        assert!(poll_once(&mut accept).await.is_none());
        let mut client = std::net::TcpStream::connect(addr).unwrap();
        turns(points).await;
        drop(accept);
        if points % 2 == 0 {
            // The connection is not lost: the next accept gets it.
            let (socket, _) = listener.accept().await.unwrap();
            drop(socket);
        }
        drop(listener);
        turns(3).await;
        settle().await;
        // Accepted or not, the connection is closed with its listener.
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let ended = client.read(&mut [0; 1]);
        assert!(matches!(ended, Ok(0)) || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
}

async fn connect_dropped_at_each_point() {
    let listener = std::net::TcpListener::bind(local()).unwrap();
    let addr = listener.local_addr().unwrap();
    for points in 0..5 {
        let mut connect = Box::pin(Socket::connect(addr));
        if poll_once(&mut connect).await.is_none() {
            turns(points).await;
        }
        drop(connect);
    }
    settle().await;
    // An address that answers nobody (TEST-NET-1, RFC 5737): only the cancellation ends it.
    let mut connect = Box::pin(Socket::connect(SocketAddr::from(([192, 0, 2, 1], 9))));
    let _ = timeout(Duration::from_millis(20), &mut connect).await;
    drop(connect);
    settle().await;
}

async fn socket_dropped_under_a_receive_future() {
    for points in 0..4 {
        let (near, far) = pair().await;
        let recv = near.recv_start();
        let waiting = spawn(async move {
            assert!(recv.await.is_err());
        });
        turns(points).await;
        drop(near);
        turns(4).await;
        settle().await;
        assert!(waiting.is_finished());
        assert!(far.recv().await.unwrap().is_empty());
    }
    assert_eq!(stats().task_panics, 0);
}

async fn tasks_aborted_with_operations_in_flight() {
    for points in 0..5 {
        let (near, far) = pair().await;
        let relay = spawn(async move {
            loop {
                let piece = far.recv().await.unwrap();
                far.send(Gather::from(piece)).await.unwrap();
            }
        });
        send_vec(&near, &pattern(50_000)).await.unwrap();
        turns(points).await;
        assert!(!relay.is_finished());
        relay.abort();
        assert!(relay.is_finished());
        while !matches!(near.recv().await, Ok(piece) if piece.is_empty()) {
            if near.peer_addr().is_err() {
                break;
            }
        }
    }
    settle().await;
}

async fn aborting_oneself_and_finishing() {
    let (task_in, task_out) = sync::oneshot::channel::<Task>();
    let (done_in, done_out) = sync::oneshot::channel::<()>();
    let task = spawn(async move {
        let _done = done_in;
        task_out.await.unwrap().abort();
        yield_now().await;
        panic!("runs after its own abort");
    });
    assert!(task_in.send(task).is_ok());
    assert_eq!(done_out.await, Err(sync::Closed));
    let quick = spawn(async {});
    yield_now().await;
    yield_now().await;
    assert!(quick.is_finished());
    quick.abort();
    assert_eq!(stats().task_panics, 0);
}

async fn panicking_task_ends_alone() {
    let bad = spawn(async {
        yield_now().await;
        std::panic::resume_unwind(Box::new("for the test"));
    });
    let good = spawn(sleep(Duration::from_millis(5)));
    sleep(Duration::from_millis(20)).await;
    assert!(bad.is_finished() && good.is_finished());
    assert_eq!(stats().task_panics, 1);
}

async fn file_append_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let file = File::create_append(&path).unwrap();
    let mut append = Box::pin(file.append(b"all of it".to_vec()));
    let _ = poll_once(&mut append).await;
    drop(append);
    settle().await;
    assert_eq!(std::fs::read(&path).unwrap(), b"all of it");
}
