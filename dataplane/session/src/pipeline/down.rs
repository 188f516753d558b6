//! Target to client: results are masked before any of their bytes leave.

use std::ops::Range;
use std::rc::Rc;

use codecs::fact::{Aside, Form};
use codecs::malformed::Malformed;
use codecs::postgres::framer::{Framer, HEADER_BYTES, Header, Speaker};
use codecs::postgres::inspector::{Answer, Current, Described, Failure};
use codecs::postgres::message::tag::backend as tag;
use codecs::postgres::message::{CommandComplete, ErrorFields, Format, FunctionCallResponse, NotificationResponse};
use codecs::postgres::rewriter::{Escaping, Kind};
use proto::audit::Outcome;
use scan::Context;

use super::copy::CopyOut;
use super::long::LongRow;
use super::{Step, note, rows, withhold};
use crate::judge::redact::{self, Holder, Target, Trouble, Value};
use crate::judge::tally::{Finder, Place};
use crate::limits::{ANSWER_BYTES_MAX, FRAME_BUFFERED_BYTES_MAX, PLANS_MAX, VALUE_COLLECTED_BYTES_MAX};
use crate::plan::{Basis, Plan};
use crate::session::{Close, Now, Scratch, Session};
use crate::text::{Text, named};

/// Deals with what stands at `input[at..]`.
pub(super) fn step(session: &mut Session, input: &mut [u8], at: usize, scratch: &mut Scratch, now: Now) -> Step {
    if session.passing_down > 0 {
        let bytes = session.passing_down.min(input.len() - at);
        session.passing_down -= bytes;
        return Step::Took(bytes);
    }
    if let Some(step) = withhold::go_on(session, input, at, scratch) {
        return step;
    }
    if session.long_row.is_some() {
        return super::long::step(session, input, at, scratch);
    }
    match rows::pass(session, input, at, scratch) {
        (0, None) => {}
        (bytes, None) => return Step::Took(bytes),
        (bytes, Some(trouble)) => return Step::Last(bytes, Close::trouble(trouble)),
    }
    let rest = input.get(at..).unwrap_or_default();
    let header = match Framer::new(Speaker::Backend).header(rest) {
        Ok(Some(header)) => header,
        Ok(None) => return Step::Need(HEADER_BYTES),
        Err(error) => return Step::Close(Close::upstream(error)),
    };
    if let Some(step) = withhold::take_out(session, header, input, scratch) {
        return step;
    }
    let rest = input.get(at..).unwrap_or_default();
    let large = match header.tag {
        tag::DATA_ROW => header.len > FRAME_BUFFERED_BYTES_MAX,
        // A row of COPY is told apart only as a whole; without rules nobody looks at it.
        tag::COPY_DATA if session.copy.is_none() && session.stream.is_none() => header.len > FRAME_BUFFERED_BYTES_MAX,
        tag::COPY_DATA => header.len > VALUE_COLLECTED_BYTES_MAX,
        _ => false,
    };
    if large {
        return begin_long(session, input, header, scratch);
    }
    if header.len > ANSWER_BYTES_MAX {
        return Step::Close(Close::too_large("a server message", header.len, ANSWER_BYTES_MAX));
    }
    if rest.len() < header.len {
        return Step::Need(header.len);
    }
    match frame(session, input, header.tag, at..at + header.len, scratch, now) {
        Ok(None) => Step::Took(header.len),
        Ok(Some(close)) => Step::Close(close),
        Err(trouble) => Step::Close(Close::trouble(trouble)),
    }
}

