//! The way back: interim answers, head and body of the target's answer, redacted and noted on the way to the client.

use super::super::answer::Problem;
use super::super::leg::{HeadError, Leg};
use super::super::limits::{ANSWER_PAUSE_MAX, INTERIM_MAX};
use super::super::origins::{self, Sent};
use super::super::{Downstream, within};
use super::{Context, Ended, VERSION, is_grpc};
use codecs::http::{BodyKind, Fields, ResponseHead, Version};
use reactor::Buf;
use session::Scratch;
use session::http::headers;
use session::http::{BodyFilter, Coded, Decoder, HttpPolicy, Media, Unreadable};
use session::policy::RuleSet;
use std::sync::Arc;

impl<D: Downstream> Context<'_, D> {
    /// Target to client: interim answers, head, body.
    pub(super) async fn answered(
        &self,
        sent: &Sent,
        http: &HttpPolicy,
        rules: Option<Arc<RuleSet>>,
        upgrade: bool,
    ) -> Result<Ended, Answered> {
        let leg = &sent.leg;
        let mut interims = 0;
        let head = loop {
            let head = match self.awaited(leg, http).await {
                None => {
                    sent.lease.place.failed();
                    return Err(Problem::new(504, "the target did not answer in time").into());
                }
                Some(Ok(None)) => return Err(Answered::Silent),
                Some(Err(HeadError::Unprocessed)) => return Err(Answered::Unprocessed),
                Some(Err(HeadError::Io(_))) if !leg.has_more() => return Err(Answered::Silent),
                Some(Err(error)) => {
                    tracing::warn!(%error, "an answer was refused");
                    return Err(Problem::new(502, "the target's answer is malformed").into());
                }
                Some(Ok(Some(head))) => head,
            };
            match head.status {
                101 if upgrade => return Box::pin(self.upgraded(leg, http, &head)).await,
                101 => return Err(Problem::new(502, "the target changed the protocol unasked").into()),
                100..200 => {
                    interims += 1;
                    if interims > INTERIM_MAX {
                        return Err(Problem::new(502, "the target sent too many interim answers").into());
                    }
                    // `100 Continue` was said by us when the body was wanted.
                    if head.status != 100 {
                        let fields = headers::response(&head, http, &self.known(), rules.is_some(), VERSION);
                        let _ = self.down.interim(head.status, &fields).await;
                    }
                }
                _ => break head,
            }
        };
        sent.lease.place.worked();
        self.relay(sent, http, rules, head).await
    }

    /// The next head of the answer; `None`: it did not come in time. The time begins when the target has the whole request, and again
    /// as long as more of the request comes.
    async fn awaited(&self, leg: &Leg, http: &HttpPolicy) -> Option<Result<Option<ResponseHead>, HeadError>> {
        let mut reading = std::pin::pin!(leg.head(&self.head.method));
        loop {
            let (uploaded, bytes) = (self.uploaded.get(), self.bytes_up.get());
            let head = within(http.response_timeout, reading.as_mut()).await;
            // Between messages of a stream there may be a long time; the client's side has its own bound.
            let goes_on = self.bytes_up.get() != bytes || is_grpc(&self.head.fields);
            if head.is_some() || uploaded || !goes_on {
                return head;
            }
        }
    }

    async fn relay(
        &self,
        sent: &Sent,
        http: &HttpPolicy,
        rules: Option<Arc<RuleSet>>,
        head: ResponseHead,
    ) -> Result<Ended, Answered> {
        let redacts = rules.is_some();
        let mut fields = headers::response(&head, http, &self.known(), redacts, VERSION);
        let mut inspection = None;
        if let Some(rules) = &rules {
            let mut tally = headers::FieldTally::default();
            headers::redact(&mut fields, rules, &mut tally, &mut self.core.scratch.borrow_mut());
            self.exchange.borrow_mut().fields = tally;
            inspection = Some(self.inspection(rules, &head)?).filter(|inspection| !inspection.filter.passes());
            if inspection
                .as_ref()
                .is_some_and(|inspection| inspection.decoder.is_some())
            {
                // What leaves is decoded; nothing that leaves depends on what the client accepts.
                fields.remove("content-encoding");
            }
        }
        let length = match head.body {
            BodyKind::Length(length) => Some(length),
            BodyKind::Empty if self.head.method == "HEAD" => head
                .fields
                .text("content-length")
                .and_then(|length| length.parse().ok()),
            BodyKind::Empty => Some(0),
            _ => None,
        };
        if let (Some(length), Some(max)) = (length, http.response_bytes_max)
            && length > max
        {
            return Err(self
                .because(Problem::new(502, "the answer is too large"), "response_bytes_max")
                .into());
        }
        let keeps = head.version == Version::Http11
            && !head.fields.has_token("connection", "close")
            && head.body != BodyKind::UntilClose;
        self.exchange.borrow_mut().status = head.status;
        let has_body = head.body != BodyKind::Empty;
        let told = if redacts && (has_body || self.head.method == "HEAD") {
            None
        } else {
            length
        };
        let told = if head.status == 204 || head.status == 304 {
            None
        } else {
            told
        };
        if self.down.head(head.status, &fields, told, has_body).await.is_err() {
            self.broken(inspection.as_ref().map(|inspection| &inspection.filter));
            return Ok(Ended::Broken);
        }
        let complete = self.body(&sent.leg, inspection.as_mut(), http.response_bytes_max).await;
        if !complete {
            self.broken(inspection.as_ref().map(|inspection| &inspection.filter));
            return Ok(Ended::Broken);
        }
        if keeps
            && self.uploaded.get()
            && let Some(target) = sent.leg.socket()
        {
            origins::keep(self.core, &sent.lease.place, target.clone());
        }
        Ok(Ended::Complete)
    }

    /// How the body is to be read, or that it cannot be.
    fn inspection(&self, rules: &Arc<RuleSet>, head: &ResponseHead) -> Result<Inspection, Answered> {
        let coded = Coded::of(&head.fields);
        let encoded = head.body != BodyKind::Empty && matches!(coded, Coded::Unknown);
        let media = Media::of(head.fields.text("content-type"));
        let partial = head.status == 206;
        let is_grpc = is_grpc(&head.fields);
        let unreadable = encoded || partial || is_grpc || media == Media::Unreadable;
        if unreadable && !rules.lets_unreadable_pass() {
            let why = if encoded {
                "the target encoded its answer in a way that cannot be undone, so it cannot be redacted"
            } else if is_grpc {
                "messages of gRPC cannot be redacted, and this connection redacts"
            } else if partial {
                "the target sent a part, which cannot be redacted"
            } else {
                "the answer's character set cannot be redacted"
            };
            return Err(self.because(Problem::new(502, why), "unreadable").into());
        }
        let filter = BodyFilter::new(rules.clone(), if unreadable { Media::Opaque } else { media });
        Ok(Inspection {
            filter,
            decoder: match coded {
                Coded::By(decoder) => Some(decoder),
                Coded::Plain | Coded::Unknown => None,
            },
            decoded: 0,
            room: Vec::new(),
        })
    }

    /// Passes the body on piece by piece. False: it did not come to its end, or could not be passed on.
    async fn body(&self, leg: &Leg, mut inspection: Option<&mut Inspection>, max: Option<u64>) -> bool {
        let mut noted = false;
        loop {
            if !leg.has_more() && !leg.is_done() && !noted {
                // Nothing more is here: what there is leaves now, so it is noted now.
                self.note(inspection.as_deref().map(|inspection| &inspection.filter), false);
                noted = true;
                if self.down.flush().await.is_err() {
                    return false;
                }
            }
            let piece = match within(ANSWER_PAUSE_MAX, leg.body()).await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    tracing::info!(%error, "an answer was cut off");
                    return false;
                }
                None => return false,
            };
            let last = piece.is_none() || leg.is_done();
            let piece = piece.unwrap_or_default();
            let received = {
                let mut exchange = self.exchange.borrow_mut();
                exchange.bytes_down += piece.len() as u64;
                exchange.bytes_down
            };
            if max.is_some_and(|max| received > max) {
                return false;
            }
            let passed = self.pass(piece, last, leg, inspection.as_deref_mut(), max, &mut noted);
            match passed.await {
                None => return false,
                Some(()) if last => return true,
                Some(()) => {}
            }
        }
    }

    /// Passes on what becomes of one piece, and ends the answer after the last one. `None`: it cannot be.
    async fn pass(
        &self,
        mut piece: Buf,
        last: bool,
        leg: &Leg,
        mut inspection: Option<&mut Inspection>,
        max: Option<u64>,
        noted: &mut bool,
    ) -> Option<()> {
        let mut at = 0;
        loop {
            let (out, over) = match inspection.as_deref_mut() {
                None => (std::mem::take(&mut piece), true),
                Some(inspection) => {
                    let mut rest = piece.get(at..).unwrap_or_default();
                    let stepped = inspection.step(&mut rest, last, max, &mut self.core.scratch.borrow_mut());
                    at = piece.len() - rest.len();
                    match stepped {
                        Ok(stepped) => stepped,
                        Err(error) => {
                            tracing::info!(%error, "an answer was cut off: it cannot be redacted");
                            self.rule.set("unreadable");
                            return None;
                        }
                    }
                }
            };
            let ends = last && over;
            if ends || !*noted {
                // The end of the record is written before the last bytes leave.
                self.note(inspection.as_deref().map(|inspection| &inspection.filter), ends);
                *noted = true;
            }
            if ends {
                let trailers = trailers(leg, inspection.is_some());
                return self.down.finish(out, &trailers).await.ok();
            }
            self.down.data(out).await.ok()?;
            if over {
                return Some(());
            }
        }
    }

    /// The answer was cut off.
    pub(super) fn broken(&self, filter: Option<&BodyFilter>) {
        self.exchange.borrow_mut().broken = true;
        self.note(filter, true);
    }

    /// The target speaks another protocol from here on.
    async fn upgraded(&self, leg: &Leg, http: &HttpPolicy, head: &ResponseHead) -> Result<Ended, Answered> {
        let target = leg.socket().ok_or(Answered::Silent)?;
        let mut fields = headers::response(head, http, &self.known(), false, VERSION);
        let protocol = head.fields.value("upgrade").unwrap_or_default();
        fields.push(b"upgrade", protocol);
        self.exchange.borrow_mut().status = 101;
        self.note(None, true);
        let sent = async {
            self.down.head(101, &fields, None, false).await?;
            self.down.flush().await
        };
        match sent.await {
            Ok(()) => Ok(Ended::Upgrade(target.clone())),
            Err(_) => Ok(Ended::Broken),
        }
    }
}

