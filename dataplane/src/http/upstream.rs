//! Sockets to targets: reached directly or through an agent, kept for the next request, with the credential put in on the way.

use super::limits::{IDLE_PER_CONNECTION_MAX, IDLE_TIME_MAX, IDLE_TIME_UNREPEATABLE_MAX, SOCKET_AGE_MAX};
use crate::core::{Core, wall_micros};
use crate::limits::{AGENT_WAIT_MAX, UPSTREAM_OPEN_TIME_MAX};
use crate::link::driver::Incoming;
use crate::tls;
use crate::tls::stream::TlsStream;
use crate::transport::{self, Transport};
use crate::upstream::{OpenError, Request, Upstream, linked, resolve, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codecs::http::ResponseHead;
use codecs::http::h1::{BodyReader, HeadReader, parse_response};
use proto::Message as _;
use proto::policy::{CredentialScheme, TargetGrant, TlsMode};
use proto::tunnel::session_frame::Kind;
use proto::tunnel::{EndCause, Put, PutForm, SessionFrame};
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

/// A socket to a target.
pub struct Target {
    way: Upstream,
    inbox: RefCell<Buf>,
    /// A request's head on its way. Nobody waits for it before the answer is here, so it leaves together with the receive that waits
    /// for that.
    leaving: RefCell<Option<SendFuture>>,
    /// Received through an agent and not acknowledged yet.
    unreleased: Cell<usize>,
    /// The credential as it is written, where we put it in ourselves.
    credential: Zeroizing<Vec<u8>>,
    policy: Arc<ConnectionPolicy>,
    opened: Instant,
    idle_since: Cell<Instant>,
    pub used: Cell<bool>,
}

/// Idle sockets of a core, by connection.
#[derive(Default)]
pub struct Pool {
    idle: RefCell<HashMap<String, Vec<Rc<Target>>>>,
    sweeping: Cell<bool>,
}

impl Pool {
    /// An idle socket, the one that was used last. `repeatable`: the request may be sent again if the socket turns out dead.
    pub fn take(&self, connection: &Arc<ConnectionPolicy>, repeatable: bool) -> Option<Rc<Target>> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&connection.name)?;
        let now = reactor::now();
        // A new policy may mean another target or another secret. What came unasked would be taken for the answer to the next
        // request, which is somebody else's. Only the one that is taken is looked at: the others have their turn, or the sweep.
        let is_good =
            |target: &Target| target.is_fresh(now) && Arc::ptr_eq(&target.policy, connection) && target.is_quiet();
        while list.pop_if(|target| !is_good(target)).is_some() {}
        let idle_for = now.duration_since(list.last()?.idle_since.get());
        if !repeatable && idle_for > IDLE_TIME_UNREPEATABLE_MAX {
            return None;
        }
        list.pop()
    }

    fn keep(&self, target: Rc<Target>) {
        let now = reactor::now();
        target.idle_since.set(now);
        target.used.set(true);
        if !target.inbox.borrow().is_empty() || !target.is_fresh(now) || !target.has_sent() {
            return;
        }
        target.listen();
        let mut idle = self.idle.borrow_mut();
        let Some(list) = idle.get_mut(&target.policy.name) else {
            idle.insert(target.policy.name.clone(), vec![target]);
            return;
        };
        if list.len() >= IDLE_PER_CONNECTION_MAX {
            list.retain(|other| other.is_fresh(now));
        }
        if list.len() < IDLE_PER_CONNECTION_MAX {
            list.push(target);
        }
    }

    /// Closes what nobody used for a while. True when nothing is left.
    fn sweep(&self) -> bool {
        let now = reactor::now();
        let mut idle = self.idle.borrow_mut();
        for list in idle.values_mut() {
            list.retain(|target| target.is_fresh(now));
        }
        idle.retain(|_, list| !list.is_empty());
        idle.is_empty()
    }
}

