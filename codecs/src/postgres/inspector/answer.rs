//! The server's side: each answer is matched with the head of the queue.

use std::rc::Rc;

use super::names::{Described, Portal};
use super::request::{portal_of, undescribe};
use super::shape::Shape;
use super::{Copy, Current, Expected, Inspector, Step};
use crate::fact::{Aside, Form};
use crate::malformed::Malformed;
use crate::postgres::message::tag::backend as tag;
use crate::postgres::message::{CommandComplete, CopyResponse, ErrorFields, ParameterStatus, TransactionStatus};

/// What a frame of the server is.
#[derive(Debug)]
pub enum Answer<'a, T> {
    /// Leaves as it is.
    Forward,
    /// Answer to something that we asked: the client must not see it.
    Swallow,
    /// Columns that only describe; leaves as it is.
    Describes(Rc<Shape>),
    /// Columns of the rows that follow.
    ResultBegins(Rc<Shape>),
    /// A row of [`Inspector::current`].
    Row,
    CopyInBegins,
    CopyOutBegins(CopyResponse<'a>),
    /// Data goes both ways until both sides have ended it: replication.
    CopyBothBegins,
    /// COPY data for the client.
    CopyData,
    /// The current statement is complete; the next of the same message, if there is one, begins.
    Completed {
        current: Current<T>,
        tag: &'a [u8],
    },
    /// The current portal has more rows; its Execute is complete.
    Suspended {
        current: Current<T>,
    },
    /// A request failed.
    Failed(Failure<T>),
    /// Text beside a result.
    Aside(Aside),
    /// A ParameterStatus, text as well.
    Parameter(ParameterStatus<'a>),
    FunctionResult,
    /// A row that answers a query of our own; the client must not see it.
    LookUpRow,
    /// Our own query is over; the client must not see this.
    LookUpOver {
        failed: bool,
    },
    /// The server waits for the next request. If the message that ends here had fewer answers than statements, `open`
    /// is what remains.
    Ready {
        open: Option<Current<T>>,
    },
}

/// A failed request and what else will not be answered because of it.
#[derive(Debug)]
pub struct Failure<T> {
    /// The request was sent in a form that the server rejects: the statement that was refused. The server's error is
    /// about that form and must not leave.
    pub refused: Option<T>,
    /// The statement that was running.
    pub current: Option<Current<T>>,
    /// The request that failed before anything ran.
    pub before: Option<Missed<T>>,
    /// Executes that the server skips.
    pub skipped: Vec<Missed<T>>,
    /// It was the commit at a Sync that failed.
    pub at_sync: bool,
}

/// A statement that was sent and did not run, or whose answer did not come.
#[derive(Debug)]
pub struct Missed<T> {
    pub form: Form,
    pub statement: Option<T>,
    pub portal: Option<Rc<Portal<T>>>,
    pub at: u64,
    /// Statements of the same message that were completed.
    pub index: usize,
}

pub(super) fn missed<T: Clone>(expected: Expected<T>) -> Option<Missed<T>> {
    let at = expected.at;
    let (form, statement, portal) = match expected.step {
        Step::Query(statement) | Step::Command(statement) => (Form::Simple, Some(statement), None),
        Step::FunctionCall(statement) => (Form::Function, Some(statement), None),
        step @ Step::Execute { .. } => {
            let portal = portal_of(step);
            (
                Form::Extended,
                portal.as_ref().and_then(|portal| portal.statement()),
                portal,
            )
        }
        _ => return None,
    };
    Some(Missed {
        form,
        statement,
        portal,
        at,
        index: 0,
    })
}

impl<T: Clone> Inspector<T> {
    /// Takes the next frame of the server.
    ///
    /// # Errors
    /// A frame that cannot be the answer to what was asked.
    pub fn answer<'a>(&mut self, frame_tag: u8, body: &'a [u8]) -> Result<Answer<'a, T>, Malformed> {
        if let Some(answer) = self.looked_up(frame_tag, body)? {
            return Ok(answer);
        }
        match frame_tag {
            tag::DATA_ROW => self.row(),
            tag::COPY_DATA if self.is_sending() => Ok(Answer::CopyData),
            tag::COPY_DONE if self.is_sending() => Ok(Answer::Forward),
            tag::COPY_BOTH_RESPONSE => self.copy_both(body),
            tag::BIND_COMPLETE => self.bound(),
            tag::COMMAND_COMPLETE => self.completed(CommandComplete::parse(body)?.command_tag, frame_tag),
            tag::EMPTY_QUERY_RESPONSE => self.completed(b"", frame_tag),
            tag::READY_FOR_QUERY => self.ready(TransactionStatus::parse(body)?),
            tag::ROW_DESCRIPTION => self.described(body),
            tag::NO_DATA => self.no_data(),
            tag::PARSE_COMPLETE => self.parsed(),
            tag::CLOSE_COMPLETE => self.closed(),
            tag::PARAMETER_DESCRIPTION => match self.expected.front() {
                Some(Expected {
                    step: Step::DescribeStatement(..),
                    ours,
                    ..
                }) => Ok(if *ours { Answer::Swallow } else { Answer::Forward }),
                _ => unexpected(frame_tag),
            },
            tag::PORTAL_SUSPENDED => self.suspended(),
            tag::ERROR_RESPONSE => Ok(Answer::Failed(self.failed())),
            tag::NOTICE_RESPONSE => {
                self.begin();
                Ok(Answer::Aside(Aside::Notice))
            }
            tag::NOTIFICATION_RESPONSE => Ok(Answer::Aside(Aside::Notification)),
            tag::PARAMETER_STATUS => Ok(Answer::Parameter(ParameterStatus::parse(body)?)),
            tag::COPY_IN_RESPONSE => self.copy_in(frame_tag),
            tag::COPY_OUT_RESPONSE => {
                let response = CopyResponse::parse(body, "CopyOutResponse")?;
                self.running(frame_tag)?;
                self.copy = Copy::Out;
                Ok(Answer::CopyOutBegins(response))
            }
            tag::FUNCTION_CALL_RESPONSE => match self.running(frame_tag)?.form {
                Form::Function => Ok(Answer::FunctionResult),
                _ => unexpected(frame_tag),
            },
            _ => unexpected(frame_tag),
        }
    }

    /// What answers a query of our own; `None`: nothing does, or it is something beside it.
    fn looked_up<'a>(&mut self, frame_tag: u8, body: &[u8]) -> Result<Option<Answer<'a, T>>, Malformed> {
        let Some(head) = self
            .expected
            .front_mut()
            .filter(|head| matches!(head.step, Step::LookUp))
        else {
            return Ok(None);
        };
        Ok(Some(match frame_tag {
            tag::PARSE_COMPLETE | tag::BIND_COMPLETE | tag::CLOSE_COMPLETE | tag::COMMAND_COMPLETE => Answer::Swallow,
            tag::DATA_ROW if !head.failed => Answer::LookUpRow,
            tag::ERROR_RESPONSE => match ErrorFields::parse(body, "ErrorResponse")?.severity() {
                // The session is over: that the client must hear.
                b"FATAL" | b"PANIC" => return Ok(None),
                _ => {
                    head.failed = true;
                    Answer::Swallow
                }
            },
            tag::READY_FOR_QUERY => {
                let failed = head.failed;
                self.pop();
                self.settle(TransactionStatus::parse(body)?);
                Answer::LookUpOver { failed }
            }
            tag::NOTICE_RESPONSE | tag::NOTIFICATION_RESPONSE | tag::PARAMETER_STATUS => return Ok(None),
            _ => return unexpected(frame_tag).map(Some),
        }))
    }

    /// The server waits for the next request.
    fn settle(&mut self, status: TransactionStatus) {
        self.status = status;
        self.rests = self.expected.is_empty();
        if status == TransactionStatus::Idle {
            self.names.end_portals();
        }
    }

    /// Makes the head of the queue the current statement, if it is one that runs.
    fn begin(&mut self) {
        if self.current.is_some() {
            return;
        }
        let Some(head) = self.expected.front().filter(|head| !head.failed) else {
            return;
        };
        let (form, statement, portal, result) = match &head.step {
            Step::Query(statement) | Step::Command(statement) => {
                (Form::Simple, Some(statement.clone()), None, Described::Unknown)
            }
            Step::FunctionCall(statement) => (Form::Function, Some(statement.clone()), None, Described::Unknown),
            Step::Execute { portal, .. } => {
                let portal = self.names.back_portal(portal).cloned();
                let result = portal.as_ref().map_or(Described::Unknown, |portal| portal.result());
                (
                    Form::Extended,
                    portal.as_ref().and_then(|portal| portal.statement()),
                    portal,
                    result,
                )
            }
            _ => return,
        };
        self.current = Some(Current {
            form,
            statement,
            portal,
            at: head.at,
            index: 0,
            result,
        });
    }

    /// The statement that may answer with what it produces; a refused one may not.
    fn running(&mut self, frame_tag: u8) -> Result<&mut Current<T>, Malformed> {
        self.begin();
        let refused = self.expected.front().is_some_and(|head| head.refused.is_some());
        match &mut self.current {
            Some(current) if !refused => Ok(current),
            _ => Err(Malformed::Tag {
                place: "server message",
                tag: frame_tag,
            }),
        }
    }

    #[inline]
    fn row<'a>(&mut self) -> Result<Answer<'a, T>, Malformed> {
        // Rows come by the million: nothing to do once the statement runs.
        if self.current.is_none() {
            self.running(tag::DATA_ROW)?;
        }
        Ok(Answer::Row)
    }

    fn pop(&mut self) -> Option<Expected<T>> {
        let head = self.expected.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(head.weight);
        Some(head)
    }

    /// Takes the head of the queue if `fits`; anything else is a desync.
    fn pop_if(&mut self, frame_tag: u8, fits: impl FnOnce(&Step<T>) -> bool) -> Result<Expected<T>, Malformed> {
        match self.expected.front() {
            Some(head) if fits(&head.step) && head.refused.is_none() => self.pop().ok_or(Malformed::Tag {
                place: "server message",
                tag: frame_tag,
            }),
            _ => Err(Malformed::Tag {
                place: "server message",
                tag: frame_tag,
            }),
        }
    }

    fn parsed<'a>(&mut self) -> Result<Answer<'a, T>, Malformed> {
        let head = self.pop_if(tag::PARSE_COMPLETE, |step| matches!(step, Step::Parse(_)))?;
        if let Step::Parse(prepared) = head.step {
            let name = Rc::clone(&prepared.name);
            self.names.set_back_statement(&name, Some(prepared));
        }
        Ok(Answer::Forward)
    }

    fn bound<'a>(&mut self) -> Result<Answer<'a, T>, Malformed> {
        let head = self.pop_if(tag::BIND_COMPLETE, |step| matches!(step, Step::Bind(_)))?;
        if let Step::Bind(portal) = head.step {
            let prepared = self.names.back_statement(&portal.statement_name).cloned();
            portal.bound.replace(prepared);
            let name = Rc::clone(&portal.name);
            self.names.set_back_portal(&name, Some(portal));
        }
        Ok(Answer::Forward)
    }

    fn closed<'a>(&mut self) -> Result<Answer<'a, T>, Malformed> {
        let fits = |step: &Step<T>| matches!(step, Step::CloseStatement(_) | Step::ClosePortal(_));
        match self.pop_if(tag::CLOSE_COMPLETE, fits)?.step {
            Step::CloseStatement(name) => self.names.set_back_statement(&name, None),
            Step::ClosePortal(name) => self.names.set_back_portal(&name, None),
            _ => {}
        }
        Ok(Answer::Forward)
    }

    fn described<'a>(&mut self, body: &[u8]) -> Result<Answer<'a, T>, Malformed> {
        let shape = self.shapes.read(body)?;
        if matches!(
            self.expected.front(),
            Some(Expected {
                step: Step::Query(_) | Step::Command(_),
                ..
            })
        ) {
            self.running(tag::ROW_DESCRIPTION)?.result = Described::Rows(Rc::clone(&shape));
            return Ok(Answer::ResultBegins(shape));
        }
        let ours = self.describe_answered(tag::ROW_DESCRIPTION, Described::Rows(Rc::clone(&shape)))?;
        Ok(if ours {
            Answer::Swallow
        } else {
            Answer::Describes(shape)
        })
    }

    fn no_data<'a>(&mut self) -> Result<Answer<'a, T>, Malformed> {
        let ours = self.describe_answered(tag::NO_DATA, Described::Nothing)?;
        Ok(if ours { Answer::Swallow } else { Answer::Forward })
    }

    fn describe_answered(&mut self, frame_tag: u8, result: Described) -> Result<bool, Malformed> {
        let fits = |step: &Step<T>| matches!(step, Step::DescribeStatement(..) | Step::DescribePortal(..));
        let head = self.pop_if(frame_tag, fits)?;
        match &head.step {
            Step::DescribeStatement(name, _) => {
                if let Some(prepared) = self.names.back_statement(name) {
                    prepared.described.set(true);
                    prepared.shape.replace(result);
                }
            }
            Step::DescribePortal(name, _) => {
                if self.names.back_portal(name).is_none() {
                    // A cursor that SQL declared: from now on it is known like any other portal.
                    let portal = self.names.new_portal(name, b"");
                    self.names.set_back_portal(name, Some(portal));
                }
                if let Some(portal) = self.names.back_portal(name) {
                    portal.described.set(true);
                    portal.shape.replace(result);
                }
            }
            _ => {}
        }
        Ok(head.ours)
    }

    fn completed<'a>(&mut self, tag: &'a [u8], frame_tag: u8) -> Result<Answer<'a, T>, Malformed> {
        self.running(frame_tag)?;
        self.copy = Copy::None;
        if self.is_command() {
            // One of several parts of the answer.
            return Ok(Answer::Forward);
        }
        let Some(current) = self.current.take() else {
            return unexpected(frame_tag);
        };
        match current.form {
            Form::Simple => {
                self.current = Some(Current {
                    form: current.form,
                    statement: current.statement.clone(),
                    portal: None,
                    at: current.at,
                    index: current.index + 1,
                    result: Described::Unknown,
                });
            }
            Form::Extended => drop(self.pop()),
            _ => return unexpected(frame_tag),
        }
        Ok(Answer::Completed { current, tag })
    }

    fn suspended<'a>(&mut self) -> Result<Answer<'a, T>, Malformed> {
        self.running(tag::PORTAL_SUSPENDED)?;
        match self.current.take() {
            Some(current) if current.form == Form::Extended => {
                self.pop();
                Ok(Answer::Suspended { current })
            }
            _ => unexpected(tag::PORTAL_SUSPENDED),
        }
    }

    fn copy_in<'a>(&mut self, frame_tag: u8) -> Result<Answer<'a, T>, Malformed> {
        self.running(frame_tag)?;
        // Requests queued behind a COPY that the client has not ended would be taken for its data or ignored: whoever
        // may start one was made to wait before, so this is a COPY that nobody saw coming.
        let ended = match (self.expected.front(), self.expected.get(1)) {
            (Some(head), Some(next)) if !head.copy_done && matches!(next.step, Step::Sync) => {
                return unexpected(frame_tag);
            }
            (head, _) => head.is_some_and(|head| head.copy_done),
        };
        self.copy = Copy::In { ended };
        Ok(Answer::CopyInBegins)
    }

    /// Whether the server may send COPY data. A replication stream may go on for some messages after the server has said that it
    /// is over (clients drop them); its end is the completion of the command.
    fn is_sending(&self) -> bool {
        matches!(self.copy, Copy::Out | Copy::Both { .. })
    }

    fn is_command(&self) -> bool {
        let head = self.expected.front();
        head.is_some_and(|head| matches!(head.step, Step::Command(_)))
    }

    fn copy_both<'a>(&mut self, body: &[u8]) -> Result<Answer<'a, T>, Malformed> {
        CopyResponse::parse(body, "CopyBothResponse")?;
        self.running(tag::COPY_BOTH_RESPONSE)?;
        if !self.is_command() {
            return unexpected(tag::COPY_BOTH_RESPONSE);
        }
        self.copy = Copy::Both {
            client_ended: self.expected.front().is_some_and(|head| head.copy_done),
        };
        Ok(Answer::CopyBothBegins)
    }

    fn failed(&mut self) -> Failure<T> {
        self.begin();
        self.copy = Copy::None;
        let refused = self.expected.front().and_then(|head| head.refused.clone());
        let current = self.current.take();
        let mut failure = Failure {
            refused,
            current,
            before: None,
            skipped: Vec::new(),
            at_sync: false,
        };
        match self.expected.front_mut() {
            None => {}
            Some(Expected {
                step: Step::Query(_) | Step::Command(_) | Step::FunctionCall(_),
                failed,
                ..
            }) => *failed = true,
            Some(Expected { step: Step::Sync, .. }) => failure.at_sync = true,
            Some(_) => self.skip(&mut failure),
        }
        failure
    }

    /// An error in the extended protocol: the server ignores everything up to the next Sync.
    fn skip(&mut self, failure: &mut Failure<T>) {
        self.skipping = true;
        let mut first = true;
        while let Some(head) = self.expected.front() {
            if matches!(head.step, Step::Sync) {
                self.skipping = false;
                break;
            }
            let Some(expected) = self.pop() else { break };
            undescribe(&expected.step);
            if let Step::Parse(prepared) = &expected.step
                && first
                && prepared.name.is_empty()
            {
                // The server drops the old unnamed statement before it looks at the new one.
                let name = Rc::clone(&prepared.name);
                self.names.set_back_statement(&name, None);
            }
            let failed_itself = std::mem::take(&mut first);
            if failed_itself && failure.current.is_none() && failure.refused.is_none() {
                failure.before = Some(before(expected));
            } else if !failed_itself && expected.refused.is_none() {
                failure.skipped.extend(missed(expected));
            }
        }
        // Until the Sync the client goes on as it believes; what it says until then is named by its own view.
        if !self.skipping {
            self.resync();
        }
    }

    fn ready<'a>(&mut self, status: TransactionStatus) -> Result<Answer<'a, T>, Malformed> {
        let fits = matches!(
            self.expected.front(),
            Some(Expected {
                step: Step::Query(_) | Step::Command(_) | Step::FunctionCall(_) | Step::Sync,
                ..
            })
        );
        if !fits {
            return unexpected(tag::READY_FOR_QUERY);
        }
        let was_query = matches!(
            self.pop(),
            Some(Expected {
                step: Step::Query(_) | Step::Command(_),
                ..
            })
        );
        let open = self.current.take();
        self.copy = Copy::None;
        if was_query {
            self.names.drop_unnamed_back();
        }
        self.settle(status);
        Ok(Answer::Ready { open })
    }
}

/// The request that failed, when nothing of it was running.
fn before<T: Clone>(expected: Expected<T>) -> Missed<T> {
    let at = expected.at;
    let (statement, portal) = match expected.step {
        Step::Parse(prepared) => (prepared.statement.clone(), None),
        Step::DescribeStatement(_, front) => (front.and_then(|prepared| prepared.statement.clone()), None),
        step => {
            let portal = portal_of(step);
            (portal.as_ref().and_then(|portal| portal.statement()), portal)
        }
    };
    Missed {
        form: Form::Prepare,
        statement,
        portal,
        at,
        index: 0,
    }
}

fn unexpected<'a, T>(tag: u8) -> Result<Answer<'a, T>, Malformed> {
    Err(Malformed::Tag {
        place: "server message",
        tag,
    })
}
