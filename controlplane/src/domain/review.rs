//! The life of a review: who may decide, what each event makes of it, and which states are the end. Pure.
//!
//! ```text
//! statement  pending -> approved -> released            pending -> rejected | expired | withdrawn
//!                       approved -> withdrawn | unconfirmed
//! access     pending -> approved -> ended | revoked     pending -> rejected | expired | withdrawn
//! ```

use serde::{Deserialize, Serialize};

/// How much later than its data plane the control plane gives a statement up.
const STATEMENT_GRACE_MICROS: i64 = 5_000_000;

/// What is reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One statement that waits in a session.
    Statement,
    /// The use of a connection for some time.
    Access,
}

impl Kind {
    /// The word in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Statement => "statement",
            Kind::Access => "access",
        }
    }
}

/// Where a review stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Pending,
    Approved,
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// Whoever asked went away or took it back.
    Withdrawn,
    /// The approved statement has gone to the target; the session's record says what came of it.
    Released,
    /// The data plane was lost between the approval and its word; the session's record says whether the statement ran.
    Unconfirmed,
    /// Approved access was taken away.
    Revoked,
    /// Approved access has run out.
    Ended,
}

impl State {
    /// All of them.
    pub const ALL: [State; 9] = [
        State::Pending,
        State::Approved,
        State::Rejected,
        State::Expired,
        State::Withdrawn,
        State::Released,
        State::Unconfirmed,
        State::Revoked,
        State::Ended,
    ];

    /// The word in the API; those that hoop has are hoop's.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "PENDING",
            State::Approved => "APPROVED",
            State::Rejected => "REJECTED",
            State::Expired => "EXPIRED",
            State::Withdrawn => "WITHDRAWN",
            State::Released => "EXECUTED",
            State::Unconfirmed => "UNCONFIRMED",
            State::Revoked => "REVOKED",
            State::Ended => "ENDED",
        }
    }

    /// The state of this name, in any case of letters.
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(name))
    }

    /// Nothing changes any more.
    pub fn is_final(self) -> bool {
        !matches!(self, State::Pending | State::Approved)
    }
}

/// Who decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewer {
    /// Empty: the administrator.
    pub user_id: String,
    pub name: String,
    pub groups: Vec<String>,
    pub admin: bool,
}

/// Which groups have to approve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Groups {
    /// People of any of them.
    #[default]
    Any,
    /// Somebody of each, and not the same person for two.
    All,
}

/// One person's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub user_id: String,
    pub by: String,
    pub approve: bool,
    pub comment: String,
    pub at_micros: i64,
    /// Those of the review's groups that this person was in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// An administrator stands for any one group.
    #[serde(default)]
    pub admin: bool,
}

/// A review with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// A UUID.
    pub id: String,
    pub kind: Kind,
    pub state: State,
    pub user_id: String,
    pub user: String,
    pub connection_id: String,
    pub connection: String,
    /// Why the requester wants it.
    #[serde(default)]
    pub reason: String,
    /// Statements: the masked text.
    #[serde(default)]
    pub statement: String,
    #[serde(default)]
    pub statement_cut: bool,
    #[serde(default)]
    pub parameters: Vec<Option<String>>,
    #[serde(default)]
    pub guardrail: String,
    /// What the rule says.
    #[serde(default)]
    pub message: String,
    /// Groups whose members decide, besides administrators.
    pub reviewers: Vec<String>,
    /// Different people that must approve.
    pub approvals: u32,
    #[serde(default)]
    pub groups: Groups,
    /// Taken in an emergency, without anybody's approval.
    #[serde(default)]
    pub break_glass: bool,
    #[serde(default)]
    pub session_id: String,
    #[serde(default)]
    pub dataplane: String,
    /// Access: for how long, from the approval on.
    #[serde(default)]
    pub seconds: u64,
    pub created_micros: i64,
    /// Pending until then.
    pub expires_micros: i64,
    #[serde(default)]
    pub decided_micros: Option<i64>,
    /// Access: granted until then.
    #[serde(default)]
    pub until_micros: Option<i64>,
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// Statements: the data plane knows the outcome.
    #[serde(default)]
    pub closed: bool,
    /// What ended it, where that is not a decision.
    #[serde(default)]
    pub note: String,
}

