//! Events of a session's statements.

use std::rc::Rc;

use codecs::fact::Form;
use codecs::postgres::inspector::{Current, Missed};
use proto::audit::Outcome;
use proto::policy::Record;
use smallvec::SmallVec;

use crate::outgoing::{Outgoing, Piece};
use crate::record::{self, Statement};
use crate::session::{Now, Place, Running, Scratch, Session};
use crate::text::Text;

/// The statement that was being answered is over.
pub(super) fn finished(
    session: &mut Session,
    current: &Current<Rc<Text>>,
    outcome: Outcome,
    detail: &[u8],
    scratch: &mut Scratch,
    now: Now,
) {
    let running = std::mem::take(&mut session.running);
    let place = running
        .place
        .unwrap_or_else(|| session.next_place(current.form, current.index));
    let told = Told::Whole { outcome, detail };
    write(session, current, &running, place, told, scratch, now);
    session.plan = None;
    session.copy = None;
    // Keeps the list's memory.
    let mut tally = running.tally;
    tally.clear();
    session.running.tally = tally;
}

/// A part of an answer is about to leave that is not over: the journal must name its statement before. The promise says
/// nothing of the answer, whose part at hand is a matter of how it was read; the statement's event will.
pub(super) fn promise(session: &mut Session, scratch: &mut Scratch, now: Now) {
    let (Some(place), false) = (session.running.place, session.running.promised) else {
        return;
    };
    session.running.promised = true;
    let Some(current) = session.inspector.current() else {
        return;
    };
    let current = Current {
        form: current.form,
        statement: current.statement.clone(),
        portal: current.portal.clone(),
        at: current.at,
        index: current.index,
        result: Default::default(),
    };
    write(
        session,
        &current,
        &Running::default(),
        place,
        Told::Promise,
        scratch,
        now,
    );
}

/// What is said of a statement.
#[derive(Clone, Copy)]
enum Told<'a> {
    Promise,
    Whole { outcome: Outcome, detail: &'a [u8] },
}

fn write(
    session: &mut Session,
    current: &Current<Rc<Text>>,
    running: &Running,
    place: Place,
    told: Told<'_>,
    scratch: &mut Scratch,
    now: Now,
) {
    if !session.notes_statements() {
        return;
    }
    let elapsed = now.mono_micros().saturating_sub(current.at);
    let (promise, outcome, detail, duration_micros) = match told {
        Told::Promise => (true, Outcome::Unfinished, &b""[..], 0),
        Told::Whole { outcome, detail } => (false, outcome, detail, elapsed),
    };
    let rules = running.rules.clone().or_else(|| session.rules.clone());
    let portal = current.portal.as_deref();
    let event = Statement {
        form: current.form,
        text: current.statement.as_deref(),
        index: current.index,
        parameters: portal.map_or(&[], |portal| portal.parameters.as_slice()),
        prepared: portal.map_or(&[], |portal| portal.statement_name()),
        started_at_micros: now.wall_micros.saturating_sub(elapsed),
        duration_micros,
        rows: running.rows,
        bytes: running.bytes,
        outcome,
        detail,
        tally: &running.tally,
        rules: rules.as_deref(),
        batch: place.batch,
        number: place.number,
        promise,
    };
    let head = match told {
        Told::Promise => session.journal_head(now),
        Told::Whole { .. } => session.head(now),
    };
    let plan = session.plan.as_deref();
    let column = |index: u16| plan.map_or_else(|| format!("column {}", index + 1), |plan| plan.name(index));
    drop(event.note(&mut scratch.tap, &head, column));
}

/// A statement that did not run to its end.
pub(crate) fn missed(
    session: &mut Session,
    missed: &Missed<Rc<Text>>,
    outcome: Outcome,
    detail: &[u8],
    scratch: &mut Scratch,
    now: Now,
) {
    let first = missed.index;
    let last = match (&missed.statement, missed.form) {
        // Of a batch, every statement that is left.
        (Some(text), Form::Simple) => text.parts.len().max(first + usize::from(text.parts.is_empty())),
        _ => first + 1,
    };
    for index in first..last {
        let current = Current {
            form: missed.form,
            statement: missed.statement.clone(),
            portal: missed.portal.clone(),
            at: missed.at,
            index,
            result: Default::default(),
        };
        finished(session, &current, outcome, detail, scratch, now);
    }
}

/// A statement that was refused; the target never sees it.
pub(crate) fn denied(session: &mut Session, form: Form, text: &Rc<Text>, rule: &str, scratch: &mut Scratch, now: Now) {
    let denied = Missed {
        form,
        statement: Some(Rc::clone(text)),
        portal: None,
        at: now.mono_micros(),
        index: 0,
    };
    aside(session, &denied, Outcome::Denied, rule.as_bytes(), scratch, now);
}

/// A statement that the target ignores, because an error came before it and the Sync after it.
pub(super) fn skipped(session: &mut Session, skipped: &Missed<Rc<Text>>, scratch: &mut Scratch, now: Now) {
    aside(session, skipped, Outcome::Skipped, b"", scratch, now);
}

/// Notes what will not be answered when it is sent. The counts and the place at hand belong to the statement that is
/// being answered meanwhile.
fn aside(
    session: &mut Session,
    statement: &Missed<Rc<Text>>,
    outcome: Outcome,
    detail: &[u8],
    scratch: &mut Scratch,
    now: Now,
) {
    let (running, batch) = (std::mem::take(&mut session.running), session.batch);
    let (plan, copy) = (session.plan.take(), session.copy.take());
    missed(session, statement, outcome, detail, scratch, now);
    (session.running, session.batch) = (running, batch);
    (session.plan, session.copy) = (plan, copy);
}

/// Where in a buffer another batch begins, and which.
pub(super) type Batches = SmallVec<[(usize, u64); 4]>;

/// Keeps what the client sees, after masking. `batch` is the one under way at the start of the input, `later` those after.
pub(super) fn record(
    session: &mut Session,
    input: &[u8],
    out: &Outgoing,
    (mut batch, later): (u64, &Batches),
    scratch: &mut Scratch,
    now: Now,
) {
    if session.connection.record != Record::Full || out.is_empty() {
        return;
    }
    let head = session.journal_head(now);
    let mut later = later.iter().copied().peekable();
    // What was written anew stands where the input before it ends.
    let mut at = 0;
    let mut data = Vec::with_capacity(out.len());
    for piece in out.pieces() {
        let (mut range, source) = match piece {
            Piece::Kept(range) => (range.clone(), input),
            Piece::New(range) => (range.clone(), out.arena()),
        };
        let kept = matches!(piece, Piece::Kept(_));
        let (start, end) = if kept { (range.start, range.end) } else { (at, at + 1) };
        while let Some((begins, next)) = later.next_if(|(begins, _)| *begins < end) {
            if kept && begins > start {
                data.extend_from_slice(source.get(range.start..begins).unwrap_or_default());
                range.start = begins;
            }
            session.recorded = record::recording(&mut scratch.tap, &head, batch, session.recorded, &data);
            data.clear();
            batch = next;
        }
        data.extend_from_slice(source.get(range).unwrap_or_default());
        at = if kept { end } else { at };
    }
    session.recorded = record::recording(&mut scratch.tap, &head, batch, session.recorded, &data);
}
