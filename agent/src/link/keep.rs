//! Keeps links up: dials, serves, and dials again; as many to each gateway as it has cores.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::client::TlsStream;
use tunnel::{GrpcStatus, Limits, Mux};

use super::backoff::Backoff;
use super::dial::dial;
use super::drive::{Link, LinkEnd, Opened, drive};
use super::hello;
use super::stream::Stream;
use crate::agent::{Agent, LinkReady, Phase, reached};
use crate::config::Links;
use crate::identity::{DATA_PLANE_NAME, tls};
use crate::limits;
use crate::relay;

/// Keeps links to one gateway for as long as the agent runs; `start` puts the link with an index on a thread.
pub async fn keep_gateway(agent: Arc<Agent>, start: impl Fn(usize, watch::Sender<usize>)) {
    let (wanted, mut changes) = watch::channel(match agent.config.links {
        Links::Fixed(count) => count,
        Links::Auto => 1,
    });
    let mut started = 0;
    loop {
        let count = (*changes.borrow_and_update()).min(limits::LINKS_MAX);
        agent.want_links(count.saturating_sub(started));
        for index in started..count {
            start(index, wanted.clone());
        }
        started = started.max(count);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps one link until the agent drains. `wanted` is how many links this gateway should have: hellos set it, and a link
/// beyond it rests.
pub async fn keep_link(agent: Arc<Agent>, gateway: String, index: usize, wanted: watch::Sender<usize>) {
    let mut backoff = Backoff::new(limits::RECONNECT_BACKOFF_MIN, limits::RECONNECT_BACKOFF_MAX);
    let stopped = reached(agent.phase.clone(), Phase::Draining);
    tokio::pin!(stopped);
    loop {
        let mut changes = wanted.subscribe();
        tokio::select! {
            () = &mut stopped => return,
            enough = changes.wait_for(|count| index < *count) => if enough.is_err() { return },
        }
        let dialled = Instant::now();
        let socket = tokio::select! {
            () = &mut stopped => return,
            socket = connect(&agent, &gateway) => socket,
        };
        match socket {
            Ok(socket) => {
                let end = serve(&agent, socket, index, &wanted).await;
                log_end(&end, &gateway, index);
            }
            Err(error) => tracing::warn!(%gateway, link = index, %error, "no link"),
        }
        if dialled.elapsed() >= limits::RECONNECT_HEALTHY_AFTER {
            backoff.succeeded();
        }
        tokio::select! {
            () = &mut stopped => return,
            () = tokio::time::sleep(backoff.failed()) => {}
        }
    }
}

async fn connect(agent: &Agent, gateway: &str) -> Result<TlsStream<TcpStream>, String> {
    // The identity is looked at anew for every dial, so that a renewed certificate is used.
    let config = tls::mutual(&agent.identity.borrow()).map_err(|error| error.to_string())?;
    dial(gateway, config, DATA_PLANE_NAME)
        .await
        .map_err(|error| error.to_string())
}

/// How a link ended, and whether its gateway ever greeted.
struct Served {
    end: Option<LinkEnd>,
    greeted: bool,
}

/// Serves one link on `socket` until it is over; a link without a hello in time is given up.
async fn serve<S>(agent: &Arc<Agent>, socket: S, index: usize, wanted: &watch::Sender<usize>) -> Served
where
    S: AsyncRead + AsyncWrite,
{
    let link = Link::new(Mux::<BytesMut>::server(Limits {
        message_bytes_max: proto::limits::MESSAGE_BYTES_MAX,
        streams_max: limits::SESSIONS_PER_LINK_MAX,
        ..Limits::default()
    }));
    let greeting = Rc::new(Greeting::default());
    let on_opened = |opened: Opened| match opened.path.as_str() {
        proto::path::AGENT_HELLO => {
            let (agent, greeting, wanted) = (agent.clone(), greeting.clone(), wanted.clone());
            tokio::task::spawn_local(async move { greet(&agent, &opened.stream, &greeting, index, &wanted).await });
        }
        proto::path::AGENT_SESSION if greeting.done.borrow().is_some() => {
            tokio::task::spawn_local(relay::serve(agent.clone(), opened.stream));
        }
        proto::path::AGENT_SESSION => opened.stream.finish(GrpcStatus::FailedPrecondition, "no hello yet"),
        _ => opened
            .stream
            .finish(GrpcStatus::Unimplemented, "an agent has no such method"),
    };
    let mut driving = std::pin::pin!(drive(socket, &link, on_opened));
    let give_up = async {
        if tokio::time::timeout(limits::HELLO_TIMEOUT, greeting.changed.notified())
            .await
            .is_ok()
        {
            std::future::pending::<()>().await;
        }
    };
    let drain = async {
        reached(agent.phase.clone(), Phase::Draining).await;
        link.drain();
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = &mut driving => Some(end),
        () = give_up => None,
        () = drain => None,
    };
    let greeted = greeting.done.borrow().is_some();
    Served { end, greeted }
}

/// Whether the gateway has greeted; holds the link's place in the count of ready links.
#[derive(Default)]
struct Greeting {
    done: RefCell<Option<LinkReady>>,
    changed: Notify,
}

async fn greet(agent: &Arc<Agent>, stream: &Stream, greeting: &Greeting, index: usize, wanted: &watch::Sender<usize>) {
    let Some(hello) = hello::answer(agent, stream).await else {
        return;
    };
    tracing::info!(dataplane = %hello.dataplane_id, core = hello.core, cores = hello.cores, link = index, "linked");
    if agent.config.links == Links::Auto {
        let cores = usize::try_from(hello.cores)
            .unwrap_or(limits::LINKS_MAX)
            .clamp(1, limits::LINKS_MAX);
        wanted.send_if_modified(|count| std::mem::replace(count, cores) != cores);
    }
    greeting.done.replace(Some(agent.link_ready()));
    greeting.changed.notify_one();
}

fn log_end(served: &Served, gateway: &str, index: usize) {
    match &served.end {
        Some(LinkEnd::Drained) => tracing::info!(gateway, link = index, "link drained"),
        Some(end) if served.greeted => {
            tracing::warn!(gateway, link = index, reason = %end, "link ended")
        }
        Some(end) => tracing::warn!(
            gateway,
            link = index,
            reason = %end,
            "the gateway ended the link before its hello; is this agent known to its control plane?"
        ),
        None => tracing::warn!(gateway, link = index, "no hello from the gateway in time"),
    }
}
