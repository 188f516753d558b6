//! Front door for stock PostgreSQL clients: login, admission, the way to the target, then the relay.

use crate::config::CertificateLogin;
use crate::control::holds;
use crate::core::message::Message;
use crate::core::sessions::Place;
use crate::core::{Core, NO_SESSION, cancels, wall_micros};
use crate::flight::Kind;
use crate::limits::{AGENT_WAIT_MAX, LOGIN_BYTES_MAX, LOGIN_TIME_MAX, LOGINS_PENDING_MAX, REFUSAL_WRITE_TIME_MAX};
use crate::relay;
use crate::tls::stream::TlsStream;
use crate::tls::{self, ALPN_POSTGRESQL};
use crate::transport::{Parcel, Transport};
use crate::upstream::{self, OpenError, Request};
use aws_lc_rs::rand;
use codecs::postgres::login::{
    CancelKey, Downstream, DownstreamConfig, DownstreamStep, ScramVerifier, Startup, TlsOffer,
};
use codecs::postgres::refusal::{Refusal, sqlstate};
use reactor::{Gather, Socket};
use rustls_pki_types::CertificateDer;
use session::admit::{self, Admission, Denied};
use session::{Direction, Opening, Session};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A client that has proved who it is, on its way to the target.
struct Client {
    transport: Transport,
    login: Downstream,
    /// Bytes that came after the login.
    early: Vec<u8>,
    peer: SocketAddr,
    startup: Startup,
    admission: Admission,
    /// Database on the target; empty: the connection's default.
    database: String,
}

impl Client {
    /// Why it does not get the replication connection that it asks for.
    fn replication_refusal(&self) -> Option<session::verdict::Refusal> {
        let asked = self.startup.replication?;
        self.admission
            .connection
            .refuses_replication(asked, &self.admission.user.groups)
    }
}

/// A client on its way to the core that holds a link to its pool.
pub struct Handoff {
    parcel: Parcel,
    login: Downstream,
    early: Vec<u8>,
    peer: SocketAddr,
    startup: Startup,
    admission: Admission,
    database: String,
}

/// Who the client says it is and where it wants to go.
struct Wanted {
    user: String,
    connection: String,
    database: String,
}

/// Serves a fresh socket. `fixed`: the connection whose own port this is.
pub fn serve(core: &Rc<Core>, socket: Socket, peer: SocketAddr, fixed: Option<Arc<str>>) {
    if core.logins_pending.get() >= LOGINS_PENDING_MAX {
        core.metrics().logins_refused.fetch_add(1, Ordering::Relaxed);
        core.note(Kind::Refused, 0, &NO_SESSION);
        return socket.close_hard();
    }
    let core = core.clone();
    core.logins_pending.set(core.logins_pending.get() + 1);
    reactor::spawn(async move {
        let login = reactor::timeout(LOGIN_TIME_MAX, log_in(&core, socket, peer, fixed)).await;
        core.logins_pending.set(core.logins_pending.get() - 1);
        match login {
            Ok(Some(client)) => open(core, client).await,
            Ok(None) => {}
            Err(_) => {
                core.metrics().logins_refused.fetch_add(1, Ordering::Relaxed);
                core.note(Kind::Refused, 0, &NO_SESSION);
                tracing::info!(%peer, "a client did not log in within {LOGIN_TIME_MAX:?}");
            }
        }
    });
}

/// Goes on with a client that came from another core.
pub fn resume(core: &Rc<Core>, handoff: Handoff) {
    let Handoff {
        parcel,
        login,
        early,
        peer,
        startup,
        admission,
        database,
    } = handoff;
    match parcel.unpack() {
        Ok(transport) => {
            let client = Client {
                transport,
                login,
                early,
                peer,
                startup,
                admission,
                database,
            };
            reactor::spawn(open(core.clone(), client));
        }
        Err(error) => tracing::warn!(%peer, %error, "a client could not be taken over"),
    }
}

/// Appends a FATAL ErrorResponse.
pub fn fatal(out: &mut Vec<u8>, sqlstate: &str, message: &str) {
    Refusal::fatal(sqlstate, message).append_error(out);
}

