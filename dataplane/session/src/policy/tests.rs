//! Snapshots with every kind of mistake, and access by them.

use proto::policy as wire;

use crate::admit::{Denied, admit};
use crate::policy::compile;
use crate::tests::{compiled, snapshot};

const NOW_MICROS: u64 = 1_000_000;

#[test]
fn all_mistakes_are_listed_with_their_places() {
    let mut wrong = snapshot();
    wrong.installation_key.clear();
    wrong.redactions[0].detect.push("NO_SUCH".into());
    wrong.redactions[0].columns.push("only.two".into());
    wrong.connections[0].redact.push("missing".into());
    wrong.connections[0].guardrails.push("absent".into());
    wrong.guardrails[0].rules.push(wire::GuardrailRule {
        deny: vec!["nonsense".into()],
        ..Default::default()
    });
    wrong.guardrails[0].rules.push(wire::GuardrailRule {
        deny_pattern: "(".into(),
        ..Default::default()
    });
    wrong.guardrails[0].rules.push(wire::GuardrailRule::default());
    wrong.users[0].tokens[0].stored_key.pop();
    wrong.users[0].iterations = 1;
    let errors = compile(&wrong).unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    for part in [
        "installation key",
        "NO_SUCH",
        "only.two",
        "\"missing\"",
        "\"absent\"",
        "\"nonsense\"",
        "rule 6",
        "rule 7",
        "stored_key",
        "iterations",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn access_needs_group_token_scope_and_time() {
    let policy = compiled(&snapshot());
    let ask = |user, connection, token| admit(&policy, user, connection, token, NOW_MICROS).map(|a| a.token_id);
    assert_eq!(ask("alice", "orders", "t1"), Ok("t1".to_owned()));
    assert_eq!(ask("nobody", "orders", "t1"), Err(Denied::UnknownUser));
    assert_eq!(ask("alice", "nothing", "t1"), Err(Denied::UnknownConnection));
    assert_eq!(ask("alice", "orders", "t2"), Err(Denied::UnknownToken));
    let with = |change: fn(&mut wire::Snapshot)| {
        let mut changed = snapshot();
        change(&mut changed);
        admit(&compiled(&changed), "alice", "orders", "t1", NOW_MICROS).err()
    };
    assert_eq!(with(|s| s.users[0].groups.clear()), Some(Denied::NotAllowed));
    assert_eq!(with(|s| s.connections[0].groups.clear()), Some(Denied::NotAllowed));
    assert_eq!(
        with(|s| s.users[0].tokens[0].expires_at_ms = 999),
        Some(Denied::TokenExpired)
    );
    assert_eq!(with(|s| s.users[0].tokens[0].expires_at_ms = 1_001), None);
    assert_eq!(
        with(|s| s.users[0].tokens[0].connections = vec!["other".into()]),
        Some(Denied::TokenScope)
    );
    assert_eq!(with(|s| s.expires_at_ms = 1_000), Some(Denied::PolicyExpired));
}

#[test]
fn mock_salts_are_stable_and_differ() {
    let policy = compiled(&snapshot());
    assert_eq!(policy.mock_salt("eve"), policy.mock_salt("eve"));
    assert_ne!(policy.mock_salt("eve"), policy.mock_salt("mallory"));
}
