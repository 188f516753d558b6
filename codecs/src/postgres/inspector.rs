//! What a conversation means: which answer belongs to which request, and what the rows of a result are.
//!
//! The server answers in order, so requests wait in one queue. Names take effect twice: in the *front* view when the
//! request passes (what the client believes), in the *back* view when the server confirms it. Results and the record
//! go by the back view alone; the front view only decides what is asked of the server in advance.
//!
//! ```text
//! client --> Parse Bind Execute Sync --> queue [Parse|Bind|Execute|Sync] --> server
//! client <-- 1 2 D D C Z            <-- each answer is matched with the head of the queue
//! ```
//! PostgreSQL documentation, "Frontend/Backend Protocol", "Message Flow".

mod answer;
mod name_hash;
mod names;
mod request;
mod shape;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;

pub use answer::{Answer, Failure, Missed};
pub use names::{Described, Portal, Prepared, ResultFormats};
pub use request::{Announced, Refused, Wanted};
pub use shape::{Column, Shape};

use super::message::TransactionStatus;
use crate::fact::Form;
use names::{Name, Names};
use shape::Shapes;

/// Something the server still has to answer.
#[derive(Debug)]
struct Expected<T> {
    step: Step<T>,
    /// Asked by us: the client must not see the answer.
    ours: bool,
    /// Sent in a form that the server will reject; the statement that was refused.
    refused: Option<T>,
    /// When it was sent, in the caller's unit.
    at: u64,
    /// Bytes kept for it until it is answered.
    weight: usize,
    /// The client ended a COPY after this request and before the next.
    copy_done: bool,
    /// It failed, and only the ReadyForQuery is to come.
    failed: bool,
}

#[derive(Debug)]
enum Step<T> {
    Parse(Rc<Prepared<T>>),
    Bind(Rc<Portal<T>>),
    DescribeStatement(Name, Option<Rc<Prepared<T>>>),
    DescribePortal(Name, Option<Rc<Portal<T>>>),
    /// With the portal of the front view, and whether it may ask the client for COPY data.
    Execute {
        portal: Name,
        front: Option<Rc<Portal<T>>>,
        copy_in: bool,
    },
    CloseStatement(Name),
    ClosePortal(Name),
    Query(T),
    /// A command of a replication connection: everything up to ReadyForQuery answers it.
    Command(T),
    FunctionCall(T),
    Sync,
    /// A query of our own, in messages that end with Sync.
    LookUp,
}

/// The statement that the server is answering now.
#[derive(Debug)]
pub struct Current<T> {
    pub form: Form,
    /// What was attached to it; `None` if it was prepared where we could not see it.
    pub statement: Option<T>,
    /// Extended protocol: the portal that is run.
    pub portal: Option<Rc<Portal<T>>>,
    /// When it was sent.
    pub at: u64,
    /// How many statements of the same message were completed before.
    pub index: usize,
    /// Columns of its rows, once known; formats as they are on the wire.
    pub result: Described,
}

/// Where a COPY stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    None,
    /// Client to server; `ended` once the client said so.
    In {
        ended: bool,
    },
    Out,
    /// Both ways at once (replication), each until its own end.
    Both {
        client_ended: bool,
    },
}

/// Protocol state of one session. `T` is attached to each statement by the caller; cloning it must be cheap.
#[derive(Debug)]
pub struct Inspector<T> {
    expected: VecDeque<Expected<T>>,
    /// Sum of the weights of the queue.
    waiting_bytes: usize,
    names: Names<T>,
    shapes: Shapes,
    current: Option<Current<T>>,
    copy: Copy,
    /// The server ignores everything up to the next Sync, which has not been sent yet.
    skipping: bool,
    /// What the last request would have run, had it not been ignored.
    skipped: Option<Missed<T>>,
    /// Bytes kept of what the server ignores.
    skipped_bytes: usize,
    status: TransactionStatus,
    /// The last message was answered with ReadyForQuery, and nothing was sent since.
    rests: bool,
}

impl<T: Clone> Inspector<T> {
    /// The state right after the first ReadyForQuery.
    pub fn new() -> Self {
        Inspector {
            expected: VecDeque::new(),
            waiting_bytes: 0,
            names: Names::new(),
            shapes: Shapes::default(),
            current: None,
            copy: Copy::None,
            skipping: false,
            skipped: None,
            skipped_bytes: 0,
            status: TransactionStatus::Idle,
            rests: true,
        }
    }

