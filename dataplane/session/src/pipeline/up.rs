//! Client to target: statements are judged before any of their bytes leave.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use codecs::codec::Direction;
use codecs::fact::Form;
use codecs::postgres::framer::{Framer, HEADER_BYTES, Speaker};
use codecs::postgres::inspector::{Announced, Wanted};
use codecs::postgres::message::tag::frontend as tag;
use codecs::postgres::message::{Bind, Execute, Format, Frontend, Parse, Target, encode};
use codecs::postgres::replication::Command;
use codecs::wire::sql::{CopyDirection, CopyPlace, Effects, LexOptions, Statement};
use smallvec::SmallVec;

use super::{Step, note};
use crate::hold::Gate;
use crate::judge::guard;
use crate::judge::tally::{Place, Tally};
use crate::limits::{REQUEST_BYTES_MAX, SQL_PREPARED_MAX};
use crate::record;
use crate::session::{Close, Now, Scratch, Session};
use crate::text::{Judged, Part, Text, hide_passwords, make_utf8};
use crate::verdict::{Refusal, Verdict};

/// What the server gets in place of a refused statement: a syntax error, whatever its state.
const POISON: &[u8] = b"!refused by Sluice";
/// A portal that no session has: its Execute fails.
const POISON_PORTAL: &[u8] = b"!refused by Sluice";

/// Deals with what stands at `input[at..]`.
pub(super) fn step(session: &mut Session, input: &mut [u8], at: usize, scratch: &mut Scratch, now: Now) -> Step {
    let rest = input.get(at..).unwrap_or_default();
    if session.passing_up > 0 {
        let bytes = session.passing_up.min(rest.len());
        session.passing_up -= bytes;
        return Step::Took(bytes);
    }
    if session.waits(Direction::ToUpstream) {
        return Step::Stall;
    }
    let header = match Framer::new(Speaker::Frontend).header(rest) {
        Ok(Some(header)) => header,
        Ok(None) => return Step::Need(HEADER_BYTES),
        Err(error) => return Step::Close(Close::downstream(error)),
    };
    if let Err(error) = session.inspector.check_copy(header.tag) {
        return Step::Close(Close::downstream(error));
    }
    if header.tag == tag::COPY_DATA {
        // Judged with its statement; leaves as it comes, however long it is.
        session.passing_up = header.len;
        session.copied_in += (header.len - HEADER_BYTES) as u64;
        return Step::Took(0);
    }
    if header.len > REQUEST_BYTES_MAX {
        return Step::Close(Close::too_large("a client message", header.len, REQUEST_BYTES_MAX));
    }
    if session.inspector.is_full() || header.tag == tag::SYNC && session.inspector.sync_must_wait() {
        return stall(session, at, scratch);
    }
    session.flushed = false;
    if rest.len() < header.len {
        return Step::Need(header.len);
    }
    session.look_up_columns(header.tag, at, scratch, now);
    if session.skipping_up && header.tag != tag::TERMINATE {
        session.skipping_up = header.tag != tag::SYNC;
        if session.skipping_up {
            scratch.splice.remove(at..at + header.len);
            return Step::Took(header.len);
        }
    }
    let step = frame(session, rest, header.tag, at, header.len, scratch, now);
    if let Some(skipped) = session.inspector.take_skipped() {
        note::skipped(session, &skipped, scratch, now);
    }
    step
}

/// Waits for answers; a Flush makes the server send those that it holds back.
fn stall(session: &mut Session, at: usize, scratch: &mut Scratch) -> Step {
    if !std::mem::replace(&mut session.flushed, true) {
        scratch.splice.write(at..at, encode::flush);
    }
    Step::Stall
}

