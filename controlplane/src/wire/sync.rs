//! `DataPlane/Sync`: the newest snapshot goes down as soon as it is published, and what each core enforces comes up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use proto::control::sync_request::Kind;
use proto::control::{Hello, HoldNoted, SyncReply, SyncRequest, sync_reply};
use tokio::sync::{mpsc, watch};

use super::grpc::{Code, Replies, ReplyBody, Requests, Status, streamed, unary};
use crate::App;
use crate::http::problem::Problem;
use crate::pki::identity::Peer;
use crate::publish::Published;
use crate::publish::orders::Order;
use crate::reviews;
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
        result = follow(app, peer, stream, &mut requests, replies) => result,
        () = feed(app.publisher.subscribe(), hello.generation, replies) => Ok(()),
        () = pass_on(orders, replies) => Ok(()),
        () = answer(app, &peer.id, replies) => Ok(()),
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
async fn follow(app: &App, peer: &Peer, stream: u64, requests: &mut Requests, replies: &Replies) -> Result<(), Status> {
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
            Some(kind @ (Kind::HoldsOpen(_) | Kind::HoldOpened(_) | Kind::HoldClosed(_) | Kind::AccessWanted(_))) => {
                review(app, peer, kind, replies).await?
            }
            Some(Kind::CancelWanted(wanted)) => app.cancels.wanted(&app.orders, &peer.id, wanted),
            Some(Kind::CancelLooked(looked)) => app.cancels.looked(&app.orders, &looked),
            // A newer data plane may say more than we know.
            None => {}
        }
    }
    Ok(())
}

/// Takes what a data plane says of reviews. What cannot be stored ends the stream: the next one says it again.
async fn review(app: &App, peer: &Peer, kind: Kind, replies: &Replies) -> Result<(), Status> {
    let failed = |why: String| {
        tracing::error!(dataplane = peer.id, why, "news of a review could not be stored");
        Status::new(Code::Unavailable, "the store cannot be written")
    };
    let changed = |problem: Problem| failed(format!("{problem:?}"));
    match kind {
        Kind::HoldsOpen(open) => {
            reviews::reconcile(app, &peer.id, &open.holds).await.map_err(changed)?;
            for hold in open.holds {
                reviews::opened(app, &peer.id, hold).await.map_err(changed)?;
            }
        }
        Kind::HoldOpened(hold) => reviews::opened(app, &peer.id, *hold).await.map_err(changed)?,
        Kind::HoldClosed(closed) => {
            reviews::closed(app, &peer.id, &closed).await.map_err(changed)?;
            let noted = sync_reply::Kind::HoldNoted(HoldNoted { id: closed.id });
            replies.send(&SyncReply { kind: Some(noted) }).await;
        }
        Kind::AccessWanted(wanted) => reviews::wanted(app, wanted).await,
        Kind::Hello(_) | Kind::Ack(_) | Kind::Nack(_) | Kind::Presence(_) => {}
        Kind::CancelWanted(_) | Kind::CancelLooked(_) => {}
    }
    Ok(())
}

/// Sends decisions, each once per stream, in the order in which they were made.
async fn answer(app: &App, dataplane: &str, replies: &Replies) {
    let mut changed = app.reviews.subscribe();
    let mut sent = BTreeSet::new();
    loop {
        changed.borrow_and_update();
        match reviews::answers(app, dataplane).await {
            Ok(answers) => {
                let waiting: BTreeSet<Vec<u8>> = answers.iter().map(|answer| answer.id.clone()).collect();
                sent.retain(|id| waiting.contains(id));
                for answer in answers {
                    if !sent.insert(answer.id.clone()) {
                        continue;
                    }
                    let kind = Some(sync_reply::Kind::HoldAnswer(answer));
                    if !replies.send(&SyncReply { kind }).await {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, dataplane, "decisions cannot be read");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
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
async fn pass_on(mut orders: mpsc::Receiver<Order>, replies: &Replies) {
    while let Some(order) = orders.recv().await {
        let kind = Some(order.into_reply());
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
