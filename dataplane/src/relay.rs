//! The only place where session bytes meet sockets: what a session lets out is sent, and nothing else.
//!
//! Two tasks per session, one per direction. Each reads a buffer, shows it to the session, and sends what came out before it
//! looks at the next one, so a side that does not read stops only its own session. Events that the session noted are in
//! the core's spool before the send is queued, and on their way to disk before it is submitted.

mod inbox;
pub mod review;

use crate::core::Core;
use crate::core::sessions::{Killed, SessionEntry, admin_close};
use crate::limits::{CANCEL_TIME_MAX, HALF_OPEN_TIME_MAX, OVERDUE_LOOK_TIME, REFUSAL_WRITE_TIME_MAX};
use crate::link::driver::Incoming;
use crate::listener::postgres::fatal;
use crate::transport::{self, NextRecv, Transport};
use crate::upstream::{Upstream, cancel_running, linked};
use codecs::postgres::refusal::sqlstate;
use inbox::Inbox;
use proto::tunnel::{EndCause as AgentEnd, session_frame::Kind};
use reactor::sync::Notify;
use reactor::{Buf, Gather, SendFuture};
use review::Ahead;
use session::{Close, Direction, EndCause, Fed};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// How a session came to its end.
enum Ending {
    /// The client closed its socket; what it sent before has gone to the target.
    Client,
    /// The target closed its side in order.
    TargetClosed,
    /// The target, the agent or the link was lost.
    TargetLost(String),
    /// The session decided.
    Closed(Close),
    /// Somebody outside decided.
    Killed(Killed),
    /// The client's socket failed.
    Downstream(String),
    /// The audit spool takes nothing.
    Spool(&'static str),
}

struct Relay {
    core: Rc<Core>,
    entry: Rc<SessionEntry>,
    downstream: Transport,
    upstream: Upstream,
    /// The direction towards the client has made progress: the other one may go on where the session told it to wait.
    progressed: Notify,
    ending: RefCell<Option<Ending>>,
    ended: Notify,
}

/// Starts a session; the future is ready when it is over. `welcome` is sent first; `early` are bytes that the client sent before it.
///
/// Thousands of sessions only wait most of the time, and each holds the state of its tasks: what is seldom needed is allocated
/// when it is (`Box::pin` below), so that it is no part of them.
pub fn start(
    core: &Rc<Core>,
    entry: Rc<SessionEntry>,
    downstream: Transport,
    upstream: Upstream,
    welcome: Vec<u8>,
    early: Vec<u8>,
) -> impl Future<Output = ()> + use<> {
    let metrics = core.metrics();
    metrics.sessions_total.fetch_add(1, Ordering::Relaxed);
    metrics.sessions_open.fetch_add(1, Ordering::Relaxed);
    let relay = Rc::new(Relay {
        core: core.clone(),
        entry,
        downstream,
        upstream,
        progressed: Notify::new(),
        ending: RefCell::default(),
        ended: Notify::new(),
    });
    let to_downstream = reactor::spawn(pump_downstream(relay.clone(), welcome));
    let to_upstream = reactor::spawn(pump_upstream(relay.clone(), early));
    let time_max = relay.entry.session.borrow().statement_time_max();
    let clock = time_max.map(|_| reactor::spawn(watch_time(relay.clone())));
    async move {
        let ending = relay.wait(&to_downstream).await;
        if let Some(clock) = clock {
            clock.abort();
        }
        to_downstream.abort();
        to_upstream.abort();
        Box::pin(relay.conclude(ending)).await;
        relay.core.metrics().sessions_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Cancels statements that run for longer than the connection allows, and ends the session if the target does not obey.
async fn watch_time(relay: Rc<Relay>) {
    loop {
        // A newer policy may allow another time, or any.
        let Some(allowed) = relay.entry.session.borrow().statement_time_max() else {
            return;
        };
        let ran = relay.entry.session.borrow().running_for(relay.core.now());
        if let Some(left) = allowed
            .checked_sub(ran.unwrap_or_default())
            .filter(|left| !left.is_zero())
        {
            reactor::sleep(left).await;
            continue;
        }
        relay.entry.session.borrow_mut().overdue();
        let _ = reactor::timeout(CANCEL_TIME_MAX, cancel_running(&relay.entry)).await;
        relay.entry.session.borrow_mut().cancel_is_over();
        relay.progressed.notify_one();
        let deadline = reactor::now() + CANCEL_TIME_MAX;
        while relay.entry.session.borrow().is_overdue() {
            if reactor::now() >= deadline {
                let close = relay.entry.session.borrow().overdue_close();
                return relay.entry.kill(close);
            }
            reactor::sleep(OVERDUE_LOOK_TIME).await;
        }
    }
}

impl Relay {
    /// Waits for the first reason to end. After the client has gone the target gets a moment to say its last words to the
    /// session, so that what it did is in the record.
    async fn wait(&self, to_downstream: &reactor::Task) -> Ending {
        loop {
            // Taken in a statement of its own: the borrow would otherwise last through the wait below.
            let ending = self.ending.borrow_mut().take();
            if let Some(ending) = ending {
                if matches!(ending, Ending::Client) && !to_downstream.is_finished() {
                    let _ = reactor::timeout(HALF_OPEN_TIME_MAX, self.ended.notified()).await;
                }
                return ending;
            }
            if let Some(killed) = self.entry.killed() {
                return Ending::Killed(killed);
            }
            let event = either(self.ended.notified(), self.entry.to_end.notified());
            if self.while_granted(event).await {
                let now = self.core.now();
                let close = self.entry.session.borrow_mut().recheck(now);
                if let Some(close) = close {
                    return Ending::Closed(close);
                }
            }
        }
    }

    /// One direction is over.
    fn end(&self, ending: Ending) {
        self.ending.borrow_mut().get_or_insert(ending);
        self.ended.notify_one();
    }

    /// Tells the client why, notes the end, closes both sides.
    async fn conclude(&self, ending: Ending) {
        let killed = matches!(ending, Ending::Killed(_));
        let (cause, last_words) = match ending {
            Ending::Client => (EndCause::Client, None),
            Ending::TargetClosed => (EndCause::Target("the target closed the session".into()), None),
            Ending::TargetLost(why) => {
                let mut reply = Vec::new();
                fatal(
                    &mut reply,
                    sqlstate::CONNECTION_FAILURE,
                    &format!("the connection to the target was lost: {why}"),
                );
                (EndCause::Target(why), Some(reply))
            }
            Ending::Closed(close) => (EndCause::Closed(close.cause), Some(close.to_downstream)),
            Ending::Killed(killed) => (killed.cause, Some(killed.to_downstream)),
            Ending::Downstream(why) => (EndCause::Error(format!("the client's socket failed: {why}")), None),
            Ending::Spool(why) => (EndCause::Error(why.into()), Some(admin_close(why).to_downstream)),
        };
        let now = self.core.now();
        self.entry
            .session
            .borrow_mut()
            .end(cause, &mut self.core.scratch.borrow_mut(), now);
        self.core.collect_events();
        self.tell_reviewers();
        if let Err(error) = self.core.flush_spool() {
            tracing::error!(%error, "the end of a session waits for the spool");
        }
        // After a send that was cut in the middle of a frame the socket takes nothing more.
        if let Some(reply) = last_words {
            let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, self.downstream.send(Gather::from(reply))).await;
        }
        let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, self.downstream.shutdown()).await;
        if killed {
            // A statement that waits for nothing from us would run on at the target until its end.
            let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, cancel_running(&self.entry)).await;
        }
        self.upstream.shutdown().await;
    }