/// A row or a piece of COPY data that is too large to be collected.
fn begin_long(session: &mut Session, input: &mut [u8], header: Header, scratch: &mut Scratch) -> Step {
    // What is packed refers to this buffer, and must be masked before any of it leaves.
    match session.inspector.answer(header.tag, b"") {
        Ok(Answer::Row) => {
            session.begin_statement();
            session.make_plan();
            if session.deny_unattributed() {
                return Step::Took(0);
            }
            session.running.rows += 1;
        }
        Ok(Answer::CopyData) => {
            session.begin_statement();
            session.running.rows += 1;
        }
        Ok(_) => {
            return Step::Close(Close::upstream(Malformed::Tag {
                place: "server message",
                tag: header.tag,
            }));
        }
        Err(error) => return Step::Close(Close::upstream(error)),
    }
    session.running.bytes += header.len as u64;
    let trivial = match header.tag {
        tag::DATA_ROW => session.plan.as_ref().is_some_and(|plan| plan.trivial),
        _ => session.rules.is_none(),
    };
    if trivial {
        session.passing_down = header.len;
        return Step::Took(0);
    }
    session.flush(input, scratch);
    let long = match header.tag {
        tag::DATA_ROW => LongRow::row(header.len),
        _ => match &session.copy {
            Some(copy) if !copy.holds() => LongRow::copy(header.len, copy),
            _ => {
                let why = match session.stream {
                    Some(_) => "a change is too large",
                    None => "a COPY row is too large",
                };
                return Step::Close(Close::trouble(Trouble::Unreadable(why)));
            }
        },
    };
    session.long_row = Some(Box::new(long));
    Step::Took(HEADER_BYTES)
}

fn frame(
    session: &mut Session,
    input: &mut [u8],
    frame_tag: u8,
    range: Range<usize>,
    scratch: &mut Scratch,
    now: Now,
) -> Result<Option<Close>, Trouble> {
    // Copied out of the input only where text is kept: everything else borrows it.
    let body_at = range.start + HEADER_BYTES..range.end;
    let answer = session
        .inspector
        .answer(frame_tag, input.get(body_at.clone()).unwrap_or_default())?;
    match answer {
        Answer::Row => row(session, input, range, scratch)?,
        Answer::Forward if frame_tag == tag::COPY_DONE && session.withheld.is_some() => scratch.splice.remove(range),
        Answer::Forward | Answer::Describes(_) => {
            if frame_tag == tag::COPY_DONE {
                session.finish_copy(input, range.start, scratch)?;
            }
        }
        Answer::Swallow => scratch.splice.remove(range),
        Answer::ResultBegins(_) => {
            session.begin_statement();
            session.running.bytes += range.len() as u64;
            session.make_plan();
            if session.deny_unattributed() {
                scratch.splice.remove(range);
            }
        }
        Answer::Completed { current, .. } | Answer::Suspended { current } if session.withheld.is_some() => {
            session.progress_at = now.mono_micros();
            return Ok(withhold::end(session, &current, range, scratch, now).err());
        }
        Answer::Completed { current, tag } => {
            // Kept, because its buffer is about to be lent out.
            let tag: smallvec::SmallVec<[u8; 64]> = smallvec::SmallVec::from_slice(tag);
            session.flush(input, scratch);
            completed(session, current, &tag, scratch, now);
        }
        Answer::Suspended { current } => {
            session.flush(input, scratch);
            session.keep_delivered(&current);
            note::finished(session, &current, Outcome::Ok, b"suspended", scratch, now);
        }
        Answer::Ready { open } => {
            session.stream = None;
            session.progress_at = now.mono_micros();
            session.overdue = None;
            if let Some(current) = open {
                session.flush(input, scratch);
                ready(session, current, scratch, now);
            }
        }
        Answer::Failed(failure) => {
            session.flush(input, scratch);
            failed(session, input, range, failure, scratch, now)?;
        }
        Answer::Aside(aside) => {
            if session.is_answering() {
                session.begin_statement();
                session.running.bytes += range.len() as u64;
            }
            aside_text(session, input, range, aside, scratch)?;
        }
        Answer::Parameter(status) => {
            session.setting(status.name, status.value);
            let start = body_at.start + status.name.len() + 1;
            let value = start..start + status.value.len();
            session.text(input, value, Place::Aside(Aside::Parameter), scratch)?;
            session.flush(input, scratch);
        }
        Answer::LookUpRow => {
            session.look_up_row(input.get(body_at).unwrap_or_default());
            scratch.splice.remove(range);
        }
        Answer::LookUpOver { failed } => {
            session.look_up_over(failed, now);
            scratch.splice.remove(range);
        }
        Answer::FunctionResult => function_result(session, input, range, scratch)?,
        Answer::CopyInBegins => {
            session.begin_statement();
            session.copied_in = 0;
            session.running.bytes += range.len() as u64;
        }
        Answer::CopyOutBegins(response) => {
            session.begin_statement();
            let binary = response.format == Format::Binary;
            session.copy = CopyOut::begin(session, response.columns.len(), binary).map(Box::new);
            session.running.bytes += range.len() as u64;
        }
        Answer::CopyBothBegins => {
            session.begin_statement();
            session.running.bytes += range.len() as u64;
            if let Some(close) = session.begin_stream() {
                return Ok(Some(close));
            }
        }
        Answer::CopyData if session.stream.is_some() => super::stream::frame(session, input, range, scratch)?,
        Answer::CopyData => copy_data(session, input, range, scratch)?,
    }
    Ok(None)
}

