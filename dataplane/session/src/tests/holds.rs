//! Statements that wait for reviewers: who hears what, in which order, and what the record says afterwards.

use super::*;
use crate::hold::{Answer, News};
use proto::control::{HoldEnd, HoldOpened};

const ALTER: &str = "alter table t add column x int";

impl Talk {
    fn news(&mut self) -> Vec<News> {
        self.session.take_hold_news()
    }

    fn opened(&mut self) -> HoldOpened {
        match self.news().as_slice() {
            [News::Opened(opened)] => (**opened).clone(),
            other => panic!("not one opened hold: {other:?}"),
        }
    }

    fn notices(&mut self) -> String {
        let notices = self.session.take_notices(&mut self.scratch, NOW);
        String::from_utf8_lossy(&notices).into_owned()
    }

    /// Answers what waits and lets the client's bytes go on.
    fn answer(&mut self, answer: Answer) -> &mut Self {
        let hold = self.session.hold().expect("something waits");
        assert!(self.session.answer_hold(&hold.id, answer.clone()));
        assert!(!self.session.answer_hold(&hold.id, answer), "the first answer counts");
        self.client(b"")
    }
}

fn approved() -> Answer {
    Answer::Approved { by: "bob".into() }
}

fn rejected() -> Answer {
    Answer::Rejected {
        by: "bob".into(),
        comment: "not on Friday".into(),
    }
}

fn ends(news: &[News]) -> Vec<HoldEnd> {
    let closed = news.iter().filter_map(|news| match news {
        News::Closed(closed) => Some(closed.end()),
        News::Opened(_) => None,
    });
    closed.collect()
}

#[test]
fn a_statement_waits_unseen_and_runs_when_it_is_approved() {
    let mut snapshot = snapshot();
    snapshot.review_url = "http://gate".into();
    snapshot.guardrails[0].rules[3].reviewers = vec!["dba".into()];
    let mut talk = Talk::with(&snapshot);
    talk.client(&[query(ALTER), query("select 1")].concat());
    assert!(talk.stalled && talk.to_target.is_empty(), "nothing leaves");
    let opened = talk.opened();
    assert_eq!(
        (
            opened.user.as_str(),
            opened.connection.as_str(),
            opened.statement.as_str()
        ),
        ("alice", "orders", ALTER)
    );
    assert_eq!(
        (opened.reviewers.as_slice(), opened.approvals),
        (&["dba".to_owned()][..], 1)
    );
    assert_eq!(opened.expires_at_ms - opened.opened_at_ms, 600_000);
    let notice = talk.notices();
    assert!(
        notice.contains("NOTICE") && notice.contains("http://gate/reviews/") && notice.contains("dba"),
        "{notice}"
    );
    talk.client(b"");
    assert!(talk.stalled && talk.news().is_empty(), "it is asked once");
    talk.answer(approved());
    assert!(talk.notices().contains("approved by bob"));
    assert_eq!(ends(&talk.news()), [HoldEnd::Released]);
    let seen = talk.seen_by_target();
    assert!(
        seen.contains(ALTER) && seen.find(ALTER) < seen.find("select 1"),
        "{seen}"
    );
    talk.target(&[complete("ALTER TABLE"), ready(), complete("SELECT 1"), ready()].concat());
    let statements = talk.statements();
    assert_eq!(statements[0].outcome(), audit::Outcome::Ok);
    let review = &statements[0].reviews[0];
    assert_eq!(
        (review.outcome.as_str(), review.by.as_str(), &review.id),
        ("approved", "bob", &opened.id)
    );
    assert!(statements[1].reviews.is_empty());
}

