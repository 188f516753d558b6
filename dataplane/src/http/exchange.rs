//! One exchange: judge the request, swap the credential, forward, redact the answer, note it before it leaves.

use super::access_log::{self, Line};
use super::answer::Problem;
use super::front::either;
use super::h1::Client;
use super::leg::{Asking, Leg};
use super::limits::{ATTEMPTS_MAX, WISHES_PER_MINUTE_MAX};
use super::origins::{How, Origins, Place, Sent};
use super::upstream::{Target, Who};
use super::{BodyError, Downstream, Entry, rate, within};
use crate::control::holds;
use crate::core::Core;
use crate::core::wall_micros;
use back::Answered;
use codecs::http::h1::write;
use codecs::http::{BodyKind, Fields, RequestHead, Version};
use naming::{client_address, http_inspects, is_private, named, per_minute, request_id, shown_path};
use proto::tunnel::Fault;
use reactor::{Buf, Gather};
use session::admit::Admission;
use session::http::headers::{self, Client as Known};
use session::http::judge::{self, Asked, Denial, Granted};
use session::http::limits::REQUEST_INSPECTED_BYTES_MAX;
use session::http::{BodyFilter, Coded, Exchange, HttpPolicy, HttpSession, Unreadable};
use session::policy::{ConnectionPolicy, Policy, RuleSet};
use session::{EndCause, Scratch};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

mod back;
mod naming;

pub use naming::{lane, pool_of};

/// Where a client comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client speaks HTTP/2.
    pub is_h2: bool,
    pub peer: SocketAddr,
    pub https: bool,
    /// The connection whose own port it uses.
    pub fixed: Option<Arc<str>>,
}

/// How an exchange ended.
pub enum Ended {
    Complete,
    /// The answer was cut off, or the request's body cannot be read further.
    Broken,
    /// The socket speaks another protocol now.
    Upgrade(Rc<Target>),
}

/// What our version header says.
const VERSION: &str = concat!("sluice/", env!("CARGO_PKG_VERSION"));

/// Everything that is known about a request.
struct Context<'a, D> {
    core: &'a Rc<Core>,
    entry: &'a Rc<Entry>,
    down: &'a D,
    head: &'a RequestHead,
    connection: Option<Arc<ConnectionPolicy>>,
    /// Path that named the connection.
    prefix: String,
    /// The target without it.
    target: String,
    client: IpAddr,
    https: bool,
    request_id: String,
    exchange: RefCell<Exchange>,
    shown: RefCell<String>,
    rule: Cell<&'static str>,
    bytes_up: Cell<u64>,
    /// The target has the whole request: only then can its socket serve another one.
    uploaded: Cell<bool>,
}

/// Runs one exchange to its end.
pub async fn run<D: Downstream>(
    core: &Rc<Core>,
    entry: &Rc<Entry>,
    origin: &Origin,
    down: &D,
    head: &RequestHead,
) -> Ended {
    core.metrics().http_requests.fetch_add(1, Ordering::Relaxed);
    let policy = core.policy.borrow().clone();
    let context = Context::new(core, entry, origin, down, head, policy.as_deref());
    let ended = match context.judged(policy.as_deref(), origin).await {
        Ok(ended) => ended,
        Err(problem) => Box::pin(context.refuse(problem)).await,
    };
    context.log();
    ended
}

impl<'a, D: Downstream> Context<'a, D> {
    fn new(
        core: &'a Rc<Core>,
        entry: &'a Rc<Entry>,
        origin: &Origin,
        down: &'a D,
        head: &'a RequestHead,
        policy: Option<&Policy>,
    ) -> Self {
        let (connection, prefix, target) = named(policy, origin, head);
        let client = client_address(origin, head, connection.as_deref());
        Context {
            core,
            entry,
            down,
            head,
            connection,
            prefix,
            client,
            https: origin.https,
            request_id: request_id(),
            exchange: RefCell::new(Exchange::begin(String::new(), core.now())),
            shown: RefCell::default(),
            target,
            rule: Cell::new(""),
            bytes_up: Cell::new(0),
            uploaded: Cell::new(false),
        }
    }