#[inline]
fn row(session: &mut Session, input: &mut [u8], range: Range<usize>, scratch: &mut Scratch) -> Result<(), Trouble> {
    session.begin_statement();
    session.running.rows += 1;
    session.running.bytes += range.len() as u64;
    if session.plan.is_none() {
        session.make_plan();
        if session.deny_unattributed() {
            session.running.rows -= 1;
            scratch.splice.remove(range);
            return Ok(());
        }
    }
    let Some(plan) = session.plan.as_deref().filter(|plan| !plan.trivial) else {
        return Ok(());
    };
    let rules = session.running.rules.as_deref().or(session.rules.as_deref());
    let Some(rules) = rules else { return Ok(()) };
    let mut target = Target {
        input,
        splice: &mut scratch.splice,
        tally: &mut session.running.tally,
        rules,
    };
    scratch.redactor.row(plan, range, &mut target)
}

fn copy_data(
    session: &mut Session,
    input: &mut [u8],
    range: Range<usize>,
    scratch: &mut Scratch,
) -> Result<(), Trouble> {
    session.running.bytes += range.len() as u64;
    session.running.rows += 1;
    let Some(mut copy) = session.copy.take() else {
        return match session.rules {
            Some(_) if session.inspector.is_copy_both() => Err(Trouble::Unreadable("a stream is not followed")),
            _ => Ok(()),
        };
    };
    let rules = session.running.rules.as_deref().or(session.rules.as_deref());
    let Some(rules) = rules else { return Ok(()) };
    let mut target = Target {
        input,
        splice: &mut scratch.splice,
        tally: &mut session.running.tally,
        rules,
    };
    let result = copy.frame(range, &mut scratch.redactor, &mut target);
    session.copy = Some(copy);
    result
}

fn completed(session: &mut Session, current: Current<Rc<Text>>, tag: &[u8], scratch: &mut Scratch, now: Now) {
    session.running.bytes += HEADER_BYTES as u64 + tag.len() as u64 + 1;
    session.running.bytes += std::mem::take(&mut session.copied_in);
    session.progress_at = now.mono_micros();
    session.overdue = None;
    // Pieces of COPY data are rows, a header and a trailer.
    if session.running.rows == 0 || tag.starts_with(b"COPY ") {
        session.running.rows = CommandComplete { command_tag: tag }.rows().unwrap_or(0);
    }
    let text = current.statement.clone();
    if let Some(text) = &text {
        session.tables_may_have_changed(text);
    }
    // An empty query has nothing to note, unless the server said something of it before.
    let is_empty = tag.is_empty() && text.as_ref().is_none_or(|text| text.parts.is_empty());
    if !is_empty || session.running.place.is_some() {
        note::finished(session, &current, Outcome::Ok, tag, scratch, now);
    } else {
        session.running = Default::default();
    }
    let statement = text
        .as_ref()
        .map(|text| text.raw.get(text.span(current.index)).unwrap_or_default());
    match tag {
        b"DEALLOCATE" => match statement.and_then(named) {
            Some(name) => session.inspector.forget_statement(&name),
            None => session.inspector.forget_statements(),
        },
        b"DEALLOCATE ALL" => session.inspector.forget_statements(),
        b"DISCARD ALL" => {
            session.inspector.forget_statements();
            session.inspector.forget_portals();
        }
        b"PREPARE" => match (statement.and_then(named), &text) {
            (Some(name), Some(text)) => session.inspector.prepared_by_sql(&name, Rc::clone(text)),
            _ => session.inspector.forget_statements(),
        },
        b"DECLARE CURSOR" | b"CLOSE CURSOR" | b"CLOSE CURSOR ALL" => session.inspector.forget_portals(),
        _ => {}
    }
}

