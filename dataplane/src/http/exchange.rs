//! One exchange: judge the request, swap the credential, forward, redact the answer, note it before it leaves.

use super::access_log::{self, Line};
use super::answer::Problem;
use super::front::either;
use super::h1::Client;
use super::upstream::{self, Target};
use super::{BodyError, Downstream, Entry, rate, within};
use crate::core::Core;
use crate::core::wall_micros;
use back::Answered;
use codecs::http::h1::write;
use codecs::http::{BodyKind, Fields, RequestHead, Version};
use naming::{client_address, http_inspects, is_private, named, per_minute, request_id, shown_path};
use proto::policy::CredentialScheme;
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
            self.denied(denial)
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
        let mut fields = problem.fields(http.map_or("", |http| http.key_header.as_str()));
        if let Some(http) = http {
            headers::stamp(&mut fields, http, &self.known(), VERSION);
        }
        match answer(self.down, self.head, problem.status, &fields, body).await {
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
        let too_large = || {
            self.because(
                Problem::new(413, "the request's body is too large"),
                "request_bytes_max",
            )
        };
        if let (BodyKind::Length(length), Some(max)) = (self.head.body, http.request_bytes_max)
            && length > max
        {
            return Err(too_large());
        }
        // What is seldom is boxed, so that a usual exchange stays small.
        let inspected = match http_inspects(http) {
            true => Box::pin(self.inspect(http)).await?,
            false => None,
        };
        let (upgrade, rules) = self.plan()?;
        let framing = match &inspected {
            Some(body) if body.is_empty() => BodyKind::Empty,
            Some(body) => BodyKind::Length(body.len() as u64),
            None => self.head.body,
        };
        let (before, after) = self.request_head(http, granted, rules.is_some(), framing, upgrade);
        let has_body = framing != BodyKind::Empty;
        let repeatable = !has_body && matches!(self.head.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        let mut attempt = 0;
        loop {
            attempt += 1;
            let target = self.target(connection, repeatable, attempt > 1).await?;
            let reused = target.used.get();
            let sent = target.send_head(http.credential_scheme, &before, &after).await;
            if let Err(error) = sent {
                if reused && attempt == 1 && repeatable {
                    continue;
                }
                return Err(self.lost(&error.to_string()));
            }
            self.uploaded.set(!has_body);
            let outcome = RefCell::new(None);
            let upload = async {
                match self
                    .upload(&target, framing, inspected.as_deref(), http.request_bytes_max)
                    .await
                {
                    Ok(whole) => self.uploaded.set(whole),
                    Err(error) => {
                        *outcome.borrow_mut() = Some(error);
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            let answered = either(self.answered(&target, http, rules.clone(), upgrade), upload).await;
            return match (answered, outcome.take()) {
                (Some(Err(Answered::Silent)), _) if reused && attempt == 1 && repeatable => continue,
                (Some(Err(Answered::Silent)), _) => Err(self.lost("it closed without an answer")),
                (Some(Err(Answered::Problem(problem))), _) => Err(problem),
                (Some(Ok(ended)), _) => Ok(ended),
                (None, Some(BodyError::Refused(413, _))) => Err(too_large()),
                (None, Some(BodyError::Refused(status, reason))) => {
                    Err(self.because(Problem::new(status, reason), "malformed"))
                }
                (None, _) => {
                    self.broken(None);
                    Ok(Ended::Broken)
                }
            };
        }
    }

    /// Whether the socket shall change its protocol, and what is masked in the answer: not both.
    fn plan(&self) -> Result<(bool, Option<Arc<RuleSet>>), Problem> {
        let upgrade = judge::is_upgrade(self.head);
        let rules = self.entry.session.borrow().as_ref().and_then(HttpSession::rules);
        if upgrade && rules.is_some() {
            let why = "what a WebSocket carries cannot be redacted, and this connection redacts";
            return Err(self.because(Problem::new(403, why), "websocket"));
        }
        Ok((upgrade, rules))
    }

    /// A socket to the target: an idle one if it need not be fresh, or a new one.
    async fn target(
        &self,
        connection: &Arc<ConnectionPolicy>,
        repeatable: bool,
        fresh: bool,
    ) -> Result<Rc<Target>, Problem> {
        if let Some(target) = self.core.http.pool.take(connection, repeatable).filter(|_| !fresh) {
            return Ok(target);
        }
        let (user, id) = {
            let session = self.entry.session.borrow();
            session.as_ref().map_or_else(
                || (String::new(), [0; 16]),
                |session| (session.user.clone(), session.id),
            )
        };
        Box::pin(upstream::open(self.core, connection, &user, id)).await.map_err(|error| {
            self.core.metrics().upstream_failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(connection = connection.name, fault = ?error.fault, reason = error.message, "the target could not be reached");
            let status = if error.fault == Fault::Upstream { 502 } else { 503 };
            Problem::new(status, "the target of this connection cannot be reached; the gateway's log says why")
        })
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

    /// The head for the target, cut where the credential goes.
    fn request_head(
        &self,
        http: &HttpPolicy,
        granted: &Granted<'_>,
        redacts: bool,
        framing: BodyKind,
        upgrade: bool,
    ) -> (Vec<u8>, Vec<u8>) {
        let fields = headers::request(self.head, http, &self.known(), redacts, http_inspects(http));
        let mut before = Vec::with_capacity(512);
        write::request_line(&mut before, &self.head.method, &granted.target);
        write::field(&mut before, b"host", http.authority.as_bytes());
        write::fields(&mut before, &fields);
        // Methods that have a body say so even when it is empty (RFC 9110 section 8.6).
        let framing = match (framing, self.head.method.as_str()) {
            (BodyKind::Empty, "POST" | "PUT" | "PATCH") => BodyKind::Length(0),
            (framing, _) => framing,
        };
        write::framing(&mut before, framing);
        if upgrade {
            write::field(&mut before, b"connection", b"upgrade");
            let protocol = self.head.fields.value("upgrade").unwrap_or_default();
            write::field(&mut before, b"upgrade", protocol);
        }
        let mut after = Vec::new();
        if http.credential_scheme != CredentialScheme::Nothing {
            before.extend_from_slice(http.credential_header.as_bytes());
            before.extend_from_slice(match http.credential_scheme {
                CredentialScheme::Bearer => b": Bearer ",
                CredentialScheme::Basic => b": Basic ",
                _ => b": ",
            });
            after.extend_from_slice(b"\r\n");
        }
        write::end(&mut after);
        (before, after)
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
    async fn upload(
        &self,
        target: &Target,
        framing: BodyKind,
        inspected: Option<&[u8]>,
        max: Option<u64>,
    ) -> Result<bool, BodyError> {
        if let Some(body) = inspected {
            return Ok(target.send(Gather::from(body.to_vec())).await.is_ok());
        }
        let mut takes = true;
        while let Some(piece) = self.down.body().await? {
            let bytes = self.bytes_up.get() + piece.len() as u64;
            self.bytes_up.set(bytes);
            if max.is_some_and(|max| bytes > max) {
                return Err(BodyError::Refused(413, "the request's body is too large"));
            }
            let mut gather = Gather::new();
            if framing == BodyKind::Chunked {
                let mut head = Vec::new();
                write::chunk_head(&mut head, piece.len());
                gather.push_vec(head);
                gather.push(piece);
                gather.push_vec(b"\r\n".to_vec());
            } else {
                gather.push(piece);
            }
            takes = takes && target.send(gather).await.is_ok();
        }
        if framing == BodyKind::Chunked && takes {
            takes = target.send(Gather::from(write::LAST_CHUNK.to_vec())).await.is_ok();
        }
        Ok(takes)
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

/// Writes a whole answer of ours.
async fn answer<D: Downstream>(
    down: &D,
    head: &RequestHead,
    status: u16,
    fields: &Fields,
    body: Vec<u8>,
) -> std::io::Result<()> {
    let is_head = head.method == "HEAD";
    down.head(status, fields, Some(body.len() as u64), !is_head).await?;
    match is_head {
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