    /// Who asks, and for what; then on to the target.
    async fn judged(&self, policy: Option<&Policy>, origin: &Origin) -> Result<Ended, Problem> {
        let policy = policy.ok_or_else(|| Problem::new(503, "no policy snapshot has been received yet"))?;
        let connection = self.connection.as_ref();
        let Some((connection, http)) = connection.and_then(|c| Some((c, c.http.as_ref()?))) else {
            // A connection that is not known answers as one whose key is wrong.
            return Err(self.denied(Denial::Key));
        };
        let now = self.core.now();
        let asked = Asked {
            head: self.head,
            target: &self.target,
            client: self.client,
            private: is_private(http, origin),
            now_micros: now.wall_micros,
        };
        let admission = judge::authenticate(policy, connection, http, &asked).map_err(|(denial, why)| {
            self.core.metrics().logins_refused.fetch_add(1, Ordering::Relaxed);
            let reason = why.map_or_else(|| denial.detail().to_owned(), |why| why.to_string());
            tracing::info!(client = %self.client, connection = connection.name, reason, "a request was refused");
            match denial {
                Denial::Grant => self.no_grant(policy, connection, http, now.wall_micros),
                denial => self.denied(denial),
            }
        })?;
        if let Some(refusal) = self.core.shared.spool.refusal() {
            return Err(Problem::new(503, refusal));
        }
        self.enter(policy, &admission);
        if let Some(per_minute) = per_minute(http, &admission) {
            // Connections have rates of their own, so a token has a count on each.
            let key = format!("{} {}", connection.name, admission.token_id);
            rate::take(&key, per_minute, now.wall_micros).map_err(|wait| {
                let mut problem = Problem::new(429, "too many requests with this access token");
                problem.retry_after_seconds = Some(wait.as_secs() + 1);
                self.because(problem, "rate")
            })?;
        }
        let granted = judge::route(http, &asked).map_err(|denial| self.denied(denial))?;
        self.shown.replace(granted.shown.clone());
        {
            let mut exchange = self.exchange.borrow_mut();
            exchange.text = format!("{} {}", self.head.method, granted.shown);
            exchange.template.clone_from(&granted.route.template);
        }
        let guarded = || judge::guarded(connection, &format!("{} {}", self.head.method, granted.target));
        if judge::has_guardrails(connection)
            && let Some(refusal) = guarded()
        {
            return Err(self.because(Problem::new(403, refusal), "guardrail"));
        }
        self.forward(connection, http, &granted).await
    }

    /// Opens the session of this key on this socket, if it is not open.
    fn enter(&self, policy: &Policy, admission: &Admission) {
        let same = |session: &HttpSession| {
            session.token_id == admission.token_id && session.connection.name == admission.connection.name
        };
        if self.entry.session.borrow().as_ref().is_some_and(same) {
            return;
        }
        let (mut scratch, now) = (self.core.scratch.borrow_mut(), self.core.now());
        self.entry.end_session(&EndCause::Client, &mut scratch, now);
        let agent = self.head.fields.text("user-agent").unwrap_or_default();
        let agent: String = agent.chars().take(AGENT_CHARS_MAX).collect();
        let id = crate::listener::postgres::new_session_id();
        let opened = HttpSession::open(id, policy, admission, self.client.to_string(), agent, &mut scratch, now);
        *self.entry.session.borrow_mut() = Some(opened);
        self.core.metrics().sessions_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Says how access is asked for, and asks where no reason is needed: a few times a minute at most for each user.
    fn no_grant(&self, policy: &Policy, connection: &ConnectionPolicy, http: &HttpPolicy, now_micros: u64) -> Problem {
        let asks = connection
            .access_review
            .as_ref()
            .is_some_and(|review| !review.reason_required);
        if asks && let Some(user) = judge::user_of(policy, self.head, http) {
            let key = format!("{} wants {}", connection.name, user.id);
            if rate::take(&key, WISHES_PER_MINUTE_MAX, now_micros).is_ok() {
                holds::want(&self.core.shared, &user.id, &connection.id);
            }
        }
        let detail = holds::how_to_ask(policy.review_url(), &connection.name, asks, "try");
        self.because(Problem::new(Denial::Grant.status(), detail), Denial::Grant.rule())
    }

    fn denied(&self, denial: Denial) -> Problem {
        self.because(Problem::new(denial.status(), denial.detail()), denial.rule())
    }

    fn because(&self, mut problem: Problem, rule: &'static str) -> Problem {
        problem.rule = Some(rule);
        problem
    }

    fn known(&self) -> Known<'_> {
        Known {
            address: self.client,
            https: self.https,
            authority: self.head.authority.as_deref().unwrap_or_default(),
            prefix: &self.prefix,
            request_id: &self.request_id,
        }
    }

