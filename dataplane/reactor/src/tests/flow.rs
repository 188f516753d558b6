//! Bytes arrive, in order, whatever their number; ends and errors arrive too.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::*;

on_both!(
    echo,
    gather_of_many_pieces_larger_than_the_socket_buffer,
    sends_of_one_socket_keep_their_order,
    sends_that_nobody_awaits_leave_completely,
    peer_that_does_not_read_stops_the_sender_only,
    end_of_stream_after_the_last_bytes,
    half_close_after_queued_sends,
    reset_by_the_peer,
    hard_close_resets_at_once,
    connect_refused,
    bulk_stream_gets_large_buffers_and_loses_them_again,
    one_byte_at_a_time,
    into_fd_refuses_while_busy,
    empty_gather,
    pool_exhaustion_waits_for_a_buffer,
    a_socket_is_quiet_until_something_arrives,
);

async fn a_socket_is_quiet_until_something_arrives() {
    let (near, far) = pair().await;
    assert!(near.is_quiet());
    send_vec(&far, b"unasked").await.unwrap();
    while near.is_quiet() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(recv_exactly(&near, 7).await, b"unasked", "looking takes nothing");
    assert!(near.is_quiet());
    near.listen();
    assert!(near.is_quiet(), "an armed receive hears nothing");
    sleep(Duration::from_millis(1)).await;
    assert!(near.is_quiet(), "the back end has it, and hears nothing");
    send_vec(&far, b"more").await.unwrap();
    while near.is_quiet() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        recv_exactly(&near, 4).await,
        b"more",
        "what came is for the next receive"
    );
    near.listen();
    far.shutdown_write();
    while near.is_quiet() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(near.recv().await.unwrap().is_empty());
    assert!(!near.is_quiet(), "the end is no silence");
}

async fn echo() {
    let (near, far) = pair().await;
    spawn(async move {
        loop {
            let piece = far.recv().await.unwrap();
            if piece.is_empty() {
                return far.shutdown_write();
            }
            far.send(Gather::from(piece)).await.unwrap();
        }
    });
    for round in 0..100 {
        let bytes = pattern(1 + round * 37);
        send_vec(&near, &bytes).await.unwrap();
        assert_eq!(recv_exactly(&near, bytes.len()).await, bytes);
    }
    near.shutdown_write();
    assert!(near.recv().await.unwrap().is_empty());
}

async fn gather_of_many_pieces_larger_than_the_socket_buffer() {
    let (near, far) = pair().await;
    let bytes = pattern(12 * 1024 * 1024 + 17);
    let mut gather = Gather::new();
    let mut rest = &bytes[..];
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        gather.push_vec(piece.to_vec());
        rest = tail;
        size = (size * 3 / 2 + 7) % 150_000;
    }
    assert!(gather.pieces() > limits::SEND_PIECES_MAX);
    assert_eq!(gather.len(), bytes.len());
    let send = near.send(gather);
    let reader = async { recv_exactly(&far, bytes.len()).await };
    let (sent, got) = both(send, reader).await;
    sent.unwrap();
    assert!(got == bytes);
    assert!(stats().sent_bytes >= bytes.len() as u64);
}

async fn sends_of_one_socket_keep_their_order() {
    let (near, far) = pair().await;
    let bytes = pattern(300_000);
    let sends: Vec<SendFuture> = bytes.chunks(1009).map(|piece| send_vec(&near, piece)).collect();
    let reader = async { recv_exactly(&far, bytes.len()).await };
    let sending = async {
        for send in sends {
            send.await.unwrap();
        }
    };
    let ((), got) = both(sending, reader).await;
    assert!(got == bytes);
}

async fn sends_that_nobody_awaits_leave_completely() {
    for shutdown in [false, true] {
        for (count, size) in [(1, 10), (3, 10), (1, 8_000_000), (5, 3_000_000)] {
            let (near, far) = pair().await;
            let bytes = pattern(count * size);
            let sends: Vec<SendFuture> = bytes.chunks(size).map(|p| send_vec(&near, p)).collect();
            if shutdown {
                near.shutdown_write();
            }
            let wanted = if shutdown { usize::MAX } else { bytes.len() };
            assert!(recv_exactly(&far, wanted).await == bytes);
            for send in sends {
                send.await.unwrap();
            }
        }
    }
    let (near, far) = pair().await;
    let bytes = pattern(1000);
    let mut gather = Gather::new();
    for piece in bytes.chunks(5) {
        gather.push_vec(piece.to_vec());
    }
    let send = near.send(gather);
    assert_eq!(recv_exactly(&far, bytes.len()).await, bytes);
    send.await.unwrap();
    // A failure is noticed although nobody awaited the send when it was submitted.
    let (near, far) = pair().await;
    far.close_hard();
    sleep(Duration::from_millis(5)).await;
    let send = send_vec(&near, b"to nobody");
    sleep(Duration::from_millis(5)).await;
    assert!(send.await.is_err());
}

async fn peer_that_does_not_read_stops_the_sender_only() {
    let (near, far) = pair().await;
    let (other_near, other_far) = pair().await;
    let bytes = pattern(20 * 1024 * 1024);
    let mut stuck = send_vec(&near, &bytes);
    assert!(timeout(Duration::from_millis(100), &mut stuck).await.is_err());
    for _ in 0..50 {
        send_vec(&other_near, b"still alive").await.unwrap();
        assert_eq!(recv_exactly(&other_far, 11).await, b"still alive");
    }
    assert!(poll_once(&mut stuck).await.is_none());
    let (sent, got) = both(stuck, recv_exactly(&far, bytes.len())).await;
    sent.unwrap();
    assert!(got == bytes);
}