    /// Shows bytes to the session and takes what it noted into the spool.
    fn step(&self, direction: Direction, bytes: &mut [u8]) -> Fed {
        let now = self.core.now();
        let fed = self
            .entry
            .session
            .borrow_mut()
            .feed(direction, bytes, &mut self.core.scratch.borrow_mut(), now);
        self.core.collect_events();
        if direction == Direction::ToUpstream {
            self.tell_reviewers();
        }
        fed
    }

    /// Queues what the session let out for the client.
    async fn send_downstream(&self, gather: Gather) -> Result<Option<SendFuture>, Ending> {
        self.core
            .metrics()
            .bytes_downstream
            .fetch_add(gather.len() as u64, Ordering::Relaxed);
        let queued = match self.downstream.try_send(gather) {
            Ok(queued) => queued,
            Err(gather) => Box::pin(self.downstream.send_start(gather)).await,
        };
        queued.map_err(|error| self.downstream_failed(&error))
    }

    /// Waits until the client's socket has taken what was queued.
    async fn sent_downstream(&self, sending: Option<SendFuture>) -> Result<(), Ending> {
        let sent = transport::finish(sending).await;
        sent.map_err(|error| self.downstream_failed(&error))
    }

    fn downstream_failed(&self, error: &std::io::Error) -> Ending {
        self.core
            .shared
            .spool
            .refusal()
            .map_or_else(|| Ending::Downstream(error.to_string()), Ending::Spool)
    }
}

