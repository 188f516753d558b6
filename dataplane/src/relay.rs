//! The only place where session bytes meet sockets: what a session lets out is sent, and nothing else.
//!
//! Two tasks per session, one per direction. Each reads a buffer, shows it to the session, and sends what came out before it
//! looks at the next one, so a side that does not read stops only its own session. Events that the session noted are in
//! the core's spool before the send is queued, and on their way to disk before it is submitted.

mod inbox;
pub mod review;

use crate::core::Core;
use crate::core::sessions::{Killed, SessionEntry, admin_close};
use crate::flight::Kind as Noted;
use crate::limits::{CANCEL_TIME_MAX, HALF_OPEN_TIME_MAX, OVERDUE_LOOK_TIME, REFUSAL_WRITE_TIME_MAX};
use crate::link::driver::Incoming;
use crate::listener::postgres::fatal;
use crate::transport::{self, NextRecv, Transport};
use crate::upstream::{Upstream, cancel_running, linked};
use codecs::postgres::refusal::sqlstate;
use inbox::{Inbox, Passed};
use proto::tunnel::{EndCause as AgentEnd, session_frame::Kind};
use reactor::sync::Notify;
use reactor::{Buf, Gather, SendFuture, Task};
use review::Ahead;
use session::{Close, Direction, EndCause, Fed};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;

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

/// The two ends of a session.
pub struct Ends {
    pub downstream: Transport,
    pub upstream: Upstream,
    /// Sent to the client first.
    pub welcome: Vec<u8>,
    /// What the client sent before that.
    pub early: Vec<u8>,
}

/// Starts a session; `over` is called when it has ended.
///
/// Thousands of sessions only wait most of the time, and each holds the state of its tasks: what is seldom needed is allocated
/// when it is (`Box::pin` below), and what is done with bytes between two waits is no `async` function, so that neither is part of them.
pub fn start(core: &Rc<Core>, entry: Rc<SessionEntry>, ends: Ends, over: impl FnOnce() + 'static) {
    let metrics = core.metrics();
    metrics.sessions_total.fetch_add(1, Ordering::Relaxed);
    metrics.sessions_open.fetch_add(1, Ordering::Relaxed);
    let relay = Rc::new(Relay {
        core: core.clone(),
        entry,
        downstream: ends.downstream,
        upstream: ends.upstream,
        progressed: Notify::new(),
        ending: RefCell::default(),
        ended: Notify::new(),
    });
    let generation = core.policy.borrow().as_ref().map_or(0, |policy| policy.generation());
    relay.core.note(Noted::Opened, generation, &relay.entry.id);
    let to_downstream = reactor::spawn(pump_downstream(relay.clone(), ends.welcome));
    let to_upstream = reactor::spawn(pump_upstream(relay.clone(), ends.early));
    reactor::spawn(watch_over(relay, to_downstream, to_upstream, over));
}

