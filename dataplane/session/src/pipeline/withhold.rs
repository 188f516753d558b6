//! Results that may not be shown, or not all of them: what is left of them is kept back, and an error takes the place of
//! their end.
//!
//! ```text
//! target   T D D D D D D D C Z          the bound is three rows
//! client   T D D D           E Z
//! ```
//! The target is asked to cancel the statement if nothing else could be hit by that. It may have completed the statement all the
//! same, and the error says so. Where more was sent behind the statement, which the target runs and the client would take
//! for skipped, the session ends instead.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use codecs::codec::Direction;
use codecs::postgres::framer::Header;
use codecs::postgres::inspector::{Answer, Current};
use codecs::postgres::message::tag::backend as tag;
use codecs::postgres::refusal;
use proto::audit::Outcome;

use super::{Step, note};
use crate::session::{Close, CloseCause, Now, Scratch, Session};
use crate::text::Text;
use crate::verdict::Refusal;

/// Query cancelled, as the target says it (PostgreSQL, appendix A).
const CANCELED: &[u8] = b"57014";

/// The result that is being kept back.
#[derive(Debug)]
pub(crate) struct Withheld {
    refusal: Arc<Refusal>,
    /// Bytes of the frame at hand that are still to be taken out.
    left: usize,
}

/// Rows and bytes of one result that a connection lets out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub rows_max: u64,
    pub bytes_max: u64,
}

impl Bounds {
    /// Whether there is any.
    pub(crate) fn are_set(&self) -> bool {
        self.rows_max != u64::MAX || self.bytes_max != u64::MAX
    }

    /// No bound at all.
    pub(crate) const NONE: Bounds = Bounds {
        rows_max: u64::MAX,
        bytes_max: u64::MAX,
    };
}

/// Takes out of a frame that began before. `None`: there is none.
pub(super) fn go_on(session: &mut Session, input: &[u8], at: usize, scratch: &mut Scratch) -> Option<Step> {
    let withheld = session.withheld.as_mut().filter(|withheld| withheld.left > 0)?;
    let bytes = withheld.left.min(input.len() - at);
    withheld.left -= bytes;
    scratch.splice.remove(at..at + bytes);
    Some(Step::Took(bytes))
}

/// Takes out a row, or a piece of COPY data, if it is one too many. `None`: it may pass.
pub(super) fn take_out(session: &mut Session, header: Header, input: &mut [u8], scratch: &mut Scratch) -> Option<Step> {
    if !matches!(header.tag, tag::DATA_ROW | tag::COPY_DATA) {
        return None;
    }
    if session.withheld.is_none() && !session.exceeds(header) {
        return None;
    }
    match session.inspector.answer(header.tag, b"") {
        Ok(Answer::Row | Answer::CopyData) => {}
        Ok(_) => return None,
        Err(error) => return Some(Step::Close(Close::upstream(error))),
    }
    session.begin_statement();
    if session.withheld.is_none() {
        session.flush(input, scratch);
        let refusal = session.too_much();
        session.withhold(refusal);
    }
    if let Some(withheld) = &mut session.withheld {
        withheld.left = header.len;
    }
    Some(Step::Took(0))
}

/// The statement whose result is kept back is complete: an error stands where the frame was.
pub(super) fn end(
    session: &mut Session,
    current: &Current<Rc<Text>>,
    range: Range<usize>,
    scratch: &mut Scratch,
    now: Now,
) -> Result<(), Close> {
    let Some(withheld) = session.withheld.take() else {
        return Ok(());
    };
    let parts = current.statement.as_ref().map_or(0, |text| text.parts.len());
    note::finished(
        session,
        current,
        Outcome::Error,
        withheld.refusal.code.as_bytes(),
        scratch,
        now,
    );
    let is_last = match current.form {
        codecs::fact::Form::Simple => current.index + 1 >= parts,
        _ => session.inspector.skip_to_sync(),
    };
    if !is_last {
        return Err(close(&withheld.refusal));
    }
    session.skipping_up = session.inspector.is_skipping();
    let error = told(&withheld.refusal, "The target has completed the statement.");
    scratch.splice.write(range, |out| error.append_error(out));
    Ok(())
}

