//! HTTP/2 towards a target (RFC 9113): many requests on one socket, each a stream of its own.

use super::h2::receive::{self, CONNECTION_WINDOW_BYTES, FrameReader, HEAD_BYTES_MAX, Role, Toll, end_of_body};
use super::h2::wire::{self, Fault, Flow, WINDOW_AT_FIRST, Wire, fault};
use super::leg::{Asking, HeadError};
use super::limits::{ANSWER_PAUSE_MAX, INTERIM_MAX, SOCKET_AGE_MAX, TRUNK_STREAMS_MAX, TRUNK_WINDOW_BYTES};
use super::pipe::Pipe;
use super::within;
use codecs::http::h2::HeadFields;
use codecs::http::{BodyKind, Fields, ResponseHead};
use proto::policy::CredentialScheme;
use proto::tunnel::{Put, PutForm};
use reactor::{Buf, Task};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tunnel::frame::{self, ErrorCode, FLAG_END_STREAM, Header, Setting};
use tunnel::hpack::put_never_indexed;
use zeroize::Zeroizing;

/// Streams that a target is taken to serve at once before it says so (RFC 9113 section 6.5.2).
const STREAMS_AT_FIRST: u32 = 100;
/// The last number that a stream can have.
const STREAM_MAX: u32 = (1 << 31) - 1;

/// A connection to a target.
pub struct Trunk {
    wire: Rc<Wire>,
    /// The credential as it is written, where we put it in ourselves.
    credential: Zeroizing<Vec<u8>>,
    opened: Instant,
    idle_since: Cell<Instant>,
    next: Cell<u32>,
    active: Cell<u32>,
    /// The target serves no stream above this one.
    last_served: Cell<u32>,
    /// No stream is begun here any more.
    leaving: Cell<bool>,
    tasks: RefCell<Vec<Task>>,
}

impl Trunk {
    /// Begins to speak.
    pub fn start(pipe: Pipe, credential: Zeroizing<Vec<u8>>) -> Rc<Trunk> {
        let wire = Wire::new(pipe);
        wire.peer_streams_max.set(STREAMS_AT_FIRST);
        wire.control(|out| {
            out.extend_from_slice(frame::PREFACE);
            frame::put_settings(
                out,
                &[
                    Setting::EnablePush(false),
                    Setting::InitialWindowSize(TRUNK_WINDOW_BYTES),
                    Setting::MaxHeaderListSize(HEAD_BYTES_MAX as u32),
                ],
            );
            frame::put_window_update(out, 0, CONNECTION_WINDOW_BYTES - WINDOW_AT_FIRST as u32);
        });
        let now = reactor::now();
        let trunk = Rc::new(Trunk {
            wire: wire.clone(),
            credential,
            opened: now,
            idle_since: Cell::new(now),
            next: Cell::new(1),
            active: Cell::new(0),
            last_served: Cell::new(u32::MAX),
            leaving: Cell::new(false),
            tasks: RefCell::default(),
        });
        let tasks = vec![reactor::spawn(wire::write(wire)), reactor::spawn(read(trunk.clone()))];
        *trunk.tasks.borrow_mut() = tasks;
        trunk
    }

    /// Whether a request can be sent now.
    pub fn takes(&self, now: Instant) -> bool {
        self.is_fresh(now) && self.active.get() < self.wire.peer_streams_max.get().min(TRUNK_STREAMS_MAX)
    }

    fn is_fresh(&self, now: Instant) -> bool {
        !self.leaving.get()
            && !self.wire.failed.get()
            && self.next.get() < STREAM_MAX
            && now.duration_since(self.opened) < SOCKET_AGE_MAX
    }

    /// Whether it should be kept at `now`; one without requests is not for longer than `idle_max`.
    pub fn is_wanted(&self, now: Instant, idle_max: Duration) -> bool {
        self.is_fresh(now) && (self.active.get() > 0 || now.duration_since(self.idle_since.get()) < idle_max)
    }

    /// Begins no request any more, and ends when the running ones are over.
    pub fn retire(self: &Rc<Self>) {
        self.leaving.set(true);
        self.end_if_idle();
    }

    fn end_if_idle(self: &Rc<Self>) {
        if self.active.get() > 0 || !self.leaving.get() || self.tasks.borrow().is_empty() {
            return;
        }
        let tasks = self.tasks.take();
        let wire = self.wire.clone();
        reactor::spawn(async move {
            wire.control(|out| frame::put_goaway(out, 0, ErrorCode::NO_ERROR, ""));
            let _ = within(crate::limits::REFUSAL_WRITE_TIME_MAX, wire.flushed()).await;
            for task in tasks {
                task.abort();
            }
            wire.failed.set(true);
            wire.pipe.shutdown().await;
        });
    }

