//! The client's side: each request takes its place in the queue.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::answer::{Missed, missed};
use super::names::{Described, Portal, Prepared};
use super::{Copy, Expected, Inspector, Step};
use crate::malformed::Malformed;
use crate::postgres::limits::{
    BACKLOG_BYTES_MAX, BACKLOG_MAX, NAME_BYTES_MAX, PORTALS_MAX, STATEMENT_TEXT_BYTES_MAX, STATEMENTS_MAX,
};
use crate::postgres::message::{Bind, Target};

/// What must go to the server before an Execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    Nothing,
    /// A Describe of the portal: nobody has asked what its rows are. Its answer is ours.
    DescribePortal,
    /// A Describe of the prepared statement that the portal runs, which serves its later executions too. Its answer is ours.
    DescribeStatement,
}

/// What has to be known about the rows of an execution.
///
/// The server keeps names and types of a prepared statement's columns for as long as it lives ("cached plan must not change
/// result type"), but not the tables that they come from: it resolves names again when `search_path` or a table changes
/// (PostgreSQL documentation, PREPARE, Notes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nobody looks at them.
    Nothing,
    /// Names and types: a description of the prepared statement will do.
    Types,
    /// Tables too: only a description of the portal itself tells.
    Origins,
}

/// Why a request must not be sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The session holds as many prepared statements, portals or bytes of their text as it may.
    Full,
}

impl<T: Clone> Inspector<T> {
    /// Whether more requests would take more memory than a session may: the client waits until the server has
    /// answered some. A Flush makes it do so.
    pub fn is_full(&self) -> bool {
        self.expected.len() >= BACKLOG_MAX || self.waiting_bytes >= BACKLOG_BYTES_MAX
    }

    /// Whether a Sync has to wait, because the server may be about to ask for COPY data and would then ignore it.
    /// With a Flush behind what was sent, the wait is short.
    pub fn sync_must_wait(&self) -> bool {
        if self.copy != Copy::None {
            return false;
        }
        let since_sync = self
            .expected
            .iter()
            .rev()
            .take_while(|e| !matches!(e.step, Step::Sync | Step::Query(_) | Step::Command(_)));
        since_sync
            .into_iter()
            .any(|e| matches!(e.step, Step::Execute { copy_in: true, .. }) && !e.copy_done)
    }

    /// A Query, with the whole text as one `statement`. `weight`: bytes that the caller keeps for it.
    pub fn query(&mut self, statement: T, refused: bool, weight: usize, at: u64) {
        self.names.drop_unnamed_front();
        let refused = refused.then(|| statement.clone());
        self.push(Step::Query(statement), refused, weight, at);
    }

    /// A Query with a command of a replication connection. `weight`: bytes that the caller keeps for it.
    pub fn command(&mut self, statement: T, refused: bool, weight: usize, at: u64) {
        let refused = refused.then(|| statement.clone());
        self.push(Step::Command(statement), refused, weight, at);
    }

    /// A Parse. `weight`: bytes that the caller keeps for it.
    ///
    /// # Errors
    /// [`Refused::Full`]: the caller refuses the statement and calls [`Inspector::parse_refused`] instead.
    pub fn parse(&mut self, name: &[u8], statement: T, weight: usize, at: u64) -> Result<(), Refused> {
        let named = !name.is_empty();
        let full = name.len() > NAME_BYTES_MAX
            || named && self.names.statements_len() >= STATEMENTS_MAX
            || named && self.names.weight.saturating_add(weight) > STATEMENT_TEXT_BYTES_MAX;
        if self.skipping && (full || !self.keep_skipped(weight)) {
            // The server ignores it, and so may we.
            let name = self.names.statement_name(name);
            self.names.set_front_statement(&name, None);
            return Ok(());
        }
        if full {
            return Err(Refused::Full);
        }
        let prepared = self.prepared(name, Some(statement), weight);
        self.names
            .set_front_statement(&prepared.name, Some(Rc::clone(&prepared)));
        self.push(Step::Parse(prepared), None, weight, at);
        Ok(())
    }

    /// A Parse that is sent in a form that the server rejects.
    pub fn parse_refused(&mut self, name: &[u8], statement: T, at: u64) {
        if name.is_empty() {
            self.names.drop_unnamed_statement_front();
        }
        let prepared = self.prepared(name, Some(statement.clone()), 0);
        self.push(Step::Parse(prepared), Some(statement), 0, at);
    }

    fn prepared(&self, name: &[u8], statement: Option<T>, weight: usize) -> Rc<Prepared<T>> {
        Rc::new(Prepared {
            name: self.names.statement_name(name),
            statement,
            shape: RefCell::default(),
            described: Cell::new(false),
            weight,
        })
    }

    /// What is attached to the prepared statement of this name, as the client believes.
    pub fn statement(&self, name: &[u8]) -> Option<&T> {
        self.names.front_statement(name)?.statement.as_ref()
    }