/// The statement failed. If that is the answer to our asking, the error that tells why.
pub(super) fn failed(session: &mut Session, sqlstate: &[u8]) -> Option<Arc<Refusal>> {
    let withheld = session.withheld.take();
    let overdue = session.overdue.take();
    let refusal = withheld.map(|withheld| withheld.refusal).or(overdue)?;
    (sqlstate == CANCELED).then_some(refusal)
}

/// The error as the client reads it.
pub(super) fn told(refusal: &Refusal, more: &str) -> refusal::Refusal {
    let error = refusal::Refusal::error(refusal.code, refusal.message.as_str());
    match [refusal.hint.as_str(), more].join(" ").trim() {
        "" => error,
        hint => error.with_hint(hint),
    }
}

/// The end of a session whose target has not taken a cancel request in time: it could hit any later statement.
pub fn stuck_cancel_close() -> Close {
    let message = "the session was closed because the target did not take a cancel request in time, which could hit a later statement";
    Close {
        to_downstream: refusal::Refusal::fatal(refusal::sqlstate::CONNECTION_FAILURE, message).to_error(),
        cause: CloseCause::Policy(message.to_owned()),
    }
}

fn close(refusal: &Refusal) -> Close {
    let message = format!(
        "{}; more statements were sent behind it, so the session ends",
        refusal.message
    );
    Close {
        to_downstream: refusal::Refusal::fatal(refusal.code, message.as_str()).to_error(),
        cause: CloseCause::Policy(message),
    }
}

impl Session {
    /// Keeps back what is left of the result at hand.
    pub(super) fn withhold(&mut self, refusal: Arc<Refusal>) {
        self.withheld = Some(Withheld { refusal, left: 0 });
        self.plan = None;
        self.copy = None;
        self.cancel_wanted = self.inspector.is_alone();
    }

    /// Whether a row or a piece of COPY data is more than the connection lets out of one result.
    #[inline]
    fn exceeds(&self, header: Header) -> bool {
        let left = self.left();
        left.rows_max == 0 || header.len as u64 > left.bytes_max
    }

    /// Rows and bytes that left of the result so far, in earlier Executes of its portal too.
    fn delivered(&self) -> (u64, u64) {
        self.delivered_of(self.inspector.current())
    }

    fn delivered_of(&self, current: Option<&Current<Rc<Text>>>) -> (u64, u64) {
        let portal = current.and_then(|current| current.portal.as_ref());
        let (rows, bytes) = portal.map_or((0, 0), |portal| portal.delivered.get());
        (rows + self.running.rows, bytes + self.running.bytes)
    }

    /// A portal has more rows than were asked for: what left counts when it goes on.
    pub(super) fn keep_delivered(&self, current: &Current<Rc<Text>>) {
        if let Some(portal) = &current.portal {
            portal.delivered.set(self.delivered_of(Some(current)));
        }
    }

    /// Rows and bytes that may still leave of the result at hand.
    #[inline]
    pub(super) fn left(&self) -> Bounds {
        let Bounds { rows_max, bytes_max } = self.connection.bounds;
        if rows_max == u64::MAX && bytes_max == u64::MAX {
            return Bounds::NONE;
        }
        let (rows, bytes) = self.delivered();
        Bounds {
            rows_max: rows_max.saturating_sub(rows),
            bytes_max: bytes_max.saturating_sub(bytes),
        }
    }

    /// Why text of unknown origin is refused, if it is.
    pub(super) fn unattributed_denied(&self) -> Option<Arc<Refusal>> {
        let rules = self.running.rules.as_deref().or(self.rules.as_deref())?;
        rules.unattributed_denied.clone()
    }