    /// Whether messages of our own that end with Sync disturb nothing: the server waits for the next request, and whatever was
    /// sent before it is over.
    pub fn rests(&self) -> bool {
        self.rests && self.expected.is_empty() && !self.skipping
    }

    /// Messages of our own were sent, with a Sync at their end.
    pub fn look_up(&mut self, at: u64) {
        self.push(Step::LookUp, None, 0, at);
        if let Some(last) = self.expected.back_mut() {
            last.ours = true;
        }
    }

    /// Whether COPY data comes from the server.
    pub fn is_copying_out(&self) -> bool {
        self.copy == Copy::Out
    }

    /// The statement that is being answered. Set by the first frame of its answer.
    pub fn current(&self) -> Option<&Current<T>> {
        self.current.as_ref()
    }

    /// Whether the answer that is due is one to a refused statement: what comes is about the form in which it was sent.
    pub fn is_refused(&self) -> bool {
        self.expected.front().is_some_and(|head| head.refused.is_some())
    }

    /// Requests of the client that wait for an answer.
    pub fn backlog(&self) -> usize {
        // A query of our own is sent when nothing waits, and so is never behind anything.
        let ours = self
            .expected
            .front()
            .is_some_and(|head| matches!(head.step, Step::LookUp));
        self.expected.len() - usize::from(ours)
    }

    /// Whether data of a replication stream goes both ways.
    pub fn is_copy_both(&self) -> bool {
        matches!(self.copy, Copy::Both { .. })
    }

    /// Whether nothing was sent behind the statement that is being answered, but a Sync.
    pub fn is_alone(&self) -> bool {
        let mut behind = self.expected.iter().skip(1);
        behind.next().is_none_or(|next| matches!(next.step, Step::Sync)) && behind.next().is_none()
    }

    /// When the statement that is due was sent; `None` if none is.
    pub fn running_since(&self) -> Option<u64> {
        let head = self.expected.front().filter(|head| !head.failed)?;
        let runs = matches!(
            head.step,
            Step::Query(_) | Step::Command(_) | Step::Execute { .. } | Step::FunctionCall(_)
        );
        (runs && head.refused.is_none()).then_some(head.at)
    }

    /// The client is told of an error in the extended protocol that the server knows nothing of: what comes before the next
    /// Sync must not be sent. False: something was sent already.
    pub fn skip_to_sync(&mut self) -> bool {
        match self.expected.front() {
            None => self.skipping = true,
            Some(head) => return matches!(head.step, Step::Sync),
        }
        true
    }

    /// Whether everything up to the next Sync, which has not been sent yet, goes nowhere.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Transaction status as of the last ReadyForQuery.
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether the server waits for COPY data.
    pub fn is_copy_in(&self) -> bool {
        matches!(self.copy, Copy::In { ended: false })
    }

    /// The statement was removed by SQL: what is known about this name no longer holds.
    pub fn forget_statement(&mut self, name: &[u8]) {
        self.names.forget_statement(name);
    }

    /// As [`Inspector::forget_statement`], for every named statement.
    pub fn forget_statements(&mut self) {
        self.names.forget_statements();
    }

    /// A cursor was declared or closed by SQL: named portals may be others now, and nothing is known about them.
    pub fn forget_portals(&mut self) {
        self.names.forget_portals();
    }

    /// A statement was prepared by SQL; the protocol reaches it under the same name.
    pub fn prepared_by_sql(&mut self, name: &[u8], statement: T) {
        self.names.prepared_by_sql(name, statement);
    }

    /// Statements whose answer never came, in order, as if everything before them had succeeded. Empties the queue.
    pub fn drain_unfinished(&mut self) -> Vec<Missed<T>> {
        let mut missed = Vec::new();
        let refused = self.is_refused();
        if let Some(current) = self.current.take().filter(|_| !refused) {
            let Current {
                form,
                statement,
                portal,
                at,
                index,
                ..
            } = current;
            missed.push(Missed {
                form,
                statement,
                portal,
                at,
                index,
            });
            self.expected.pop_front();
        }
        while let Some(expected) = self.expected.pop_front() {
            if expected.refused.is_none() && !expected.ours && !expected.failed {
                missed.extend(answer::missed(expected));
            }
        }
        missed
    }
}

impl<T: Clone> Default for Inspector<T> {
    fn default() -> Self {
        Inspector::new()
    }
}