    /// Sends a request's head.
    pub fn ask(self: &Rc<Self>, asking: &Asking<'_>) -> Flight {
        let id = self.next.get();
        self.next.set(id + 2);
        self.active.set(self.active.get() + 1);
        let wire = &self.wire;
        let flow = wire.begin(id, TRUNK_WINDOW_BYTES, None);
        flow.is_head.set(asking.method == "HEAD");
        let ends = asking.framing == BodyKind::Empty;
        flow.done.set(ends);
        let mut block = encoded(wire, asking);
        let scheme = asking.http.credential_scheme;
        let header = asking.http.credential_header.as_bytes();
        let prefix: &[u8] = match scheme {
            CredentialScheme::Bearer => b"Bearer ",
            CredentialScheme::Basic => b"Basic ",
            CredentialScheme::Raw | CredentialScheme::Nothing => b"",
        };
        let frame_bytes_max = wire.peer_frame.get();
        if scheme != CredentialScheme::Nothing && wire.pipe.is_linked() && asking.swaps {
            wire.control(|out| frame::put_headers_unfinished(out, id, &block, ends, frame_bytes_max));
            // The agent writes the CONTINUATION frame that ends the block: what is in it is not for us.
            wire.put(Put {
                form: match scheme {
                    CredentialScheme::Basic => PutForm::FieldBasic as i32,
                    _ => PutForm::FieldSecret as i32,
                },
                stream: id,
                name: asking.http.credential_header.clone(),
                prefix: prefix.to_vec(),
            });
        } else {
            if scheme != CredentialScheme::Nothing && asking.swaps {
                let mut value = Zeroizing::new(prefix.to_vec());
                value.extend_from_slice(&self.credential);
                put_never_indexed(&mut block, header, &value);
            }
            wire.control(|out| frame::put_headers(out, id, &block, ends, frame_bytes_max));
        }
        Flight {
            trunk: self.clone(),
            flow,
        }
    }
}

fn encoded(wire: &Wire, asking: &Asking<'_>) -> Vec<u8> {
    let length = match asking.length() {
        BodyKind::Length(length) => Some(length.to_string()),
        _ => None,
    };
    let scheme: &[u8] = if asking.http.https { b"https" } else { b"http" };
    let pseudo = [
        (&b":method"[..], asking.method.as_bytes()),
        (b":scheme", scheme),
        (b":authority", asking.http.authority.as_bytes()),
        (b":path", asking.target.as_bytes()),
    ];
    let kept = asking
        .fields
        .iter()
        .filter(|(name, _)| !matches!(*name, b"connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade"));
    let length = length
        .as_ref()
        .map(|length| (&b"content-length"[..], length.as_bytes()));
    wire.encoder
        .borrow_mut()
        .encode(pseudo.into_iter().chain(kept).chain(length))
}

/// Everything that the target sends.
async fn read(trunk: Rc<Trunk>) {
    let wire = trunk.wire.clone();
    let mut reader = FrameReader::new(Vec::new());
    let mut asker = Asker { trunk: &trunk };
    let ended = receive::read(&wire, &mut asker, &mut reader).await;
    trunk.leaving.set(true);
    if let Err(fault) = ended {
        tracing::warn!(what = fault.what, "an HTTP/2 connection to a target was ended");
        wire.control(|out| frame::put_goaway(out, 0, fault.code, fault.what));
        let _ = within(crate::limits::REFUSAL_WRITE_TIME_MAX, wire.flushed()).await;
    }
    wire.failed.set(true);
    wire.end_flows(ErrorCode::CANCEL);
    wire.pipe.shutdown().await;
}

/// Our part: we ask, the target answers.
struct Asker<'a> {
    trunk: &'a Rc<Trunk>,
}

