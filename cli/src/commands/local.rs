//! A local port in front of a data plane, for as long as the command runs.
//!
//! Bytes pass as they are: TLS, channel binding and cancel requests are between the client and the data plane, and who reaches
//! the port still needs the password.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::failure::{Failure, Outcome};

/// Most sockets at once; further ones wait.
const SOCKETS_MAX: usize = 1024;

/// Listens on `port` (0: a free one) of the loopback address, says which one it is, and passes sockets on to `target` until the
/// process is told to end.
pub fn serve(port: u16, target: (String, u16), listening: impl FnOnce(u16) -> Outcome) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let failed = |error: io::Error| Failure::Failed(format!("cannot listen on 127.0.0.1:{port}: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        listening(listener.local_addr().map_err(failed)?.port())?;
        tokio::select! {
            error = accept(listener, target) => Err(failed(error)),
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}

/// Serves sockets until the listener fails.
async fn accept(listener: TcpListener, target: (String, u16)) -> io::Error {
    let target = std::sync::Arc::new(target);
    let places = std::sync::Arc::new(Semaphore::new(SOCKETS_MAX));
    loop {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else {
            return io::Error::other("closed");
        };
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            // The client has gone before it was looked at.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return error,
        };
        let target = std::sync::Arc::clone(&target);
        tokio::spawn(async move {
            if let Err(error) = pass(client, &target).await {
                eprintln!("sluice connect: {}:{}: {error}", target.0, target.1);
            }
            drop(place);
        });
    }
}

async fn pass(mut client: TcpStream, (host, port): &(String, u16)) -> io::Result<()> {
    let mut server = TcpStream::connect((host.as_str(), *port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    match tokio::io::copy_bidirectional(&mut client, &mut server).await {
        // Either side may go without a word.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset || error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(())
        }
        other => other.map(drop),
    }
}
