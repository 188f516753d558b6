//! Sockets to targets: reached directly or through an agent, kept for the next request, with the credential put in on the way.

use super::leg::HeadError;
use super::limits::{IDLE_TIME_MAX, SOCKET_AGE_MAX};
use super::pipe::Pipe;
use crate::core::{Core, wall_micros};
use crate::limits::{AGENT_WAIT_MAX, UPSTREAM_OPEN_TIME_MAX};
use crate::tls;
use crate::tls::stream::TlsStream;
use crate::transport::{self, Transport};
use crate::upstream::{OpenError, Upstream, linked, resolve, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codecs::http::ResponseHead;
use codecs::http::h1::{BodyReader, HeadReader, parse_response};
use proto::policy::{CredentialScheme, SignedGrant, TargetGrant, TargetVersion, TlsMode};
use proto::tunnel::{Open, Put, PutForm};
use reactor::{Buf, Gather, SendFuture, Socket};
use rustls_pki_types::ServerName;
use session::policy::ConnectionPolicy;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A socket to a target that speaks HTTP/1.1.
pub struct Target {
    pub pipe: Pipe,
    inbox: RefCell<Buf>,
    /// A request's head on its way. Nobody waits for it before the answer is here, so it leaves together with the receive that waits
    /// for that.
    leaving: RefCell<Option<SendFuture>>,
    /// The credential as it is written, where we put it in ourselves.
    credential: Zeroizing<Vec<u8>>,
    opened: Instant,
    idle_since: Cell<Instant>,
    pub used: Cell<bool>,
}

/// A target that was reached.
pub struct Reached {
    pub pipe: Pipe,
    /// The credential as it is written after its scheme, where there is no agent that writes it.
    pub credential: Zeroizing<Vec<u8>>,
    pub is_h2: bool,
}

/// Protocols of a TLS handshake (RFC 7301).
const H2: &str = "h2";
const HTTP1: &str = "http/1.1";

/// Reaches a target of a connection. `h1_only`: another version is of no use.
///
/// # Errors
/// Whose fault it is and what the client may know.
pub async fn reach(
    core: &Rc<Core>,
    connection: &Arc<ConnectionPolicy>,
    grant: &SignedGrant,
    who: &Who<'_>,
    h1_only: bool,
) -> Result<Reached, OpenError> {
    let version = connection
        .http
        .as_ref()
        .map_or(TargetVersion::Http1, |http| http.target_version);
    let offered: &[&str] = match version {
        _ if h1_only => &[HTTP1],
        TargetVersion::Http1 => &[HTTP1],
        TargetVersion::Http2 => &[H2],
        TargetVersion::Negotiated => &[H2, HTTP1],
    };
    let opening = async {
        if connection.pool.is_empty() {
            direct(core, connection, grant, offered).await
        } else {
            through_agent(core, connection, grant, who, offered).await
        }
    };
    let (pipe, credential, chosen) = reactor::timeout(UPSTREAM_OPEN_TIME_MAX, opening)
        .await
        .unwrap_or_else(|_| Err(OpenError::upstream("the target cannot be reached in time")))?;
    let https = connection.http.as_ref().is_some_and(|http| http.https);
    let is_h2 = match (version, https) {
        (TargetVersion::Http2, _) if h1_only => {
            return Err(OpenError::ours(
                "this needs HTTP/1.1, and the target is set to speak HTTP/2",
            ));
        }
        (TargetVersion::Http2, true) if chosen != H2 => {
            return Err(OpenError::upstream("the target does not agree to HTTP/2"));
        }
        (TargetVersion::Http2, _) => true,
        _ => chosen == H2 && !h1_only,
    };
    Ok(Reached {
        pipe,
        credential,
        is_h2,
    })
}

/// For whom a target is reached.
pub struct Who<'a> {
    pub user: &'a str,
    pub session_id: [u8; 16],
}

async fn through_agent(
    core: &Rc<Core>,
    connection: &Arc<ConnectionPolicy>,
    grant: &SignedGrant,
    who: &Who<'_>,
    offered: &[&str],
) -> Result<(Pipe, Zeroizing<Vec<u8>>, String), OpenError> {
    let deadline = reactor::now() + AGENT_WAIT_MAX;
    while core.links.pick(&connection.pool).is_none() && reactor::now() < deadline {
        reactor::sleep(AGENT_POLL).await;
    }
    let open = Open {
        session_id: who.session_id.to_vec(),
        grant: Some(grant.clone()),
        user: who.user.to_owned(),
        alpn: offered.iter().map(|name| (*name).to_owned()).collect(),
        ..Open::default()
    };
    let (_, stream, accept) = linked::reach(core, &connection.pool, open).await?;
    let pipe = Pipe::from(Upstream::Linked(stream));
    Ok((pipe, Zeroizing::default(), accept.alpn))
}

const AGENT_POLL: Duration = Duration::from_millis(20);

