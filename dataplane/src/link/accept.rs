//! An agent's socket from accept to the last session: TLS with both certificates, hello, then sessions until it is lost.

use super::driver::{Driver, Incoming};
use super::{AgentLink, REVOKED};
use crate::core::shared::{LinkEntry, LinkTicket};
use crate::core::{Core, NO_SESSION};
use crate::flight::Kind;
use crate::limits::LINK_OPEN_TIME_MAX;
use crate::tls::stream::TlsStream;
use crate::tls::{self, AgentIdentity};
use crate::transport::Transport;
use anyhow::{Context, bail, ensure};
use proto::Message as _;
use proto::PROTOCOL_VERSION;
use proto::tunnel::{HelloReply, HelloRequest};
use reactor::Socket;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// Sessions of one link at once.
const STREAMS_MAX: u32 = 16 * 1024;

/// Takes an agent's socket over.
pub fn take(core: &Rc<Core>, fd: OwnedFd, ticket: LinkTicket) {
    let core = core.clone();
    reactor::spawn(async move {
        // Held until the link is over.
        let _ticket = ticket;
        match reactor::timeout(LINK_OPEN_TIME_MAX, greet(&core, fd)).await {
            Ok(Ok((driver, identity, hello))) => serve(&core, driver, identity, hello).await,
            Ok(Err(error)) => {
                core.metrics().links_refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(error = format!("{error:#}"), "a link was refused");
            }
            Err(_) => {
                core.metrics().links_refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!("a link was not ready within {LINK_OPEN_TIME_MAX:?}");
            }
        }
    });
}

async fn greet(core: &Rc<Core>, fd: OwnedFd) -> anyhow::Result<(Rc<Driver>, AgentIdentity, HelloReply)> {
    let socket = Socket::from_fd(fd)?;
    let _ = socket.set_nodelay(true);
    let stream = TlsStream::accept(socket, core.shared.tls().links)
        .await
        .context("TLS")?;
    let certificate = stream.peer_certificate().context("the agent showed no certificate")?;
    let identity = tls::agent_identity(&certificate).context("the certificate names no agent")?;
    // The handshake refuses revoked agents; one that resumes an earlier TLS session shows no certificate again.
    ensure!(!core.shared.revoked.contains(&identity.id), REVOKED);
    let limits = tunnel::Limits {
        streams_max: STREAMS_MAX,
        ..tunnel::Limits::default()
    };
    let driver = Driver::start(Transport::Tls(stream), limits);
    match hello(core, &driver).await {
        Ok(reply) => Ok((driver, identity, reply)),
        Err(error) => {
            driver.abort("the hello failed");
            Err(error)
        }
    }
}

async fn hello(core: &Core, driver: &Rc<Driver>) -> anyhow::Result<HelloReply> {
    let stream = driver.open(proto::path::AGENT_HELLO)?;
    let request = HelloRequest {
        protocol_version: PROTOCOL_VERSION,
        dataplane_id: core.shared.identity().id.clone(),
        cores: core.shared.cores.len() as u32,
        core: core.index as u32,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    stream.send_message(&request.encode_to_vec());
    stream.finish();
    let reply = match stream.next().await? {
        Incoming::Message(message) => HelloReply::decode(&message[..])?,
        Incoming::Data(_) => bail!("the agent answered the hello with data"),
    };
    ensure!(
        reply.protocol_version == PROTOCOL_VERSION,
        "the agent speaks version {} of the link protocol, this data plane {PROTOCOL_VERSION}",
        reply.protocol_version
    );
    Ok(reply)
}

async fn serve(core: &Rc<Core>, driver: Rc<Driver>, identity: AgentIdentity, hello: HelloReply) {
    // The policy may have changed during the hello; from here on it finds the link in the table.
    if core.shared.revoked.contains(&identity.id) {
        return driver.abort(REVOKED);
    }
    let link = Rc::new(AgentLink {
        driver: driver.clone(),
        agent_id: identity.id.clone(),
        name: hello.name.clone(),
    });
    core.links.add(&identity.pool, link.clone());
    let number = core.shared.add_link(LinkEntry {
        core: core.index,
        pool: identity.pool.clone(),
        agent_id: identity.id.clone(),
        name: hello.name,
        version: hello.version,
    });
    core.metrics().links_open.fetch_add(1, Ordering::Relaxed);
    core.note(
        Kind::LinkUp,
        core.metrics().links_open.load(Ordering::Relaxed),
        &NO_SESSION,
    );
    tracing::info!(
        agent = link.name,
        agent_id = link.agent_id,
        pool = identity.pool,
        core = core.index,
        "an agent is linked"
    );
    let why = driver.closed().await;
    core.links.remove(&identity.pool, &link);
    core.shared.remove_link(number);
    core.metrics().links_open.fetch_sub(1, Ordering::Relaxed);
    core.note(
        Kind::LinkDown,
        core.metrics().links_open.load(Ordering::Relaxed),
        &NO_SESSION,
    );
    tracing::info!(
        agent = link.name,
        agent_id = link.agent_id,
        pool = identity.pool,
        core = core.index,
        why,
        "a link is over"
    );
}
