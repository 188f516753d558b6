//! The front door for HTTP clients: PROXY header, TLS or not, then request after request until the socket is done.

use super::exchange::{self, Ended, Origin};
use super::h1::{Client, Next};
use super::h2;
use super::limits::{CLIENTS_MAX, HEAD_TIME_MAX, LINGER_BYTES_MAX, LINGER_TIME_MAX, MOVES_MAX};
use super::{Entry, within};
use crate::core::Core;
use crate::core::message::Message;
use crate::tls::stream::TlsStream;
use crate::transport::{Parcel, Transport};
use codecs::http::{RequestHead, proxy};
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
        // What is large and short is boxed: an idle client's task is what it holds while it waits for a head.
        let opened = within(HEAD_TIME_MAX, Box::pin(open(&core, socket, peer, fixed.as_deref()))).await;
        let Some(Some((client, mut origin))) = opened else {
            return;
        };
        origin.fixed = fixed;
        serve_client(&core, client, origin, None, 0).await;
    });
}

/// A client on its way to the core that holds a link to its pool, between two requests.
pub struct Handoff {
    parcel: Parcel,
    early: Vec<u8>,
    /// The request that is to be served there.
    first: Option<Box<RequestHead>>,
    origin: Origin,
    moves: u8,
}

/// Goes on with a client that came from another core.
pub fn resume(core: &Rc<Core>, handoff: Handoff) {
    let Handoff {
        parcel,
        early,
        first,
        origin,
        moves,
    } = handoff;
    match parcel.unpack() {
        Ok(transport) => {
            let core = core.clone();
            let client = Client::new(transport, early);
            reactor::spawn(async move { serve_client(&core, client, origin, first, moves).await });
        }
        Err(error) => tracing::warn!(peer = %origin.peer, %error, "a client could not be taken over"),
    }
}

async fn serve_client(core: &Rc<Core>, client: Client, origin: Origin, first: Option<Box<RequestHead>>, moves: u8) {
    if origin.is_h2 {
        // Requests of one HTTP/2 connection cannot part: it moves before its first one, or not at all.
        if let Some(target) = linked_core(core, &origin).filter(|_| moves == 0) {
            return hand_off(core, client, origin, None, moves, target);
        }
        let early = client.take_early().to_vec();
        Box::pin(h2::serve(core, client.transport.clone(), early, origin)).await;
        return Box::pin(part(&client)).await;
    }
    let entry = Rc::new(Entry::default());
    core.http.table.add(entry.clone());
    let left = serve_h1(core, &entry, &client, &origin, first, moves).await;
    core.http.table.remove(&entry);
    let now = core.now();
    let cause = match &left {
        Left::Over(cause) => cause,
        Left::Moves(..) => &EndCause::Client,
    };
    entry.end_session(cause, &mut core.scratch.borrow_mut(), now);
    core.collect_events();
    match left {
        Left::Over(_) => Box::pin(part(&client)).await,
        Left::Moves(target, head) => hand_off(core, client, origin, Some(head), moves, target),
    }
}

fn hand_off(core: &Core, client: Client, origin: Origin, first: Option<Box<RequestHead>>, moves: u8, target: usize) {
    let peer = origin.peer;
    let Some((transport, early)) = client.into_parts() else {
        return tracing::warn!(%peer, "a client in use could not be passed to another core");
    };
    let parcel = match transport.pack() {
        Ok(parcel) => parcel,
        Err(error) => return tracing::warn!(%peer, %error, "a client could not be passed to another core"),
    };
    let handoff = Box::new(Handoff {
        parcel,
        early,
        first,
        origin,
        moves: moves + 1,
    });
    let sent = core
        .shared
        .cores
        .get(target)
        .map(|to| to.try_send(Message::HttpClient(handoff)));
    if !matches!(sent, Some(Ok(()))) {
        tracing::warn!(%peer, target, "the mailbox of a core is full: a client was closed");
    }
}

/// The core that can serve a pool, if we cannot.
fn other_core(core: &Core, pool: &str) -> Option<usize> {
    if pool.is_empty() || core.links.pick(pool).is_some() {
        return None;
    }
    core.shared.core_with_link(pool).filter(|target| *target != core.index)
}

/// The core for a connection of HTTP/2 before its first request: that of its port's pool, or of any pool that we have no link to.
fn linked_core(core: &Core, origin: &Origin) -> Option<usize> {
    if core.shared.cores.len() < 2 {
        return None;
    }
    let policy = core.policy.borrow().clone()?;
    match &origin.fixed {
        Some(name) => other_core(core, &policy.connection(name)?.pool),
        None => {
            let mut served = policy.connections().filter(|connection| connection.http.is_some());
            served.find_map(|connection| other_core(core, &connection.pool))
        }
    }
}

/// Ends our side, and reads a little longer: a socket that is closed with unread bytes takes our last words with it.
async fn part(client: &Client) {
    if client.settle().await.is_err() {
        return;
    }
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

/// Why a client is no longer served here.
enum Left {
    Over(EndCause),
    /// Another core has a link for its request.
    Moves(usize, Box<RequestHead>),
}

/// Request after request; says why it ended.
async fn serve_h1(
    core: &Rc<Core>,
    entry: &Rc<Entry>,
    client: &Client,
    origin: &Origin,
    mut first: Option<Box<RequestHead>>,
    moves: u8,
) -> Left {
    loop {
        if core.draining.get() && !client.has_more() && first.is_none() {
            return Left::Over(EndCause::Shutdown);
        }
        let next = match first.take() {
            Some(head) => Next::Request(head),
            None => match either(client.next(), entry.to_end.notified()).await {
                Some(next) => next,
                None => return Left::Over(killed(entry)),
            },
        };
        let head = match next {
            Next::Request(head) => head,
            Next::Over => return Left::Over(EndCause::Client),
            Next::Refused(refused) => {
                Box::pin(exchange::refuse_unread(
                    core,
                    client,
                    origin,
                    refused.status,
                    refused.reason,
                ))
                .await;
                return Left::Over(EndCause::Closed(CloseCause::Downstream(refused.reason.to_owned())));
            }
        };
        if core.shared.cores.len() > 1
            && moves < MOVES_MAX
            && let Some(pool) = exchange::pool_of(core, origin, &head)
            && let Some(target) = other_core(core, &pool)
        {
            return Left::Moves(target, head);
        }
        let turn = client.exchange(&head);
        if core.draining.get() {
            turn.close();
        }
        entry.busy.set(true);
        let run = Box::pin(exchange::run(core, entry, origin, &turn, &head));
        let ended = either(run, entry.to_end.notified()).await;
        entry.busy.set(false);
        match ended {
            None => return Left::Over(killed(entry)),
            Some(Ended::Broken) => return Left::Over(EndCause::Client),
            Some(Ended::Complete) => {}
            Some(Ended::Upgrade(target)) => {
                return Left::Over(Box::pin(exchange::tunnel(entry, client, &target)).await);
            }
        }
        if !turn.finish().await {
            return Left::Over(EndCause::Client);
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