#[test]
fn a_rejected_statement_never_leaves_and_the_session_goes_on() {
    for (answer, code, outcome, end) in [
        (rejected(), "42501", "rejected", HoldEnd::Refused),
        (Answer::Timeout, "42501", "timeout", HoldEnd::Timeout),
        (Answer::Cancelled, "57014", "cancelled", HoldEnd::Withdrawn),
        (Answer::Unavailable, "54000", "unavailable", HoldEnd::Withdrawn),
    ] {
        let mut talk = Talk::new();
        talk.client(&[query(ALTER), query("select 1")].concat());
        talk.news();
        talk.answer(answer);
        assert_eq!(ends(&talk.news()), [end]);
        assert!(!talk.seen_by_target().contains("alter table"));
        assert!(talk.seen_by_target().contains("select 1"));
        talk.target(&[error("42601", "x"), ready(), complete("SELECT 1"), ready()].concat());
        assert!(talk.seen_by_client().contains(code), "{}", talk.seen_by_client());
        let statements = talk.statements();
        assert_eq!(statements[0].outcome(), audit::Outcome::Denied);
        assert_eq!(statements[0].text, ALTER);
        assert_eq!(statements[0].reviews[0].outcome, outcome);
        assert_eq!(statements[1].outcome(), audit::Outcome::Ok);
    }
}

#[test]
fn what_came_before_is_answered_first() {
    let mut talk = Talk::new();
    talk.client(&[query("select 1"), query(ALTER)].concat());
    assert!(
        talk.stalled && talk.news().is_empty(),
        "the answer of the first is under way"
    );
    talk.target(&[complete("SELECT 1"), ready()].concat());
    assert_eq!(talk.opened().statement, ALTER);
}

#[test]
fn every_execution_of_a_prepared_statement_is_asked_for() {
    let mut talk = Talk::new();
    talk.client(&[parse("s", "alter table t set (fillfactor = 70)"), sync()].concat());
    talk.target(&[bare(b'1'), ready()].concat());
    assert!(talk.news().is_empty() && !talk.stalled, "preparing does nothing");
    let mut altered = false;
    for answer in [approved(), rejected(), approved()] {
        talk.client(&[bind("", "s", &["v"], &[]), execute("", 0), sync()].concat());
        assert!(
            talk.stalled && talk.news().is_empty(),
            "a Flush asks for the answer to Bind"
        );
        if std::mem::take(&mut altered) {
            // Behind a statement that may have changed tables the columns of rules are looked up again, before the Bind.
            let found = [row(&[Some(b"-1"), Some(b"20000"), Some(b"0")]), complete("SELECT 1")].concat();
            let lookup = [
                bare(b'3'),
                bare(b'1'),
                bare(b'2'),
                found,
                bare(b'3'),
                bare(b'3'),
                ready(),
            ]
            .concat();
            talk.target(&lookup);
            assert!(talk.stalled && talk.news().is_empty());
        }
        talk.target(&bare(b'2'));
        let opened = talk.opened();
        assert_eq!(opened.parameters[0].text, "v");
        talk.answer(answer.clone());
        assert_eq!(talk.news().len(), 1);
        if answer == approved() {
            // Our own Describe before the Execute is answered as well.
            talk.target(&[bare(b'n'), complete("ALTER TABLE"), ready()].concat());
            assert_eq!(talk.statements()[0].reviews[0].outcome, "approved");
            altered = true;
        } else {
            talk.target(&[error("34000", "no portal"), ready()].concat());
            assert!(talk.seen_by_client().contains("not on Friday"));
            assert_eq!(talk.statements()[0].reviews[0].outcome, "rejected");
        }
        assert!(talk.close.is_none());
    }
}

#[test]
fn what_sql_prepared_is_asked_for_when_it_runs() {
    let mut talk = Talk::new();
    talk.client(&query("prepare p as select 1"));
    talk.target(&[complete("PREPARE"), ready()].concat());
    let mut next = snapshot();
    next.generation = 2;
    next.guardrails[0].rules[3].review = vec!["select".into()];
    assert!(
        talk.session
            .policy_changed(compiled(&next), &mut talk.scratch, NOW)
            .is_none()
    );
    talk.client(&query("execute p"));
    assert_eq!(talk.opened().statement, "execute p");
}

#[test]
fn two_rules_ask_one_after_the_other() {
    let mut snapshot = snapshot();
    let mut second = snapshot.guardrails[0].rules[3].clone();
    second.reviewers = vec!["security".into()];
    snapshot.guardrails[0].rules.push(second);
    let mut talk = Talk::with(&snapshot);
    talk.client(&query(ALTER));
    assert!(talk.opened().reviewers.is_empty());
    talk.answer(approved());
    let news = talk.news();
    assert!(
        matches!(&news[..], [News::Closed(_), News::Opened(opened)] if opened.reviewers == ["security"]),
        "{news:?}"
    );
    assert!(talk.to_target.is_empty());
    talk.answer(approved());
    assert!(talk.seen_by_target().contains(ALTER));
    talk.target(&[complete("ALTER TABLE"), ready()].concat());
    assert_eq!(talk.statements()[0].reviews.len(), 2);
}