async fn direct(
    core: &Core,
    connection: &ConnectionPolicy,
    grant: &SignedGrant,
    offered: &[&str],
) -> Result<(Pipe, Zeroizing<Vec<u8>>, String), OpenError> {
    let grant = proto::sign::open_grant(&core.shared.identity().policy_key, grant)
        .map_err(|error| OpenError::ours(format!("the connection's target is not valid: {error}")))?;
    if grant.expires_at_ms > 0 && wall_micros() / 1000 > grant.expires_at_ms as u64 {
        return Err(OpenError::ours("the grant for the connection's target has expired"));
    }
    let credential = credential(connection, &grant)?;
    let address = resolve::resolve(&grant.host, grant.port).await?;
    let unreachable = |error: String| OpenError::upstream(format!("the target cannot be reached: {error}"));
    let socket = Socket::connect(address)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let _ = socket.set_nodelay(true);
    if grant.tls() == TlsMode::Disable {
        let pipe = Pipe::from(Upstream::Direct(Transport::Plain(socket)));
        return Ok((pipe, credential, String::new()));
    }
    let ca = match grant.tls_ca.as_str() {
        "" => None,
        reference => Some(secret::resolve(reference)?),
    };
    let failed = |error: String| OpenError::upstream(format!("TLS with the target failed: {error}"));
    let config = client_config(grant.tls(), ca.as_deref().map(Vec::as_slice), offered);
    let config = config.map_err(|error| failed(error.to_string()))?;
    let name = match grant.tls_name.as_str() {
        "" => grant.host.clone(),
        name => name.to_owned(),
    };
    let name = ServerName::try_from(name).map_err(|error| failed(error.to_string()))?;
    let stream = TlsStream::connect(socket, config, name)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let chosen = if stream.speaks(H2.as_bytes()) { H2 } else { HTTP1 };
    let pipe = Pipe::from(Upstream::Direct(Transport::Tls(stream)));
    Ok((pipe, credential, chosen.to_owned()))
}

/// Client configurations are kept: TLS sessions are resumed, and the system's authorities are read once.
fn client_config(mode: TlsMode, ca: Option<&[u8]>, offered: &[&str]) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    type Kept = HashMap<(i32, Vec<u8>, Vec<Vec<u8>>), Arc<rustls::ClientConfig>>;
    thread_local! {
        static KEPT: RefCell<Kept> = RefCell::default();
    }
    const KEPT_MAX: usize = 64;
    let offered: Vec<Vec<u8>> = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let key = (mode as i32, ca.unwrap_or_default().to_vec(), offered.clone());
    if let Some(config) = KEPT.with_borrow(|kept| kept.get(&key).cloned()) {
        return Ok(config);
    }
    let mut config = (*tls::target::client(mode, ca)?).clone();
    config.alpn_protocols = offered;
    let config = Arc::new(config);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, config.clone());
    });
    Ok(config)
}

/// The credential as it is written after its scheme.
fn credential(connection: &ConnectionPolicy, grant: &TargetGrant) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let scheme = connection
        .http
        .as_ref()
        .map_or(CredentialScheme::Nothing, |http| http.credential_scheme);
    if scheme == CredentialScheme::Nothing {
        return Ok(Zeroizing::default());
    }
    let secret = secret::resolve(&grant.password)?;
    if scheme != CredentialScheme::Basic {
        // A line end in a secret would begin a header of its own.
        let plain = !secret.is_empty() && secret.iter().all(|b| (0x21..0x7f).contains(b));
        return if plain {
            Ok(secret)
        } else {
            Err(OpenError::ours(
                "the connection's secret is empty or holds characters that a header may not",
            ))
        };
    }
    let mut pair = Zeroizing::new(secret::resolve(&grant.username)?.to_vec());
    if pair.contains(&b':') {
        return Err(OpenError::ours("the connection's user name holds a colon"));
    }
    pair.push(b':');
    pair.extend_from_slice(&secret);
    Ok(Zeroizing::new(STANDARD.encode(pair.as_slice()).into_bytes()))
}

impl Target {
    /// A socket that nobody has used yet.
    pub fn new(reached: Reached) -> Rc<Target> {
        let now = reactor::now();
        Rc::new(Target {
            pipe: reached.pipe,
            inbox: RefCell::default(),
            leaving: RefCell::default(),
            credential: reached.credential,
            opened: now,
            idle_since: Cell::new(now),
            used: Cell::new(false),
        })
    }

    pub fn is_fresh(&self, now: Instant) -> bool {
        self.idle_for(now) < IDLE_TIME_MAX && now.duration_since(self.opened) < SOCKET_AGE_MAX
    }

    pub fn idle_for(&self, now: Instant) -> Duration {
        now.duration_since(self.idle_since.get())
    }

    /// Whether it can serve another request: what came unasked would be taken for the answer to that, which is somebody else's.
    pub fn is_quiet(&self) -> bool {
        self.pipe.is_quiet()
    }

    /// Begins to wait for the next request. False: it cannot serve one.
    pub fn rest(&self, now: Instant) -> bool {
        self.idle_since.set(now);
        self.used.set(true);
        if !self.inbox.borrow().is_empty() || !self.is_fresh(now) || !self.has_sent() {
            return false;
        }
        self.pipe.listen();
        true
    }

