//! Plain TCP relay on one core: `relay LISTEN UPSTREAM [--backend uring|epoll]`, the baseline of the benchmarks.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reactor::{BackendChoice, Config, Core, Gather, ListenOptions, Listener, SendFuture, Socket, sleep, spawn};

struct Arguments {
    listen: SocketAddr,
    upstream: SocketAddr,
    backend: BackendChoice,
}

fn arguments() -> Result<Arguments> {
    let mut backend = BackendChoice::Auto;
    let mut addrs = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word != "--backend" {
            addrs.push(word.parse().with_context(|| format!("not an address: {word}"))?);
            continue;
        }
        backend = match words.next().as_deref() {
            Some("uring") => BackendChoice::Uring,
            Some("epoll") => BackendChoice::Epoll,
            other => bail!("unknown back end {other:?}"),
        };
    }
    let [listen, upstream] = addrs[..] else {
        bail!("usage: relay LISTEN UPSTREAM [--backend uring|epoll]");
    };
    Ok(Arguments {
        listen,
        upstream,
        backend,
    })
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let core = Core::new(Config {
        backend: arguments.backend,
        ..Config::default()
    })?;
    eprintln!(
        "relay {} -> {} on {}",
        arguments.listen,
        arguments.upstream,
        core.backend()
    );
    if let Some(reason) = core.fallback() {
        eprintln!("{reason}");
    }
    core.run(serve(arguments.listen, arguments.upstream))
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let listener = Listener::bind(listen, ListenOptions::default())?;
    if std::env::var_os("RELAY_STATS").is_some() {
        spawn(print_stats());
    }
    loop {
        match listener.accept().await {
            Ok((downstream, _)) => {
                spawn(session(downstream, upstream));
            }
            Err(error) => {
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn print_stats() {
    loop {
        sleep(Duration::from_secs(2)).await;
        eprintln!("{:?}", reactor::stats());
    }
}

async fn session(downstream: Socket, upstream: SocketAddr) {
    let upstream = match Socket::connect(upstream).await {
        Ok(upstream) => upstream,
        Err(error) => {
            eprintln!("connect: {error}");
            return downstream.close_hard();
        }
    };
    if downstream.set_nodelay(true).is_err() || upstream.set_nodelay(true).is_err() {
        return;
    }
    let (downstream, upstream) = (Rc::new(downstream), Rc::new(upstream));
    let (from, to) = (downstream.clone(), upstream.clone());
    spawn(async move { pump(&from, &to).await });
    pump(&upstream, &downstream).await;
}

/// Moves bytes one way until an end or an error, which ends the other side too. The next receive is armed together
/// with the send, one buffer ahead; the send is awaited only when there is something new to send.
async fn pump(from: &Socket, to: &Socket) {
    let mut sending: Option<SendFuture> = None;
    let mut next = from.recv_start();
    loop {
        let Ok(piece) = next.await else {
            return to.close_hard();
        };
        if let Some(sending) = sending.take()
            && sending.await.is_err()
        {
            return from.close_hard();
        }
        if piece.is_empty() {
            return to.shutdown_write();
        }
        sending = Some(to.send(Gather::from(piece)));
        next = from.recv_start();
    }
}
