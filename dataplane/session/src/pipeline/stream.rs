//! Logical replication towards the client: values of rows are looked at by the descriptions of tables that the stream carries.
//!
//! Only what the output plugin `pgoutput` sends can be taken apart. Where rules apply, everything else is refused before it
//! begins: the log as it is, base backups, other plugins.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use codecs::malformed::Malformed;
use codecs::postgres::framer::HEADER_BYTES;
use codecs::postgres::message::Format;
use codecs::postgres::refusal::sqlstate;
use codecs::postgres::replication::{
    CellFormat, Change, Command, Relation, RelationColumn, Replication, Streamed, Tuple, streamed,
};
use codecs::postgres::rewriter::{Escaping, Kind};
use codecs::wire::sql::Effects;
use scan::Context;

use crate::judge::redact::{self, Holder, Redactor, Target, Trouble, Value};
use crate::judge::tally::{Finder, Place};
use crate::limits::{STREAM_COLUMNS_MAX, STREAM_TABLES_MAX};
use crate::plan::{Act, ColumnPlan};
use crate::policy::{ConnectionPolicy, RuleSet};
use crate::session::{Close, CloseCause, Scratch, Session};
use crate::text::Text;
use crate::verdict::Refusal;

/// What a stream has said about tables so far.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    tables: HashMap<u32, Table>,
    /// Of all tables.
    columns: usize,
    /// Between the start and the stop of a piece of a transaction that has not committed.
    in_piece: bool,
}

#[derive(Debug)]
struct Table {
    relation: Relation,
    /// Which rule hides a column, by position.
    hidden: Vec<Option<usize>>,
    /// For values in text and in binary.
    plans: Vec<[ColumnPlan; 2]>,
    /// Of the policy that the plans were made by.
    generation: u64,
}

/// What is in force while a message is looked at.
struct Force<'a> {
    session: &'a Session,
    rules: &'a RuleSet,
}

/// Looks at a piece of the stream.
pub(super) fn frame(
    session: &mut Session,
    input: &mut [u8],
    range: Range<usize>,
    scratch: &mut Scratch,
) -> Result<(), Trouble> {
    session.running.bytes += range.len() as u64;
    session.running.rows += 1;
    let (Some(mut stream), Some(rules)) = (session.stream.take(), session.rules.clone()) else {
        return Ok(());
    };
    let mut tally = std::mem::take(&mut session.running.tally);
    let mut target = Target {
        input,
        splice: &mut scratch.splice,
        tally: &mut tally,
        rules: &rules,
    };
    let force = Force { session, rules: &rules };
    let result = stream.message(&force, range, &mut scratch.redactor, &mut target);
    session.running.tally = tally;
    session.stream = Some(stream);
    result
}

impl Stream {
    fn message(
        &mut self,
        force: &Force<'_>,
        frame: Range<usize>,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        let payload = target
            .input
            .get(frame.start + HEADER_BYTES..frame.end)
            .unwrap_or_default();
        let Streamed::Log(log) = streamed(payload)? else {
            return Ok(());
        };
        let base = frame.start + HEADER_BYTES + log.start;
        let change = Change::parse(payload.get(log).unwrap_or_default(), self.in_piece)?;
        match change {
            Change::Nothing => {}
            Change::StreamStart => self.in_piece = true,
            Change::StreamStop => self.in_piece = false,
            Change::Relation(relation) => self.describe(force, relation)?,
            Change::Name(name) => redactor.scan_value(chosen(base, &name), Context::default(), target)?,
            Change::Message { prefix, content } => {
                redactor.scan_value(chosen(base, &prefix), Context::default(), target)?;
                emitted(base, &content, redactor, target)?;
            }
            Change::Row { relation, tuples } => {
                let table = self.tables.get_mut(&relation);
                let table = table.ok_or(Trouble::Unreadable("a change is of a table that was not described"))?;
                table.renew(force);
                for tuple in &tuples {
                    table.row(tuple, base, frame.start, redactor, target)?;
                }
            }
        }
        Ok(())
    }

