//! `relays RUNTIME LISTEN UPSTREAM BUFFER_BYTES`: a plain TCP relay on tokio, monoio, tokio-uring or compio, one thread.
//!
//! The same work as the reactor's own example `relay`: accept, connect, no delay, bytes both ways until an end. Each run
//! time is used as its documentation advises for this: tokio by its own copy, the owned-buffer ones by one buffer per
//! direction, compio by its pool of buffers that the kernel selects from.

mod on_compio;
mod on_monoio;
mod on_tokio;
mod on_tokio_uring;

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

/// Pending connections, as the reactor's listener has.
const BACKLOG: i32 = 4096;

/// What every relay is told.
#[derive(Clone, Copy)]
pub struct Options {
    pub listen: SocketAddr,
    pub upstream: SocketAddr,
    /// Bytes of one read.
    pub buffer: usize,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, listen, upstream, buffer] = &words[..] else {
        bail!("usage: relays tokio|monoio|tokio-uring|compio LISTEN UPSTREAM BUFFER_BYTES");
    };
    let options = Options {
        listen: listen.parse().context("LISTEN")?,
        upstream: upstream.parse().context("UPSTREAM")?,
        buffer: buffer.parse().context("BUFFER_BYTES")?,
    };
    match runtime.as_str() {
        "tokio" => on_tokio::run(options),
        "monoio" => on_monoio::run(options),
        "tokio-uring" => on_tokio_uring::run(options),
        "compio" => on_compio::run(options),
        other => bail!("no relay on {other}"),
    }
}

/// The same listener for all of them.
pub fn listener(options: Options, nonblocking: bool) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(options.listen), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&options.listen.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(nonblocking)?;
    Ok(socket.into())
}
