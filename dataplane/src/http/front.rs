//! The front door for HTTP clients: PROXY header, TLS or not, then request after request until the socket is done.

use super::exchange::{self, Ended, Origin};
use super::h1::{Client, Next};
use super::h2;
use super::limits::{CLIENTS_MAX, HEAD_TIME_MAX, LINGER_BYTES_MAX, LINGER_TIME_MAX};
use super::{Entry, within};
use crate::core::Core;
use crate::tls::stream::TlsStream;
use crate::transport::Transport;
use codecs::http::proxy;
use reactor::Socket;
use rustls::ServerConfig;
use session::{CloseCause, EndCause};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// First byte of a TLS record with a handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// HTTP/2 in TLS (RFC 7301), and how a client begins that knows that we speak it (RFC 9113 section 3.4).
const H2: &[u8] = b"h2";
const PREFACE_START: &[u8] = b"PRI ";

/// Serves a fresh socket. `fixed`: the connection whose own port this is.
pub fn serve(core: &Rc<Core>, socket: Socket, peer: SocketAddr, fixed: Option<Arc<str>>) {
    if core.http.table.len() >= CLIENTS_MAX {
        core.metrics().logins_refused.fetch_add(1, Ordering::Relaxed);
        return socket.close_hard();
    }
    let core = core.clone();
    reactor::spawn(async move {
        let opened = within(HEAD_TIME_MAX, open(&core, socket, peer, fixed.as_deref())).await;
        let Some(Some((client, mut origin))) = opened else {
            return;
        };
        origin.fixed = fixed;
        if origin.is_h2 {
            let early = client.take_early().to_vec();
            h2::serve(&core, client.transport.clone(), early, origin).await;
            return part(&client).await;
        }
        let entry = Rc::new(Entry::default());
        core.http.table.add(entry.clone());
        let cause = serve_h1(&core, &entry, &client, &origin).await;
        core.http.table.remove(&entry);
        let now = core.now();
        entry.end_session(&cause, &mut core.scratch.borrow_mut(), now);
        core.collect_events();
        part(&client).await;
    });
}

/// Ends our side, and reads a little longer: a socket that is closed with unread bytes takes our last words with it.
async fn part(client: &Client) {
    let _ = within(crate::limits::REFUSAL_WRITE_TIME_MAX, client.transport.shutdown()).await;
    let _ = within(LINGER_TIME_MAX, async {
        let mut discarded = 0;
        while discarded < LINGER_BYTES_MAX {
            match client.transport.recv().await {
                Ok(received) if !received.is_empty() => discarded += received.len(),
                _ => return,
            }
        }
    })
    .await;
}

/// Up to the first byte of HTTP.
async fn open(core: &Rc<Core>, socket: Socket, peer: SocketAddr, fixed: Option<&str>) -> Option<(Client, Origin)> {
    let mut peer = peer;
    let mut early = socket.recv().await.ok()?.to_vec();
    if wants_proxy_header(core, fixed, peer)? {
        let header = loop {
            match proxy::read(&early) {
                Ok(Some(header)) => break header,
                Ok(None) => {
                    let more = socket.recv().await.ok().filter(|more| !more.is_empty())?;
                    early.extend_from_slice(&more);
                }
                Err(refused) => {
                    tracing::info!(%peer, reason = refused.reason, "a client without PROXY header was closed");
                    return None;
                }
            }
        };
        early.drain(..header.bytes);
        peer = header.client.unwrap_or(peer);
        if early.is_empty() {
            early = socket.recv().await.ok()?.to_vec();
        }
    }
    let is_tls = *early.first()? == TLS_HANDSHAKE;
    let transport = if is_tls {
        let config = server_config(&core.shared.tls().clients?.config);
        match TlsStream::accept_after(socket, config, &early).await {
            Ok(stream) => {
                early = Vec::new();
                Transport::Tls(stream)
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "a TLS handshake failed");
                return None;
            }
        }
    } else {
        Transport::Plain(socket)
    };
    let is_h2 = match &transport {
        Transport::Tls(stream) => stream.protocol() == Some(H2),
        Transport::Plain(_) => early.starts_with(PREFACE_START),
    };
    let origin = Origin {
        is_h2,
        peer,
        https: is_tls,
        fixed: None,
    };
    Some((Client::new(transport, early), origin))
}

/// `None`: this peer may not speak here at all.
fn wants_proxy_header(core: &Core, fixed: Option<&str>, peer: SocketAddr) -> Option<bool> {
    let policy = core.policy.borrow().clone();
    let Some(connection) = policy
        .as_ref()
        .zip(fixed)
        .and_then(|(policy, name)| policy.connection(name))
    else {
        return Some(false);
    };
    let Some(http) = connection.http.as_ref().filter(|http| http.proxy_protocol) else {
        return Some(false);
    };
    if http.trusted_proxies.contains(peer.ip()) {
        return Some(true);
    }
    tracing::info!(%peer, connection = connection.name, "a client that is no trusted proxy was closed");
    None
}

/// The configuration for stock clients, with the protocols that are served here.
fn server_config(clients: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    type Kept = Option<(Arc<ServerConfig>, Arc<ServerConfig>)>;
    thread_local! {
        static KEPT: RefCell<Kept> = const { RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| {
        if let Some((from, made)) = kept
            && Arc::ptr_eq(from, clients)
        {
            return made.clone();
        }
        let mut config = (**clients).clone();
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        let made = Arc::new(config);
        *kept = Some((clients.clone(), made.clone()));
        made
    })
}

/// Request after request; says why it ended.
async fn serve_h1(core: &Rc<Core>, entry: &Rc<Entry>, client: &Client, origin: &Origin) -> EndCause {
    loop {
        if core.draining.get() && !client.has_more() {
            return EndCause::Shutdown;
        }
        let next = match either(client.next(), entry.to_end.notified()).await {
            Some(next) => next,
            None => return killed(entry),
        };
        let head = match next {
            Next::Request(head) => head,
            Next::Over => return EndCause::Client,
            Next::Refused(refused) => {
                exchange::refuse_unread(core, client, origin, refused.status, refused.reason).await;
                return EndCause::Closed(CloseCause::Downstream(refused.reason.to_owned()));
            }
        };
        let turn = client.exchange(&head);
        if core.draining.get() {
            turn.close();
        }
        entry.busy.set(true);
        let ended = either(
            exchange::run(core, entry, origin, &turn, &head),
            entry.to_end.notified(),
        )
        .await;
        entry.busy.set(false);
        match ended {
            None => return killed(entry),
            Some(Ended::Broken) => return EndCause::Client,
            Some(Ended::Complete) => {}
            Some(Ended::Upgrade(target)) => return exchange::tunnel(entry, client, &target).await,
        }
        if !turn.finish().await {
            return EndCause::Client;
        }
    }
}

fn killed(entry: &Entry) -> EndCause {
    EndCause::Killed(entry.killed().unwrap_or_default())
}

/// The first future's value, unless the second is done before.
pub async fn either<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> Option<T> {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(value) = first.as_mut().poll(context) {
            return std::task::Poll::Ready(Some(value));
        }
        second.as_mut().poll(context).map(|()| None)
    })
    .await
}