/// Login up to the proof of who the client is. `None`: it was answered and is gone.
async fn log_in(core: &Rc<Core>, socket: Socket, peer: SocketAddr, fixed: Option<Arc<str>>) -> Option<Client> {
    let mut transport = Transport::Plain(socket);
    let mut login = Downstream::new(DownstreamConfig { tls: tls_offer(core) });
    let mut pending: Vec<u8> = Vec::new();
    let (mut received_bytes, mut left) = (0, false);
    let mut candidate: Option<(Startup, Wanted)> = None;
    loop {
        match login.poll() {
            DownstreamStep::Need => {
                // What begins TLS at once stays with us, and the next step says so.
                if feed(&mut login, &mut pending) || !pending.is_empty() && !std::mem::replace(&mut left, true) {
                    continue;
                }
                let received = transport.recv().await.ok()?;
                received_bytes += received.len();
                if received.is_empty() || received_bytes > LOGIN_BYTES_MAX {
                    return None;
                }
                pending.extend_from_slice(&received);
            }
            DownstreamStep::Send(reply) => transport.send(Gather::from(reply)).await.ok()?,
            DownstreamStep::StartTls { reply } => {
                transport.send(Gather::from(reply)).await.ok()?;
                transport = start_tls(core, &mut login, transport, None, peer).await?;
            }
            DownstreamStep::StartTlsAtOnce => {
                let early = Some(std::mem::take(&mut pending));
                transport = start_tls(core, &mut login, transport, early, peer).await?;
            }
            DownstreamStep::Identify(startup) => {
                let wanted = wanted(&startup, fixed.as_deref());
                match identify(core, &transport, &mut login, &wanted) {
                    Identified::GoesOn => candidate = Some((startup, wanted)),
                    Identified::Certified(admitted) => {
                        return proved(core, transport, login, pending, peer, startup, wanted, admitted).await;
                    }
                    Identified::Refused { reply, reason } => {
                        return turn_away(core, &transport, reply, peer, &reason).await;
                    }
                }
            }
            DownstreamStep::Authenticated { verifier } => {
                let (startup, wanted) = candidate?;
                let admitted = admission(core, &wanted, verifier);
                return proved(core, transport, login, pending, peer, startup, wanted, admitted).await;
            }
            DownstreamStep::Cancel(key) => {
                cancels::request(core, key).await;
                return None;
            }
            DownstreamStep::Refused { reply, reason } => {
                return turn_away(core, &transport, reply, peer, &reason.to_string()).await;
            }
        }
    }
}

/// Goes on with a client that has proved who it is, if it may have what it wants.
#[expect(clippy::too_many_arguments, reason = "everything that a login is made of, once")]
async fn proved(
    core: &Core,
    transport: Transport,
    mut login: Downstream,
    early: Vec<u8>,
    peer: SocketAddr,
    startup: Startup,
    wanted: Wanted,
    admitted: Result<Admission, Denied>,
) -> Option<Client> {
    match admitted {
        Ok(admission) => Some(Client {
            transport,
            login,
            early,
            peer,
            startup,
            admission,
            database: wanted.database,
        }),
        Err(denied) => {
            let reply = refusal_of(core, &mut login, &wanted, denied);
            turn_away(core, &transport, reply, peer, &denied.to_string()).await
        }
    }
}

/// What comes of the name that a client gives.
enum Identified {
    /// The password is asked for.
    GoesOn,
    /// A certificate has proved it.
    Certified(Result<Admission, Denied>),
    Refused {
        reply: Vec<u8>,
        reason: String,
    },
}

fn identify(core: &Core, transport: &Transport, login: &mut Downstream, wanted: &Wanted) -> Identified {
    let (verifiers, nonce) = match verifiers(core, &wanted.user) {
        Ok(found) => found,
        Err(message) => {
            let reply = login.refuse(sqlstate::CANNOT_CONNECT_NOW, message);
            let reason = message.to_owned();
            return Identified::Refused { reply, reason };
        }
    };
    if let Some(asked) = &core.shared.config.client_certificates {
        let shown = transport.peer_certificate();
        let shown = shown.filter(|certificate| tls::is_for_user(certificate, &wanted.user));
        match (asked.login, shown) {
            (CertificateLogin::AndPassword, None) => {
                let reason = format!("certificate authentication failed for user \"{}\"", wanted.user);
                let reply = login.refuse(sqlstate::INVALID_AUTHORIZATION, &reason);
                return Identified::Refused { reply, reason };
            }
            (CertificateLogin::OrPassword, Some(certificate)) if login.certified() => {
                return Identified::Certified(admit_certified(core, wanted, &certificate));
            }
            _ => {}
        }
    }
    login.verifiers(&verifiers, nonce);
    Identified::GoesOn
}

