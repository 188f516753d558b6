//! Many connections, many messages, many threads.

use std::time::Duration;

use super::*;

on_both!(
    thousands_of_connections,
    accept_storm,
    mailbox_across_threads,
    wake_from_another_thread,
    local_queues
);

async fn thousands_of_connections() {
    const CONNECTIONS: usize = 1500;
    let listener = Rc::new(Listener::bind(local(), ListenOptions::default()).unwrap());
    let addr = listener.local_addr().unwrap();
    let accepting = listener.clone();
    spawn(async move {
        for _ in 0..CONNECTIONS {
            let (socket, _) = accepting.accept().await.unwrap();
            spawn(async move {
                loop {
                    let piece = socket.recv().await.unwrap();
                    if piece.is_empty() {
                        return;
                    }
                    socket.send(Gather::from(piece)).await.unwrap();
                }
            });
        }
    });
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Socket::connect(addr).await.unwrap());
    }
    // All at once: more receives complete than the ring has buffers.
    for round in 0u8..3 {
        let sends: Vec<SendFuture> = clients.iter().map(|c| send_vec(c, &[round; 100])).collect();
        for send in sends {
            send.await.unwrap();
        }
        for client in &clients {
            assert_eq!(recv_exactly(client, 100).await, [round; 100]);
        }
    }
    let before = stats();
    sleep(Duration::from_millis(20)).await;
    assert_eq!(stats().buffers_now, 0, "idle sockets hold no buffer");
    assert_eq!(before.accepts as usize, CONNECTIONS);
    clients.clear();
    drop(listener);
    settle().await;
}

async fn accept_storm() {
    const CONNECTIONS: usize = 600;
    let listener = Listener::bind(local(), ListenOptions::default()).unwrap();
    let addr = listener.local_addr().unwrap();
    let dialling = std::thread::spawn(move || {
        let streams = (0..CONNECTIONS).map(|_| std::net::TcpStream::connect(addr).unwrap());
        streams.collect::<Vec<_>>()
    });
    // One accept arms the listener; nobody takes the rest for a while, so accepting must pause at its bound.
    let mut accepted = vec![listener.accept().await.unwrap()];
    sleep(Duration::from_millis(100)).await;
    assert!(stats().accepts as usize <= limits::ACCEPTED_WAITING_MAX + limits::ACCEPTS_PER_TURN_MAX + 200);
    while accepted.len() < CONNECTIONS {
        accepted.push(listener.accept().await.unwrap());
    }
    let streams = dialling.join().unwrap();
    assert_eq!(streams.len(), accepted.len());
}

async fn mailbox_across_threads() {
    const EACH: u32 = 5000;
    let (sender, mut receiver) = mailbox::<u32>(64);
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for i in 0..EACH {
                    let mut value = thread * EACH + i;
                    while let Err(full) = sender.try_send(value) {
                        value = full.into_inner();
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let mut last = [None; 3];
    let mut count = 0;
    while let Some(value) = receiver.recv().await {
        let thread = (value / EACH) as usize;
        assert!(last[thread].is_none_or(|before| before < value));
        last[thread] = Some(value);
        count += 1;
    }
    assert_eq!(count, 3 * EACH);
    for thread in threads {
        thread.join().unwrap();
    }
    let (sender, receiver) = mailbox::<u32>(1);
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(Full::Full(2)));
    drop(receiver);
    assert_eq!(sender.try_send(3), Err(Full::Closed(3)));
}

async fn wake_from_another_thread() {
    for delay in [0, 1, 5] {
        let (sender, mut receiver) = mailbox::<Instant>(1);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(delay));
            sender.try_send(Instant::now()).unwrap();
        });
        let sent = receiver.recv().await.unwrap();
        assert!(sent.elapsed() < Duration::from_secs(1));
        thread.join().unwrap();
    }
}

async fn local_queues() {
    let (sender, mut receiver) = sync::channel::bounded::<u32>(2);
    let other = sender.clone();
    spawn(async move {
        for i in 0..100 {
            sender.send(i).await.unwrap();
        }
    });
    drop(other);
    for i in 0..100 {
        assert_eq!(receiver.recv().await, Ok(i));
    }
    assert_eq!(receiver.recv().await, Err(sync::Closed));
    let notify = Rc::new(sync::Notify::new());
    let (one, two) = (notify.clone(), notify.clone());
    let woken = Rc::new(Cell::new(0));
    let (count_one, count_two) = (woken.clone(), woken.clone());
    spawn(async move {
        one.notified().await;
        count_one.set(count_one.get() + 1);
    });
    spawn(async move {
        two.notified().await;
        count_two.set(count_two.get() + 1);
    });
    yield_now().await;
    yield_now().await;
    notify.notify_one();
    yield_now().await;
    yield_now().await;
    assert_eq!(woken.get(), 1);
    notify.notify_all();
    yield_now().await;
    yield_now().await;
    assert_eq!(woken.get(), 2);
}

#[test]
fn cores_on_two_threads_talk() {
    let (to_second, mut at_second) = mailbox::<u32>(8);
    let (to_first, mut at_first) = mailbox::<u32>(8);
    let second = std::thread::spawn(move || {
        let config = Config {
            backend: BackendChoice::Epoll,
            ..Config::default()
        };
        Core::new(config).unwrap().run(async move {
            while let Some(value) = at_second.recv().await {
                to_first.try_send(value + 1).unwrap();
            }
        });
    });
    let core = Core::new(Config {
        backend: BackendChoice::Uring,
        ..Config::default()
    })
    .unwrap();
    core.run(async move {
        for i in 0..2000 {
            to_second.try_send(i).unwrap();
            assert_eq!(at_first.recv().await, Some(i + 1));
        }
    });
    second.join().unwrap();
}