/// What happens to a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Decide {
        reviewer: Reviewer,
        approve: bool,
        comment: String,
    },
    /// Approved access is taken away.
    Revoke { reviewer: Reviewer, comment: String },
    /// The requester takes it back.
    Withdraw { why: String },
    /// The data plane let the statement go.
    Released,
    /// The data plane refused it, as told.
    Refused,
    /// The data plane's time for it ran out.
    TimedOut,
    /// The data plane does not know it any more.
    Lost,
    /// Time has passed.
    Clock,
}

/// Why an event is not for this review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the review is over: {}", .0.name())]
    Over(State),
    #[error("nobody decides on a request of their own")]
    Own,
    #[error("only reviewers decide")]
    NotReviewer,
    #[error("the same person has decided already")]
    Twice,
    #[error("only access that was approved can be revoked")]
    NotGranted,
}

impl Review {
    /// Whether this person may decide on it.
    ///
    /// # Errors
    /// [`Refused::Own`] or [`Refused::NotReviewer`].
    pub fn may_decide(&self, reviewer: &Reviewer) -> Result<(), Refused> {
        if !reviewer.user_id.is_empty() && reviewer.user_id == self.user_id {
            return Err(Refused::Own);
        }
        let in_group = self.reviewers.iter().any(|group| reviewer.groups.contains(group));
        if reviewer.admin || in_group {
            Ok(())
        } else {
            Err(Refused::NotReviewer)
        }
    }

    /// Applies an event. True: something changed. What comes late or twice from a machine changes nothing; what a person
    /// asks for and cannot have is an error.
    ///
    /// # Errors
    /// [`Refused`]; the review is as it was.
    pub fn apply(&mut self, event: Event, now_micros: i64) -> Result<bool, Refused> {
        let before = (self.state, self.closed, self.decisions.len());
        match event {
            Event::Decide {
                reviewer,
                approve,
                comment,
            } => self.decide(&reviewer, approve, comment, now_micros)?,
            Event::Revoke { reviewer, comment } => self.revoke(&reviewer, comment, now_micros)?,
            Event::Withdraw { why } => self.withdraw(why),
            Event::Released => {
                self.closed = true;
                if self.state == State::Approved {
                    self.state = State::Released;
                }
            }
            Event::Refused => self.closed = true,
            Event::TimedOut => {
                self.closed = true;
                match self.state {
                    State::Pending => self.expire(),
                    State::Approved => self.withdraw("the approval came too late".to_owned()),
                    _ => {}
                }
            }
            Event::Lost => {
                self.closed = true;
                match self.state {
                    State::Pending => self.withdraw("the data plane stopped".to_owned()),
                    State::Approved => self.state = State::Unconfirmed,
                    _ => {}
                }
            }
            Event::Clock => self.clock(now_micros),
        }
        Ok(before != (self.state, self.closed, self.decisions.len()))
    }

    /// When [`Event::Clock`] changes something; `None`: never. A statement's time is kept by its data plane, which is heard
    /// first.
    pub fn due_micros(&self) -> Option<i64> {
        match self.state {
            State::Pending if self.kind == Kind::Statement => {
                Some(self.expires_micros.saturating_add(STATEMENT_GRACE_MICROS))
            }
            State::Pending => Some(self.expires_micros),
            State::Approved => self.until_micros,
            _ => None,
        }
    }

    /// The data plane must still hear of the decision.
    pub fn is_undelivered(&self) -> bool {
        self.kind == Kind::Statement && self.state != State::Pending && !self.closed
    }