async fn end_of_stream_after_the_last_bytes() {
    let (near, mut far) = pair_with_std().await;
    far.write_all(b"last words").unwrap();
    drop(far);
    assert_eq!(recv_exactly(&near, 10).await, b"last words");
    assert!(near.recv().await.unwrap().is_empty());
    assert!(near.recv().await.unwrap().is_empty());
}

async fn half_close_after_queued_sends() {
    let (near, far) = pair().await;
    let bytes = pattern(6 * 1024 * 1024);
    let send = send_vec(&near, &bytes);
    near.shutdown_write();
    let (sent, got) = both(send, recv_exactly(&far, usize::MAX)).await;
    sent.unwrap();
    assert!(got == bytes);
    send_vec(&far, b"answer").await.unwrap();
    assert_eq!(recv_exactly(&near, 6).await, b"answer");
    let late = send_vec(&near, b"late").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
}

async fn reset_by_the_peer() {
    let (near, far) = pair_with_std().await;
    let mut recv = near.recv_start();
    assert!(poll_once(&mut recv).await.is_none());
    socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    assert_eq!(recv.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(send_vec(&near, b"to nobody").await.is_err());
}

async fn hard_close_resets_at_once() {
    let (near, mut far) = pair_with_std().await;
    let mut recv = near.recv_start();
    assert!(poll_once(&mut recv).await.is_none());
    yield_now().await;
    near.close_hard();
    let seen = far.read(&mut [0; 8]).unwrap_err();
    assert_eq!(seen.kind(), ErrorKind::ConnectionReset);
    let ended = recv.await;
    assert!(ended.is_err() || ended.is_ok_and(|piece| piece.is_empty()));
    assert!(send_vec(&near, b"late").await.is_err());
}

async fn connect_refused() {
    let unused = std::net::TcpListener::bind(local()).unwrap();
    let addr = unused.local_addr().unwrap();
    drop(unused);
    let refused = Socket::connect(addr).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

async fn bulk_stream_gets_large_buffers_and_loses_them_again() {
    let (near, mut far) = pair_with_std().await;
    let bytes = pattern(8 * 1024 * 1024);
    let expected = bytes.clone();
    let writer = std::thread::spawn(move || {
        far.write_all(&bytes).unwrap();
        far
    });
    let (mut got, mut largest) = (Vec::new(), 0);
    while got.len() < expected.len() {
        let piece = near.recv().await.unwrap();
        largest = largest.max(piece.len());
        got.extend_from_slice(&piece);
    }
    assert!(got == expected);
    assert!(largest > limits::SMALL_BUFFERS.1 as usize, "largest receive {largest}");
    let mut far = writer.join().unwrap();
    for _ in 0..4 {
        far.write_all(b"small").unwrap();
        assert_eq!(recv_exactly(&near, 5).await, b"small");
    }
    far.write_all(&pattern(60_000)).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let first = near.recv().await.unwrap();
    assert!(first.len() <= limits::SMALL_BUFFERS.1 as usize, "{}", first.len());
    recv_exactly(&near, 60_000 - first.len()).await;
}

async fn one_byte_at_a_time() {
    let (near, far) = pair().await;
    let bytes = pattern(500);
    let sending = async {
        for byte in &bytes {
            send_vec(&near, &[*byte]).await.unwrap();
        }
    };
    let ((), got) = both(sending, recv_exactly(&far, bytes.len())).await;
    assert_eq!(got, bytes);
}

async fn into_fd_refuses_while_busy() {
    let (near, far) = pair().await;
    let recv = near.recv_start();
    drop(recv);
    assert_eq!(near.into_fd().unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert!(far.recv().await.unwrap().is_empty());
    let (near, far) = pair().await;
    send_vec(&near, b"moved").await.unwrap();
    let again = Socket::from_fd(far.into_fd().unwrap()).unwrap();
    assert_eq!(recv_exactly(&again, 5).await, b"moved");
    send_vec(&again, b"back").await.unwrap();
    assert_eq!(recv_exactly(&near, 4).await, b"back");
}

async fn empty_gather() {
    let (near, _far) = pair().await;
    near.send(Gather::new()).await.unwrap();
}

async fn pool_exhaustion_waits_for_a_buffer() {
    // The configured pool is bounded by `pool_bytes_max`; hold everything it has.
    let (near, far) = pair().await;
    let mut held = Vec::new();
    let count = limits::POOL_BYTES_MAX / limits::SMALL_BUFFERS.1 as usize;
    for _ in 0..count {
        send_vec(&near, b"x").await.unwrap();
        held.push(far.recv().await.unwrap());
    }
    send_vec(&near, b"y").await.unwrap();
    let mut starved = far.recv_start();
    assert!(timeout(Duration::from_millis(20), &mut starved).await.is_err());
    assert!(stats().pool_exhausted > 0);
    held.pop();
    assert_eq!(&starved.await.unwrap()[..], b"y");
}

/// Awaits two futures at once.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut done_a, mut done_b) = (None, None);
    std::future::poll_fn(|cx| {
        use std::task::Poll;
        if done_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            done_a = Some(output);
        }
        if done_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            done_b = Some(output);
        }
        match (done_a.take(), done_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (done_a, done_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