/// The message is over, and fewer statements were answered than it had, or it was a function call.
fn ready(session: &mut Session, current: Current<Rc<Text>>, scratch: &mut Scratch, now: Now) {
    match (current.form, &current.statement) {
        (Form::Simple, Some(text)) if text.command.is_some() => {
            note::finished(session, &current, Outcome::Ok, b"", scratch, now);
        }
        (Form::Simple, Some(text)) if current.index < text.parts.len() => {
            for index in current.index..text.parts.len() {
                let rest = Current {
                    form: current.form,
                    statement: current.statement.clone(),
                    portal: None,
                    at: current.at,
                    index,
                    result: Described::Unknown,
                };
                note::finished(session, &rest, Outcome::Skipped, b"", scratch, now);
            }
        }
        (Form::Simple, _) if session.running.place.is_none() => {
            session.running = Default::default();
            session.plan = None;
        }
        _ => note::finished(session, &current, Outcome::Ok, b"", scratch, now),
    }
}

fn failed(
    session: &mut Session,
    input: &mut [u8],
    range: Range<usize>,
    failure: Failure<Rc<Text>>,
    scratch: &mut Scratch,
    now: Now,
) -> Result<(), Trouble> {
    let body = input.get(range.start + HEADER_BYTES..range.end).unwrap_or_default();
    let fields = ErrorFields::parse(body, "ErrorResponse")?;
    let fatal = matches!(fields.severity(), b"FATAL" | b"PANIC");
    let mut sqlstate = [b'0'; 5];
    for (to, from) in sqlstate.iter_mut().zip(fields.sqlstate()) {
        *to = *from;
    }
    session.running.bytes += range.len() as u64;
    let refusal = failure.refused.as_ref().and_then(|text| text.refusal());
    let bound = withhold::failed(session, &sqlstate);
    if let Some(bound) = &bound {
        sqlstate.copy_from_slice(bound.code.as_bytes().first_chunk::<5>().unwrap_or(b"57014"));
    }
    match refusal.or(bound).filter(|_| !fatal) {
        Some(refused) => {
            let error = withhold::told(&refused, "");
            scratch.splice.write(range, |out| error.append_error(out));
        }
        None => aside_text(session, input, range, Aside::Error, scratch)?,
    }
    if let Some(current) = failure.current.filter(|_| failure.refused.is_none()) {
        let left = current.statement.clone().filter(|_| current.form == Form::Simple);
        note::finished(session, &current, Outcome::Error, &sqlstate, scratch, now);
        for index in current.index + 1..left.map_or(0, |text| text.parts.len()) {
            let skipped = Current {
                index,
                ..copy_of(&current)
            };
            note::finished(session, &skipped, Outcome::Skipped, b"", scratch, now);
        }
    }
    if let Some(before) = &failure.before {
        note::missed(session, before, Outcome::Error, &sqlstate, scratch, now);
    }
    if failure.at_sync {
        let commit = Current {
            form: Form::Commit,
            statement: None,
            portal: None,
            at: now.mono_micros(),
            index: 0,
            result: Described::Unknown,
        };
        note::finished(session, &commit, Outcome::Error, &sqlstate, scratch, now);
    }
    let answered = session.batch;
    for skipped in failure.skipped.iter().filter(|skipped| skipped.statement.is_some()) {
        note::missed(session, skipped, Outcome::Skipped, b"", scratch, now);
    }
    // What else leaves before the next answer belongs to the one that failed, not to those that it took along.
    session.batch = answered;
    session.running = Default::default();
    session.plan = None;
    session.copy = None;
    session.stream = None;
    Ok(())
}

fn copy_of(current: &Current<Rc<Text>>) -> Current<Rc<Text>> {
    Current {
        form: current.form,
        statement: current.statement.clone(),
        portal: current.portal.clone(),
        at: current.at,
        index: current.index,
        result: Described::Unknown,
    }
}