    /// Whether the last request's head has left.
    fn has_sent(&self) -> bool {
        let Some(mut leaving) = self.leaving.take() else {
            return true;
        };
        let mut context = Context::from_waker(Waker::noop());
        matches!(Pin::new(&mut leaving).poll(&mut context), Poll::Ready(Ok(())))
    }

    /// Waits until the request's head has left.
    async fn sent(&self) -> io::Result<()> {
        let leaving = self.leaving.take();
        transport::finish(leaving).await
    }

    /// Sends a request's head; what comes next waits for it. The credential stands between `before` and `after`.
    pub async fn send_head(&self, scheme: CredentialScheme, before: &[u8], after: &[u8]) -> io::Result<()> {
        let form = match scheme {
            CredentialScheme::Nothing => None,
            CredentialScheme::Basic => Some(PutForm::Basic),
            CredentialScheme::Raw | CredentialScheme::Bearer => Some(PutForm::Secret),
        };
        if let Some(form) = form.filter(|_| self.pipe.is_linked()) {
            self.pipe.send(Gather::from(before.to_vec())).await?;
            self.pipe.put(Put {
                form: form as i32,
                ..Put::default()
            })?;
            return self.pipe.send(Gather::from(after.to_vec())).await;
        }
        let mut head = Vec::with_capacity(before.len() + self.credential.len() + after.len());
        head.extend_from_slice(before);
        if form.is_some() {
            head.extend_from_slice(&self.credential);
        }
        head.extend_from_slice(after);
        let queued = self.pipe.send_start(Gather::from(head)).await?;
        *self.leaving.borrow_mut() = queued;
        Ok(())
    }

    /// Sends bytes of a body.
    pub async fn send(&self, gather: Gather) -> io::Result<()> {
        self.sent().await?;
        self.pipe.send(gather).await
    }

    /// The next bytes; empty at the end. Asking for more says that what came before has gone on.
    pub async fn recv(&self) -> io::Result<Buf> {
        self.pipe.recv().await
    }

    /// Reads the head of an answer. `None`: the target closed before its first byte.
    pub async fn head(&self, method: &str) -> Result<Option<ResponseHead>, HeadError> {
        let mut reader = HeadReader::new();
        let mut held: Vec<u8> = Vec::new();
        let mut current = self.inbox.take();
        loop {
            let bytes: &[u8] = if held.is_empty() { &current } else { &held };
            if !bytes.is_empty()
                && let Some(end) = reader.find(bytes)?
            {
                let head = parse_response(bytes.get(..end).unwrap_or_default(), method)?;
                let mut rest = if held.is_empty() { current } else { Buf::from(held) };
                rest.advance(end);
                *self.inbox.borrow_mut() = if rest.is_empty() { Buf::new() } else { rest };
                return Ok(Some(head));
            }
            let received = self.recv().await.map_err(HeadError::Io)?;
            if received.is_empty() {
                return if held.is_empty() && current.is_empty() {
                    Ok(None)
                } else {
                    Err(HeadError::Io(io::ErrorKind::UnexpectedEof.into()))
                };
            }
            if held.is_empty() && current.is_empty() {
                current = received;
            } else {
                if held.is_empty() {
                    held.extend_from_slice(&std::mem::take(&mut current));
                }
                held.extend_from_slice(&received);
            }
        }
    }

    /// Whether the next piece of the body is here already.
    pub fn has_more(&self) -> bool {
        !self.inbox.borrow().is_empty()
    }

    /// The next content of a body; `None` at its end. An end that is none is an error.
    pub async fn body(&self, reader: &RefCell<BodyReader>) -> Result<Option<Buf>, HeadError> {
        loop {
            if reader.borrow().is_done() {
                return Ok(None);
            }
            let mut current = self.inbox.take();
            if current.is_empty() {
                current = self.recv().await.map_err(HeadError::Io)?;
                if current.is_empty() {
                    return if reader.borrow().may_close() {
                        Ok(None)
                    } else {
                        Err(HeadError::Io(io::ErrorKind::UnexpectedEof.into()))
                    };
                }
            }
            let piece = reader.borrow_mut().read(&current)?;
            let mut taken = current.split_to(piece.consumed);
            *self.inbox.borrow_mut() = current;
            taken.truncate(piece.content.end);
            taken.advance(piece.content.start);
            if !taken.is_empty() {
                return Ok(Some(taken));
            }
        }
    }

    /// Takes the end of a chunked body, if it is here, so that a short answer is known to be complete.
    pub fn settle(&self, reader: &mut BodyReader) -> Result<(), HeadError> {
        let mut current = self.inbox.take();
        if !reader.is_done() && !current.is_empty() && reader.is_between() {
            let piece = reader.read_framing(&current)?;
            current.advance(piece);
        }
        *self.inbox.borrow_mut() = if current.is_empty() { Buf::new() } else { current };
        Ok(())
    }

    /// What came and was not asked for: for upgrades, the first bytes of the other protocol.
    pub fn take_early(&self) -> Buf {
        self.inbox.take()
    }

    /// Ends our side.
    pub async fn shutdown(&self) {
        let _ = self.sent().await;
        self.pipe.shutdown().await;
    }
}
