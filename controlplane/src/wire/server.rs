//! Accepts data planes and agents: handshake with a time limit, identity from the client certificate, one route per call.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::grpc::{Code, ReplyBody, Status, unary};
use super::{audit, enrolment, sync};
use crate::App;
use crate::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_STREAMS_MAX, KEEP_ALIVE_ANSWER_SECONDS_MAX, KEEP_ALIVE_SECONDS,
    TLS_HANDSHAKE_SECONDS_MAX,
};
use crate::pki::identity::{self, Peer};

/// Window of a stream: two batches of audit records.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Window of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Pause after an accept that failed, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is set; open streams are then ended and waited for by the caller's time limit.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = super::stopped(&mut stop) => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let (app, acceptor, stop) = (app.clone(), acceptor.clone(), stop.clone());
        connections.spawn(async move {
            connection(app, socket, acceptor, stop).await;
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(app: Arc<App>, socket: TcpStream, acceptor: TlsAcceptor, mut stop: watch::Receiver<bool>) {
    let _ = socket.set_nodelay(true);
    let handshake = tokio::time::timeout(Duration::from_secs(TLS_HANDSHAKE_SECONDS_MAX), acceptor.accept(socket));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = certificates.first().and_then(identity::of_certificate).map(Arc::new);
    let serving = stop.clone();
    let service = service_fn(move |request| route(app.clone(), peer.clone(), serving.clone(), request));
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(CONTROL_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(Duration::from_secs(KEEP_ALIVE_SECONDS))
        .keep_alive_timeout(Duration::from_secs(KEEP_ALIVE_ANSWER_SECONDS_MAX))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = super::stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Every call is asked for the identity that it needs, in one place.
async fn route(
    app: Arc<App>,
    peer: Option<Arc<Peer>>,
    stop: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let (head, body) = request.into_parts();
    let denied = |text: &str| unary::<proto::control::Ack>(Err(Status::new(Code::Unauthenticated, text)));
    let response = match head.uri.path() {
        proto::path::ENROL => enrolment::enrol(&app, body).await,
        path => match (path, peer) {
            (_, None) => denied("a client certificate of this installation is needed"),
            (proto::path::RENEW, Some(peer)) => enrolment::renew(&app, &peer, body).await,
            (proto::path::CONTROL_SYNC, Some(peer)) => sync::call(app, peer, stop, body).await,
            (proto::path::CONTROL_AUDIT, Some(peer)) => audit::call(app, peer, stop, body).await,
            _ => unary::<proto::control::Ack>(Err(Status::new(Code::Unimplemented, "no such method"))),
        },
    };
    Ok(response)
}