fn frame(session: &mut Session, rest: &[u8], tag: u8, at: usize, len: usize, scratch: &mut Scratch, now: Now) -> Step {
    let body = rest.get(HEADER_BYTES..len).unwrap_or_default();
    let message = match Frontend::parse(tag, body) {
        Ok(message) => message,
        Err(error) => return Step::Close(Close::downstream(error)),
    };
    let sent = now.mono_micros();
    match message {
        Frontend::Bind(message) => bind(session, &message, scratch, now),
        Frontend::Execute(message) => execute(session, &message, at, len, scratch, now),
        Frontend::Sync => {
            if !session.inspector.sync(sent) {
                scratch.splice.remove(at..at + len);
            }
            Step::Took(len)
        }
        Frontend::Describe(target) => {
            session.inspector.describe(target, sent);
            Step::Took(len)
        }
        Frontend::Close(target) => {
            session.inspector.close(target, sent);
            Step::Took(len)
        }
        Frontend::Query(message) => query(session, message.text, at, len, scratch, now),
        Frontend::Parse(message) => {
            parse(session, &message, at, len, scratch, now);
            Step::Took(len)
        }
        Frontend::FunctionCall(call) => {
            function_call(session, call.function_oid, at, len, scratch, now);
            Step::Took(len)
        }
        Frontend::CopyDone | Frontend::CopyFail(_) => {
            session.inspector.copy_done();
            Step::Took(len)
        }
        // In the middle of a COPY the server would ignore it, and so it does no harm.
        Frontend::Flush | Frontend::Terminate | Frontend::CopyData(_) => Step::Took(len),
        Frontend::Password(_) => {
            let error = codecs::malformed::Malformed::Tag {
                place: "client message",
                tag,
            };
            Step::Close(Close::downstream(error))
        }
    }
    .took(len)
}

impl Step {
    /// The whole frame, unless something else was decided.
    fn took(self, len: usize) -> Step {
        if matches!(self, Step::Took(_)) {
            Step::Took(len)
        } else {
            self
        }
    }
}

fn query(session: &mut Session, raw: &[u8], at: usize, len: usize, scratch: &mut Scratch, now: Now) -> Step {
    let mut text = read(session, raw, Box::default(), scratch);
    match session.gate(&text, None, now) {
        Gate::Pass => {}
        Gate::Drain => return stall(session, at, scratch),
        Gate::Wait => return Step::Stall,
        Gate::Refuse(refusal, reviews) => text = Rc::new(text.refused(refusal, reviews)),
    }
    let refusal = text.refusal();
    if refusal.is_none() {
        remember_prepared(session, &text);
    }
    if let Some(refusal) = &refusal {
        // A NUL-free constant always fits.
        let _ = scratch.splice.write(at..at + len, |out| encode::query(out, POISON));
        note::denied(session, Form::Simple, &text, &refusal.rule, scratch, now);
    }
    let (weight, sent) = (text.weight(), now.mono_micros());
    if text.command.is_some() {
        session.inspector.command(text, refusal.is_some(), weight, sent);
    } else {
        session.inspector.query(text, refusal.is_some(), weight, sent);
    }
    Step::Took(len)
}

fn parse(session: &mut Session, message: &Parse<'_>, at: usize, len: usize, scratch: &mut Scratch, now: Now) {
    let text = read(session, message.text, message.parameter_types.iter().collect(), scratch);
    let sent = now.mono_micros();
    let mut refusal = text.refusal();
    if refusal.is_none() {
        let weight = text.weight();
        match session.inspector.parse(message.name, Rc::clone(&text), weight, sent) {
            // Preparing does nothing: reviews are asked for when it is run.
            Ok(()) => return remember_prepared(session, &text),
            Err(_) => refusal = Some(guard::over_limit("too many prepared statements")),
        }
    }
    let Some(refusal) = refusal else { return };
    text.judged.borrow_mut().refusal = Some(Arc::clone(&refusal));
    let _ = scratch
        .splice
        .write(at..at + len, |out| encode::parse(out, message.name, POISON, &[]));
    note::denied(session, Form::Prepare, &text, &refusal.rule, scratch, now);
    session.inspector.parse_refused(message.name, text, sent);
}

/// A call by number: of a function that drivers call so, judged like the statement that calls it by name; of any other, like a
/// statement that cannot be read.
fn function_call(session: &mut Session, oid: u32, at: usize, len: usize, scratch: &mut Scratch, now: Now) {
    let text = match codecs::postgres::functions::name(oid) {
        Some(name) => format!("SELECT pg_catalog.{name}($1)"),
        None => format!("function {oid}()"),
    };
    let text = read(session, text.as_bytes(), Box::default(), scratch);
    let refusal = text.refusal();
    if let Some(refusal) = &refusal {
        let _ = scratch.splice.write(at..at + len, |out| {
            encode::function_call(out, 0, &[], &[], Format::Text)
        });
        note::denied(session, Form::Function, &text, &refusal.rule, scratch, now);
    }
    session
        .inspector
        .function_call(text, refusal.is_some(), now.mono_micros());
}

