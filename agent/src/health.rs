//! `/liveness` and `/ready` for whoever starts the agent: alive while it answers, ready while a link serves sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::agent::{Agent, Phase};
use crate::limits::{HEALTH_REQUEST_BYTES_MAX, HEALTH_REQUEST_TIMEOUT, HEALTH_REQUESTS_MAX};

/// Binds the address.
///
/// # Errors
/// What the operating system said, with the address.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// Answers for as long as the agent runs.
pub async fn serve(listener: TcpListener, agent: Arc<Agent>) {
    let places = Arc::new(Semaphore::new(HEALTH_REQUESTS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((socket, _)) => {
                let agent = agent.clone();
                tokio::spawn(async move {
                    let _ = timeout(HEALTH_REQUEST_TIMEOUT, answer(socket, &agent)).await;
                    drop(place);
                });
            }
            // Out of descriptors: others have to end first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, agent: &Agent) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= HEALTH_REQUEST_BYTES_MAX || socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = respond(&head, agent);
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    socket.write_all(text.as_bytes()).await?;
    socket.shutdown().await
}

fn respond(head: &[u8], agent: &Agent) -> (&'static str, String) {
    let links = agent.links_ready();
    let draining = *agent.phase.borrow() != Phase::Running;
    let mut words = head.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/liveness")) => ("200 OK", r#"{"status":"ok"}"#.to_owned()),
        (Some(b"GET"), Some(b"/ready")) if links > 0 && !draining => {
            ("200 OK", format!(r#"{{"status":"ok","links":{links}}}"#))
        }
        (Some(b"GET"), Some(b"/ready")) => (
            "503 Service Unavailable",
            format!(r#"{{"status":"unavailable","links":{links},"draining":{draining}}}"#),
        ),
        (Some(b"GET"), Some(_)) => ("404 Not Found", r#"{"status":"not found"}"#.to_owned()),
        _ => (
            "405 Method Not Allowed",
            r#"{"status":"method not allowed"}"#.to_owned(),
        ),
    }
}