    /// What is attached to the statement that a portal runs, as the client believes.
    pub fn statement_of_portal(&self, name: &[u8]) -> Option<&T> {
        self.names.front_portal(name)?.front.as_ref()?.statement.as_ref()
    }

    /// The name of the statement that a portal runs, as the client believes.
    pub fn name_of_statement(&self, portal: &[u8]) -> Option<&[u8]> {
        Some(self.names.front_portal(portal)?.statement_name())
    }

    /// What the caller noted about the values of a portal, as the client believes.
    pub fn parameters_of_portal(&self, name: &[u8]) -> &[u8] {
        self.names.front_portal(name).map_or(&[], |portal| &portal.parameters)
    }

    /// A Bind. `note` appends what the caller wants to know about the values later.
    ///
    /// # Errors
    /// [`Refused::Full`]: the session cannot go on.
    pub fn bind(&mut self, bind: &Bind<'_>, at: u64, note: impl FnOnce(&mut Vec<u8>)) -> Result<(), Refused> {
        if bind.portal.len().max(bind.statement.len()) > NAME_BYTES_MAX
            || !bind.portal.is_empty() && self.names.portals_len() >= PORTALS_MAX
        {
            return Err(Refused::Full);
        }
        let front = self.names.front_statement(bind.statement).cloned();
        let mut portal = self.names.new_portal(bind.portal, bind.statement);
        if let Some(fresh) = Rc::get_mut(&mut portal) {
            fresh.front = front;
            fresh.formats.set(&bind.result_formats);
            note(&mut fresh.parameters);
        }
        let weight = portal.parameters.len();
        let name = Rc::clone(&portal.name);
        if self.skipping && !self.keep_skipped(weight) {
            self.names.set_front_portal(&name, None);
            return Ok(());
        }
        self.names.set_front_portal(&name, Some(Rc::clone(&portal)));
        self.push(Step::Bind(portal), None, weight, at);
        Ok(())
    }

    /// A Describe of the client.
    pub fn describe(&mut self, target: Target<'_>, at: u64) {
        let step = self.describe_step(target);
        self.push(step, None, 0, at);
    }

    fn describe_step(&mut self, target: Target<'_>) -> Step<T> {
        match target {
            Target::Statement(name) => {
                let front = self.names.front_statement(name).cloned();
                if let Some(prepared) = front.as_ref().filter(|_| !self.skipping) {
                    prepared.described.set(true);
                }
                Step::DescribeStatement(self.names.statement_name(name), front)
            }
            Target::Portal(name) => {
                let front = self.names.front_portal(name).cloned();
                if let Some(portal) = front.as_ref().filter(|_| !self.skipping) {
                    portal.described.set(true);
                }
                Step::DescribePortal(self.names.portal_name(name), front)
            }
        }
    }

    /// An Execute. `copy_in`: the statement may be a COPY from the client. `refused`: the statement that must not run,
    /// and is sent in a form that the server rejects. Says what has to be sent before it.
    pub fn execute(&mut self, portal: &[u8], copy_in: bool, refused: Option<T>, wanted: Wanted, at: u64) -> Announced {
        let front = self.names.front_portal(portal).cloned();
        let announced = match refused {
            Some(_) => Announced::Nothing,
            // The server ignores whatever we ask of it as well.
            None if self.skipping => Announced::Nothing,
            None => self.announced(front.as_deref(), wanted),
        };
        let target = match (announced, &front) {
            (Announced::DescribePortal, _) => Some(Target::Portal(portal)),
            (Announced::DescribeStatement, Some(front)) => Some(Target::Statement(&front.statement_name)),
            _ => None,
        };
        if let Some(target) = target {
            let step = self.describe_step(target);
            self.expected.push_back(Expected {
                step,
                ours: true,
                refused: None,
                at,
                weight: 0,
                copy_done: false,
                failed: false,
            });
        }
        let portal = self.names.portal_name(portal);
        self.push(Step::Execute { portal, front, copy_in }, refused, 0, at);
        announced
    }

    fn announced(&self, front: Option<&Portal<T>>, wanted: Wanted) -> Announced {
        let own = front.is_some_and(|portal| portal.described.get());
        let prepared = front.and_then(|portal| portal.front.as_ref());
        match wanted {
            _ if own => Announced::Nothing,
            Wanted::Nothing => Announced::Nothing,
            Wanted::Types if prepared.is_some_and(|prepared| prepared.described.get()) => Announced::Nothing,
            Wanted::Types if prepared.is_some() && self.was_just_bound(front) => Announced::DescribeStatement,
            _ => Announced::DescribePortal,
        }
    }

    /// Whether the Bind of the portal was the last request: nothing can have closed its statement since.
    fn was_just_bound(&self, front: Option<&Portal<T>>) -> bool {
        match (self.expected.back().map(|expected| &expected.step), front) {
            (Some(Step::Bind(portal)), Some(front)) => std::ptr::eq(&raw const **portal, front),
            _ => false,
        }
    }

