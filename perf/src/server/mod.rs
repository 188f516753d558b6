//! A replayed PostgreSQL server: logins are real, answers come from memory, so that the proxy in front of it is the limit.
//!
//! It answers pgbench's statements, `SELECT * FROM perf_KIND_N`, `COPY perf_KIND_N TO STDOUT` and what poolers ask; a
//! statement that it does not know is an error, never an empty answer.

pub mod rows;
mod session;
mod statement;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::login::Verifier;

/// Pending connections of the listener.
const BACKLOG: i32 = 16 * 1024;
/// Iterations of the password's verifier: PostgreSQL's own number.
const SCRAM_ITERATIONS: u32 = 4096;
/// One salt, as a real server keeps one per user.
const SALT: &[u8; 16] = b"replayed-server!";

#[derive(Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Every user has this password and logs in by SCRAM-SHA-256; without it everybody is trusted.
    #[arg(long)]
    password: Option<String>,
    /// Threads, each with a listener of its own.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Tables that are made ready before the server listens, such as `perf_typed_100`.
    #[arg(long)]
    warm: Vec<String>,
}

/// What the sessions share.
struct Shared {
    verifier: Option<Verifier>,
    tables: rows::Tables,
}

pub fn run(options: &Options) -> Result<()> {
    let verifier = match &options.password {
        Some(password) => Some(Verifier::derive(password, SALT, SCRAM_ITERATIONS)?),
        None => None,
    };
    let shared = Arc::new(Shared {
        verifier,
        tables: rows::Tables::default(),
    });
    for table in &options.warm {
        statement::warm(table, &shared.tables).with_context(|| format!("no table {table}"))?;
    }
    let first = listen(options.listen)?;
    let address = first.local_addr()?;
    let mut threads = Vec::new();
    for index in 1..options.threads.max(1) {
        let (socket, shared) = (listen(address)?, shared.clone());
        let named = std::thread::Builder::new().name(format!("server-{index}"));
        threads.push(named.spawn(move || serve(socket, shared))?);
    }
    println!("{}", json!({"listening": address.to_string()}));
    serve(first, shared)
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn serve(socket: std::net::TcpListener, shared: Arc<Shared>) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::from_std(socket)?;
        loop {
            let (stream, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    eprintln!("accept: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                }
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                // A peer that goes away is the usual end of a benchmark's session.
                let _ = stream.set_nodelay(true);
                if let Err(error) = session::serve(stream, &shared).await
                    && error.downcast_ref::<std::io::Error>().is_none()
                {
                    eprintln!("session: {error:#}");
                }
            });
        }
    })
}