/// Errors, notices and notifications: every text in them that can hold a value.
fn aside_text(
    session: &mut Session,
    input: &mut [u8],
    range: Range<usize>,
    aside: Aside,
    scratch: &mut Scratch,
) -> Result<(), Trouble> {
    if session.rules.is_none() && session.running.rules.is_none() {
        return Ok(());
    }
    let base = range.start + HEADER_BYTES;
    let body = input.get(base..range.end).unwrap_or_default();
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut detail = None;
    if aside == Aside::Notification {
        let notification = NotificationResponse::parse(body)?;
        let start = 4 + notification.channel.len() + 1;
        spans.push(4..4 + notification.channel.len());
        spans.push(start..start + notification.payload.len());
    } else {
        let mut at = 0;
        let fields = ErrorFields::parse(body, "ErrorResponse")?;
        let shown = tells_hidden_column(session, &fields);
        for (code, value) in fields.iter() {
            if code == b'D' && shown.is_some() {
                detail = shown.map(|index| (index, at + 1..at + 1 + value.len()));
            // Severity, SQLSTATE, positions and places in the server's sources are no data.
            } else if !b"SVCPpFLR".contains(&code) {
                spans.push(at + 1..at + 1 + value.len());
            }
            at += value.len() + 2;
        }
    }
    for span in spans {
        session.text(input, base + span.start..base + span.end, Place::Aside(aside), scratch)?;
    }
    session.flush(input, scratch);
    let rules = session.running.rules.as_deref().or(session.rules.as_deref());
    if let (Some((index, span)), Some(rules)) = (detail, rules)
        && let Some(action) = rules.columns.get(&index)
    {
        let value = text_value(base + span.start..base + span.end, Place::Aside(aside));
        let mut target = Target {
            input,
            splice: &mut scratch.splice,
            tally: &mut session.running.tally,
            rules,
        };
        redact::hide(value, action, Finder::Column, &mut target);
    }
    Ok(())
}

/// The column rule whose values the detail of an error can tell: that of a violated constraint quotes the row or the key.
/// Which columns a row has is not said, so such a detail counts for every rule; one about a key names its columns.
fn tells_hidden_column(session: &Session, fields: &ErrorFields<'_>) -> Option<usize> {
    /// Integrity constraint violations, and a view's check option.
    const ROW_CLASSES: [&[u8]; 2] = [b"23", b"44"];
    /// Foreign key, unique and exclusion constraints: the detail is about the key alone.
    const KEY_STATES: [&[u8]; 3] = [b"23503", b"23505", b"23P01"];
    let state = fields.sqlstate();
    if !ROW_CLASSES.iter().any(|class| state.starts_with(class)) {
        return None;
    }
    let rules = session.running.rules.as_deref().or(session.rules.as_deref())?;
    let field = |wanted: u8| fields.iter().find(|(code, _)| *code == wanted).map(|(_, value)| value);
    let (table, detail) = (field(b't'), field(b'D').unwrap_or_default());
    let tells = |index: &usize| {
        let Some(column) = session.connection.columns.get(*index) else {
            return false;
        };
        let named = memchr::memmem::find(detail, column.column.as_bytes()).is_some();
        named || !KEY_STATES.contains(&state) || table == Some(column.table.as_bytes())
    };
    rules.columns.keys().copied().filter(tells).min()
}

fn text_value(span: Range<usize>, place: Place) -> Value {
    Value {
        start: span.start as u32,
        end: span.end as u32,
        holder: Holder::Fixed,
        place,
        kind: Kind::Text,
        format: Format::Text,
        escaping: Escaping::None,
    }
}

fn function_result(
    session: &mut Session,
    input: &mut [u8],
    range: Range<usize>,
    scratch: &mut Scratch,
) -> Result<(), Trouble> {
    session.begin_statement();
    let bound = session.refuses_function_result(range.len());
    session.running.bytes += range.len() as u64;
    let base = range.start + HEADER_BYTES;
    let body = input.get(base..range.end).unwrap_or_default();
    let Some(value) = FunctionCallResponse::parse(body)?.value else {
        return Ok(());
    };
    let is_text = std::str::from_utf8(value).is_ok_and(|text| !text.is_empty() && !text.contains('\0'));
    if let Some(refusal) = bound.or_else(|| session.unattributed_denied().filter(|_| is_text)) {
        let error = withhold::told(&refusal, "The target has completed the call.");
        scratch.splice.write(range, |out| error.append_error(out));
        return Ok(());
    }
    let start = base + 4;
    let value = Value {
        start: start as u32,
        end: (start + value.len()) as u32,
        holder: Holder::Counted {
            frame: range.start as u32,
            length: base as u32,
        },
        place: Place::Function,
        // Its type is not told: text if it reads so, else whatever its bytes say they are.
        kind: if is_text { Kind::Text } else { Kind::Other },
        format: Format::Binary,
        escaping: Escaping::None,
    };
    let rules = session.running.rules.as_deref().or(session.rules.as_deref());
    let Some(rules) = rules else { return Ok(()) };
    let mut target = Target {
        input,
        splice: &mut scratch.splice,
        tally: &mut session.running.tally,
        rules,
    };
    match &rules.unattributed {
        Some(action) if is_text => redact::hide(value, action, Finder::Unattributed, &mut target),
        _ => scratch.redactor.scan_value(value, Context::default(), &mut target)?,
    }
    session.flush(input, scratch);
    Ok(())
}