impl Role for Asker<'_> {
    const SILENCE_MAX: Duration = ANSWER_PAUSE_MAX;

    fn headers(&mut self, header: &Header, fields: HeadFields, toll: &mut Toll) -> Result<(), Fault> {
        let wire = &self.trunk.wire;
        if self.is_idle(header.stream) {
            return fault(ErrorCode::PROTOCOL_ERROR, "an answer to a request that was not sent");
        }
        // The request was given up meanwhile.
        let Some(flow) = wire.flow(header.stream).filter(|flow| !flow.ended.get()) else {
            return toll.pay();
        };
        let ends = header.has(FLAG_END_STREAM);
        let taken = match flow.answered.get() {
            true if !ends => Err("HEADERS that are no trailers"),
            true => fields.into_trailers().map(|trailers| {
                flow.trailers.replace(trailers);
            }),
            false => {
                let method = if flow.is_head.get() { "HEAD" } else { "" };
                fields.into_response(ends, method).and_then(|head| begin(&flow, head))
            }
        };
        if let Err(what) = taken {
            tracing::warn!(what, "an answer was refused");
            flow.malformed.set(true);
            wire.reset(flow.id, ErrorCode::PROTOCOL_ERROR);
        } else if ends {
            end_of_body(wire, &flow);
        }
        flow.arrived.notify_one();
        Ok(())
    }

    fn is_idle(&self, stream: u32) -> bool {
        stream.is_multiple_of(2) || stream >= self.trunk.next.get()
    }

    fn going_away(&mut self, last: u32) {
        let trunk = self.trunk;
        trunk.leaving.set(true);
        trunk.last_served.set(last.min(trunk.last_served.get()));
        // What it will not serve can be asked elsewhere at once (RFC 9113 section 6.8).
        let flows: Vec<u32> = trunk
            .wire
            .flows
            .borrow()
            .keys()
            .copied()
            .filter(|id| *id > last)
            .collect();
        for id in flows {
            trunk.wire.reset_by_peer(id, ErrorCode::REFUSED_STREAM);
        }
        trunk.end_if_idle();
    }

    fn may_be_silent(&self) -> bool {
        // Requests have time bounds of their own, and idle connections are swept.
        true
    }
}

fn begin(flow: &Flow, head: ResponseHead) -> Result<(), &'static str> {
    if head.status >= 200 {
        flow.answered.set(true);
        flow.announced.set(match head.body {
            BodyKind::Length(length) => Some(length),
            BodyKind::Empty => Some(0),
            _ => None,
        });
    }
    let mut heads = flow.heads.borrow_mut();
    if heads.len() > INTERIM_MAX {
        return Err("too many interim answers");
    }
    heads.push_back(head);
    Ok(())
}

/// One request and its answer on a trunk. Dropped before its end, it is taken back.
pub struct Flight {
    trunk: Rc<Trunk>,
    flow: Rc<Flow>,
}

impl Flight {
    /// Sends content of the request's body.
    ///
    /// # Errors
    /// The target takes no more.
    pub async fn send(&self, piece: Buf) -> io::Result<()> {
        self.trunk.wire.data(&self.flow, piece, false).await
    }

    /// Ends the request's body.
    pub fn finish(&self) {
        self.trunk.wire.end(&self.flow);
    }

    /// The next head of the answer. `None`: there is none, and nobody knows what became of the request.
    ///
    /// # Errors
    /// [`HeadError`].
    pub async fn head(&self) -> Result<Option<ResponseHead>, HeadError> {
        loop {
            if let Some(head) = self.flow.heads.borrow_mut().pop_front() {
                return Ok(Some(head));
            }
            if self.flow.malformed.get() {
                return Err(HeadError::MalformedFrames);
            }
            if let Some(code) = self.flow.reset() {
                let unseen = self.flow.id > self.trunk.last_served.get();
                return match code {
                    ErrorCode::REFUSED_STREAM => Err(HeadError::Unprocessed),
                    _ if unseen => Err(HeadError::Unprocessed),
                    _ => Ok(None),
                };
            }
            self.flow.arrived.notified().await;
        }
    }

    /// The next content of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// An end that is none.
    pub async fn body(&self) -> Result<Option<Buf>, HeadError> {
        loop {
            if self.flow.malformed.get() {
                return Err(HeadError::MalformedFrames);
            }
            if let Some(piece) = self.trunk.wire.take(&self.flow) {
                return Ok(Some(piece));
            }
            if self.flow.ended.get() {
                return Ok(None);
            }
            if self.flow.reset().is_some() {
                return Err(HeadError::Io(io::ErrorKind::ConnectionReset.into()));
            }
            self.flow.arrived.notified().await;
        }
    }

    /// Whether the body has come to its end and was taken.
    pub fn is_done(&self) -> bool {
        self.flow.ended.get() && !self.flow.malformed.get() && !self.flow.has_content()
    }

    /// Whether something of the answer waits to be taken.
    pub fn has_more(&self) -> bool {
        self.flow.ended.get() || self.flow.has_content()
    }

    /// Fields after the body.
    pub fn trailers(&self) -> Fields {
        self.flow.trailers.borrow().clone()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (trunk, flow) = (&self.trunk, &self.flow);
        if !(flow.ended.get() && flow.done.get()) {
            trunk.wire.reset(flow.id, ErrorCode::CANCEL);
        }
        trunk.wire.flows.borrow_mut().remove(&flow.id);
        trunk.active.set(trunk.active.get() - 1);
        trunk.idle_since.set(reactor::now());
        trunk.end_if_idle();
    }
}