/// Target to client.
async fn pump_downstream(relay: Rc<Relay>, welcome: Vec<u8>) {
    let ending = match pass_downstream(&relay, welcome).await {
        Ok(()) => Ending::TargetClosed,
        Err(ending) => ending,
    };
    relay.end(ending);
}

async fn pass_downstream(relay: &Relay, welcome: Vec<u8>) -> Result<(), Ending> {
    let mut inbox = Inbox::default();
    let mut next = relay.upstream.recv_start();
    let mut sending = relay.send_downstream(Gather::from(welcome)).await?;
    let mut unreleased = 0;
    loop {
        // The send that was queued leaves together with this receive.
        let mut receiving = std::pin::pin!(relay.upstream.recv(next));
        let received = loop {
            match relay.entry.interjection.or(receiving.as_mut()).await {
                Some(received) => break received,
                None => {
                    relay.sent_downstream(sending.take()).await?;
                    sending = relay.send_downstream(Gather::from(relay.notices())).await?;
                }
            }
        };
        relay.sent_downstream(sending.take()).await?;
        relay.upstream.release(std::mem::take(&mut unreleased));
        let received = received?;
        next = relay.upstream.recv_start();
        unreleased = received.len();
        let mut gather = Gather::new();
        let passed = inbox.push(received, &mut gather, |bytes| {
            relay.step(Direction::ToDownstream, bytes)
        });
        relay.progressed.notify_one();
        if !gather.is_empty() {
            sending = relay.send_downstream(gather).await?;
        }
        if passed.close.is_some() || passed.stalled || unreleased > RELEASE_AT_ONCE_BYTES {
            relay.sent_downstream(sending.take()).await?;
            relay.upstream.release(std::mem::take(&mut unreleased));
        }
        if relay.entry.session.borrow_mut().take_cancel() {
            relay.sent_downstream(sending.take()).await?;
            relay.upstream.release(std::mem::take(&mut unreleased));
            let cancelled = reactor::timeout(CANCEL_TIME_MAX, cancel_running(&relay.entry));
            let _ = Box::pin(cancelled).await;
        }
        if let Some(close) = passed.close {
            return Err(Ending::Closed(close));
        }
        if passed.stalled {
            return Err(Ending::TargetLost("the session cannot make progress".into()));
        }
    }
}

/// A larger piece gives its credit back as soon as the client's socket took it: the agent may be waiting for it. A smaller
/// one never uses up a stream's window, so it can wait for the next.
const RELEASE_AT_ONCE_BYTES: usize = 16 * 1024;

/// Client to target.
async fn pump_upstream(relay: Rc<Relay>, early: Vec<u8>) {
    let ending = match pass_all_upstream(&relay, early).await {
        Ok(()) => Ending::Client,
        Err(ending) => ending,
    };
    relay.end(ending);
}

async fn pass_all_upstream(relay: &Relay, early: Vec<u8>) -> Result<(), Ending> {
    let mut inbox = Inbox::default();
    let mut received = Buf::from(early);
    loop {
        if let Some(why) = relay.core.shared.spool.refusal().filter(|_| !received.is_empty()) {
            return Err(Ending::Spool(why));
        }
        let next = relay.downstream.recv_start();
        let mut arriving = std::pin::pin!(relay.downstream.recv_finish(next));
        let mut ahead = Ahead::default();
        let mut sending = None;
        if !received.is_empty() {
            let received = std::mem::replace(&mut received, Buf::from(Vec::new()));
            sending = pass_upstream(relay, &mut inbox, received, arriving.as_mut(), &mut ahead).await?;
        }
        let arrived = match ahead.0.take() {
            Some(arrived) => arrived,
            None => arriving.await,
        };
        transport::finish(sending)
            .await
            .map_err(|error| Ending::TargetLost(error.to_string()))?;
        received = arrived.map_err(|error| Ending::Downstream(error.to_string()))?;
        if received.is_empty() {
            relay.upstream.shutdown().await;
            return Ok(());
        }
    }
}