fn admit_certified(core: &Core, wanted: &Wanted, certificate: &CertificateDer<'_>) -> Result<Admission, Denied> {
    let policy = core.policy.borrow().clone().ok_or(Denied::PolicyExpired)?;
    let fingerprint = tls::fingerprint(certificate);
    admit::admit_certified(&policy, &wanted.user, &wanted.connection, &fingerprint, wall_micros())
}

fn tls_offer(core: &Core) -> TlsOffer {
    match (core.shared.tls().clients, core.shared.config.client_tls_required) {
        (None, _) => TlsOffer::No,
        (Some(_), true) => TlsOffer::Required,
        (Some(_), false) => TlsOffer::Yes,
    }
}

/// Shows the login what was read; whether it took something.
fn feed(login: &mut Downstream, pending: &mut Vec<u8>) -> bool {
    let taken = login.feed(pending);
    pending.drain(..taken.min(pending.len()));
    taken > 0
}

/// The handshake. `early`: the client began at once, and so much was read already. Such a handshake might be meant for
/// another protocol (ALPACA): it must name ours.
async fn start_tls(
    core: &Core,
    login: &mut Downstream,
    transport: Transport,
    early: Option<Vec<u8>>,
    peer: SocketAddr,
) -> Option<Transport> {
    let tls = core.shared.tls().clients?;
    let Transport::Plain(socket) = transport else {
        return None;
    };
    match TlsStream::accept_after(socket, tls.postgres, early.as_deref().unwrap_or_default()).await {
        Ok(stream) if early.is_some() && !stream.speaks(ALPN_POSTGRESQL) => {
            tracing::info!(%peer, "a client began TLS at once without the protocol postgresql in ALPN");
            let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, stream.shutdown()).await;
            None
        }
        Ok(stream) => {
            login.tls_started(tls.channel);
            Some(Transport::Tls(stream))
        }
        Err(error) => {
            tracing::info!(%peer, %error, "a client's TLS handshake failed");
            None
        }
    }
}

/// Splits what the client calls user and database into user, connection and database on the target.
fn wanted(startup: &Startup, fixed: Option<&str>) -> Wanted {
    if let Some(connection) = fixed {
        return Wanted {
            user: startup.user.clone(),
            connection: connection.to_owned(),
            database: startup.database.clone(),
        };
    }
    if let Some((user, connection)) = startup.user.split_once('#') {
        return Wanted {
            user: user.to_owned(),
            connection: connection.to_owned(),
            database: startup.database.clone(),
        };
    }
    let (connection, database) = startup.database.split_once('/').unwrap_or((&startup.database, ""));
    Wanted {
        user: startup.user.clone(),
        connection: connection.to_owned(),
        database: database.to_owned(),
    }
}

/// Verifiers of all tokens of a user; made-up ones, always the same, for a name that nobody has.
fn verifiers(core: &Core, user: &str) -> Result<(Vec<ScramVerifier>, [u8; 18]), &'static str> {
    if let Some(refusal) = core.shared.spool.refusal() {
        return Err(refusal);
    }
    let policy = core
        .policy
        .borrow()
        .clone()
        .ok_or("no policy snapshot has been received yet")?;
    if policy.is_expired(wall_micros()) {
        return Err("the policy snapshot has expired; the control plane has been away for too long");
    }
    let mut nonce = [0; 18];
    rand::fill(&mut nonce).map_err(|_| "no random bytes")?;
    let mut found: Vec<ScramVerifier> = Vec::new();
    if let Some(user) = policy.user(user) {
        found.extend(user.tokens.iter().map(|token| ScramVerifier {
            salt: user.salt.to_vec(),
            iterations: user.iterations,
            stored_key: token.stored_key,
            server_key: token.server_key,
        }));
    }
    if found.is_empty() {
        found.push(mock_verifier(policy.mock_salt(user).to_vec())?);
    }
    Ok((found, nonce))
}

const MOCK_ITERATIONS: u32 = 4096;

/// A verifier that no secret opens: its keys are random.
fn mock_verifier(salt: Vec<u8>) -> Result<ScramVerifier, &'static str> {
    let (mut stored_key, mut server_key) = ([0; 32], [0; 32]);
    rand::fill(&mut stored_key).map_err(|_| "no random bytes")?;
    rand::fill(&mut server_key).map_err(|_| "no random bytes")?;
    Ok(ScramVerifier {
        salt,
        iterations: MOCK_ITERATIONS,
        stored_key,
        server_key,
    })
}