    /// Why the result of a function call of so many bytes may not leave.
    pub(super) fn refuses_function_result(&self, bytes: usize) -> Option<Arc<Refusal>> {
        (bytes as u64 > self.left().bytes_max).then(|| self.too_much())
    }

    /// Keeps back a result with text of unknown origin where that is refused.
    pub(super) fn deny_unattributed(&mut self) -> bool {
        if !self.plan.as_ref().is_some_and(|plan| plan.denied) {
            return false;
        }
        let refusal = self.unattributed_denied();
        let denied = refusal.is_some();
        if let Some(refusal) = refusal {
            self.withhold(refusal);
        }
        denied
    }

    fn too_much(&self) -> Arc<Refusal> {
        let Bounds { rows_max, bytes_max } = self.connection.bounds;
        let (rows, _) = self.delivered();
        let what = if rows >= rows_max {
            format!("{rows_max} rows")
        } else {
            format!("{bytes_max} bytes")
        };
        Arc::new(Refusal {
            code: refusal::sqlstate::PROGRAM_LIMIT_EXCEEDED,
            message: format!(
                "refused by Sluice: the result is larger than the {what} that the connection \"{}\" lets out at once",
                self.connection.name
            ),
            hint: "Ask for less, with LIMIT or WHERE.".to_owned(),
            rule: "limits".to_owned(),
        })
    }

    /// Whether the statement at hand is to be cancelled at the target. Says so once.
    pub fn take_cancel(&mut self) -> bool {
        // A statement that is over needs no cancel request, which could only hit the next one.
        std::mem::take(&mut self.cancel_wanted) && self.withheld.is_some()
    }

    /// Whether what the client sends has to wait: a cancel request is on its way, and could hit what is sent now.
    pub(super) fn waits(&self, direction: Direction) -> bool {
        let cancelled = self.withheld.is_some() || self.overdue.is_some() || self.cancelling;
        direction == Direction::ToUpstream && cancelled && !self.inspector.is_copy_in()
    }

    /// How long the statement at hand has been running, if one is and the connection bounds its time.
    pub fn running_for(&self, now: Now) -> Option<std::time::Duration> {
        self.connection.statement_time_max?;
        let sent = self.inspector.running_since()?;
        let since = sent.max(self.progress_at);
        Some(std::time::Duration::from_micros(
            now.mono_micros().saturating_sub(since),
        ))
    }

    /// How long a statement may run.
    pub fn statement_time_max(&self) -> Option<std::time::Duration> {
        self.connection.statement_time_max
    }

    /// The statement at hand has run for too long: the owner cancels it, and the target's answer to that becomes ours.
    pub fn overdue(&mut self) {
        let seconds = self.connection.statement_time_max.unwrap_or_default().as_secs();
        self.cancelling = true;
        self.overdue = Some(Arc::new(Refusal {
            code: "57014",
            message: format!(
                "cancelled by Sluice: the statement ran for longer than the {seconds} s that the connection \"{}\" allows",
                self.connection.name
            ),
            hint: String::new(),
            rule: "limits".to_owned(),
        }));
    }

    /// The cancel request is over and done with. Before that the target's answer to it does not let the client go on: PostgreSQL
    /// signals a session twice (its process and the group of it), and the second may come behind the answer to the first.
    pub fn cancel_is_over(&mut self) {
        self.cancelling = false;
    }

    /// Whether the target has not answered to that yet.
    pub fn is_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// The end of a session whose target does not obey a cancel request.
    pub fn overdue_close(&self) -> Close {
        let message = self.overdue.as_ref().map_or_else(
            || "the statement ran for too long".to_owned(),
            |refusal| format!("{}, and the target did not cancel it", refusal.message),
        );
        Close {
            to_downstream: refusal::Refusal::fatal("57014", message.as_str()).to_error(),
            cause: CloseCause::Policy(message),
        }
    }
}
