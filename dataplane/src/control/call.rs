//! Connections to the control plane and single calls on them.

use crate::identity::CONTROLPLANE_NAME;
use crate::link::driver::{Driver, Incoming, Stream};
use crate::tls::stream::TlsStream;
use crate::transport::Transport;
use crate::upstream::resolve;
use anyhow::{Context, bail};
use proto::Message;
use proto::limits::SNAPSHOT_BYTES_MAX;
use reactor::Socket;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Connecting, TLS and a single call may take this long each.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(10);

/// Dials `HOST:PORT` and starts HTTP/2.
pub async fn connect(address: &str, config: Arc<ClientConfig>) -> anyhow::Result<Rc<Driver>> {
    let (host, port) = address
        .rsplit_once(':')
        .context("the control plane's address is not HOST:PORT")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let dial = async {
        let socket_address = resolve::resolve(host, port.parse()?).await?;
        let socket = Socket::connect(socket_address)
            .await
            .with_context(|| format!("{address} cannot be reached"))?;
        let _ = socket.set_nodelay(true);
        let name = ServerName::try_from(CONTROLPLANE_NAME)?;
        let stream = TlsStream::connect(socket, config, name)
            .await
            .with_context(|| format!("TLS with {address}"))?;
        anyhow::Ok(stream)
    };
    let stream = reactor::timeout(CALL_TIME_MAX, dial)
        .await
        .with_context(|| format!("{address} did not answer in time"))??;
    // Snapshots are the largest messages: the bound and the window must let one through.
    let limits = tunnel::Limits {
        message_bytes_max: SNAPSHOT_BYTES_MAX,
        stream_window_bytes: 4 * 1024 * 1024,
        stream_queue_bytes_max: 16 * 1024 * 1024,
        ..tunnel::Limits::default()
    };
    Ok(Driver::start(Transport::Tls(stream), limits))
}

/// One request, one reply.
pub async fn unary<Reply: Message + Default>(
    driver: &Rc<Driver>,
    path: &str,
    request: &impl Message,
) -> anyhow::Result<Reply> {
    let stream = driver.open(path)?;
    stream.send_message(&request.encode_to_vec());
    stream.finish();
    reactor::timeout(CALL_TIME_MAX, next(&stream))
        .await
        .context("no answer in time")?
}

/// The next message of a stream.
pub async fn next<Reply: Message + Default>(stream: &Stream) -> anyhow::Result<Reply> {
    match stream.next().await {
        Ok(Incoming::Message(message)) => Ok(Reply::decode(&message[..])?),
        Ok(Incoming::Data(_)) => bail!("the control plane sent session data"),
        Err(end) => bail!("the control plane ended the call: {end}"),
    }
}