    fn describe(&mut self, force: &Force<'_>, relation: Relation) -> Result<(), Trouble> {
        let before = self.tables.remove(&relation.oid);
        self.columns -= before.as_ref().map_or(0, |table| table.hidden.len());
        self.columns += relation.columns.len();
        if self.tables.len() >= STREAM_TABLES_MAX || self.columns > STREAM_COLUMNS_MAX {
            return Err(Trouble::Unreadable("the stream has too many tables"));
        }
        let oid = relation.oid;
        let mut table = Table {
            hidden: Vec::new(),
            plans: Vec::new(),
            generation: 0,
            relation,
        };
        table.plan(force, before.as_ref());
        self.tables.insert(oid, table);
        Ok(())
    }
}

impl Table {
    /// A newer policy has other rules.
    fn renew(&mut self, force: &Force<'_>) {
        if self.generation != force.session.policy.generation() {
            self.plan(force, None);
        }
    }

    fn plan(&mut self, force: &Force<'_>, before: Option<&Table>) {
        let columns = &self.relation.columns;
        let hidden = |(at, column): (usize, &RelationColumn)| {
            force.hides(&self.relation, column).or_else(|| {
                // It has another name now, and is the same column.
                let before = before.filter(|before| before.relation.columns.len() == columns.len())?;
                let old = &before.relation.columns.get(at)?.name;
                let renamed = columns.iter().all(|column| column.name != *old);
                before.hidden.get(at).copied().flatten().filter(|_| renamed)
            })
        };
        self.hidden = columns.iter().enumerate().map(hidden).collect();
        let plans = columns.iter().zip(&self.hidden).map(|(column, hidden)| {
            [Format::Text, Format::Binary].map(|format| {
                let act = match hidden.filter(|index| force.rules.columns.contains_key(index)) {
                    Some(index) => Act::Hide(index),
                    None => Act::Scan,
                };
                ColumnPlan::new(
                    force.rules,
                    column.name.as_bytes(),
                    Kind::of(column.type_oid),
                    format,
                    act,
                )
            })
        });
        self.plans = plans.collect();
        self.generation = force.session.policy.generation();
    }

    fn row(
        &self,
        tuple: &Tuple,
        base: usize,
        frame: usize,
        redactor: &mut Redactor,
        target: &mut Target<'_>,
    ) -> Result<(), Trouble> {
        if tuple.cells.len() != self.plans.len() {
            return Err(Trouble::Malformed(Malformed::Value {
                place: "columns of a replicated row",
                value: tuple.cells.len() as i64,
            }));
        }
        for (cell, [text, binary]) in tuple.cells.iter().zip(&self.plans) {
            let plan = match cell.format {
                CellFormat::Absent => continue,
                CellFormat::Text => text,
                CellFormat::Binary => binary,
            };
            let value = base + cell.value.start..base + cell.value.end;
            if value.len() > plan.passed_bytes_max {
                let holder = Holder::Tuple {
                    frame: frame as u32,
                    length: value.start as u32 - 4,
                };
                redactor.cell(plan, Place::Copy, value, holder, target)?;
            }
        }
        Ok(())
    }
}

impl Force<'_> {
    /// The rule that hides a column: of the table itself, or of one that it is a partition of, or by name alone where the table is
    /// younger than the look-up.
    fn hides(&self, relation: &Relation, column: &RelationColumn) -> Option<usize> {
        let names = self.session.connection.columns.iter().enumerate();
        let origins = &self.session.origins;
        let mut ruled = names.filter(|(index, _)| self.rules.columns.contains_key(index));
        let hides = |index: usize, schema: &str, table: &str| {
            schema == relation.schema && table == relation.name
                || origins.has_table(relation.oid, index)
                || origins.is_young(relation.oid)
        };
        ruled
            .find(|(index, rule)| rule.column == column.name && hides(*index, &rule.schema, &rule.table))
            .map(|(index, _)| index)
    }
}

/// A text that somebody chose, and that must keep its length.
fn chosen(base: usize, span: &Range<usize>) -> Value {
    Value {
        start: (base + span.start) as u32,
        end: (base + span.end) as u32,
        holder: Holder::Fixed,
        place: Place::Copy,
        kind: Kind::Text,
        format: Format::Text,
        escaping: Escaping::None,
    }
}