    /// Names of those who decided as the review went, for the client and the record.
    pub fn deciders(&self) -> String {
        let approved = self.state != State::Rejected;
        let names = self.decisions.iter().filter(|decision| decision.approve == approved);
        names
            .map(|decision| decision.by.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn decide(&mut self, reviewer: &Reviewer, approve: bool, comment: String, now: i64) -> Result<(), Refused> {
        self.may_decide(reviewer)?;
        self.clock(now);
        if self.state != State::Pending {
            return Err(Refused::Over(self.state));
        }
        let theirs = |decision: &Decision| decision.user_id == reviewer.user_id;
        if approve && self.decisions.iter().any(theirs) {
            return Err(Refused::Twice);
        }
        self.decisions.push(Decision {
            user_id: reviewer.user_id.clone(),
            by: reviewer.name.clone(),
            approve,
            comment,
            at_micros: now,
            groups: self
                .reviewers
                .iter()
                .filter(|group| reviewer.groups.contains(group))
                .cloned()
                .collect(),
            admin: reviewer.admin,
        });
        if !approve {
            self.state = State::Rejected;
            self.decided_micros = Some(now);
        } else if self.is_approved() {
            self.grant(now);
        }
        Ok(())
    }

    /// Takes access at once, as the connection's rule lets some do in an emergency.
    pub fn break_glass(&mut self, now_micros: i64) {
        self.break_glass = true;
        self.note = "break-glass: nobody approved it".to_owned();
        self.grant(now_micros);
    }

    fn grant(&mut self, now: i64) {
        self.state = State::Approved;
        self.decided_micros = Some(now);
        if self.kind == Kind::Access {
            let micros = i64::try_from(self.seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000_000);
            self.until_micros = Some(now.saturating_add(micros));
        }
    }

    /// Enough people have approved, of the groups that have to.
    fn is_approved(&self) -> bool {
        let approvals: Vec<&Decision> = self.decisions.iter().filter(|decision| decision.approve).collect();
        approvals.len() >= self.approvals.max(1) as usize
            && (self.groups == Groups::Any || each_group_spoke(&self.reviewers, &approvals))
    }

    fn revoke(&mut self, reviewer: &Reviewer, comment: String, now: i64) -> Result<(), Refused> {
        // Giving up what one was given needs nobody's leave.
        if reviewer.user_id.is_empty() || reviewer.user_id != self.user_id {
            self.may_decide(reviewer)?;
        }
        self.clock(now);
        if self.kind != Kind::Access || self.state == State::Pending {
            return Err(Refused::NotGranted);
        }
        if self.state != State::Approved {
            return Err(Refused::Over(self.state));
        }
        self.state = State::Revoked;
        self.note = format!("revoked by {}", reviewer.name);
        if !comment.is_empty() {
            self.note = format!("{}: {comment}", self.note);
        }
        Ok(())
    }

    fn withdraw(&mut self, why: String) {
        let access_granted = self.kind == Kind::Access && self.state == State::Approved;
        if self.kind == Kind::Statement {
            self.closed = true;
        }
        if !self.state.is_final() && !access_granted {
            self.state = State::Withdrawn;
            self.note = why;
        }
    }

    fn expire(&mut self) {
        self.state = State::Expired;
        self.note = "nobody decided in time".to_owned();
    }

    fn clock(&mut self, now: i64) {
        if self.due_micros().is_none_or(|due| now < due) {
            return;
        }
        match self.state {
            State::Pending => self.expire(),
            State::Approved => self.state = State::Ended,
            _ => {}
        }
    }
}

/// Whether each group can have an approval of its own: a matching of groups and people, found by augmenting paths.
fn each_group_spoke(groups: &[String], approvals: &[&Decision]) -> bool {
    let mut speaks_for: Vec<Option<usize>> = vec![None; approvals.len()];
    (0..groups.len()).all(|group| {
        seat(
            group,
            groups,
            approvals,
            &mut speaks_for,
            &mut vec![false; approvals.len()],
        )
    })
}

/// Finds a person for a group, moving others to further groups of theirs where that helps. As deep as there are groups.
fn seat(
    group: usize,
    groups: &[String],
    approvals: &[&Decision],
    speaks_for: &mut Vec<Option<usize>>,
    tried: &mut Vec<bool>,
) -> bool {
    for (person, decision) in approvals.iter().enumerate() {
        let fits = decision.admin || groups.get(group).is_some_and(|group| decision.groups.contains(group));
        if !fits || std::mem::replace(&mut tried[person], true) {
            continue;
        }
        let free = match speaks_for[person] {
            None => true,
            Some(other) => seat(other, groups, approvals, speaks_for, tried),
        };
        if free {
            speaks_for[person] = Some(group);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
