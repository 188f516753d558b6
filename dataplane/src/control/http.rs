//! The metrics port: `/metrics`, `/liveness`, `/ready`; one small request per connection.

use crate::core::shared::Shared;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_TIME_MAX};
use crate::metrics;
use reactor::{Gather, Listener, Socket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Serves the port until the thread ends.
pub async fn serve(shared: Arc<Shared>, fd: OwnedFd) {
    let listener = match Listener::from_fd(fd) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the metrics port cannot be served"),
    };
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let shared = shared.clone();
                reactor::spawn(async move {
                    // A slow or broken client of the metrics port is nobody's concern but its own.
                    let _ = reactor::timeout(HTTP_TIME_MAX, answer(&shared, socket)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the metrics port could not accept");
                reactor::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(shared: &Shared, socket: Socket) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let received = socket.recv().await?;
        if received.is_empty() || head.len() + received.len() > HTTP_HEAD_BYTES_MAX {
            return Ok(());
        }
        head.extend_from_slice(&received);
    }
    let response = respond(shared, &String::from_utf8_lossy(&head));
    socket.send(Gather::from(response.into_bytes())).await?;
    socket.shutdown_write();
    // Reading to the end lets the client close first, so that nothing of the answer is cut off.
    while !socket.recv().await?.is_empty() {}
    Ok(())
}

fn respond(shared: &Shared, head: &str) -> String {
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET", "/metrics") => ("200 OK", "text/plain; version=0.0.4", metrics::render(shared)),
        ("GET", "/liveness") => ("200 OK", "application/json", "{\"status\":\"ok\"}\n".to_owned()),
        ("GET", "/ready") => ready(shared),
        ("GET", _) => ("404 Not Found", "text/plain", "not found\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "only GET\n".to_owned()),
    };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Ready: every core enforces a policy, the spool takes records, and no drain has begun.
fn ready(shared: &Shared) -> (&'static str, &'static str, String) {
    let reason = if shared.draining.load(Ordering::Acquire) {
        Some("draining")
    } else if shared.generations.iter().any(|core| core.load(Ordering::Acquire) == 0) {
        Some("no policy is in force on every core yet")
    } else {
        shared.spool.refusal()
    };
    match reason {
        None => ("200 OK", "application/json", "{\"status\":\"ok\"}\n".into()),
        Some(reason) => (
            "503 Service Unavailable",
            "application/json",
            format!("{{\"status\":\"unavailable\",\"reason\":\"{reason}\"}}\n"),
        ),
    }
}