/// What somebody wrote into the log: it comes from no column.
fn emitted(
    base: usize,
    content: &Range<usize>,
    redactor: &mut Redactor,
    target: &mut Target<'_>,
) -> Result<(), Trouble> {
    let mut value = chosen(base, content);
    let bytes = target
        .input
        .get(value.start as usize..value.end as usize)
        .unwrap_or_default();
    if bytes.is_empty() {
        return Ok(());
    }
    if std::str::from_utf8(bytes).is_err() || bytes.contains(&0) {
        value.kind = Kind::Other;
        value.format = Format::Binary;
    }
    if target.rules.unattributed_denied.is_some() {
        return Err(Trouble::Unreadable("a message in the log comes from no column"));
    }
    match &target.rules.unattributed {
        Some(action) => {
            redact::hide(value, action, Finder::Unattributed, target);
            Ok(())
        }
        None => redactor.scan_value(value, Context::default(), target),
    }
}

impl ConnectionPolicy {
    /// Why a user of these groups gets no replication connection, if so.
    pub fn refuses_replication(&self, asked: Replication, groups: &[String]) -> Option<Refusal> {
        let refused = |message: &str| {
            Some(Refusal {
                code: sqlstate::FEATURE_NOT_SUPPORTED,
                message: message.to_owned(),
                hint: String::new(),
                rule: "replication".to_owned(),
            })
        };
        if !self.replication {
            return refused("replication is not enabled for this connection");
        }
        if self.bounds.are_set() || self.statement_time_max.is_some() {
            return refused("replication has no end, and this connection bounds results or times");
        }
        let masked = self.rule_set(groups).is_none_or(|rules| !rules.is_empty());
        if masked && asked == Replication::Physical {
            return refused(
                "physical replication cannot be masked, and this connection masks values: use replication=database with pgoutput",
            );
        }
        None
    }
}

impl Session {
    /// Why a command, or what may be one, is not sent: what it streams could not be looked at.
    pub(super) fn refuses_stream(&self, text: &Text) -> Option<Arc<Refusal>> {
        self.replication.filter(|_| self.rules.is_some())?;
        let refused = match text.command {
            Some(Command::StreamPhysical | Command::BaseBackup | Command::StreamLogical { pgoutput: false }) => true,
            Some(_) => false,
            // A command that was not read would be one that nobody looks at.
            None => text.effects.iter().any(|effects| effects.contains(Effects::UNKNOWN)),
        };
        refused.then(|| {
            Arc::new(Refusal {
                code: sqlstate::FEATURE_NOT_SUPPORTED,
                message: "refused by Sluice: what this command streams cannot be masked, and this connection masks values"
                    .to_owned(),
                hint: "Use START_REPLICATION SLOT … LOGICAL with the output plugin pgoutput (proto_version, publication_names)."
                    .to_owned(),
                rule: "redaction".to_owned(),
            })
        })
    }

    /// Both directions carry data from here on.
    pub(super) fn begin_stream(&mut self) -> Option<Close> {
        self.rules.as_ref()?;
        let command = self
            .inspector
            .current()
            .and_then(|current| current.statement.as_ref()?.command);
        if command != Some(Command::StreamLogical { pgoutput: true }) {
            return Some(unmaskable());
        }
        self.stream = Some(Box::default());
        None
    }

    /// The policy changed: what is streamed may not be allowed any more, or be something that was not followed so far.
    pub(crate) fn recheck_replication(&mut self) -> Option<Close> {
        let asked = self.replication?;
        let groups = self.policy.user(&self.user).map(|user| user.groups.clone());
        if let Some(refusal) = self.connection.refuses_replication(asked, &groups.unwrap_or_default()) {
            return Some(Close::policy(refusal.code, &refusal.message));
        }
        if self.rules.is_none() {
            self.stream = None;
        } else if self.inspector.is_copy_both() && self.stream.is_none() {
            return Some(unmaskable());
        }
        None
    }
}

fn unmaskable() -> Close {
    Close::policy(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "the session was closed because what is replicated cannot be masked, and this connection masks values",
    )
}

impl Close {
    fn policy(code: &str, message: &str) -> Close {
        Close::fatal(code, message, CloseCause::Policy(message.to_owned()))
    }
}
