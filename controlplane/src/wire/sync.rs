//! `DataPlane/Sync`: the newest snapshot goes down as soon as it is published, and what each core enforces comes up.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use proto::control::sync_request::Kind;
use proto::control::{Hello, KillSession, SyncReply, SyncRequest, sync_reply};
use tokio::sync::{mpsc, watch};

use super::grpc::{Code, Replies, ReplyBody, Requests, Status, streamed, unary};
use crate::App;
use crate::pki::identity::Peer;
use crate::publish::Published;
use crate::store::enrolment::Role;

/// Longest wait for the first message.
const HELLO_SECONDS_MAX: u64 = 10;

/// Serves one stream.
pub async fn call(app: Arc<App>, peer: Arc<Peer>, stop: watch::Receiver<bool>, body: Incoming) -> Response<ReplyBody> {
    if let Err(status) = admit(&app, &peer).await {
        return unary::<SyncReply>(Err(status));
    }
    let (response, replies) = streamed();
    tokio::spawn(async move {
        let status = run(&app, &peer, stop, Requests::new(body), &replies)
            .await
            .err()
            .unwrap_or_else(Status::ok);
        tracing::info!(dataplane = peer.id, code = ?status.code, reason = status.message, "data plane disconnected");
        replies.finish(status).await;
    });
    response
}

/// Only data planes that were not removed.
pub(super) async fn admit(app: &App, peer: &Peer) -> Result<crate::store::enrolment::Identity, Status> {
    if peer.role != Role::Dataplane {
        return Err(Status::new(Code::PermissionDenied, "this service is for data planes"));
    }
    match app.store.identity(Role::Dataplane, &peer.id).await {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(Status::new(Code::PermissionDenied, "the data plane was removed")),
        Err(error) => {
            tracing::error!(%error, "a data plane could not be looked up");
            Err(Status::new(Code::Unavailable, "the store cannot be read"))
        }
    }
}

async fn run(
    app: &App,
    peer: &Peer,
    mut stop: watch::Receiver<bool>,
    mut requests: Requests,
    replies: &Replies,
) -> Result<(), Status> {
    let hello = hello(&mut requests).await?;
    if let Err(error) = app.store.seen(&peer.id, &hello.version).await {
        tracing::warn!(%error, "when a data plane was seen could not be noted");
    }
    if let Err(error) = app.publisher.overtake(hello.generation).await {
        tracing::error!(%error, "publishing above a data plane's generation failed");
    }
    tracing::info!(
        dataplane = peer.id,
        version = hello.version,
        generation = hello.generation,
        "data plane connected"
    );
    let stream = app.progress.hello(&peer.id, &hello);
    let orders = app.orders.subscribe(&peer.id);
    let mut removed = app.removed.subscribe();
    let result = tokio::select! {
        result = follow(app, peer, stream, &mut requests) => result,
        () = feed(app.publisher.subscribe(), hello.generation, replies) => Ok(()),
        () = pass_on(orders, replies) => Ok(()),
        () = super::stopped(&mut stop) => Err(Status::new(Code::Unavailable, "the control plane is stopping")),
        () = until_removed(&mut removed, &peer.id) => Err(Status::new(Code::PermissionDenied, "the data plane was removed")),
    };
    app.progress.gone(&peer.id, stream);
    result
}

async fn hello(requests: &mut Requests) -> Result<Hello, Status> {
    let first = tokio::time::timeout(Duration::from_secs(HELLO_SECONDS_MAX), requests.next::<SyncRequest>());
    let Ok(first) = first.await else {
        return Err(Status::new(Code::Unavailable, "no hello came in time"));
    };
    match first?.and_then(|request| request.kind) {
        Some(Kind::Hello(hello)) if hello.protocol_version == proto::PROTOCOL_VERSION => Ok(hello),
        Some(Kind::Hello(hello)) => Err(Status::new(
            Code::FailedPrecondition,
            format!("protocol version {} is not spoken here", hello.protocol_version),
        )),
        _ => Err(Status::new(Code::InvalidArgument, "the first message must be a hello")),
    }
}

/// Takes what the data plane says until it ends its side.
async fn follow(app: &App, peer: &Peer, stream: u64, requests: &mut Requests) -> Result<(), Status> {
    while let Some(request) = requests.next::<SyncRequest>().await? {
        match request.kind {
            Some(Kind::Ack(ack)) => app.progress.ack(&peer.id, stream, &ack),
            Some(Kind::Nack(nack)) => {
                tracing::warn!(
                    dataplane = peer.id,
                    generation = nack.generation,
                    reason = nack.reason,
                    "snapshot refused"
                );
                app.progress.nack(&peer.id, stream, &nack);
            }
            Some(Kind::Presence(presence)) => {
                for agent in &presence.agents {
                    if let Err(error) = app.store.seen(&agent.agent_id, &agent.version).await {
                        tracing::warn!(%error, "when an agent was seen could not be noted");
                    }
                }
                app.progress.presence(&peer.id, stream, presence.agents);
            }
            Some(Kind::Hello(_)) => return Err(Status::new(Code::InvalidArgument, "a second hello")),
            // A newer data plane may say more than we know.
            None => {}
        }
    }
    Ok(())
}

/// Sends the newest snapshot, and every newer one; those that were overtaken meanwhile are never sent.
async fn feed(mut published: watch::Receiver<Arc<Published>>, has: u64, replies: &Replies) {
    let mut newest = published.borrow_and_update().clone();
    if newest.generation == has && published.changed().await.is_ok() {
        newest = published.borrow_and_update().clone();
    }
    loop {
        let snapshot = sync_reply::Kind::Snapshot(newest.signed.clone());
        if !replies.send(&SyncReply { kind: Some(snapshot) }).await || published.changed().await.is_err() {
            return;
        }
        newest = published.borrow_and_update().clone();
    }
}

/// Sends orders as they are given; ends when the stream does, or when a newer stream of the data plane gets them.
async fn pass_on(mut orders: mpsc::Receiver<KillSession>, replies: &Replies) {
    while let Some(kill) = orders.recv().await {
        let kind = Some(sync_reply::Kind::Kill(kill));
        if !replies.send(&SyncReply { kind }).await {
            return;
        }
    }
}

async fn until_removed(removed: &mut tokio::sync::broadcast::Receiver<String>, id: &str) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match removed.recv().await {
            Ok(gone) if gone == id => return,
            // After a lag the stream goes on; the identity is checked again when it is opened next.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
