//! Statements that wait for people: what the reviewers are asked, what they answer, and what becomes of the statement.
//!
//! A statement that a guardrail wants reviewed stays with its owner, unread by the target, while everything before it is
//! answered and everything after it waits. [`Session::feed`](crate::Session::feed) says that it stalled,
//! [`Session::take_hold_news`](crate::Session::take_hold_news) what to ask, [`Session::take_notices`](crate::Session::take_notices) what the client
//! is told meanwhile. After [`Session::answer_hold`](crate::Session::answer_hold) the owner feeds again: the statement goes on or is refused.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use codecs::fact::Form;
use codecs::postgres::refusal::{Refusal as PostgresRefusal, Severity, sqlstate};
use proto::Message;
use proto::audit::{Review, Statement};
use proto::control::{HoldClosed, HoldEnd, HoldOpened};
use proto::policy::Record;

use crate::limits::{EVENT_TEXT_BYTES_MAX, HOLD_WAIT_DEFAULT};
use crate::pipeline;
use crate::policy::guardrail::ReviewRule;
use crate::record;
use crate::session::{Now, Scratch, Session};
use crate::text::{Text, cut};
use crate::verdict::Refusal;

/// SQLSTATE query_canceled.
const CANCELED: &str = "57014";

/// Why a wait is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Approved {
        by: String,
    },
    Rejected {
        by: String,
        comment: String,
    },
    /// Nobody answered in time.
    Timeout,
    /// The client asked to cancel what it runs.
    Cancelled,
    /// The reviewers cannot be asked.
    Unavailable,
}

/// What whoever talks to reviewers has to know, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    Opened(Box<HoldOpened>),
    Closed(HoldClosed),
}

/// The wait of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldAt {
    /// The review's id, a UUID.
    pub id: [u8; 16],
    /// When it is too late, on the clock of [`Now::mono`].
    pub deadline: Duration,
    /// Feed again: it was answered.
    pub answered: bool,
}

/// What the gate says about a statement.
pub(crate) enum Gate {
    Pass,
    /// Everything before has to be answered first.
    Drain,
    Wait,
    Refuse(Arc<Refusal>, Vec<Review>),
}

#[derive(Debug)]
struct Waiting {
    id: [u8; 16],
    rule: Arc<ReviewRule>,
    text: Rc<Text>,
    form: Form,
    since: Duration,
    deadline: Duration,
    answer: Option<Answer>,
}

/// What a session remembers about reviews.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    opened: u64,
    waiting: Option<Waiting>,
    /// Rules that are satisfied for the statement at hand.
    passed: Vec<(Arc<ReviewRule>, Review)>,
    /// Portals that may go on being read, until their name is bound again.
    portals: HashMap<Box<[u8]>, Vec<Review>>,
    /// Rules for what SQL prepared, asked whenever any of it is run.
    pub prepared: Vec<Arc<ReviewRule>>,
    news: Vec<News>,
    notices: Vec<u8>,
}

impl Holds {
    /// The portal is another one now.
    pub(crate) fn bound(&mut self, portal: &[u8]) {
        if !self.portals.is_empty() {
            self.portals.remove(portal);
        }
    }
}

impl Session {
    /// The statement that waits, if one does.
    pub fn hold(&self) -> Option<HoldAt> {
        self.holds.waiting.as_ref().map(|waiting| HoldAt {
            id: waiting.id,
            deadline: waiting.deadline,
            answered: waiting.answer.is_some(),
        })
    }

    /// Takes an answer; feed again afterwards. False: nothing waits under this id, or it is answered already.
    pub fn answer_hold(&mut self, id: &[u8; 16], answer: Answer) -> bool {
        match &mut self.holds.waiting {
            Some(waiting) if waiting.id == *id && waiting.answer.is_none() => {
                waiting.answer = Some(answer);
                true
            }
            _ => false,
        }
    }

    /// The client wants what it runs cancelled. True if that is a statement that waits: feed again.
    pub fn cancel_hold(&mut self) -> bool {
        let id = self.hold().map(|hold| hold.id);
        id.is_some_and(|id| self.answer_hold(&id, Answer::Cancelled))
    }