/// Trailers of the answer; where bodies are redacted they are not passed on.
fn trailers(leg: &Leg, redacts: bool) -> Fields {
    let mut trailers = Fields::new();
    if !redacts {
        for (name, value) in leg.trailers().iter() {
            if !TRAILERS_FORBIDDEN.contains(&name) {
                trailers.push(name, value);
            }
        }
    }
    trailers
}

/// What an answer's body goes through.
struct Inspection {
    filter: BodyFilter,
    decoder: Option<Decoder>,
    /// Bytes that came out of the decoder, and room for the next of them.
    decoded: u64,
    room: Vec<u8>,
}

impl Inspection {
    /// The next bytes that may leave, of `rest`; true when there are no more of them. A decoder takes several steps to a piece.
    fn step(
        &mut self,
        rest: &mut &[u8],
        last: bool,
        max: Option<u64>,
        scratch: &mut Scratch,
    ) -> Result<(Buf, bool), Unreadable> {
        let Some(decoder) = &mut self.decoder else {
            let mut out = Vec::with_capacity(rest.len() + 64);
            self.filter.feed(rest, last, scratch, &mut out)?;
            return Ok((Buf::from(out), true));
        };
        let over = decoder.step(rest, last, &mut self.room)?;
        self.decoded += self.room.len() as u64;
        if max.is_some_and(|max| self.decoded > max) {
            return Err(Unreadable("the decoded answer is too large"));
        }
        let mut out = Vec::with_capacity(self.room.len() + 64);
        self.filter.feed(&self.room, last && over, scratch, &mut out)?;
        Ok((Buf::from(out), over))
    }
}

/// Fields that may not stand in trailers (RFC 9110 section 6.5.1).
const TRAILERS_FORBIDDEN: &[&[u8]] = &[
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"trailer",
    b"set-cookie",
    b"location",
    b"authorization",
    b"connection",
    b"www-authenticate",
];

/// Why there is no answer to pass on.
pub(super) enum Answered {
    /// The target closed before it said anything.
    Silent,
    /// The target says that it did not look at the request.
    Unprocessed,
    Problem(Problem),
}

impl From<Problem> for Answered {
    fn from(problem: Problem) -> Answered {
        Answered::Problem(problem)
    }
}