    /// Answers ourselves, and notes it if it is known who asked.
    async fn refuse(&self, problem: Problem) -> Ended {
        self.core.metrics().http_refused.fetch_add(1, Ordering::Relaxed);
        self.rule.set(problem.rule.unwrap_or_default());
        let body = problem.body(&self.request_id);
        if self.shown.borrow().is_empty() {
            self.shown.replace(shown_path(&self.target));
        }
        {
            let mut exchange = self.exchange.borrow_mut();
            exchange.status = problem.status;
            exchange.denied = problem.rule;
            exchange.bytes_down = body.len() as u64;
            if exchange.template.is_empty() {
                exchange.text = format!("{} {}", self.head.method, self.shown.borrow());
            }
        }
        self.note(None, true);
        if self.down.has_begun() {
            return Ended::Broken;
        }
        let http = self.connection.as_ref().and_then(|connection| connection.http.as_ref());
        let is_grpc = is_grpc(&self.head.fields);
        let (status, mut fields, body) = match is_grpc {
            true => (200, problem.grpc_fields(), Vec::new()),
            false => (
                problem.status,
                problem.fields(http.map_or("", |http| http.key_header.as_str())),
                body,
            ),
        };
        if let Some(http) = http {
            headers::stamp(&mut fields, http, &self.known(), VERSION);
        }
        match answer(self.down, self.head, status, &fields, body).await {
            Ok(()) => Ended::Complete,
            Err(_) => Ended::Broken,
        }
    }

    /// Notes the exchange as far as it is known; the event is in the spool before what is sent next leaves.
    fn note(&self, body: Option<&BodyFilter>, complete: bool) {
        let mut exchange = self.exchange.borrow_mut();
        exchange.bytes_up = self.bytes_up.get();
        if let Some(session) = self.entry.session.borrow_mut().as_mut() {
            let now = self.core.now();
            session.note(&mut exchange, body, complete, &mut self.core.scratch.borrow_mut(), now);
        }
        self.core.collect_events();
    }

