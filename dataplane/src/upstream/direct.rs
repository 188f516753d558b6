//! Targets that the data plane reaches itself (`via = "direct"`).

use super::{CancelTarget, OpenError, Opened, Request, Upstream, resolve, secret};
use crate::core::{Core, wall_micros};
use crate::tls;
use crate::tls::stream::TlsStream;
use crate::transport::Transport;
use aws_lc_rs::rand;
use codecs::postgres::login::{
    self, CancelKey, ColumnName, Established, KeyCache, UpstreamConfig, UpstreamError, UpstreamStep,
};
use proto::policy::{TargetGrant, TlsMode};
use proto::tunnel::Fault;
use reactor::{Gather, Socket};
use rustls_pki_types::ServerName;
use session::ResolvedColumn;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Reaches the target and logs in.
pub async fn open(core: &Core, request: &Request) -> Result<Opened, OpenError> {
    let grant = grant(core, request)?;
    let database = [&request.database, &grant.database]
        .into_iter()
        .find(|name| !name.is_empty())
        .cloned()
        .unwrap_or_default();
    let config = config(request, &grant, &database)?;
    let address = resolve::resolve(&grant.host, grant.port).await?;
    let socket = Socket::connect(address).await.map_err(|error| {
        OpenError::upstream(format!(
            "the target at {}:{} cannot be reached: {error}",
            grant.host, grant.port
        ))
    })?;
    let _ = socket.set_nodelay(true);
    let (transport, established) = log_in(socket, config, &grant, core.shared.target_keys.clone()).await?;
    let columns = established.columns.iter().map(|column| ResolvedColumn {
        index: column.index,
        table_oid: column.table_oid,
        attribute: column.attribute,
    });
    Ok(Opened {
        columns: columns.collect(),
        relation_oid_max: established.relation_oid_max,
        params: established.params,
        cancel: established
            .cancel
            .map_or(CancelTarget::None, |key| CancelTarget::Direct { address, key }),
        notices: established.notices,
        database,
        upstream: Upstream::Direct(transport),
    })
}

/// Sends a cancel request on a socket of its own (PostgreSQL, "Canceling Requests in Progress").
pub async fn cancel(address: SocketAddr, key: &CancelKey) -> anyhow::Result<()> {
    let socket = Socket::connect(address).await?;
    socket.send(Gather::from(login::cancel_request(key))).await?;
    // The server closes when it has signalled; waiting for that keeps requests in order with what follows.
    while !socket.recv().await?.is_empty() {}
    Ok(())
}

fn grant(core: &Core, request: &Request) -> Result<TargetGrant, OpenError> {
    let signed = request
        .connection
        .grant
        .as_ref()
        .ok_or_else(|| OpenError::ours("the connection has no target"))?;
    let grant = proto::sign::open_grant(&core.shared.identity().policy_key, signed)
        .map_err(|error| OpenError::ours(format!("the connection's target is not valid: {error}")))?;
    if grant.expires_at_ms > 0 && wall_micros() / 1000 > grant.expires_at_ms as u64 {
        return Err(OpenError::ours("the grant for the connection's target has expired"));
    }
    Ok(grant)
}

fn config(request: &Request, grant: &TargetGrant, database: &str) -> Result<UpstreamConfig, OpenError> {
    let user = secret::resolve(&grant.username)?;
    let user =
        String::from_utf8(user.to_vec()).map_err(|_| OpenError::ours("the target's user name is not valid UTF-8"))?;
    Ok(UpstreamConfig {
        user,
        password: secret::resolve(&grant.password)?,
        database: database.to_owned(),
        params: request.params.clone(),
        replication: request.replication,
        tls: match grant.tls() {
            TlsMode::Disable => login::TlsMode::Disable,
            TlsMode::Prefer => login::TlsMode::Prefer,
            TlsMode::Require => login::TlsMode::Require,
            TlsMode::VerifyFull => login::TlsMode::VerifyFull,
        },
        resolve_columns: request
            .connection
            .columns()
            .iter()
            .map(|column| ColumnName {
                schema: column.schema.clone(),
                table: column.table.clone(),
                column: column.column.clone(),
            })
            .collect(),
    })
}

async fn log_in(
    socket: Socket,
    config: UpstreamConfig,
    grant: &TargetGrant,
    known_keys: Arc<KeyCache>,
) -> Result<(Transport, Established), OpenError> {
    let lost =
        |error: std::io::Error| OpenError::upstream(format!("the target closed the connection during login: {error}"));
    let mut nonce = [0; 18];
    rand::fill(&mut nonce).map_err(|_| OpenError::ours("no random bytes"))?;
    let mut login = login::Upstream::new(config, nonce).with_known_keys(known_keys);
    let mut transport = Transport::Plain(socket);
    let mut pending: Vec<u8> = Vec::new();
    loop {
        match login.poll() {
            UpstreamStep::Need => {
                let taken = login.feed(&pending);
                pending.drain(..taken.min(pending.len()));
                if taken > 0 {
                    continue;
                }
                let received = transport.recv().await.map_err(lost)?;
                if received.is_empty() {
                    return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
                }
                pending.extend_from_slice(&received);
            }
            UpstreamStep::Send(bytes) => transport.send(Gather::from(bytes)).await.map_err(lost)?,
            UpstreamStep::StartTls => {
                transport = start_tls(transport, grant).await?;
                login.tls_started();
            }
            UpstreamStep::Ready(established) if pending.is_empty() => {
                return Ok((transport, established));
            }
            UpstreamStep::Ready(_) => {
                return Err(OpenError::upstream("the target sent more than the login asked for"));
            }
            UpstreamStep::Failed { error } => return Err(failed(error)),
        }
    }
}

async fn start_tls(transport: Transport, grant: &TargetGrant) -> Result<Transport, OpenError> {
    let failed = |error: String| OpenError::upstream(format!("TLS with the target failed: {error}"));
    let ca: Option<Zeroizing<Vec<u8>>> = if grant.tls_ca.is_empty() {
        None
    } else {
        Some(secret::resolve(&grant.tls_ca)?)
    };
    let config = tls::target::client(grant.tls(), ca.as_deref().map(Vec::as_slice))
        .map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from(grant.host.clone()).map_err(|error| failed(error.to_string()))?;
    let Transport::Plain(socket) = transport else {
        return Err(failed("asked for twice".into()));
    };
    TlsStream::connect(socket, config, name)
        .await
        .map(Transport::Tls)
        .map_err(|error| failed(error.to_string()))
}

/// The target's own words go to the client: it is what a direct connection would say. A wrong password of ours does not,
/// because the client would take it for its own.
fn failed(error: UpstreamError) -> OpenError {
    match error {
        UpstreamError::Server(error) if error.sqlstate.starts_with("28") => OpenError {
            fault: Fault::Upstream,
            sqlstate: "08004".into(),
            message: format!(
                "the target refused the gateway's login ({}): check the connection's user name and password",
                error.sqlstate
            ),
        },
        UpstreamError::Server(error) => OpenError {
            fault: Fault::Upstream,
            sqlstate: error.sqlstate,
            message: error.message,
        },
        UpstreamError::Protocol(fault) => OpenError::upstream(fault.to_string()),
    }
}