/// Waits for the end of a session and brings it about.
async fn watch_over(relay: Rc<Relay>, to_downstream: Task, to_upstream: Task, over: impl FnOnce()) {
    let time_max = relay.entry.session.borrow().statement_time_max();
    let clock = time_max.map(|_| reactor::spawn(watch_time(relay.clone())));
    relay.wait(&to_downstream).await;
    if let Some(clock) = clock {
        clock.abort();
    }
    to_downstream.abort();
    to_upstream.abort();
    Box::pin(relay.conclude()).await;
    relay.core.metrics().sessions_open.fetch_sub(1, Ordering::Relaxed);
    over();
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
        if reactor::timeout(CANCEL_TIME_MAX, cancel_running(&relay.entry))
            .await
            .is_err()
        {
            // The target may take the request at any later time, and hit a later statement.
            return relay.entry.kill(session::stuck_cancel_close());
        }
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
    /// Waits for the first reason to end, which is in `ending` then. After the client has gone the target gets a moment to say its
    /// last words to the session, so that what it did is in the record.
    async fn wait(&self, to_downstream: &Task) {
        loop {
            let is_client = self
                .ending
                .borrow()
                .as_ref()
                .map(|ending| matches!(ending, Ending::Client));
            if let Some(is_client) = is_client {
                if is_client && !to_downstream.is_finished() {
                    let last_words = reactor::timeout(HALF_OPEN_TIME_MAX, self.ended.notified());
                    let _ = Box::pin(last_words).await;
                }
                return;
            }
            if let Some(killed) = self.entry.killed() {
                return self.end(Ending::Killed(killed));
            }
            let event = either(self.ended.notified(), self.entry.to_end.notified());
            if self.while_granted(event).await {
                let now = self.core.now();
                let close = self.entry.session.borrow_mut().recheck(now);
                if let Some(close) = close {
                    return self.end(Ending::Closed(close));
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
    async fn conclude(&self) {
        let ending = self.ending.borrow_mut().take().unwrap_or(Ending::Client);
        let killed = matches!(ending, Ending::Killed(_));
        let noted = if killed { Noted::Killed } else { Noted::Ended };
        self.core.note(noted, 0, &self.entry.id);
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
        let kind = match direction {
            Direction::ToUpstream => Noted::FromClient,
            Direction::ToDownstream => Noted::FromTarget,
        };
        self.core.note(kind, bytes.len() as u64, &self.entry.id);
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

    /// Queues what goes to the client, where that needs no waiting; gives the pieces back otherwise.
    fn queue_downstream(&self, gather: Gather) -> Result<Queued, Ending> {
        let metrics = self.core.metrics();
        metrics
            .bytes_downstream
            .fetch_add(gather.len() as u64, Ordering::Relaxed);
        match self.downstream.try_send(gather) {
            Ok(Ok(sending)) => Ok(Queued::Sending(sending)),
            Ok(Err(error)) => Err(self.downstream_failed(&error)),
            Err(gather) => Ok(Queued::Later(Box::new(gather))),
        }
    }

    /// Waits until what could not be queued is.
    async fn send_downstream_later(&self, gather: Box<Gather>) -> Result<Option<SendFuture>, Ending> {
        let sending = self.downstream.send_start(*gather).await;
        sending.map_err(|error| self.downstream_failed(&error))
    }

    /// Says something to the client that does not come from the target.
    async fn interject(&self, sending: Option<SendFuture>) -> Result<Option<SendFuture>, Ending> {
        transport::finish(sending)
            .await
            .map_err(|error| self.downstream_failed(&error))?;
        match self.queue_downstream(Gather::from(self.notices()))? {
            Queued::Sending(sending) => Ok(sending),
            Queued::Later(gather) => self.send_downstream_later(gather).await,
        }
    }

    /// Shows a buffer of the target to the session, and queues what it lets out.
    fn show_downstream(&self, inbox: &mut Inbox, received: Buf) -> Result<Shown, Ending> {
        let mut gather = Gather::new();
        let passed = inbox.push(received, &mut gather, |bytes| self.step(Direction::ToDownstream, bytes));
        self.progressed.notify_one();
        let queued = match gather.is_empty() {
            true => Queued::Sending(None),
            false => self.queue_downstream(gather)?,
        };
        Ok(Shown::new(queued, passed))
    }

    /// The same for a buffer of the client.
    fn show_upstream(&self, inbox: &mut Inbox, received: Buf) -> Result<Shown, Ending> {
        let mut gather = Gather::new();
        let passed = inbox.push(received, &mut gather, |bytes| self.step(Direction::ToUpstream, bytes));
        let mut queued = Queued::Sending(None);
        if !gather.is_empty() {
            let metrics = self.core.metrics();
            metrics.bytes_upstream.fetch_add(gather.len() as u64, Ordering::Relaxed);
            queued = match self.upstream.try_send(gather) {
                Ok(sending) => Queued::Sending(sending?),
                Err(gather) => Queued::Later(Box::new(gather)),
            };
        }
        Ok(Shown::new(queued, passed))
    }

    fn downstream_failed(&self, error: &std::io::Error) -> Ending {
        self.core
            .shared
            .spool
            .refusal()
            .map_or_else(|| Ending::Downstream(error.to_string()), Ending::Spool)
    }
}

/// What showing a buffer to the session led to.
struct Shown {
    queued: Queued,
    close: Option<Box<Close>>,
    stalled: bool,
}

/// What goes to a side.
enum Queued {
    Sending(Option<SendFuture>),
    /// More than can be queued without waiting.
    Later(Box<Gather>),
}

impl Shown {
    fn new(queued: Queued, passed: Passed) -> Shown {
        Shown {
            queued,
            close: passed.close.map(Box::new),
            stalled: passed.stalled,
        }
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
    let mut sending = match relay.queue_downstream(Gather::from(welcome))? {
        Queued::Sending(sending) => sending,
        Queued::Later(gather) => Box::pin(relay.send_downstream_later(gather)).await?,
    };
    let mut unreleased = 0;
    loop {
        // The send that was queued leaves together with this receive.
        let mut receiving = std::pin::pin!(relay.upstream.recv(next));
        let received = loop {
            match relay.entry.interjection.or(receiving.as_mut()).await {
                Some(received) => break received,
                None => sending = Box::pin(relay.interject(sending.take())).await?,
            }
        };
        sent(&mut sending)
            .await
            .map_err(|error| relay.downstream_failed(&error))?;
        relay.upstream.release(std::mem::take(&mut unreleased));
        let received = received?;
        next = relay.upstream.recv_start();
        unreleased = received.len();
        let Shown { queued, close, stalled } = relay.show_downstream(&mut inbox, received)?;
        sending = match queued {
            Queued::Sending(sending) => sending,
            Queued::Later(gather) => Box::pin(relay.send_downstream_later(gather)).await?,
        };
        if close.is_some() || stalled || unreleased > RELEASE_AT_ONCE_BYTES {
            sent(&mut sending)
                .await
                .map_err(|error| relay.downstream_failed(&error))?;
            relay.upstream.release(std::mem::take(&mut unreleased));
        }
        if relay.entry.session.borrow_mut().take_cancel() {
            sent(&mut sending)
                .await
                .map_err(|error| relay.downstream_failed(&error))?;
            relay.upstream.release(std::mem::take(&mut unreleased));
            let cancelled = reactor::timeout(CANCEL_TIME_MAX, cancel_running(&relay.entry));
            if Box::pin(cancelled).await.is_err() {
                return Err(Ending::Closed(session::stuck_cancel_close()));
            }
        }
        if let Some(close) = close {
            return Err(Ending::Closed(*close));
        }
        if stalled {
            return Err(Ending::TargetLost("the session cannot make progress".into()));
        }
    }
}

/// Waits until a send that was queued has been taken.
fn sent(sending: &mut Option<SendFuture>) -> impl Future<Output = std::io::Result<()>> {
    std::future::poll_fn(move |context| {
        let Some(future) = sending else {
            return Poll::Ready(Ok(()));
        };
        let done = Pin::new(future).poll(context);
        if done.is_ready() {
            *sending = None;
        }
        done
    })
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
            let shown = relay.show_upstream(&mut inbox, received)?;
            sending = match shown {
                Shown {
                    queued: Queued::Sending(sending),
                    close: None,
                    stalled: false,
                } => sending,
                shown => Box::pin(go_on_upstream(relay, &mut inbox, shown, arriving.as_mut(), &mut ahead)).await?,
            };
        }
        let arrived = match ahead.0.take() {
            Some(arrived) => arrived,
            None => arriving.await,
        };
        sent(&mut sending)
            .await
            .map_err(|error| Ending::TargetLost(error.to_string()))?;
        received = arrived.map_err(|error| Ending::Downstream(error.to_string()))?;
        if received.is_empty() {
            Box::pin(relay.upstream.shutdown()).await;
            return Ok(());
        }
    }
}

/// Passes the rest of a buffer of the client on, waiting where the session wants the target's answer first.
async fn go_on_upstream(
    relay: &Relay,
    inbox: &mut Inbox,
    mut shown: Shown,
    mut arriving: Pin<&mut impl Future<Output = std::io::Result<Buf>>>,
    ahead: &mut Ahead,
) -> Result<Option<SendFuture>, Ending> {
    loop {
        let sending = match shown.queued {
            Queued::Sending(sending) => sending,
            Queued::Later(gather) => relay.upstream.send(*gather).await?,
        };
        if let Some(close) = shown.close {
            return Err(Ending::Closed(*close));
        }
        if !shown.stalled {
            return Ok(sending);
        }
        relay.core.note(Noted::Stalled, 0, &relay.entry.id);
        transport::finish(sending)
            .await
            .map_err(|error| Ending::TargetLost(error.to_string()))?;
        relay.wait_to_go_on(arriving.as_mut(), ahead).await?;
        shown = relay.show_upstream(inbox, Buf::from(Vec::new()))?;
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
fn either(
    mut first: impl Future<Output = ()> + Unpin,
    mut second: impl Future<Output = ()> + Unpin,
) -> impl Future<Output = ()> + Unpin {
    std::future::poll_fn(move |context| {
        let is_over = Pin::new(&mut first).poll(context).is_ready() || Pin::new(&mut second).poll(context).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_bytes<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of sessions only wait: what their tasks hold meanwhile is most of what they cost.
    #[test]
    fn the_state_of_an_idle_session_is_small() {
        let watch = |relay, tasks: (Task, Task)| watch_over(relay, tasks.0, tasks.1, || ());
        let sizes = [
            ("to the client", future_bytes(pump_downstream), 512),
            ("to the target", future_bytes(pump_upstream), 320),
            ("until the end", future_bytes(watch), 256),
            ("in the table", size_of::<SessionEntry>(), 320),
            ("of both", size_of::<Relay>(), 320),
        ];
        for (what, bytes, bytes_max) in sizes {
            assert!(bytes <= bytes_max, "{what}: {bytes} bytes");
        }
    }
}
