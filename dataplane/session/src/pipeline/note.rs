//! Events of a session's statements.

use std::rc::Rc;

use codecs::fact::Form;
use codecs::postgres::inspector::{Current, Missed};
use proto::audit::Outcome;
use proto::policy::Record;

use crate::outgoing::Outgoing;
use crate::record::{self, Statement};
use crate::session::{Now, Running, Scratch, Session};
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
    if current.index == 0 || current.form != Form::Simple {
        session.batch += 1;
    }
    let running = std::mem::take(&mut session.running);
    let number = running.interim.unwrap_or_else(|| session.next_number());
    write(session, current, &running, outcome, detail, number, scratch, now);
    session.plan = None;
    session.copy = None;
    // Keeps the list's memory.
    let mut tally = running.tally;
    tally.clear();
    session.running.tally = tally;
}

/// Rows are about to leave whose statement is not over: the record must have it before they do.
pub(super) fn interim(session: &mut Session, scratch: &mut Scratch, now: Now) {
    if session.running.bytes == 0 || session.running.interim.is_some() {
        return;
    }
    let mut running = std::mem::take(&mut session.running);
    if let Some(current) = session.inspector.current() {
        let current = Current {
            form: current.form,
            statement: current.statement.clone(),
            portal: current.portal.clone(),
            at: current.at,
            index: current.index,
            result: current.result.clone(),
        };
        let number = session.next_number();
        running.interim = Some(number);
        write(
            session,
            &current,
            &running,
            Outcome::Unfinished,
            b"",
            number,
            scratch,
            now,
        );
    }
    session.running = running;
}

#[allow(clippy::too_many_arguments)]
fn write(
    session: &mut Session,
    current: &Current<Rc<Text>>,
    running: &Running,
    outcome: Outcome,
    detail: &[u8],
    number: u64,
    scratch: &mut Scratch,
    now: Now,
) {
    if !session.notes_statements() {
        return;
    }
    // An answer that is not over can only be an interim one: the end of a session leaves nothing running.
    let interim = outcome == Outcome::Unfinished && session.inspector.current().is_some();
    let elapsed = now.mono_micros().saturating_sub(current.at);
    let rules = running.rules.clone().or_else(|| session.rules.clone());
    let portal = current.portal.as_deref();
    let event = Statement {
        form: current.form,
        text: current.statement.as_deref(),
        index: current.index,
        parameters: portal.map_or(&[], |portal| portal.parameters.as_slice()),
        prepared: portal.map_or(&[], |portal| portal.statement_name()),
        started_at_micros: now.wall_micros.saturating_sub(elapsed),
        duration_micros: elapsed,
        rows: running.rows,
        bytes: running.bytes,
        outcome,
        detail,
        tally: &running.tally,
        rules: rules.as_deref(),
        batch: session.batch + u64::from(interim && (current.index == 0 || current.form != Form::Simple)),
        number,
        interim,
    };
    let head = session.head(now);
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
pub(super) fn denied(session: &mut Session, form: Form, text: &Rc<Text>, rule: &str, scratch: &mut Scratch, now: Now) {
    // The counts at hand belong to the statement that is being answered meanwhile.
    let running = std::mem::take(&mut session.running);
    let (plan, copy) = (session.plan.take(), session.copy.take());
    let missed_text = Missed {
        form,
        statement: Some(Rc::clone(text)),
        portal: None,
        at: now.mono_micros(),
        index: 0,
    };
    missed(session, &missed_text, Outcome::Denied, rule.as_bytes(), scratch, now);
    session.running = running;
    (session.plan, session.copy) = (plan, copy);
}

/// Keeps what the client sees, after masking.
pub(super) fn record(session: &mut Session, input: &[u8], out: &Outgoing, scratch: &mut Scratch, now: Now) {
    if session.connection.record != Record::Full || out.is_empty() {
        return;
    }
    let (batch, offset) = (session.batch, session.recorded);
    let end = match out.kept_whole() {
        Some(range) => {
            let data = input.get(range).unwrap_or_default();
            record::recording(&mut scratch.tap, || session.head(now), batch, offset, data)
        }
        None => {
            let mut data = Vec::with_capacity(out.len());
            out.copy_to(input, &mut data);
            record::recording(&mut scratch.tap, || session.head(now), batch, offset, &data)
        }
    };
    session.recorded = end;
}
