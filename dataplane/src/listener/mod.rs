//! Listeners: who is served on which port, one socket per core for each.

pub mod bind;
pub mod postgres;

use crate::core::message::{Listen, Message};
use crate::core::{Core, NO_SESSION};
use crate::flight::Kind;
use reactor::{Listener, Socket, Task};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a listener is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerKey {
    /// Stock PostgreSQL clients that name user and connection.
    Postgres,
    /// HTTP clients, which name the connection by host or path.
    Http,
    /// Agents.
    Links,
    /// One connection's own port.
    Connection { name: Arc<str>, address: SocketAddr },
}

thread_local! {
    static ACCEPTING: RefCell<BTreeMap<ListenerKey, Task>> = const { RefCell::new(BTreeMap::new()) };
}

/// Starts to serve a bound socket on this core.
pub fn start(core: &Rc<Core>, listen: Listen) {
    let listener = match Listener::from_fd(listen.fd) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(key = ?listen.key, %error, "a listener cannot be served");
        }
    };
    let task = reactor::spawn(accept(core.clone(), listener, listen.key.clone()));
    ACCEPTING.with_borrow_mut(|accepting| accepting.insert(listen.key, task));
}

/// Stops serving; sessions that came by it go on.
pub fn stop(_core: &Rc<Core>, key: &ListenerKey) {
    if let Some(task) = ACCEPTING.with_borrow_mut(|accepting| accepting.remove(key)) {
        task.abort();
    }
}

/// Stops serving on all listeners.
pub fn stop_all() {
    for task in ACCEPTING.take().into_values() {
        task.abort();
    }
}

async fn accept(core: Rc<Core>, listener: Listener, key: ListenerKey) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => serve(&core, socket, peer, &key),
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come back instead of spinning.
                core.metrics().accept_errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(?key, %error, "a socket could not be accepted");
                reactor::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn serve(core: &Rc<Core>, socket: Socket, peer: SocketAddr, key: &ListenerKey) {
    core.metrics().sockets_accepted.fetch_add(1, Ordering::Relaxed);
    core.note(Kind::Accepted, 0, &NO_SESSION);
    // Small answers must not wait for an acknowledgement; a socket that is gone already fails later anyway.
    let _ = socket.set_nodelay(true);
    match key {
        ListenerKey::Postgres => postgres::serve(core, socket, peer, None),
        ListenerKey::Http => crate::http::front::serve(core, socket, peer, None),
        ListenerKey::Connection { name, .. } if is_http(core, name) => {
            crate::http::front::serve(core, socket, peer, Some(name.clone()));
        }
        ListenerKey::Connection { name, .. } => postgres::serve(core, socket, peer, Some(name.clone())),
        ListenerKey::Links => spread_link(core, socket),
    }
}

/// Whether the connection whose own port this is speaks HTTP.
fn is_http(core: &Core, name: &str) -> bool {
    let policy = core.policy.borrow();
    let connection = policy.as_ref().and_then(|policy| policy.connection(name));
    connection.is_some_and(|connection| connection.http.is_some())
}

/// Links go to the core that has the fewest, so that every core can serve every pool.
fn spread_link(core: &Rc<Core>, socket: Socket) {
    let ticket = core.shared.assign_link();
    match socket.into_fd() {
        Ok(fd) if ticket.core == core.index => crate::link::accept::take(core, fd, ticket),
        Ok(fd) => drop(core.shared.cores[ticket.core].try_send(Message::Link { fd, ticket })),
        Err(error) => tracing::warn!(%error, "a link could not be passed on"),
    }
}