fn admission(core: &Core, wanted: &Wanted, verifier: usize) -> Result<Admission, Denied> {
    let policy = core.policy.borrow().clone().ok_or(Denied::PolicyExpired)?;
    let user = policy.user(&wanted.user).ok_or(Denied::UnknownUser)?;
    let token = user.tokens.get(verifier).ok_or(Denied::UnknownToken)?;
    admit::admit(&policy, &wanted.user, &wanted.connection, &token.id, wall_micros())
}

fn refusal_of(core: &Core, login: &mut Downstream, wanted: &Wanted, denied: Denied) -> Vec<u8> {
    match denied {
        Denied::NoGrant => no_grant(core, login, wanted),
        Denied::PolicyExpired => login.refuse(sqlstate::CANNOT_CONNECT_NOW, "the policy snapshot has expired"),
        _ => login.refuse_credentials(),
    }
}

/// Says how access is asked for, to somebody who has proved who it is and may ask; asks at once where no reason is needed.
fn no_grant(core: &Core, login: &mut Downstream, wanted: &Wanted) -> Vec<u8> {
    let policy = core.policy.borrow().clone();
    let found = policy.as_ref().and_then(|policy| {
        let connection = policy.connection(&wanted.connection)?;
        Some((
            policy,
            policy.user(&wanted.user)?,
            connection,
            connection.access_review.as_ref()?,
        ))
    });
    let Some((policy, user, connection, review)) = found else {
        return login.refuse_credentials();
    };
    let asks = !review.reason_required;
    if asks {
        holds::want(&core.shared, &user.id, &connection.id);
    }
    let message = holds::how_to_ask(policy.review_url(), &connection.name, asks, "connect");
    login.refuse(sqlstate::INSUFFICIENT_PRIVILEGE, &message)
}

/// Answers and logs a login that failed.
async fn turn_away(
    core: &Core,
    transport: &Transport,
    reply: Vec<u8>,
    peer: SocketAddr,
    reason: &str,
) -> Option<Client> {
    core.metrics().logins_refused.fetch_add(1, Ordering::Relaxed);
    core.note(Kind::Refused, 0, &NO_SESSION);
    tracing::info!(%peer, reason, "a login was refused");
    send_last(transport, reply).await;
    None
}

/// Sends a last answer and ends our side; a client that does not read it is not waited for.
async fn send_last(transport: &Transport, reply: Vec<u8>) {
    let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, async {
        if transport.send(Gather::from(reply)).await.is_ok() {
            transport.shutdown().await;
        }
    })
    .await;
}

/// From a proved client to a running session.
async fn open(core: Rc<Core>, mut client: Client) {
    if !client.admission.connection.pool.is_empty() && core.links.pick(&client.admission.connection.pool).is_none() {
        match wait_for_core(&core, &client.admission.connection.pool).await {
            Some(target) if target != core.index => return hand_off(&core, client, target).await,
            _ => {}
        }
    }
    if let Err(refusal) = client.admission.connection.take_startup(&mut client.startup.params) {
        let reply = client.login.refuse(refusal.code, &refusal.message);
        turn_away(&core, &client.transport, reply, client.peer, &refusal.message).await;
        return;
    }
    if let Some(refusal) = client.replication_refusal() {
        let reply = client.login.refuse(refusal.code, &refusal.message);
        turn_away(&core, &client.transport, reply, client.peer, &refusal.message).await;
        return;
    }
    let mut secret = vec![0; client.login.secret_bytes()];
    if rand::fill(&mut secret).is_err() {
        return;
    }
    let place = core.sessions.borrow_mut().reserve();
    let session_id = new_session_id();
    let request = Request {
        session_id,
        connection: client.admission.connection.clone(),
        user: client.admission.user.name.clone(),
        database: client.database.clone(),
        params: client.startup.params.clone(),
        replication: client.startup.replication,
    };
    match upstream::open(&core, request).await {
        Ok(opened) => {
            let key = CancelKey {
                pid: opened.cancel.pid().unwrap_or_else(made_up_pid),
                secret,
            };
            run(&core, client, (place, key), session_id, opened);
        }
        Err(error) => {
            refuse_open(&core, &mut client, &error).await;
            core.sessions.borrow_mut().release(place);
        }
    }
}