#[test]
fn a_newer_policy_is_asked_before_an_approval_counts() {
    let mut talk = Talk::new();
    talk.client(&query(ALTER));
    talk.news();
    let mut next = snapshot();
    next.generation = 2;
    next.guardrails[0].rules[3] = wire::GuardrailRule {
        deny: vec!["alter".into()],
        ..Default::default()
    };
    assert!(
        talk.session
            .policy_changed(compiled(&next), &mut talk.scratch, NOW)
            .is_none()
    );
    talk.answer(approved());
    assert_eq!(ends(&talk.news()), [HoldEnd::Withdrawn]);
    assert!(
        !talk.seen_by_target().contains("alter table"),
        "it is denied now, whatever was approved"
    );
    let mut talk = Talk::new();
    talk.client(&query(ALTER));
    talk.news();
    next.guardrails[0].rules.clear();
    assert!(
        talk.session
            .policy_changed(compiled(&next), &mut talk.scratch, NOW)
            .is_none()
    );
    talk.client(b"");
    assert_eq!(ends(&talk.news()), [HoldEnd::Withdrawn]);
    assert!(
        talk.seen_by_target().contains(ALTER),
        "no rule asks for a review any more"
    );
}

#[test]
fn a_session_that_ends_withdraws_what_waits() {
    let mut talk = Talk::new();
    talk.client(&query(ALTER));
    talk.news();
    talk.end();
    assert_eq!(ends(&talk.news()), [HoldEnd::Withdrawn]);
    let statements = talk.statements();
    assert_eq!(statements[0].outcome(), audit::Outcome::Denied);
    assert_eq!(statements[0].reviews[0].outcome, "withdrawn");
}

#[test]
fn what_the_target_skips_needs_no_review() {
    let mut talk = Talk::new();
    talk.client(&parse("", "selec"));
    talk.client(&[bind("", "", &[], &[])].concat());
    talk.target(&error("42601", "syntax"));
    talk.client(&[parse("", ALTER), bind("", "", &[], &[]), execute("", 0), sync()].concat());
    assert!(!talk.stalled && talk.news().is_empty());
    talk.target(&ready());
    assert!(talk.close.is_none());
}

#[test]
fn access_that_needs_a_grant_ends_with_it() {
    let mut snapshot = snapshot();
    snapshot.connections[0].access_review = Some(wire::AccessReview::default());
    let policy = compiled(&snapshot);
    let denied = |policy: &Policy, at| crate::admit::admit(policy, "alice", "orders", "t1", at).map(|_| ());
    assert_eq!(denied(&policy, 1), Err(crate::admit::Denied::NoGrant));
    let grant = |connection: &str, until_ms| wire::AccessGrant {
        review_id: "r".into(),
        user_id: snapshot.users[0].id.clone(),
        connection_id: connection.into(),
        until_ms,
    };
    let mut granted = snapshot.clone();
    granted.access_grants = vec![grant("c1", 2_000), grant("c1", 1_500), grant("other", 9_000)];
    let policy = compiled(&granted);
    assert_eq!(denied(&policy, 1_999_999), Ok(()));
    assert_eq!(denied(&policy, 2_000_000), Err(crate::admit::Denied::NoGrant));
    let mut talk = Talk::with(&granted);
    assert_eq!(talk.session.access_until(), Some(2_000_000));
    assert!(talk.session.recheck(NOW).is_none());
    let late = Now {
        wall_micros: 2_000_000,
        ..NOW
    };
    let close = talk.session.recheck(late).expect("the grant is over");
    assert!(String::from_utf8_lossy(&close.to_downstream).contains("57P01"));
    assert!(
        talk.session
            .feed(Direction::ToUpstream, &mut query("select 1"), &mut talk.scratch, late)
            .close
            .is_some()
    );
}