fn bind(session: &mut Session, message: &Bind<'_>, scratch: &mut Scratch, now: Now) -> Step {
    session.holds.bound(message.portal);
    let text = session.inspector.statement(message.statement).cloned();
    let types: &[u32] = text.as_ref().map_or(&[], |text| &text.parameter_types);
    let (rules, notes) = (session.rules.as_deref(), session.notes_statements());
    let bound = session.inspector.bind(message, now.mono_micros(), |out| {
        if notes {
            record::parameters(message, types, rules, &mut scratch.redactor, out);
        }
    });
    match bound {
        Ok(()) => Step::Took(0),
        Err(_) => {
            let error = codecs::malformed::Malformed::TooMany {
                place: "portals",
                max: codecs::postgres::limits::PORTALS_MAX,
            };
            Step::Close(Close::downstream(error))
        }
    }
}

fn execute(
    session: &mut Session,
    message: &Execute<'_>,
    at: usize,
    len: usize,
    scratch: &mut Scratch,
    now: Now,
) -> Step {
    let text = session.inspector.statement_of_portal(message.portal).cloned();
    let mut refused = None;
    if let Some(text) = &text {
        if text.judged.borrow().generation != session.policy.generation() {
            let verdict = judge(session, text);
            decide(session, text, verdict, scratch);
        }
        let stale = text.executes.then(|| session.execute_refusal.clone()).flatten();
        let denied = match text.refusal().or(stale) {
            Some(refusal) => {
                text.judged.borrow_mut().refusal = Some(Arc::clone(&refusal));
                Some(Rc::clone(text))
            }
            None => match gate_portal(session, text, message.portal, now) {
                Gate::Pass => None,
                Gate::Drain => return stall(session, at, scratch),
                Gate::Wait => return Step::Stall,
                Gate::Refuse(refusal, reviews) => Some(Rc::new(text.refused(refusal, reviews))),
            },
        };
        if let Some(text) = denied {
            let _ = scratch
                .splice
                .write(at..at + len, |out| encode::execute(out, POISON_PORTAL, 0));
            let rule = text.refusal().map(|refusal| refusal.rule.clone()).unwrap_or_default();
            note::denied(session, Form::Extended, &text, &rule, scratch, now);
            refused = Some(text);
        }
    }
    // What nobody saw may be anything.
    let copy_in = text.as_ref().is_none_or(|text| text.copy_in);
    let announced = session
        .inspector
        .execute(message.portal, copy_in, refused, wanted(session), now.mono_micros());
    let target = match announced {
        Announced::Nothing => None,
        Announced::DescribePortal => Some(Target::Portal(message.portal)),
        Announced::DescribeStatement => session
            .inspector
            .name_of_statement(message.portal)
            .map(Target::Statement),
    };
    if let Some(target) = target {
        let _ = scratch.splice.write(at..at, |out| encode::describe(out, target));
    }
    Step::Took(len)
}

/// What redaction has to know about rows: where rules name columns of tables, what a statement was once said to return
/// is not enough, as the server looks tables up by name again.
fn wanted(session: &Session) -> Wanted {
    match session.rules.as_deref() {
        None => Wanted::Nothing,
        Some(rules) if rules.columns.is_empty() && rules.unattributed.is_none() => Wanted::Types,
        Some(_) => Wanted::Origins,
    }
}

fn gate_portal(session: &mut Session, text: &Rc<Text>, portal: &[u8], now: Now) -> Gate {
    if text.judged.borrow().holds.is_empty() && session.hold().is_none() {
        return Gate::Pass;
    }
    let values = session.inspector.parameters_of_portal(portal).to_vec();
    session.gate(text, Some((portal, &values)), now)
}