/// Keeps a socket whose last answer was read to its end, and sees to it that idle ones are closed in time.
pub fn keep(core: &Rc<Core>, target: Rc<Target>) {
    core.http.pool.keep(target);
    if core.http.pool.sweeping.replace(true) {
        return;
    }
    let core = Rc::downgrade(core);
    reactor::spawn(async move {
        loop {
            reactor::sleep(IDLE_TIME_MAX).await;
            let Some(core) = core.upgrade() else { return };
            if core.http.pool.sweep() {
                core.http.pool.sweeping.set(false);
                return;
            }
        }
    });
}

/// Reaches the target of a connection.
///
/// # Errors
/// Whose fault it is and what the client may know.
pub async fn open(
    core: &Rc<Core>,
    connection: &Arc<ConnectionPolicy>,
    user: &str,
    session_id: [u8; 16],
) -> Result<Rc<Target>, OpenError> {
    let opening = async {
        if connection.pool.is_empty() {
            direct(core, connection).await
        } else {
            through_agent(core, connection, user, session_id).await
        }
    };
    let (way, credential) = reactor::timeout(UPSTREAM_OPEN_TIME_MAX, opening)
        .await
        .unwrap_or_else(|_| Err(OpenError::upstream("the target cannot be reached in time")))?;
    let now = reactor::now();
    Ok(Rc::new(Target {
        way,
        inbox: RefCell::default(),
        leaving: RefCell::default(),
        unreleased: Cell::new(0),
        credential,
        policy: connection.clone(),
        opened: now,
        idle_since: Cell::new(now),
        used: Cell::new(false),
    }))
}

async fn through_agent(
    core: &Rc<Core>,
    connection: &Arc<ConnectionPolicy>,
    user: &str,
    session_id: [u8; 16],
) -> Result<(Upstream, Zeroizing<Vec<u8>>), OpenError> {
    let deadline = reactor::now() + AGENT_WAIT_MAX;
    while core.links.pick(&connection.pool).is_none() && reactor::now() < deadline {
        reactor::sleep(AGENT_POLL).await;
    }
    let request = Request {
        session_id,
        connection: connection.clone(),
        user: user.to_owned(),
        database: String::new(),
        params: Vec::new(),
    };
    let opened = linked::open(core, &request).await?;
    Ok((opened.upstream, Zeroizing::default()))
}

const AGENT_POLL: Duration = Duration::from_millis(20);

async fn direct(core: &Core, connection: &ConnectionPolicy) -> Result<(Upstream, Zeroizing<Vec<u8>>), OpenError> {
    let signed = connection
        .grant
        .as_ref()
        .ok_or_else(|| OpenError::ours("the connection has no target"))?;
    let grant = proto::sign::open_grant(&core.shared.identity().policy_key, signed)
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
        return Ok((Upstream::Direct(Transport::Plain(socket)), credential));
    }
    let ca = match grant.tls_ca.as_str() {
        "" => None,
        reference => Some(secret::resolve(reference)?),
    };
    let failed = |error: String| OpenError::upstream(format!("TLS with the target failed: {error}"));
    let config =
        client_config(grant.tls(), ca.as_deref().map(Vec::as_slice)).map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from(grant.host.clone()).map_err(|error| failed(error.to_string()))?;
    let stream = TlsStream::connect(socket, config, name)
        .await
        .map_err(|error| failed(error.to_string()))?;
    Ok((Upstream::Direct(Transport::Tls(stream)), credential))
}