async fn refuse_open(core: &Core, client: &mut Client, error: &OpenError) {
    core.metrics().upstream_failures.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(connection = client.admission.connection.name, fault = ?error.fault, reason = error.message, "the target could not be reached");
    let reply = client.login.refuse(&error.sqlstate, &error.message);
    send_last(&client.transport, reply).await;
}

/// A process number for a session whose target tells none: nobody can compare it with anything.
fn made_up_pid() -> u32 {
    let mut bytes = [0; 4];
    // Without random bytes the session would not have come as far as here.
    let _ = rand::fill(&mut bytes);
    u32::from_be_bytes(bytes) >> 1 | 1
}

/// Opens the session, in tasks of its own: what the login needed is over.
fn run(
    core: &Rc<Core>,
    client: Client,
    (place, key): (Place, CancelKey),
    session_id: [u8; 16],
    opened: upstream::Opened,
) {
    let application = client
        .startup
        .params
        .iter()
        .find(|(name, _)| name == "application_name");
    let opening = Opening {
        session_id,
        user: client.admission.user.name.clone(),
        token_id: client.admission.token_id.clone(),
        connection: client.admission.connection.clone(),
        database: opened.database,
        client_addr: client.peer.to_string(),
        application_name: application.map(|(_, value)| value.clone()).unwrap_or_default(),
        server_params: opened.params.clone(),
        columns: opened.columns,
        relation_oid_max: opened.relation_oid_max,
        replication: client.startup.replication,
    };
    let Some(policy) = core.policy.borrow().clone() else {
        return core.sessions.borrow_mut().release(place);
    };
    let mut session = Session::open(policy, opening, &mut core.scratch.borrow_mut(), core.now());
    let notices = judged(&mut session, opened.notices, core);
    core.collect_events();
    let session = Rc::new(RefCell::new(session));
    let welcome = client.login.welcome(&opened.params, key.clone(), &notices);
    let entry = core
        .sessions
        .borrow_mut()
        .insert(place, key, session_id, session, opened.cancel);
    let ends = relay::Ends {
        downstream: client.transport,
        upstream: opened.upstream,
        welcome,
        early: client.early,
    };
    let table = core.clone();
    relay::start(core, entry, ends, move || table.sessions.borrow_mut().release(place));
}

/// What the target said beside the login, as the client may see it. What is not whole frames is left out.
fn judged(session: &mut Session, mut notices: Vec<u8>, core: &Core) -> Vec<u8> {
    let mut out = Vec::new();
    if !notices.is_empty() {
        let fed = session.feed(
            Direction::ToDownstream,
            &mut notices,
            &mut core.scratch.borrow_mut(),
            core.now(),
        );
        fed.out.copy_to(&notices, &mut out);
    }
    out
}

/// Waits for a link to the pool on any core, preferring our own.
async fn wait_for_core(core: &Rc<Core>, pool: &str) -> Option<usize> {
    let deadline = reactor::now() + AGENT_WAIT_MAX;
    loop {
        if core.links.pick(pool).is_some() {
            return Some(core.index);
        }
        if let Some(target) = core.shared.core_with_link(pool) {
            return Some(target);
        }
        if reactor::now() >= deadline {
            return None;
        }
        reactor::sleep(AGENT_POLL).await;
    }
}

const AGENT_POLL: std::time::Duration = std::time::Duration::from_millis(20);

async fn hand_off(core: &Core, client: Client, target: usize) {
    let Client {
        transport,
        login,
        early,
        peer,
        startup,
        admission,
        database,
    } = client;
    let parcel = match transport.pack() {
        Ok(parcel) => parcel,
        Err(error) => {
            return tracing::warn!(%peer, %error, "a client could not be passed to another core");
        }
    };
    let handoff = Box::new(Handoff {
        parcel,
        login,
        early,
        peer,
        startup,
        admission,
        database,
    });
    if core.shared.cores[target].try_send(Message::Client(handoff)).is_err() {
        tracing::warn!(%peer, target, "the mailbox of a core is full: a client was closed");
    }
}

/// A version 7 UUID: sorts by time (RFC 9562, section 5.7).
pub fn new_session_id() -> [u8; 16] {
    let mut id = [0; 16];
    // Without random bytes the session would not get its cancel key either, so a failure cannot come as far as here.
    let _ = rand::fill(&mut id);
    let millis = wall_micros() / 1000;
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id[6] = (id[6] & 0x0f) | 0x70;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}