    /// A Close.
    pub fn close(&mut self, target: Target<'_>, at: u64) {
        let step = match target {
            Target::Statement(name) => Step::CloseStatement(self.names.statement_name(name)),
            Target::Portal(name) => Step::ClosePortal(self.names.portal_name(name)),
        };
        self.front_close(&step);
        self.push(step, None, 0, at);
    }

    fn front_close(&mut self, step: &Step<T>) {
        match step {
            Step::CloseStatement(name) => self.names.set_front_statement(name, None),
            Step::ClosePortal(name) => self.names.set_front_portal(name, None),
            _ => {}
        }
    }

    /// A Sync. False: the server would ignore it in the middle of a COPY, so it must not be sent.
    pub fn sync(&mut self, at: u64) -> bool {
        if self.is_copy_in() {
            return false;
        }
        self.push(Step::Sync, None, 0, at);
        true
    }

    /// A FunctionCall. `refused`: it is sent in a form that the server rejects.
    pub fn function_call(&mut self, statement: T, refused: bool, at: u64) {
        let refused = refused.then(|| statement.clone());
        self.push(Step::FunctionCall(statement), refused, 0, at);
    }

    /// CopyDone or CopyFail.
    pub fn copy_done(&mut self) {
        match (&mut self.copy, self.expected.back_mut()) {
            (Copy::In { ended }, _) => *ended = true,
            (Copy::Both { client_ended, .. }, _) => *client_ended = true,
            (_, Some(last)) => last.copy_done = true,
            (_, None) => {}
        }
    }

    /// While the server waits for COPY data it takes nothing else.
    ///
    /// # Errors
    /// Any other message: the server would end the session.
    pub fn check_copy(&self, tag: u8) -> Result<(), Malformed> {
        if self.is_copy_in() && !b"dcfHSX".contains(&tag) {
            return Err(Malformed::Tag {
                place: "client message during COPY",
                tag,
            });
        }
        let streams = matches!(
            self.copy,
            Copy::Both {
                client_ended: false,
                ..
            }
        );
        if streams && !b"dcX".contains(&tag) {
            return Err(Malformed::Tag {
                place: "client message during replication",
                tag,
            });
        }
        Ok(())
    }

    pub(super) fn push(&mut self, step: Step<T>, refused: Option<T>, weight: usize, at: u64) {
        let expected = Expected {
            step,
            ours: false,
            refused,
            at,
            weight,
            copy_done: false,
            failed: false,
        };
        if self.skipping {
            if !matches!(expected.step, Step::Sync) {
                if expected.refused.is_none() {
                    self.skipped = missed(expected).filter(|missed| missed.statement.is_some());
                }
                return;
            }
            self.skipping = false;
            self.skipped_bytes = 0;
            self.resync();
        }
        self.rests = false;
        self.waiting_bytes += weight;
        self.expected.push_back(expected);
    }

    /// The statement that the last request would have run, had an earlier error not made the server ignore it.
    pub fn take_skipped(&mut self) -> Option<Missed<T>> {
        self.skipped.take()
    }

    /// Whether there is room to keep what the server ignores, so that the record can name it.
    fn keep_skipped(&mut self, weight: usize) -> bool {
        self.skipped_bytes = self.skipped_bytes.saturating_add(weight);
        self.skipped_bytes < BACKLOG_BYTES_MAX
    }

    /// After an error: the front view is the server's, and what still waits is applied to it again.
    pub(super) fn resync(&mut self) {
        self.names.front_from_back();
        for expected in &self.expected {
            match &expected.step {
                Step::Parse(prepared) if expected.refused.is_none() => {
                    self.names
                        .set_front_statement(&prepared.name, Some(Rc::clone(prepared)));
                }
                Step::Bind(portal) => self.names.set_front_portal(&portal.name, Some(Rc::clone(portal))),
                Step::CloseStatement(name) => self.names.set_front_statement(name, None),
                Step::ClosePortal(name) => self.names.set_front_portal(name, None),
                Step::Query(_) => self.names.drop_unnamed_front(),
                _ => {}
            }
        }
    }
}

/// The Describe whose answer never came does not count as made.
pub(super) fn undescribe<T>(step: &Step<T>) {
    match step {
        Step::DescribeStatement(_, Some(prepared)) if matches!(*prepared.shape.borrow(), Described::Unknown) => {
            prepared.described.set(false);
        }
        Step::DescribePortal(_, Some(portal)) if matches!(*portal.shape.borrow(), Described::Unknown) => {
            portal.described.set(false);
        }
        _ => {}
    }
}

/// The portal that a request is about, if it runs one.
pub(super) fn portal_of<T>(step: Step<T>) -> Option<Rc<Portal<T>>> {
    match step {
        Step::Execute { front, .. } => front,
        Step::Bind(portal) => Some(portal),
        Step::DescribePortal(_, front) => front,
        _ => None,
    }
}