/// Reads and judges a text. What is refused here is what guardrails refuse, what the analysis cannot be sure of, and what
/// redaction could not follow.
fn read(session: &mut Session, raw: &[u8], parameter_types: Box<[u32]>, scratch: &mut Scratch) -> Rc<Text> {
    if let Some(command) = session.replication.and_then(|_| Command::parse(raw)) {
        return read_command(session, raw, command, scratch);
    }
    let mut lossy = Vec::new();
    let text = std::str::from_utf8(raw).unwrap_or_else(|_| {
        lossy.extend_from_slice(raw);
        make_utf8(&mut lossy);
        std::str::from_utf8(&lossy).unwrap_or_default()
    });
    let standard = session.settings.standard_strings;
    let options = |standard_conforming_strings| LexOptions {
        standard_conforming_strings,
    };
    let mut effects: SmallVec<[Effects; 1]> = SmallVec::new();
    // A SET that is on its way changes what a backslash means: while anything is, both readings count.
    if session.inspector.backlog() > 0 && memchr::memchr(b'\\', raw).is_some() {
        let other = scratch.analyzer.analyze(text, options(!standard));
        effects.extend(other.statements.iter().map(|statement| statement.effects));
    }
    let analysis = scratch.analyzer.analyze(text, options(standard));
    effects.extend(analysis.statements.iter().map(|statement| statement.effects));
    let parts = analysis.statements.iter().map(part).collect();
    let copy_in = analysis.statements.iter().any(may_copy_in);
    let executes = effects.iter().any(|effects| effects.contains(Effects::EXECUTE));
    let text = Rc::new(Text {
        raw: raw.into(),
        parts,
        effects,
        parameter_types,
        copy_in,
        command: None,
        executes,
        judged: RefCell::default(),
    });
    let verdict = judge(session, &text);
    decide(session, &text, verdict, scratch);
    text
}

/// A command of a replication connection: one statement, whatever it says.
fn read_command(session: &mut Session, raw: &[u8], command: Command, scratch: &mut Scratch) -> Rc<Text> {
    let part = Part {
        span: 0..raw.len(),
        copy: None,
        tables: Rc::default(),
    };
    let text = Rc::new(Text {
        raw: raw.into(),
        parts: SmallVec::from_iter([part]),
        effects: SmallVec::from_iter([command.effects()]),
        parameter_types: Box::default(),
        copy_in: command == Command::UploadManifest,
        command: Some(command),
        executes: false,
        judged: RefCell::default(),
    });
    let verdict = judge(session, &text);
    decide(session, &text, verdict, scratch);
    text
}

/// What SQL prepares is judged again when the policy changes, and reviewed whenever any of it is run.
fn remember_prepared(session: &mut Session, text: &Rc<Text>) {
    if !text.effects.iter().any(|effects| effects.contains(Effects::PREPARE)) {
        return;
    }
    if session.sql_prepared.len() < SQL_PREPARED_MAX {
        session.sql_prepared.push(Rc::clone(text));
    } else {
        session.sql_prepared_more = true;
    }
    for rule in &text.judged.borrow().holds {
        if !session.holds.prepared.contains(rule) {
            session.holds.prepared.push(Arc::clone(rule));
        }
    }
}

fn part(statement: &Statement) -> Part {
    Part {
        span: statement.span.clone(),
        copy: statement.copy.clone(),
        tables: Rc::clone(&statement.tables),
    }
}

fn may_copy_in(statement: &Statement) -> bool {
    match &statement.copy {
        Some(copy) => copy.direction == CopyDirection::In && copy.place == CopyPlace::Client,
        None => statement.effects.contains(Effects::COPY_IN) || statement.effects.contains(Effects::UNKNOWN),
    }
}

fn judge(session: &Session, text: &Text) -> Verdict {
    let guard = &session.connection.guard;
    let mut verdict = guard::judge(guard, &text.raw, text.effects.iter().copied());
    if !guard.is_empty() && !session.settings.encoding_is_ascii_safe && !text.raw.is_ascii() {
        verdict = verdict.max(Verdict::Deny(guard::over_limit(
            "statements in this client_encoding cannot be judged",
        )));
    }
    if text.executes && !session.holds.prepared.is_empty() {
        verdict = verdict.max(Verdict::Hold(session.holds.prepared.clone()));
    }
    if let (true, Some(refusal)) = (text.executes, &session.execute_refusal) {
        verdict = verdict.max(Verdict::Deny(Arc::clone(refusal)));
    }
    if let Some(refusal) = session.refuses_stream(text) {
        verdict = verdict.max(Verdict::Deny(refusal));
    }
    match unfollowed_copy(session, text) {
        Some(refusal) => verdict.max(Verdict::Deny(refusal)),
        None => verdict,
    }
}