    /// What happened since the last call. Ask after each feed of [`Direction::ToUpstream`](crate::Direction::ToUpstream)
    /// and after [`Session::end`].
    pub fn take_hold_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.holds.news)
    }

    /// Notices for the client, to be sent between two outputs of [`Direction::ToDownstream`](crate::Direction::ToDownstream);
    /// empty while a frame is under way.
    pub fn take_notices(&mut self, scratch: &mut Scratch, now: Now) -> Vec<u8> {
        if self.passing_down > 0 || self.long_row.is_some() {
            return Vec::new();
        }
        let notices = std::mem::take(&mut self.holds.notices);
        if self.connection.record == Record::Full && !notices.is_empty() {
            let head = self.journal_head(now);
            self.recorded = record::recording(&mut scratch.tap, &head, self.batch, self.recorded, &notices);
        }
        notices
    }

    /// Whether `text` may go to the target now. `portal`: it is run by that portal, with these values.
    pub(crate) fn gate(&mut self, text: &Rc<Text>, portal: Option<(&[u8], &[u8])>, now: Now) -> Gate {
        let rules = text.judged.borrow().holds.clone();
        if rules.is_empty() || text.refusal().is_some() || self.inspector.is_skipping() {
            // Another policy asks for no review, or the target will not look at the statement anyway.
            self.withdraw_hold();
            return Gate::Pass;
        }
        if self.inspector.backlog() > 0 {
            return Gate::Drain;
        }
        if let Some(reviews) = portal.and_then(|(name, _)| self.holds.portals.get(name)) {
            text.judged.borrow_mut().reviews.clone_from(reviews);
            return Gate::Pass;
        }
        if let Some(waiting) = self.holds.waiting.take() {
            if !rules.contains(&waiting.rule) {
                self.close_hold(&waiting.id, HoldEnd::Withdrawn);
            } else if let Some(answer) = waiting.answer.clone() {
                if let Some(refused) = self.answered(&waiting, &answer, now) {
                    return refused;
                }
            } else {
                self.holds.waiting = Some(waiting);
                return Gate::Wait;
            }
        }
        let asked = |rule: &&Arc<ReviewRule>| !self.holds.passed.iter().any(|(passed, _)| passed == *rule);
        if let Some(rule) = rules.iter().find(asked) {
            self.open_hold(rule, text, portal.map(|(_, values)| values), now);
            return Gate::Wait;
        }
        let reviews: Vec<Review> = self.holds.passed.drain(..).map(|(_, review)| review).collect();
        text.judged.borrow_mut().reviews.clone_from(&reviews);
        if let Some((name, _)) = portal {
            self.holds.portals.insert(name.into(), reviews);
        }
        Gate::Pass
    }

    /// Takes account of an answer. `None`: approved.
    fn answered(&mut self, waiting: &Waiting, answer: &Answer, now: Now) -> Option<Gate> {
        let waited = now.mono.saturating_sub(waiting.since);
        let review = |outcome: &str, by: &str| Review {
            id: waiting.id.to_vec(),
            outcome: outcome.to_owned(),
            by: by.to_owned(),
            waited_micros: waited.as_micros() as u64,
        };
        let (end, review, code, message) = match answer {
            Answer::Approved { by } => {
                self.close_hold(&waiting.id, HoldEnd::Released);
                self.notice(&format!("review approved by {by}"), "");
                self.holds
                    .passed
                    .push((Arc::clone(&waiting.rule), review("approved", by)));
                return None;
            }
            Answer::Rejected { by, comment } => {
                let said = if comment.is_empty() {
                    String::new()
                } else {
                    format!(": {comment}")
                };
                let message = format!("refused by review: {by} rejected it{said}");
                (
                    HoldEnd::Refused,
                    review("rejected", by),
                    sqlstate::INSUFFICIENT_PRIVILEGE,
                    message,
                )
            }
            Answer::Timeout => {
                let message = format!("refused by review: nobody answered within {} s", waited.as_secs());
                (
                    HoldEnd::Timeout,
                    review("timeout", ""),
                    sqlstate::INSUFFICIENT_PRIVILEGE,
                    message,
                )
            }
            Answer::Cancelled => {
                let message = "canceling statement due to user request: it waited for a review".to_owned();
                (HoldEnd::Withdrawn, review("cancelled", ""), CANCELED, message)
            }
            Answer::Unavailable => {
                let message = "refused by Sluice: too many statements wait for a review already".to_owned();
                (
                    HoldEnd::Withdrawn,
                    review("unavailable", ""),
                    sqlstate::PROGRAM_LIMIT_EXCEEDED,
                    message,
                )
            }
        };
        self.close_hold(&waiting.id, end);
        let mut reviews: Vec<Review> = self.holds.passed.drain(..).map(|(_, review)| review).collect();
        reviews.push(review);
        let refusal = Refusal {
            code,
            message,
            hint: self.link(&waiting.id),
            rule: waiting.rule.guardrail.clone(),
        };
        Some(Gate::Refuse(Arc::new(refusal), reviews))
    }

    fn open_hold(&mut self, rule: &Arc<ReviewRule>, text: &Rc<Text>, values: Option<&[u8]>, now: Now) {
        let id = self.hold_id(now);
        let wait = rule.wait.unwrap_or(HOLD_WAIT_DEFAULT);
        let opened_at_ms = i64::try_from(now.wall_micros / 1000).unwrap_or(i64::MAX);
        let user_id = self.policy.user(&self.user).map(|user| user.id.clone());
        let (statement, statement_cut) = shown(text);
        // Values are kept as fields of a statement event.
        let parameters = values.and_then(|values| Statement::decode(values).ok());
        let opened = HoldOpened {
            id: id.to_vec(),
            session_id: self.id.to_vec(),
            user_id: user_id.unwrap_or_default(),
            user: self.user.clone(),
            connection_id: self.connection.id.clone(),
            connection: self.connection.name.clone(),
            statement,
            statement_cut,
            parameters: parameters.map(|event| event.parameters).unwrap_or_default(),
            guardrail: rule.guardrail.clone(),
            reviewers: rule.reviewers.clone(),
            approvals: rule.approvals,
            message: rule.message.clone(),
            opened_at_ms,
            expires_at_ms: opened_at_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        };
        self.holds.news.push(News::Opened(Box::new(opened)));
        let who = match rule.reviewers.as_slice() {
            [] => "an administrator".to_owned(),
            groups => groups.join(", "),
        };
        let message = format!(
            "the statement waits for a review by {who} (guardrail \"{}\"), at most {} s",
            rule.guardrail,
            wait.as_secs()
        );
        let hint = self.link(&id);
        self.notice(&message, &hint);
        self.holds.waiting = Some(Waiting {
            id,
            rule: Arc::clone(rule),
            text: Rc::clone(text),
            form: if values.is_some() { Form::Extended } else { Form::Simple },
            since: now.mono,
            deadline: now.mono.saturating_add(wait),
            answer: None,
        });
    }

    /// A version 7 UUID (RFC 9562, section 5.7): the time, then what only this session and this hold have. Sessions have
    /// random ids, so nothing random is needed here.
    fn hold_id(&mut self, now: Now) -> [u8; 16] {
        self.holds.opened += 1;
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(b"sluice-hold");
        context.update(&self.id);
        context.update(&self.holds.opened.to_be_bytes());
        let digest = context.finish();
        let millis = (now.wall_micros / 1000).to_be_bytes();
        let mut id = [0; 16];
        let source = millis.iter().skip(2).chain(digest.as_ref());
        for (to, from) in id.iter_mut().zip(source) {
            *to = *from;
        }
        id[6] = (id[6] & 0x0f) | 0x70;
        id[8] = (id[8] & 0x3f) | 0x80;
        id
    }

    fn link(&self, id: &[u8; 16]) -> String {
        let id = uuid_text(id);
        match self.policy.review_url() {
            "" => format!("Review {id}."),
            url => format!("{url}/reviews/{id}"),
        }
    }

    fn notice(&mut self, message: &str, hint: &str) {
        let mut notice = PostgresRefusal::notice(Severity::Notice, "00000", message);
        if !hint.is_empty() {
            notice = notice.with_hint(hint);
        }
        notice.append_notice(&mut self.holds.notices);
    }

    fn close_hold(&mut self, id: &[u8; 16], end: HoldEnd) {
        let closed = HoldClosed {
            id: id.to_vec(),
            end: end.into(),
        };
        self.holds.news.push(News::Closed(closed));
    }

    fn withdraw_hold(&mut self) {
        self.holds.passed.clear();
        if let Some(waiting) = self.holds.waiting.take() {
            self.close_hold(&waiting.id, HoldEnd::Withdrawn);
        }
    }

    /// The session is over: what waited is in the record as what never ran.
    pub(crate) fn end_hold(&mut self, scratch: &mut Scratch, now: Now) {
        let Some(waiting) = self.holds.waiting.take() else {
            return;
        };
        self.close_hold(&waiting.id, HoldEnd::Withdrawn);
        let mut reviews: Vec<Review> = self.holds.passed.drain(..).map(|(_, review)| review).collect();
        reviews.push(Review {
            id: waiting.id.to_vec(),
            outcome: "withdrawn".to_owned(),
            by: String::new(),
            waited_micros: now.mono.saturating_sub(waiting.since).as_micros() as u64,
        });
        waiting.text.judged.borrow_mut().reviews = reviews;
        pipeline::note_denied(self, waiting.form, &waiting.text, &waiting.rule.guardrail, scratch, now);
    }
}

/// The text as the record shows it.
fn shown(text: &Text) -> (String, bool) {
    let judged = text.judged.borrow();
    let whole = judged.shown.as_deref().unwrap_or(&text.raw);
    let part = cut(whole, EVENT_TEXT_BYTES_MAX);
    (String::from_utf8_lossy(part).into_owned(), part.len() < whole.len())
}

fn uuid_text(id: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}