/// Passes one buffer of the client on, waiting where the session wants the target's answer first.
async fn pass_upstream(
    relay: &Relay,
    inbox: &mut Inbox,
    mut received: Buf,
    mut arriving: Pin<&mut impl Future<Output = std::io::Result<Buf>>>,
    ahead: &mut Ahead,
) -> Result<Option<SendFuture>, Ending> {
    loop {
        let mut gather = Gather::new();
        let passed = inbox.push(received, &mut gather, |bytes| relay.step(Direction::ToUpstream, bytes));
        let mut sending = None;
        if !gather.is_empty() {
            relay
                .core
                .metrics()
                .bytes_upstream
                .fetch_add(gather.len() as u64, Ordering::Relaxed);
            sending = match relay.upstream.try_send(gather) {
                Ok(queued) => queued?,
                Err(gather) => Box::pin(relay.upstream.send(gather)).await?,
            };
        }
        if let Some(close) = passed.close {
            return Err(Ending::Closed(close));
        }
        if !passed.stalled {
            return Ok(sending);
        }
        transport::finish(sending)
            .await
            .map_err(|error| Ending::TargetLost(error.to_string()))?;
        relay.wait_to_go_on(arriving.as_mut(), ahead).await?;
        received = Buf::from(Vec::new());
    }
}

/// A receive on the target's side that may have been started.
enum NextUpstream {
    Direct(NextRecv),
    Linked,
}

impl Upstream {
    fn recv_start(&self) -> NextUpstream {
        match self {
            Self::Direct(transport) => NextUpstream::Direct(transport.recv_start()),
            Self::Linked(_) => NextUpstream::Linked,
        }
    }

    async fn recv(&self, next: NextUpstream) -> Result<Buf, Ending> {
        match (self, next) {
            (Self::Direct(transport), NextUpstream::Direct(next)) => match transport.recv_finish(next).await {
                Ok(received) if received.is_empty() => Err(Ending::TargetClosed),
                Ok(received) => Ok(received),
                Err(error) => Err(Ending::TargetLost(error.to_string())),
            },
            (Self::Linked(stream), _) => loop {
                match stream.next().await {
                    Ok(Incoming::Data(data)) => return Ok(data),
                    Ok(Incoming::Message(message)) => end_of_link(&message)?,
                    Err(end) => return Err(Ending::TargetLost(end.message)),
                }
            },
            (Self::Direct(_), NextUpstream::Linked) => Err(Ending::TargetLost("the way to the target changed".into())),
        }
    }

    /// Queues a send where that needs no waiting; gives the pieces back otherwise.
    fn try_send(&self, gather: Gather) -> Result<Result<Option<SendFuture>, Ending>, Gather> {
        match self {
            Self::Direct(transport) => {
                let queued = transport.try_send(gather)?;
                Ok(queued.map_err(|error| Ending::TargetLost(error.to_string())))
            }
            Self::Linked(stream) if stream.takes(gather.len()) => {
                gather.into_iter().for_each(|piece| stream.queue_data(piece));
                Ok(Ok(None))
            }
            Self::Linked(_) => Err(gather),
        }
    }

    async fn send(&self, gather: Gather) -> Result<Option<SendFuture>, Ending> {
        match self {
            Self::Direct(transport) => transport
                .send_start(gather)
                .await
                .map_err(|error| Ending::TargetLost(error.to_string())),
            Self::Linked(stream) => {
                for piece in gather {
                    stream
                        .send_data(piece)
                        .await
                        .map_err(|end| Ending::TargetLost(end.message))?;
                }
                Ok(None)
            }
        }
    }

    /// What was received has gone on.
    fn release(&self, bytes: usize) {
        if let Self::Linked(stream) = self
            && bytes > 0
        {
            stream.release(bytes);
        }
    }

    async fn shutdown(&self) {
        match self {
            Self::Direct(transport) => {
                let _ = reactor::timeout(REFUSAL_WRITE_TIME_MAX, transport.shutdown()).await;
            }
            Self::Linked(stream) => stream.finish(),
        }
    }
}

/// Reads the agent's word on the end of a session; anything else is ignored, as later versions may say more.
fn end_of_link(message: &[u8]) -> Result<(), Ending> {
    match linked::control_message(message) {
        // In order, if unasked: a client that said goodbye and has not closed yet is not to hear of an error.
        Some(Kind::End(end)) if end.cause() == AgentEnd::Closed || end.message == linked::CLOSED => {
            Err(Ending::TargetClosed)
        }
        Some(Kind::End(end)) => Err(Ending::TargetLost(end.message)),
        _ => Ok(()),
    }
}

/// Waits for whichever comes first.
async fn either(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
    std::future::poll_fn(|context| {
        if first.as_mut().poll(context).is_ready() || second.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
}
