//! Tests of the life of a review, with whatever order of events a network, a crash or a person can make.

use super::*;
use proptest::prelude::*;

fn review(kind: Kind, approvals: u32) -> Review {
    Review {
        id: "r".to_owned(),
        kind,
        state: State::Pending,
        user_id: "alice-id".to_owned(),
        user: "alice".to_owned(),
        connection_id: "c".to_owned(),
        connection: "orders".to_owned(),
        reason: String::new(),
        statement: String::new(),
        statement_cut: false,
        parameters: Vec::new(),
        guardrail: String::new(),
        message: String::new(),
        reviewers: vec!["dba".to_owned()],
        approvals,
        groups: Groups::Any,
        break_glass: false,
        session_id: String::new(),
        dataplane: String::new(),
        seconds: 60,
        created_micros: 0,
        expires_micros: 1_000_000,
        decided_micros: None,
        until_micros: None,
        decisions: Vec::new(),
        closed: false,
        note: String::new(),
    }
}

fn person(name: &str, groups: &[&str]) -> Reviewer {
    Reviewer {
        user_id: if name == "admin" {
            String::new()
        } else {
            format!("{name}-id")
        },
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        admin: name == "admin",
    }
}

fn decide(reviewer: Reviewer, approve: bool) -> Event {
    Event::Decide {
        reviewer,
        approve,
        comment: String::new(),
    }
}

#[test]
fn only_others_who_are_reviewers_decide_and_each_once() {
    let mut it = review(Kind::Statement, 2);
    let cases = [
        (person("alice", &["dba"]), Refused::Own),
        (person("carol", &["sales"]), Refused::NotReviewer),
    ];
    for (who, why) in cases {
        assert_eq!(it.apply(decide(who.clone(), true), 1), Err(why));
        assert_eq!(it.apply(decide(who, false), 1), Err(why));
    }
    assert_eq!(it.apply(decide(person("bob", &["dba"]), true), 1), Ok(true));
    assert_eq!(it.state, State::Pending, "one of two");
    assert_eq!(it.apply(decide(person("bob", &["dba"]), true), 2), Err(Refused::Twice));
    assert_eq!(it.apply(decide(person("admin", &[]), true), 3), Ok(true));
    assert_eq!((it.state, it.deciders().as_str()), (State::Approved, "bob, admin"));
    assert_eq!(
        it.apply(decide(person("dave", &["dba"]), false), 4),
        Err(Refused::Over(State::Approved))
    );
}

#[test]
fn access_is_granted_from_the_approval_on_and_ends() {
    let mut it = review(Kind::Access, 1);
    assert_eq!(
        it.apply(
            Event::Revoke {
                reviewer: person("bob", &["dba"]),
                comment: String::new()
            },
            1
        ),
        Err(Refused::NotGranted)
    );
    it.apply(decide(person("bob", &["dba"]), true), 500).unwrap();
    assert_eq!(it.until_micros, Some(60_000_500));
    assert_eq!(it.apply(Event::Clock, 60_000_499), Ok(false));
    assert_eq!(it.apply(Event::Clock, 60_000_500), Ok(true));
    assert_eq!(it.state, State::Ended);
}

#[test]
fn a_late_decision_is_refused_whether_or_not_the_clock_was_heard() {
    let mut it = review(Kind::Access, 1);
    assert_eq!(
        it.apply(decide(person("bob", &["dba"]), true), 1_000_000),
        Err(Refused::Over(State::Expired))
    );
}

#[test]
fn where_every_group_must_speak_one_person_is_one_voice() {
    let mut it = review(Kind::Access, 1);
    it.reviewers = vec!["dba".to_owned(), "security".to_owned()];
    it.groups = Groups::All;
    let both = person("bob", &["dba", "security"]);
    it.apply(decide(both, true), 1).unwrap();
    assert_eq!(it.state, State::Pending, "bob is in both, and is one");
    it.apply(decide(person("dave", &["dba"]), true), 2).unwrap();
    assert_eq!(
        it.state,
        State::Approved,
        "dave for dba, so that bob speaks for security"
    );
    let mut it = Review {
        decisions: Vec::new(),
        state: State::Pending,
        ..it
    };
    it.apply(decide(person("dave", &["dba"]), true), 1).unwrap();
    it.apply(decide(person("eve", &["dba"]), true), 1).unwrap();
    assert_eq!(it.state, State::Pending, "nobody of security");
    it.apply(decide(person("admin", &[]), true), 1).unwrap();
    assert_eq!(it.state, State::Approved, "an administrator stands for any group");
}