    fn log(&self) {
        if !access_log::is_on() {
            return;
        }
        let exchange = self.exchange.borrow();
        let session = self.entry.session.borrow();
        let session = session.as_ref();
        access_log::write(&Line {
            client: self.client,
            user: session.map_or("", |session| session.user.as_str()),
            token_id: session.map_or("", |session| session.token_id.as_str()),
            connection: self
                .connection
                .as_ref()
                .map_or("", |connection| connection.name.as_str()),
            method: &self.head.method,
            shown: &self.shown.borrow(),
            route: &exchange.template,
            version: match self.head.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::Http2 => "HTTP/2",
            },
            status: exchange.status,
            bytes_up: self.bytes_up.get(),
            bytes_down: exchange.bytes_down,
            user_agent: self.head.fields.text("user-agent").unwrap_or_default(),
            request_id: &self.request_id,
            rule: self.rule.get(),
            wall_micros: exchange.started_at_micros,
            duration_micros: exchange.duration_micros(self.core.now()),
        });
    }

    /// On to the target and back.
    async fn forward(
        &self,
        connection: &Arc<ConnectionPolicy>,
        http: &HttpPolicy,
        granted: &Granted<'_>,
    ) -> Result<Ended, Problem> {
        if let (BodyKind::Length(length), Some(max)) = (self.head.body, http.request_bytes_max)
            && length > max
        {
            return Err(self.too_large());
        }
        // What is seldom is boxed, so that a usual exchange stays small.
        let inspected = match http_inspects(http) {
            true => Box::pin(self.inspect(http)).await?,
            false => None,
        };
        let (upgrade, rules) = self.plan()?;
        let fields = headers::request(self.head, http, &self.known(), rules.is_some(), http_inspects(http));
        let framing = match &inspected {
            Some(body) if body.is_empty() => BodyKind::Empty,
            Some(body) => BodyKind::Length(body.len() as u64),
            None => self.head.body,
        };
        let asking = Asking {
            method: &self.head.method,
            target: &granted.target,
            fields: &fields,
            framing,
            upgrade: upgrade.then(|| self.head.fields.value("upgrade").unwrap_or_default()),
            http,
            swaps: true,
        };
        let safe = matches!(asking.method, "GET" | "HEAD" | "OPTIONS");
        let mut how = How {
            repeatable: framing == BodyKind::Empty && safe,
            fresh: false,
        };
        let origins = self.core.http.pool.origins(connection);
        let mut tried = Vec::new();
        for attempt in 1.. {
            let sent = self.send(&origins, &asking, how, &mut tried).await?;
            let answered = self
                .attempt(&sent, http, &asking, rules.clone(), inspected.as_deref())
                .await;
            // Bytes of a body that has gone cannot be had again.
            let again = attempt < ATTEMPTS_MAX && self.bytes_up.get() == 0;
            match answered {
                Err(Answered::Unprocessed) if again => how.fresh = true,
                // Only once: who has nobody else to ask gives up when a socket of its own dies as well.
                Err(Answered::Silent) if again && how.repeatable && (sent.reused || origins.has_others(&tried)) => {
                    if sent.reused {
                        how.fresh = true;
                    } else {
                        tried.push(sent.lease.place.clone());
                        if !origins.has_others(&tried) {
                            return Err(self.lost("it closed without an answer"));
                        }
                    }
                }
                Err(Answered::Silent | Answered::Unprocessed) => {
                    return Err(self.lost("it closed without an answer"));
                }
                Err(Answered::Problem(problem)) => return Err(problem),
                Ok(ended) => return Ok(ended),
            }
        }
        Err(self.lost("it closed without an answer"))
    }

    /// Sends a request's head to one of the targets.
    async fn send(
        &self,
        origins: &Origins,
        asking: &Asking<'_>,
        how: How,
        tried: &mut Vec<Rc<Place>>,
    ) -> Result<Sent, Problem> {
        let (user, session_id) = {
            let session = self.entry.session.borrow();
            session.as_ref().map_or_else(
                || (String::new(), [0; 16]),
                |session| (session.user.clone(), session.id),
            )
        };
        let who = Who {
            user: &user,
            session_id,
        };
        let sent = origins.send(self.core, asking, &who, how, tried).await;
        sent.map_err(|error| {
            self.core.metrics().upstream_failures.fetch_add(1, Ordering::Relaxed);
            let connection = self
                .connection
                .as_ref()
                .map_or("", |connection| connection.name.as_str());
            tracing::warn!(connection, fault = ?error.fault, reason = error.message, "the target could not be reached");
            let status = if error.fault == Fault::Upstream { 502 } else { 503 };
            Problem::new(
                status,
                "the target of this connection cannot be reached; the gateway's log says why",
            )
        })
    }

    /// The request's body up and the answer down, both at once.
    async fn attempt(
        &self,
        sent: &Sent,
        http: &HttpPolicy,
        asking: &Asking<'_>,
        rules: Option<Arc<RuleSet>>,
        inspected: Option<&[u8]>,
    ) -> Result<Ended, Answered> {
        self.uploaded.set(asking.framing == BodyKind::Empty);
        let outcome = RefCell::new(None);
        let upload = async {
            match self.upload(&sent.leg, inspected, http.request_bytes_max).await {
                Ok(whole) => self.uploaded.set(whole),
                Err(error) => {
                    *outcome.borrow_mut() = Some(error);
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let answered = self.answered(sent, http, rules, asking.upgrade.is_some());
        let answered = match self.uploaded.get() {
            true => Some(answered.await),
            false => either(answered, upload).await,
        };
        match (answered, outcome.take()) {
            (Some(Err(silent @ (Answered::Silent | Answered::Unprocessed))), _) => {
                sent.lease.place.failed();
                Err(silent)
            }
            (Some(answered), _) => answered,
            (None, Some(BodyError::Refused(413, _))) => Err(self.too_large().into()),
            (None, Some(BodyError::Refused(status, reason))) => {
                Err(self.because(Problem::new(status, reason), "malformed").into())
            }
            (None, _) => {
                self.broken(None);
                Ok(Ended::Broken)
            }
        }
    }

    fn too_large(&self) -> Problem {
        let problem = Problem::new(413, "the request's body is too large");
        self.because(problem, "request_bytes_max")
    }

    /// Whether the socket shall change its protocol, and what is masked in the answer: not both.
    fn plan(&self) -> Result<(bool, Option<Arc<RuleSet>>), Problem> {
        let upgrade = judge::is_upgrade(self.head);
        let rules = self.entry.session.borrow().as_ref().and_then(HttpSession::rules);
        if upgrade && rules.is_some() {
            let why = "what a WebSocket carries cannot be redacted, and this connection redacts";
            return Err(self.because(Problem::new(403, why), "websocket"));
        }
        if is_grpc(&self.head.fields) {
            let refuses_findings = self
                .connection
                .as_ref()
                .and_then(|c| c.http.as_ref())
                .is_some_and(http_inspects);
            if rules.as_ref().is_some_and(|rules| !rules.lets_unreadable_pass()) || refuses_findings {
                let why = "messages of gRPC cannot be looked into, and this connection redacts or refuses findings";
                return Err(self.because(Problem::new(403, why), "unreadable"));
            }
        }
        Ok((upgrade, rules))
    }

    fn lost(&self, why: &str) -> Problem {
        self.core.metrics().upstream_failures.fetch_add(1, Ordering::Relaxed);
        let connection = self
            .connection
            .as_ref()
            .map_or("", |connection| connection.name.as_str());
        tracing::warn!(connection, why, "the target was lost");
        Problem::new(502, "the target was lost before it answered")
    }

    /// Takes in the whole body where findings in it refuse the request.
    async fn inspect(&self, http: &HttpPolicy) -> Result<Option<Vec<u8>>, Problem> {
        let Some(mut filter) = http.request_filter(self.head.fields.text("content-type")) else {
            return Ok(None);
        };
        let coded = Coded::of(&self.head.fields);
        if matches!(coded, Coded::Unknown) {
            let problem = Problem::new(
                415,
                "bodies are inspected here, and this content-encoding cannot be undone",
            );
            return Err(self.because(problem, "refuse_findings"));
        }
        let mut body = Vec::new();
        loop {
            match self.down.body().await {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    self.bytes_up.set(self.bytes_up.get() + piece.len() as u64);
                    body.extend_from_slice(&piece);
                }
                Err(BodyError::Refused(status, reason)) => {
                    return Err(self.because(Problem::new(status, reason), "malformed"));
                }
                Err(BodyError::Gone) => return Err(Problem::new(400, "the body ended too early")),
            }
            if body.len() > REQUEST_INSPECTED_BYTES_MAX {
                let problem = Problem::new(413, "the request's body is larger than is inspected");
                return Err(self.because(problem, "refuse_findings"));
            }
        }
        let read = inspected(&body, coded, &mut filter, &mut self.core.scratch.borrow_mut());
        match read {
            Ok(true) => {}
            Ok(false) => {
                let problem = Problem::new(413, "the request's body is larger than is inspected");
                return Err(self.because(problem, "refuse_findings"));
            }
            Err(_) => {
                let problem = Problem::new(422, "the request's body cannot be inspected");
                return Err(self.because(problem, "refuse_findings"));
            }
        }
        if filter.found() {
            let problem = Problem::new(
                403,
                "the request's body holds what may not be sent through this connection",
            );
            return Err(self.because(problem, "refuse_findings"));
        }
        Ok(Some(body))
    }

    /// Client to target: the body, framed anew. False: the target did not take all of it, which it may still answer.
    async fn upload(&self, leg: &Leg, inspected: Option<&[u8]>, max: Option<u64>) -> Result<bool, BodyError> {
        if let Some(body) = inspected {
            return Ok(leg.send(Buf::from(body.to_vec())).await.is_ok() && leg.finish().await.is_ok());
        }
        let mut takes = true;
        while let Some(piece) = self.down.body().await? {
            let bytes = self.bytes_up.get() + piece.len() as u64;
            self.bytes_up.set(bytes);
            if max.is_some_and(|max| bytes > max) {
                return Err(BodyError::Refused(413, "the request's body is too large"));
            }
            takes = takes && leg.send(piece).await.is_ok();
        }
        Ok(takes && leg.finish().await.is_ok())
    }
}

const AGENT_CHARS_MAX: usize = 256;

/// Looks at a whole body, decoded where it is encoded. False: it becomes larger than is inspected.
fn inspected(body: &[u8], coded: Coded, filter: &mut BodyFilter, scratch: &mut Scratch) -> Result<bool, Unreadable> {
    let mut sink = Vec::new();
    let Coded::By(mut decoder) = coded else {
        return filter.feed(body, true, scratch, &mut sink).map(|()| true);
    };
    let (mut rest, mut room, mut decoded) = (body, Vec::new(), 0);
    loop {
        let over = decoder.step(&mut rest, true, &mut room)?;
        decoded += room.len();
        if decoded > REQUEST_INSPECTED_BYTES_MAX {
            return Ok(false);
        }
        filter.feed(&room, over, scratch, &mut sink)?;
        sink.clear();
        if over {
            return Ok(true);
        }
    }
}

/// Whether a request or answer carries messages of gRPC.
pub fn is_grpc(fields: &Fields) -> bool {
    let kind = fields.value("content-type").unwrap_or_default();
    let rest = kind.strip_prefix(GRPC);
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

const GRPC: &[u8] = b"application/grpc";

/// Writes a whole answer of ours.
async fn answer<D: Downstream>(
    down: &D,
    head: &RequestHead,
    status: u16,
    fields: &Fields,
    body: Vec<u8>,
) -> std::io::Result<()> {
    let ends = head.method == "HEAD" || body.is_empty();
    down.head(status, fields, Some(body.len() as u64), !ends).await?;
    match ends {
        true => down.end(&Fields::new()).await,
        false => down.finish(Buf::from(body), &Fields::new()).await,
    }
}

/// Answers bytes that are no request, and closes.
pub async fn refuse_unread(core: &Rc<Core>, client: &Client, origin: &Origin, status: u16, reason: &'static str) {
    core.metrics().http_requests.fetch_add(1, Ordering::Relaxed);
    core.metrics().http_refused.fetch_add(1, Ordering::Relaxed);
    tracing::info!(client = %origin.peer, status, reason, "a malformed request was refused");
    let id = request_id();
    let problem = Problem::new(status, reason);
    let body = problem.body(&id);
    let mut out = Vec::new();
    write::status_line(&mut out, status);
    write::fields(&mut out, &problem.fields(""));
    write::framing(&mut out, BodyKind::Length(body.len() as u64));
    write::field(&mut out, b"connection", b"close");
    write::end(&mut out);
    out.extend_from_slice(&body);
    if access_log::is_on() {
        access_log::write(&Line {
            client: origin.peer.ip(),
            user: "",
            token_id: "",
            connection: origin.fixed.as_deref().unwrap_or_default(),
            method: "-",
            shown: "-",
            route: "",
            version: "HTTP/1.1",
            status,
            bytes_up: 0,
            bytes_down: body.len() as u64,
            user_agent: "",
            request_id: &id,
            rule: "malformed",
            wall_micros: wall_micros(),
            duration_micros: 0,
        });
    }
    let _ = within(
        crate::limits::REFUSAL_WRITE_TIME_MAX,
        client.transport.send(Gather::from(out)),
    )
    .await;
}

/// Bytes both ways until either side ends.
pub async fn tunnel(entry: &Rc<Entry>, client: &Client, target: &Rc<Target>) -> EndCause {
    let up = async {
        let mut piece = client.take_early();
        loop {
            if !piece.is_empty() && target.send(Gather::from(piece)).await.is_err() {
                return;
            }
            match client.transport.recv().await {
                Ok(received) if !received.is_empty() => piece = received,
                _ => return target.shutdown().await,
            }
        }
    };
    let down = async {
        let mut piece = target.take_early();
        loop {
            if !piece.is_empty() && client.transport.send(Gather::from(piece)).await.is_err() {
                return;
            }
            match target.recv().await {
                Ok(received) if !received.is_empty() => piece = received,
                _ => return client.transport.shutdown().await,
            }
        }
    };
    let both = async {
        either(up, down).await;
    };
    match either(both, entry.to_end.notified()).await {
        Some(()) => EndCause::Client,
        None => EndCause::Killed(entry.killed().unwrap_or_default()),
    }
}