/// COPY data says nothing about where its values come from: with column rules on a table, the columns must be listed.
fn unfollowed_copy(session: &Session, text: &Text) -> Option<Arc<Refusal>> {
    let rules = session.rules.as_deref().filter(|rules| !rules.columns.is_empty())?;
    let named = |table: &codecs::wire::sql::TableName| {
        session.connection.columns.iter().enumerate().any(|(index, column)| {
            rules.columns.contains_key(&index)
                && column.table == table.name
                && table.schema.as_ref().is_none_or(|schema| *schema == column.schema)
        })
    };
    let hides = |name: &str| {
        let mut columns = session.connection.columns.iter().enumerate();
        columns.any(|(index, column)| column.column == name && rules.columns.contains_key(&index))
    };
    let strict =
        rules.unattributed_denied.is_some() || rules.unattributed.as_ref().is_some_and(|action| action.enforce);
    let hidden = text.parts.iter().any(|part| match &part.copy {
        Some(copy) if copy.direction == CopyDirection::Out && copy.place == CopyPlace::Client => match &copy.table {
            Some(table) if named(table) => copy.columns.is_empty(),
            // It may be a partition of such a table, or a query over a view of it: only names are known here.
            Some(_) => strict && (copy.columns.is_empty() || copy.columns.iter().any(|column| hides(column))),
            None => strict || part.tables.iter().any(named),
        },
        _ => false,
    });
    hidden.then(|| {
        Arc::new(Refusal {
            code: "42501",
            message: "refused by Sluice: this COPY does not tell which of its values come from masked columns"
                .to_owned(),
            hint: "Write COPY table (column, …) TO STDOUT, or use SELECT.".to_owned(),
            rule: "redaction".to_owned(),
        })
    })
}

/// Writes down what was judged, and how the text may be shown in the record.
fn decide(session: &Session, text: &Text, verdict: Verdict, scratch: &mut Scratch) {
    let mut shown = std::mem::take(&mut scratch.redactor.shown);
    shown.clear();
    shown.extend_from_slice(&text.raw);
    let mut tally = Tally::default();
    let rules = session.rules.as_deref();
    let mut changed = record::mask(rules, Place::Statement, &mut shown, &mut scratch.redactor, &mut tally);
    changed |= hide_passwords(&text.raw, &mut shown);
    changed |= make_utf8(&mut shown);
    let (refusal, holds) = match verdict {
        Verdict::Pass => (None, Vec::new()),
        Verdict::Hold(rules) => (None, rules),
        Verdict::Deny(refusal) => (Some(refusal), Vec::new()),
    };
    let reviews = std::mem::take(&mut text.judged.borrow_mut().reviews);
    text.judged.replace(Judged {
        generation: session.policy.generation(),
        refusal,
        holds,
        reviews,
        shown: changed.then(|| shown.as_slice().into()),
        tally,
        rules: changed.then(|| session.rules.clone()).flatten(),
    });
    scratch.redactor.shown = shown;
}

impl Session {
    /// The policy changed: what SQL prepared is judged again. If any of it is refused now, none can be run, because
    /// EXECUTE does not tell here which one it runs.
    pub(crate) fn judge_sql_prepared(&mut self, scratch: &mut Scratch) {
        self.execute_refusal = None;
        self.holds.prepared.clear();
        let (mut refusal, mut holds) = (None, Verdict::Pass);
        for text in &self.sql_prepared {
            let verdict = judge(self, text);
            match &verdict {
                Verdict::Deny(denied) => refusal = Some(Arc::clone(denied)),
                Verdict::Hold(_) => holds = holds.max(verdict.clone()),
                Verdict::Pass => {}
            }
            decide(self, text, verdict, scratch);
        }
        if let Verdict::Hold(rules) = holds {
            self.holds.prepared = rules;
        }
        if self.sql_prepared_more && !self.connection.guard.is_empty() {
            refusal = refusal.or(Some(guard::over_limit(
                "the policy changed and a prepared statement cannot be judged again",
            )));
        }
        self.execute_refusal = refusal;
    }
}
