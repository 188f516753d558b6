//! `/api/reviews` and `/api/jits`: what waits for a person's decision. Requesters see their own, reviewers what they may decide.

pub mod create;
pub mod decide;
pub mod list;
pub mod page;
pub mod show;

use serde::Serialize;

use super::auth::Caller;
use super::input::time_text;
use super::problem::Problem;
use crate::App;
use crate::domain::review::{Groups, Kind, Review, Reviewer, State};

/// Which reviews a route is about: all, or those of access alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    Reviews,
    Jits,
}

impl Face {
    fn shows(self, review: &Review) -> bool {
        self == Face::Reviews || review.kind == Kind::Access
    }
}

/// A review as people see it.
#[derive(Debug, PartialEq, Serialize)]
pub struct View {
    pub id: String,
    /// `statement` or `access`.
    pub kind: &'static str,
    pub status: &'static str,
    pub user: String,
    pub user_id: String,
    pub connection: String,
    pub reason: String,
    pub statement: Option<String>,
    pub statement_cut: bool,
    pub params: Vec<Option<String>>,
    pub guardrail: Option<String>,
    pub message: String,
    pub reviewers: Vec<String>,
    pub approvals: u32,
    /// `any` or `all`: whether each group of `reviewers` must have spoken.
    pub groups: Groups,
    /// Taken in an emergency: nobody approved it.
    pub break_glass: bool,
    pub session_id: Option<String>,
    pub seconds: Option<u64>,
    pub created_at: Option<String>,
    pub expires_at: Option<String>,
    pub decided_at: Option<String>,
    pub access_until: Option<String>,
    pub note: String,
    pub decisions: Vec<DecisionView>,
}

/// One person's word.
#[derive(Debug, PartialEq, Serialize)]
pub struct DecisionView {
    pub by: String,
    pub status: &'static str,
    pub comment: String,
    pub at: Option<String>,
}

impl From<Review> for View {
    fn from(review: Review) -> Self {
        let is_statement = review.kind == Kind::Statement;
        let decisions = review.decisions.into_iter().map(|decision| DecisionView {
            by: decision.by,
            status: if decision.approve { "APPROVED" } else { "REJECTED" },
            comment: decision.comment,
            at: time_text(decision.at_micros),
        });
        View {
            kind: review.kind.name(),
            status: review.state.name(),
            statement: is_statement.then_some(review.statement),
            guardrail: is_statement.then_some(review.guardrail),
            session_id: is_statement.then_some(review.session_id),
            seconds: (!is_statement).then_some(review.seconds),
            created_at: time_text(review.created_micros),
            expires_at: time_text(review.expires_micros),
            decided_at: review.decided_micros.and_then(time_text),
            access_until: review.until_micros.and_then(time_text),
            decisions: decisions.collect(),
            id: review.id,
            user: review.user,
            user_id: review.user_id,
            connection: review.connection,
            reason: review.reason,
            statement_cut: review.statement_cut,
            params: review.parameters,
            message: review.message,
            reviewers: review.reviewers,
            approvals: review.approvals,
            groups: review.groups,
            break_glass: review.break_glass,
            note: review.note,
        }
    }
}

/// The caller as one who decides.
fn reviewer(caller: &Caller) -> Reviewer {
    match caller.user() {
        None => Reviewer {
            user_id: String::new(),
            name: caller.name().to_owned(),
            groups: Vec::new(),
            admin: true,
        },
        Some(member) => Reviewer {
            user_id: member.user_id.clone(),
            name: member.user.name.clone(),
            groups: member.user.groups.clone(),
            admin: caller.roles().decides_all(),
        },
    }
}

fn may_see(caller: &Caller, review: &Review) -> bool {
    let who = reviewer(caller);
    who.admin || caller.sees_all() || who.user_id == review.user_id || review.may_decide(&who).is_ok()
}

/// The review, if the caller may see it.
async fn find(app: &App, caller: &Caller, face: Face, id: &str) -> Result<Review, Problem> {
    let review = app.store.review(id).await?;
    review
        .filter(|review| face.shows(review) && may_see(caller, review))
        .ok_or_else(|| Problem::missing("review", id))
}

/// The state that a word of the API means.
fn state_of(word: &str) -> Result<State, Problem> {
    State::from_name(word).ok_or_else(|| {
        let names = State::ALL.map(State::name).join(", ");
        Problem::Request(format!("status: must be one of {names}"))
    })
}