#[test]
fn broken_glass_is_a_grant_that_ends_like_any_other() {
    let mut it = review(Kind::Access, 2);
    it.break_glass(500);
    assert_eq!(
        (it.state, it.until_micros, it.decisions.len()),
        (State::Approved, Some(60_000_500), 0)
    );
    let revoke = Event::Revoke {
        reviewer: person("bob", &["dba"]),
        comment: String::new(),
    };
    assert_eq!(it.clone().apply(revoke, 600), Ok(true));
    assert_eq!(it.apply(Event::Clock, 60_000_500), Ok(true));
    assert_eq!(it.state, State::Ended);
}

fn any_event() -> impl Strategy<Value = Event> {
    let who = prop_oneof![
        Just(person("admin", &[])),
        Just(person("bob", &["dba"])),
        Just(person("dave", &["dba"])),
        Just(person("erin", &["security"])),
        Just(person("frank", &["security", "dba"])),
        Just(person("alice", &["dba"])),
        Just(person("carol", &[])),
    ];
    prop_oneof![
        (who.clone(), any::<bool>()).prop_map(|(who, approve)| decide(who, approve)),
        who.prop_map(|reviewer| Event::Revoke {
            reviewer,
            comment: String::new()
        }),
        Just(Event::Withdraw { why: "gone".to_owned() }),
        Just(Event::Released),
        Just(Event::Refused),
        Just(Event::TimedOut),
        Just(Event::Lost),
        Just(Event::Clock),
    ]
}

/// What may follow what.
fn is_legal(from: State, to: State, kind: Kind) -> bool {
    use State::*;
    match (from, to) {
        (Pending, Approved | Rejected | Expired | Withdrawn) => true,
        (Approved, Released | Unconfirmed | Withdrawn) => kind == Kind::Statement,
        (Approved, Ended | Revoked) => kind == Kind::Access,
        _ => from == to,
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_step_is_legal_and_the_end_is_the_end(
        statement in any::<bool>(),
        approvals in 1u32..4,
        every_group in any::<bool>(),
        broken in any::<bool>(),
        events in proptest::collection::vec((any_event(), 0i64..400_000), 0..40),
    ) {
        let kind = if statement { Kind::Statement } else { Kind::Access };
        let mut it = review(kind, approvals);
        if every_group {
            it.groups = Groups::All;
            it.reviewers.push("security".to_owned());
        }
        let broken = broken && kind == Kind::Access;
        if broken {
            it.break_glass(0);
        }
        let mut now = 0;
        for (event, pause) in events {
            now += pause;
            // Data planes speak of statements alone.
            if kind == Kind::Access && matches!(event, Event::Released | Event::Refused | Event::TimedOut | Event::Lost) {
                continue;
            }
            let before = it.clone();
            match it.apply(event.clone(), now) {
                Ok(changed) => prop_assert_eq!(changed, (before.state, before.closed, before.decisions.len())
                    != (it.state, it.closed, it.decisions.len())),
                Err(_) => prop_assert!(before.state == it.state || it.state == State::Expired || it.state == State::Ended),
            }
            // A late decision may pass through the time's own end on its way.
            let by_clock = is_legal(before.state, State::Expired, kind) && it.state == State::Expired;
            prop_assert!(by_clock || is_legal(before.state, it.state, kind), "{:?} -> {:?} by {event:?}", before.state, it.state);
            if before.state.is_final() {
                prop_assert_eq!(before.state, it.state);
                prop_assert_eq!(before.decisions.len(), it.decisions.len());
            }
            let approved: Vec<_> = it.decisions.iter().filter(|d| d.approve).map(|d| d.user_id.clone()).collect();
            let mut people = approved.clone();
            people.sort();
            people.dedup();
            prop_assert_eq!(people.len(), approved.len(), "nobody counts twice");
            prop_assert!(!approved.contains(&"alice-id".to_owned()) && !approved.contains(&"carol-id".to_owned()));
            let granted = matches!(it.state, State::Approved | State::Released | State::Unconfirmed | State::Ended | State::Revoked);
            let enough = approved.len() >= if every_group { approvals.max(2) } else { approvals } as usize;
            prop_assert!(!granted || enough || broken, "never without the approvals");
            if granted && every_group && !broken {
                let of_security = |d: &&Decision| d.approve && (d.admin || d.groups.iter().any(|group| group == "security"));
                prop_assert!(it.decisions.iter().find(of_security).is_some(), "never without one of the groups");
            }
            if granted && kind == Kind::Access {
                prop_assert!(it.until_micros.is_some());
            }
            if it.state == State::Released {
                prop_assert!(it.closed && !it.is_undelivered());
            }
        }
        let mut later = it.clone();
        later.apply(Event::Clock, i64::MAX).unwrap();
        let waits_for_its_data_plane = kind == Kind::Statement && later.state == State::Approved;
        prop_assert!(later.state.is_final() || waits_for_its_data_plane, "nothing waits for ever");
    }
}