impl Session {
    /// Looks at everything that was packed.
    pub(super) fn flush(&mut self, input: &mut [u8], scratch: &mut Scratch) {
        let rules = self.running.rules.as_deref().or(self.rules.as_deref());
        let Some(rules) = rules else { return };
        let mut target = Target {
            input,
            splice: &mut scratch.splice,
            tally: &mut self.running.tally,
            rules,
        };
        scratch.redactor.flush(&mut target);
    }

    /// Packs a piece of text that must keep its length.
    fn text(
        &mut self,
        input: &mut [u8],
        span: Range<usize>,
        place: Place,
        scratch: &mut Scratch,
    ) -> Result<(), Trouble> {
        let rules = self.running.rules.as_deref().or(self.rules.as_deref());
        let Some(rules) = rules else { return Ok(()) };
        let value = text_value(span, place);
        let mut target = Target {
            input,
            splice: &mut scratch.splice,
            tally: &mut self.running.tally,
            rules,
        };
        scratch.redactor.scan_value(value, Context::default(), &mut target)
    }

    /// Whether a statement is being answered. Between the last answer of a message and its end none is.
    fn is_answering(&self) -> bool {
        let exists = |current: &Current<Rc<Text>>| match (&current.statement, current.form) {
            (Some(text), Form::Simple) => current.index == 0 || current.index < text.parts.len(),
            _ => true,
        };
        !self.inspector.is_refused() && self.inspector.current().is_some_and(exists)
    }

    /// The first message of a statement's answer gives it its place in the record.
    #[inline]
    pub(super) fn begin_statement(&mut self) {
        if self.running.place.is_some() {
            return;
        }
        if let Some((form, index)) = self.inspector.current().map(|current| (current.form, current.index)) {
            self.running.place = Some(self.next_place(form, index));
        }
    }

    /// The plan for the rows of the current statement.
    fn make_plan(&mut self) {
        let Some(current) = self.inspector.current() else {
            return;
        };
        let formats = current
            .portal
            .as_deref()
            .filter(|portal| !portal.has_own_shape())
            .map(|portal| &portal.formats);
        let generation = self.policy.generation();
        if current.statement.as_ref().is_some_and(|text| text.command.is_some()) {
            // Facts about the server, such as its identifier and positions. Not kept: other rows may look the same.
            let basis = Basis {
                rules: None,
                origins: &self.origins,
                columns: &self.connection.columns,
                generation,
            };
            self.plan = Some(Rc::new(Plan::make(&basis, &current.result, formats)));
            return;
        }
        if let Some(known) = self
            .plans
            .iter()
            .find(|plan| plan.fits(&current.result, formats, generation))
        {
            self.plan = Some(Rc::clone(known));
            return;
        }
        let rules = self.running.rules.as_deref().or(self.rules.as_deref());
        let basis = Basis {
            rules,
            origins: &self.origins,
            columns: &self.connection.columns,
            generation,
        };
        let plan = Rc::new(Plan::make(&basis, &current.result, formats));
        if plan.unknown_relation {
            self.saw_unknown_relation();
        }
        if self.plans.len() >= PLANS_MAX {
            self.plans.remove(0);
        }
        if plan.shape.is_some() {
            self.plans.push(Rc::clone(&plan));
        }
        self.plan = Some(plan);
    }

    /// COPY data is over: what was held back leaves before the CopyDone at `at`.
    fn finish_copy(&mut self, input: &mut [u8], at: usize, scratch: &mut Scratch) -> Result<(), Trouble> {
        let Some(mut copy) = self.copy.take() else {
            return Ok(());
        };
        let rules = self.running.rules.as_deref().or(self.rules.as_deref());
        let Some(rules) = rules else { return Ok(()) };
        let mut target = Target {
            input,
            splice: &mut scratch.splice,
            tally: &mut self.running.tally,
            rules,
        };
        copy.finish(at, &mut scratch.redactor, &mut target)
    }
}