/// Client configurations are kept: TLS sessions are resumed, and the system's authorities are read once.
fn client_config(mode: TlsMode, ca: Option<&[u8]>) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    type Kept = HashMap<(i32, Vec<u8>), Arc<rustls::ClientConfig>>;
    thread_local! {
        static KEPT: RefCell<Kept> = RefCell::default();
    }
    const KEPT_MAX: usize = 64;
    let key = (mode as i32, ca.unwrap_or_default().to_vec());
    if let Some(config) = KEPT.with_borrow(|kept| kept.get(&key).cloned()) {
        return Ok(config);
    }
    let mut config = (*tls::target::client(mode, ca)?).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
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
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.idle_since.get()) < IDLE_TIME_MAX && now.duration_since(self.opened) < SOCKET_AGE_MAX
    }

    /// Whether the target has sent nothing since its last answer and is still there.
    fn is_quiet(&self) -> bool {
        match &self.way {
            Upstream::Direct(transport) => transport.is_quiet(),
            Upstream::Linked(stream) => stream.is_quiet(),
        }
    }

    /// Arms the receive that will get the next answer, and meanwhile whatever comes unasked.
    fn listen(&self) {
        if let Upstream::Direct(transport) = &self.way {
            transport.listen();
        }
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
        match &self.way {
            Upstream::Direct(transport) => {
                let mut head = Vec::with_capacity(before.len() + self.credential.len() + after.len());
                head.extend_from_slice(before);
                head.extend_from_slice(&self.credential);
                head.extend_from_slice(after);
                let queued = transport.send_start(Gather::from(head)).await?;
                *self.leaving.borrow_mut() = queued;
                Ok(())
            }
            Upstream::Linked(stream) => {
                let lost = |end: crate::link::driver::StreamEnd| io::Error::other(end.message);
                stream.send_data(Buf::from(before.to_vec())).await.map_err(lost)?;
                let form = match scheme {
                    CredentialScheme::Nothing => None,
                    CredentialScheme::Basic => Some(PutForm::Basic),
                    CredentialScheme::Raw | CredentialScheme::Bearer => Some(PutForm::Secret),
                };
                if let Some(form) = form {
                    let put = SessionFrame {
                        kind: Some(Kind::Put(Put { form: form as i32 })),
                    };
                    stream.send_message(&put.encode_to_vec());
                }
                stream.send_data(Buf::from(after.to_vec())).await.map_err(lost)
            }
        }
    }

    /// Sends bytes of a body.
    pub async fn send(&self, gather: Gather) -> io::Result<()> {
        match &self.way {
            Upstream::Direct(transport) => {
                self.sent().await?;
                transport.send(gather).await
            }
            Upstream::Linked(stream) => {
                for piece in gather {
                    stream
                        .send_data(piece)
                        .await
                        .map_err(|end| io::Error::other(end.message))?;
                }
                Ok(())
            }
        }
    }

    /// The next bytes; empty at the end. Asking for more says that what came before has gone on.
    pub async fn recv(&self) -> io::Result<Buf> {
        match &self.way {
            Upstream::Direct(transport) => transport.recv().await,
            Upstream::Linked(stream) => {
                let done = self.unreleased.take();
                if done > 0 {
                    stream.release(done);
                }
                loop {
                    match stream.next().await {
                        Ok(Incoming::Data(data)) => {
                            self.unreleased.set(data.len());
                            return Ok(data);
                        }
                        Ok(Incoming::Message(message)) => match linked::control_message(&message) {
                            Some(Kind::End(end)) if end.cause() == EndCause::Failed => {
                                return Err(io::Error::other(end.message));
                            }
                            Some(Kind::End(end))
                                if end.cause() == EndCause::UpstreamLost && end.message != linked::CLOSED =>
                            {
                                return Err(io::Error::other(end.message));
                            }
                            Some(Kind::End(_)) => return Ok(Buf::new()),
                            _ => {}
                        },
                        Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                    }
                }
            }
        }
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
    pub async fn body(&self, reader: &mut BodyReader) -> Result<Option<Buf>, HeadError> {
        loop {
            if reader.is_done() {
                return Ok(None);
            }
            let mut current = self.inbox.take();
            if current.is_empty() {
                current = self.recv().await.map_err(HeadError::Io)?;
                if current.is_empty() {
                    return if reader.may_close() {
                        Ok(None)
                    } else {
                        Err(HeadError::Io(io::ErrorKind::UnexpectedEof.into()))
                    };
                }
            }
            let piece = reader.read(&current)?;
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
        match &self.way {
            Upstream::Direct(transport) => {
                let _ = self.sent().await;
                transport.shutdown().await;
            }
            Upstream::Linked(stream) => stream.finish(),
        }
    }
}

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    #[error("the target's answer is malformed: {0}")]
    Malformed(#[from] codecs::http::Refused),
    #[error("the target was lost: {0}")]
    Io(io::Error),
}
