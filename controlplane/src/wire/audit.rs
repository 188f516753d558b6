//! `DataPlane/Audit`: batches come up, and each is answered when it is stored for good.

use std::sync::Arc;

use hyper::Response;
use hyper::body::Incoming;
use proto::control::{AuditAck, AuditBatch};
use tokio::sync::watch;

use super::grpc::{Code, Replies, ReplyBody, Requests, Status, streamed, unary};
use super::sync::admit;
use crate::App;
use crate::audit::intake::IntakeError;
use crate::pki::identity::Peer;

/// Serves one stream.
pub async fn call(app: Arc<App>, peer: Arc<Peer>, stop: watch::Receiver<bool>, body: Incoming) -> Response<ReplyBody> {
    let identity = match admit(&app, &peer).await {
        Ok(identity) => identity,
        Err(status) => return unary::<AuditAck>(Err(status)),
    };
    let (response, replies) = streamed();
    tokio::spawn(async move {
        let taken = take_in(
            &app,
            &peer.id,
            &identity.audit_public_key,
            stop,
            Requests::new(body),
            &replies,
        )
        .await;
        let status = taken.err().unwrap_or_else(Status::ok);
        if status.code != Code::Ok {
            tracing::warn!(dataplane = peer.id, code = ?status.code, reason = status.message, "audit stream ended");
        }
        replies.finish(status).await;
    });
    response
}

async fn take_in(
    app: &App,
    dataplane: &str,
    seal_key: &[u8],
    mut stop: watch::Receiver<bool>,
    mut requests: Requests,
    replies: &Replies,
) -> Result<(), Status> {
    loop {
        let batch = tokio::select! {
            batch = requests.next::<AuditBatch>() => batch?,
            () = super::stopped(&mut stop) => return Err(Status::new(Code::Unavailable, "the control plane is stopping")),
        };
        let Some(batch) = batch else { return Ok(()) };
        let ack = app.intake.store(dataplane, seal_key, batch).await.map_err(status)?;
        if !replies.send(&ack).await {
            return Ok(());
        }
    }
}

fn status(error: IntakeError) -> Status {
    let code = match &error {
        IntakeError::Batch(_) => Code::DataLoss,
        IntakeError::Store(_) | IntakeError::Stopping => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}
