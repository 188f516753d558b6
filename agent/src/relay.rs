//! One session: admit, resolve, reach, log in, then bytes between the target's socket and the link's stream until either ends.
//!
//! Both directions run by themselves. From the target nothing is read unless the stream has credit to send it on, and
//! the gateway gets its credit back only when the target has taken the bytes; so what a session holds is bounded by its
//! windows, whoever is slow.

use std::cell::Cell;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use codecs::postgres::login;
use prost::Message as _;
use proto::policy::TlsMode;
use proto::tunnel::session_frame::Kind;
use proto::tunnel::{Accept, Cancel, End, EndCause, Open, Param, Refuse, ResolvedColumn, SessionFrame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tunnel::GrpcStatus;
use zeroize::Zeroizing;

use crate::admit::{Admitted, admit};
use crate::agent::{Agent, Phase, reached};
use crate::identity::now_ms;
use crate::limits;
use crate::link::{Incoming, Stream, StreamGone};
use crate::secrets::{self, Secret};
use crate::upstream::{
    CancelHandle, Credential, Established, Place, TargetSocket, UpstreamError, dial, encrypt, establish,
};

/// Serves one stream that the gateway opened for a session, from its first message to its end.
pub async fn serve(agent: Arc<Agent>, stream: Stream) {
    match timeout(limits::OPEN_TIMEOUT, first_message(&stream)).await {
        Ok(Some(Kind::Open(open))) => serve_open(&agent, &stream, open).await,
        Ok(Some(Kind::Cancel(cancel))) => serve_cancel(&agent, &stream, &cancel).await,
        Ok(Some(_)) => stream.finish(GrpcStatus::InvalidArgument, "a session starts with open or cancel"),
        Ok(None) => {}
        Err(_) => stream.finish(GrpcStatus::DeadlineExceeded, "no open came"),
    }
}

async fn first_message(stream: &Stream) -> Option<Kind> {
    match stream.next().await {
        Incoming::Message(message) => {
            let kind = SessionFrame::decode(message.as_slice())
                .ok()
                .and_then(|frame| frame.kind);
            if kind.is_none() {
                stream.finish(GrpcStatus::InvalidArgument, "the first message cannot be read");
            }
            kind
        }
        Incoming::Data(_) | Incoming::Half => {
            stream.finish(GrpcStatus::InvalidArgument, "a session starts with open or cancel");
            None
        }
        Incoming::Closed { .. } => None,
    }
}

async fn serve_cancel(agent: &Agent, stream: &Stream, cancel: &Cancel) {
    match agent.sessions.cancel_handle(&cancel.session_id) {
        None => stream.finish(GrpcStatus::NotFound, "no such session runs here"),
        Some(handle) => match handle.cancel().await {
            Ok(()) => stream.finish(GrpcStatus::Ok, ""),
            Err(error) => stream.finish(GrpcStatus::Unavailable, &error.to_string()),
        },
    }
}

async fn serve_open(agent: &Arc<Agent>, stream: &Stream, open: Open) {
    let opened = tokio::select! {
        opened = open_target(agent, &open) => opened,
        // The client went away, or the gateway broke the order: nobody waits for this login any more.
        () = given_up(stream) => return,
    };
    let (admitted, established, cancel, credential) = match opened {
        Ok(opened) => opened,
        Err(refuse) => {
            tracing::warn!(session = %hex_id(&open.session_id), reason = %refuse.message, "session refused");
            stream.send(Kind::Refuse(refuse));
            stream.finish(GrpcStatus::Ok, "");
            return;
        }
    };
    let _registered = cancel.map(|handle| agent.sessions.register(admitted.session_id, handle));
    let alpn = established.socket.protocol();
    stream.send(Kind::Accept(Accept {
        alpn,
        ..accept(&established.facts)
    }));
    tracing::debug!(session = %hex_id(&open.session_id), connection = %admitted.grant.connection, "session opened");
    let end = relay(
        stream,
        established,
        &credential,
        reached(agent.phase.clone(), Phase::Ending),
    )
    .await;
    tracing::debug!(session = %hex_id(&open.session_id), end = ?end, "session ended");
    if let Some(end) = end.told() {
        stream.send(Kind::End(end));
    }
    stream.finish(GrpcStatus::Ok, "");
}

/// Returns when the stream ends, or when anything comes that may not come before the answer to `Open`.
async fn given_up(stream: &Stream) {
    let _ = stream.next().await;
}

type OpenedTarget = (Admitted, Established, Option<CancelHandle>, Credential);

async fn open_target(agent: &Agent, open: &Open) -> Result<OpenedTarget, Refuse> {
    let identity = agent.identity.borrow().clone();
    let admitted = admit(open, &identity.policy_public_key, &identity.pool, now_ms()).map_err(|denied| Refuse {
        fault: denied.fault() as i32,
        sqlstate: denied.sqlstate().to_owned(),
        message: denied.to_string(),
    })?;
    if admitted.grant.protocol == codecs::http::SPEC.name {
        let (established, credential) = reach(agent, &admitted, open).await.map_err(|error| error.refusal())?;
        return Ok((admitted, established, None, credential));
    }
    let (established, cancel) = log_in(agent, &admitted, open).await.map_err(|error| error.refusal())?;
    Ok((admitted, established, cancel, Credential::default()))
}

/// Reaches a target that needs no login: its credential is written into requests, where the gateway asks for it.
async fn reach(agent: &Agent, admitted: &Admitted, open: &Open) -> Result<(Established, Credential), UpstreamError> {
    let grant = &admitted.grant;
    let credential = match grant.password.as_str() {
        "" => Credential::default(),
        reference => {
            let secret = resolve("password", secrets::resolve(reference).await)?;
            let user = match grant.username.as_str() {
                "" => Secret::default(),
                reference => resolve("user name", secrets::resolve_user_name(reference).await)?,
            };
            Credential::new(&user, secret)?
        }
    };
    let place = Place {
        host: grant.host.clone(),
        port: admitted.port,
    };
    let tls = tls_config(agent, admitted.tls, &grant.tls_ca).await?;
    let socket = dial(&place).await?;
    let socket = match tls {
        Some(tls) => {
            let name = match grant.tls_name.as_str() {
                "" => place.host.as_str(),
                name => name,
            };
            encrypt(socket, name, offering(&tls, &open.alpn)).await?
        }
        None => socket,
    };
    Ok((Established::plain(socket), credential))
}

async fn log_in(
    agent: &Agent,
    admitted: &Admitted,
    open: &Open,
) -> Result<(Established, Option<CancelHandle>), UpstreamError> {
    let grant = &admitted.grant;
    let user = resolve("user name", secrets::resolve_user_name(&grant.username).await)?;
    let password = match grant.password.as_str() {
        "" => Secret::default(),
        reference => resolve("password", secrets::resolve(reference).await)?,
    };
    let place = Place {
        host: grant.host.clone(),
        port: admitted.port,
    };
    // A Unix socket needs no encryption and cannot have it, whatever the connection says short of demanding it.
    let mode = match admitted.tls {
        TlsMode::Prefer if place.host.starts_with('/') => TlsMode::Disable,
        mode => mode,
    };
    let tls = tls_config(agent, mode, &grant.tls_ca).await?;
    let config = login::UpstreamConfig {
        user: String::from_utf8(user.to_vec())
            .map_err(|_| UpstreamError::Protocol("the user name is not UTF-8".to_owned()))?,
        password: Zeroizing::new(password.to_vec()),
        database: if open.database.is_empty() {
            grant.database.clone()
        } else {
            open.database.clone()
        },
        params: open
            .params
            .iter()
            .map(|param| (param.name.clone(), param.value.clone()))
            .collect(),
        tls: login_mode(mode),
        replication: replication(&open.replication)?,
        resolve_columns: open.resolve_columns.iter().map(column_name).collect(),
    };
    let socket = dial(&place).await?;
    let established = establish(socket, &place, tls.clone(), config, agent.target_keys.clone()).await?;
    let encrypted = matches!(established.socket, TargetSocket::Tls(_));
    let cancel = established.facts.cancel.clone().map(|key| CancelHandle {
        place,
        key,
        tls: tls.filter(|_| encrypted),
    });
    Ok((established, cancel))
}

/// What a data plane asks for in the words of the start-up parameter.
fn replication(value: &str) -> Result<Option<login::Replication>, UpstreamError> {
    match value {
        "" => Ok(None),
        value => login::Replication::from_startup(value)
            .map_err(|_| UpstreamError::Protocol("the gateway asks for an unknown kind of replication".to_owned())),
    }
}

fn resolve(what: &'static str, resolved: Result<Secret, secrets::SecretError>) -> Result<Secret, UpstreamError> {
    resolved.map_err(|error| UpstreamError::Secret { what, error })
}

async fn tls_config(
    agent: &Agent,
    mode: TlsMode,
    authority: &str,
) -> Result<Option<Arc<rustls::ClientConfig>>, UpstreamError> {
    if mode == TlsMode::Disable {
        return Ok(None);
    }
    let authority = match authority {
        "" => None,
        reference => Some(resolve("certificate authority", secrets::resolve(reference).await)?),
    };
    let config = agent
        .target_tls
        .config(mode, authority.as_ref().map(|pem| pem.as_slice()));
    config.map(Some).map_err(|error| UpstreamError::Tls(error.to_string()))
}

/// A set-up that offers these protocols.
fn offering(config: &Arc<rustls::ClientConfig>, alpn: &[String]) -> Arc<rustls::ClientConfig> {
    if alpn.is_empty() {
        return config.clone();
    }
    let mut config = (**config).clone();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn login_mode(mode: TlsMode) -> login::TlsMode {
    match mode {
        TlsMode::Disable => login::TlsMode::Disable,
        TlsMode::Prefer => login::TlsMode::Prefer,
        TlsMode::Require => login::TlsMode::Require,
        TlsMode::VerifyFull => login::TlsMode::VerifyFull,
    }
}

fn column_name(name: &proto::tunnel::ColumnName) -> login::ColumnName {
    login::ColumnName {
        schema: name.schema.clone(),
        table: name.table.clone(),
        column: name.column.clone(),
    }
}

fn accept(facts: &login::Established) -> Accept {
    let column = |column: &login::ResolvedColumn| ResolvedColumn {
        index: u32::try_from(column.index).unwrap_or(u32::MAX),
        table_oid: column.table_oid,
        attribute: i32::from(column.attribute),
    };
    Accept {
        params: facts
            .params
            .iter()
            .map(|(name, value)| Param {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        columns: facts.columns.iter().map(column).collect(),
        relation_oid_max: facts.relation_oid_max,
        cancelable: facts.cancel.is_some(),
        backend_pid: facts.cancel.as_ref().map_or(0, |key| key.pid),
        notices: facts.notices.clone(),
        alpn: String::new(),
    }
}

fn hex_id(id: &[u8]) -> String {
    crate::identity::hex(id.get(..16).unwrap_or(id))
}

/// How a session ended.
#[derive(Debug)]
enum Over {
    /// The gateway said that it is over, or dropped the stream; it needs no word from us.
    Gateway,
    /// The target closed after the gateway had closed its side: the usual end.
    Closed,
    /// The target closed first.
    TargetClosed,
    /// The target's socket failed.
    TargetLost(io::Error),
    /// The agent is shutting down.
    Draining,
}

impl Over {
    /// What the gateway is told.
    fn told(&self) -> Option<End> {
        let (cause, message) = match self {
            Self::Gateway => return None,
            Self::Closed => (EndCause::Closed, String::new()),
            Self::TargetClosed => (EndCause::UpstreamLost, "the target closed the connection".to_owned()),
            Self::TargetLost(error) => (
                EndCause::UpstreamLost,
                format!("the connection to the target was lost: {error}"),
            ),
            Self::Draining => (EndCause::AgentDraining, "the agent is shutting down".to_owned()),
        };
        Some(End {
            cause: cause as i32,
            message,
        })
    }
}

/// What both directions of a session know of each other.
#[derive(Default)]
struct Sides {
    gateway_closed: Cell<bool>,
    target_takes_nothing: Cell<bool>,
}

async fn relay(
    stream: &Stream,
    established: Established,
    credential: &Credential,
    ending: impl Future<Output = ()>,
) -> Over {
    let sides = Sides::default();
    let (reading, writing) = tokio::io::split(established.socket);
    tokio::select! {
        over = to_gateway(stream, reading, established.leftover, &sides) => over,
        () = to_target(stream, writing, credential, &sides) => Over::Gateway,
        () = ending => Over::Draining,
    }
}

/// Target to gateway; its end is the session's end.
async fn to_gateway(stream: &Stream, mut reading: ReadHalf<TargetSocket>, leftover: BytesMut, sides: &Sides) -> Over {
    match pump(stream, &mut reading, leftover).await {
        Pumped::Gone => Over::Gateway,
        Pumped::Closed if sides.gateway_closed.get() => Over::Closed,
        Pumped::Closed => Over::TargetClosed,
        Pumped::Failed(_) if sides.gateway_closed.get() => Over::Closed,
        Pumped::Failed(error) => Over::TargetLost(error),
    }
}

enum Pumped {
    Gone,
    Closed,
    Failed(io::Error),
}

impl From<StreamGone> for Pumped {
    fn from(_: StreamGone) -> Self {
        Self::Gone
    }
}

/// Reads grow while they come back full and shrink when they do not, so that an idle session holds little.
async fn pump<R: AsyncRead + Unpin>(stream: &Stream, reading: &mut R, leftover: BytesMut) -> Pumped {
    if !leftover.is_empty()
        && let Err(gone) = stream.send_data(leftover)
    {
        return gone.into();
    }
    let mut room = BytesMut::new();
    let mut size = limits::TARGET_READ_BYTES_MIN;
    loop {
        let credit = match stream.capacity().await {
            Ok(credit) => credit,
            Err(gone) => return gone.into(),
        };
        let most = size.min(credit);
        room.reserve(most);
        let read = match (&mut *reading).take(most as u64).read_buf(&mut room).await {
            Ok(0) => return Pumped::Closed,
            Ok(read) => read,
            Err(error) => return Pumped::Failed(error),
        };
        if let Err(gone) = stream.send_data(room.split()) {
            return gone.into();
        }
        if read == size {
            size = (size * 2).min(limits::TARGET_READ_BYTES_MAX);
        } else if read < size / 4 {
            size = (size / 2).max(limits::TARGET_READ_BYTES_MIN);
        }
    }
}

/// Gateway to target; returns only when the gateway is gone or says that the session is over.
async fn to_target(stream: &Stream, mut writing: WriteHalf<TargetSocket>, credential: &Credential, sides: &Sides) {
    let mut pieces: Vec<BytesMut> = Vec::new();
    loop {
        match stream.next().await {
            Incoming::Data(data) => {
                pieces.push(data);
                while pieces.len() < limits::TARGET_WRITE_PIECES_MAX
                    && let Some(data) = stream.next_data()
                {
                    pieces.push(data);
                }
                let bytes = pieces.iter().map(BytesMut::len).sum();
                deliver(&mut writing, &mut pieces, sides).await;
                stream.release(bytes);
            }
            Incoming::Half => {
                sides.gateway_closed.set(true);
                let _ = writing.shutdown().await;
            }
            Incoming::Closed { .. } => return,
            Incoming::Message(message) => {
                let kind = SessionFrame::decode(message.as_slice())
                    .ok()
                    .and_then(|frame| frame.kind);
                if let Some(Kind::Put(put)) = &kind
                    && let Some(written) = credential.written(put)
                {
                    pieces.push(BytesMut::from(written.as_slice()));
                    deliver(&mut writing, &mut pieces, sides).await;
                    continue;
                }
                if !matches!(kind, Some(Kind::End(_))) {
                    tracing::warn!("the gateway sent an unexpected message within a session");
                }
                // Either it is over, or nobody knows what the gateway means: closed in both cases.
                let _ = timeout(limits::TARGET_LAST_WORDS_TIMEOUT, writing.shutdown()).await;
                return;
            }
        }
    }
}

/// Writes all pieces. A target that takes no more may still have said why: its bytes are left to the other direction, and
/// what the gateway goes on sending is dropped.
async fn deliver(writing: &mut WriteHalf<TargetSocket>, pieces: &mut Vec<BytesMut>, sides: &Sides) {
    if !sides.target_takes_nothing.get()
        && let Err(error) = write_all(writing, pieces).await
    {
        tracing::debug!(%error, "the target takes no more bytes");
        sides.target_takes_nothing.set(true);
    }
    pieces.clear();
}

async fn write_all<W: AsyncWrite + Unpin>(writing: &mut W, pieces: &mut [BytesMut]) -> io::Result<()> {
    let mut slices: Vec<io::IoSlice<'_>> = pieces.iter().map(|piece| io::IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let written = writing.write_vectored(rest).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        io::IoSlice::advance_slices(&mut rest, written);
    }
    writing.flush().await
}

#[cfg(test)]
mod tests;
