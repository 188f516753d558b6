//! Tests on both back ends: every scenario runs once on io_uring and once on epoll.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::*;

mod cancel;
mod files;
mod flow;
mod hook;
mod load;
mod probe;
mod time;

/// Longest time any scenario may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Expands to one test per scenario and back end.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod uring {
            $(#[test] fn $name() { crate::tests::run_on(crate::BackendChoice::Uring, super::$name); })*
        }
        mod epoll {
            $(#[test] fn $name() { crate::tests::run_on(crate::BackendChoice::Epoll, super::$name); })*
        }
    };
}
pub(crate) use on_both;

/// Runs a scenario on one back end and checks that it leaves nothing behind.
pub(crate) fn run_on<F: Future<Output = ()>>(backend: BackendChoice, scenario: fn() -> F) {
    run_with(
        Config {
            backend,
            ..Config::default()
        },
        scenario,
    );
}

pub(crate) fn run_with<F: Future<Output = ()>>(config: Config, scenario: fn() -> F) {
    let core = Core::new(config).expect("the back end works on this machine");
    core.run(async {
        timeout(PATIENCE, scenario()).await.expect("the scenario hangs");
        settle().await;
    });
}

/// Waits until no operation, buffer or task is left.
pub(crate) async fn settle() {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let now = stats();
        if now.ops_now == 0 && now.buffers_now == 0 && now.tasks_now == 0 {
            return;
        }
        assert!(Instant::now() < end, "left behind: {now:?}");
        sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Two connected sockets of this core.
pub(crate) async fn pair() -> (Socket, Socket) {
    let listener = Listener::bind(local(), ListenOptions::default()).unwrap();
    let near = Socket::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, near.local_addr().unwrap());
    (near, far)
}

/// A socket of this core and a plain blocking one at its other end.
pub(crate) async fn pair_with_std() -> (Socket, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind(local()).unwrap();
    let near = Socket::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().unwrap();
    (near, far)
}

/// Receives until `n` bytes are there or the stream ends.
pub(crate) async fn recv_exactly(socket: &Socket, n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < n {
        let piece = socket.recv().await.unwrap();
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Bytes in which every position is recognisable.
pub(crate) fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

pub(crate) fn send_vec(socket: &Socket, bytes: &[u8]) -> SendFuture {
    socket.send(Gather::from(bytes.to_vec()))
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        let polled = std::pin::Pin::new(&mut *future).poll(cx);
        std::task::Poll::Ready(match polled {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn outside_a_core_calls_panic_with_a_reason() {
    let caught = std::panic::catch_unwind(now).unwrap_err();
    let text = caught.downcast_ref::<String>().cloned();
    let text = text.or_else(|| caught.downcast_ref::<&str>().map(|s| (*s).to_string()));
    assert!(text.unwrap().contains("Core::run"));
}

#[test]
fn a_pinned_core_runs_on_its_processor_and_a_missing_one_is_refused() {
    let pinned = |cpu| {
        Core::new(Config {
            pin: Some(cpu),
            ..Config::default()
        })
    };
    let status = std::thread::spawn(move || {
        pinned(0)
            .unwrap()
            .run(async { std::fs::read_to_string("/proc/thread-self/status").unwrap() })
    });
    let status = status.join().unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    assert_eq!(allowed.map(str::trim), Some("0"));
    let missing = std::thread::spawn(move || pinned(100_000).err().map(|e| e.kind())).join();
    assert_eq!(missing.unwrap(), Some(io::ErrorKind::InvalidInput));
}

/// A pool and a ring far too small for the load: everything still arrives, only slower.
#[test]
fn tiny_pool_and_ring_lose_nothing() {
    for backend in [BackendChoice::Uring, BackendChoice::Epoll] {
        let config = Config {
            backend,
            ring_entries: 8,
            small_buffers: (2, 1024),
            large_buffers: (1, 4096),
            pool_bytes_max: 4096,
            pin: None,
        };
        run_with(config, || async {
            let mut tasks = Vec::new();
            for seed in 0..40 {
                let (near, far) = pair().await;
                let bytes = pattern(50_000 + seed * 977);
                let expected = bytes.clone();
                tasks.push(spawn(async move {
                    let send = send_vec(&near, &bytes);
                    near.shutdown_write();
                    send.await.unwrap();
                    assert!(near.recv().await.unwrap().is_empty());
                }));
                tasks.push(spawn(async move {
                    assert!(recv_exactly(&far, usize::MAX).await == expected);
                }));
            }
            while !tasks.iter().all(Task::is_finished) {
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(stats().task_panics, 0);
            assert!(stats().buffers_allocated_now <= 6);
        });
    }
}

#[test]
fn results_of_a_core_outlive_it() {
    for backend in [BackendChoice::Uring, BackendChoice::Epoll] {
        let core = Core::new(Config {
            backend,
            ..Config::default()
        })
        .unwrap();
        let (near, buf) = core.run(async {
            let (near, far) = pair().await;
            send_vec(&far, b"kept").await.unwrap();
            let buf = near.recv().await.unwrap();
            (near, buf)
        });
        assert_eq!(&buf[..], b"kept");
        drop(near);
        drop(buf);
    }
}

#[test]
fn a_core_that_ends_drops_its_tasks_and_operations() {
    for backend in [BackendChoice::Uring, BackendChoice::Epoll] {
        let dropped = Rc::new(Cell::new(0));
        struct Guard(Rc<Cell<u32>>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let core = Core::new(Config {
            backend,
            ..Config::default()
        })
        .unwrap();
        let guards = dropped.clone();
        let started = Instant::now();
        core.run(async move {
            let (near, far) = pair().await;
            let (near, far) = (Rc::new(near), Rc::new(far));
            for socket in [near, far] {
                let guard = Guard(guards.clone());
                spawn(async move {
                    let _guard = guard;
                    let got: io::Result<Buf> = socket.recv().await;
                    panic!("nothing was sent: {got:?}");
                });
            }
            yield_now().await;
            yield_now().await;
        });
        assert_eq!(dropped.get(), 2);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}
