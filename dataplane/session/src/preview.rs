//! What redaction rules do to a piece of text, without a session: for people who write rules.

use codecs::edit::Mask;
use proto::policy as wire;

use crate::policy::{PolicyError, compile};

/// Name of the connection and user that exist only for a preview.
const STAND_IN: &str = "preview";

/// One finding; positions are bytes of the text that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previewed {
    pub detector: String,
    pub start: u32,
    pub end: u32,
    /// `masked`, or `found` where the rule only analyses.
    pub action: &'static str,
}

/// Text as a reader would get it, and what was found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub text: String,
    pub findings: Vec<Previewed>,
}

/// Applies the named rules of `snapshot` to `text`, for somebody who is in no excepted group; without names, the detectors
/// that are on by default with their labels. Rules that name columns have nothing to look at here; a mask that makes the
/// field NULL shows the label. Errors: a rule that does not exist, or does not compile, with its place.
pub fn preview(snapshot: &wire::Snapshot, rules: &[String], text: &str) -> Result<Preview, Vec<PolicyError>> {
    let policy = compile(&stand_in(snapshot, rules))?;
    let rule_set = policy
        .connection(STAND_IN)
        .and_then(|connection| connection.rule_set(&[STAND_IN.to_owned()]));
    let scanner = rule_set.and_then(|set| set.scanner.clone());
    let (Some(set), Some(scanner)) = (rule_set, scanner) else {
        return Ok(Preview {
            text: text.to_owned(),
            findings: Vec::new(),
        });
    };
    let mut found = Vec::new();
    scanner.scan(
        text.as_bytes(),
        scan::Context::default(),
        &mut scan::Scratch::default(),
        &mut found,
    );
    let mut out = Vec::with_capacity(text.len());
    let mut findings = Vec::with_capacity(found.len());
    let mut at = 0;
    for finding in &found {
        let (start, end) = (finding.start as usize, finding.end as usize);
        let action = set.action(finding.detector);
        let (Some(before), Some(value)) = (text.as_bytes().get(at..start), text.as_bytes().get(start..end)) else {
            break;
        };
        out.extend_from_slice(before);
        match &action.mask {
            _ if !action.enforce => out.extend_from_slice(value),
            Mask::Null => Mask::Label.append(&action.label, value, &mut out),
            mask => mask.append(&action.label, value, &mut out),
        }
        findings.push(Previewed {
            detector: action.name.to_string(),
            start: finding.start,
            end: finding.end,
            action: if action.enforce { "masked" } else { "found" },
        });
        at = end;
    }
    out.extend_from_slice(text.as_bytes().get(at..).unwrap_or_default());
    Ok(Preview {
        text: String::from_utf8_lossy(&out).into_owned(),
        findings,
    })
}

/// A policy with one connection that names the rules and one user whose only group no rule excepts.
fn stand_in(snapshot: &wire::Snapshot, rules: &[String]) -> wire::Snapshot {
    let mut redactions: Vec<_> = snapshot
        .redactions
        .iter()
        .filter(|rule| rules.contains(&rule.name))
        .cloned()
        .collect();
    let names = if rules.is_empty() {
        redactions.push(wire::Redaction {
            name: STAND_IN.to_owned(),
            ..wire::Redaction::default()
        });
        vec![STAND_IN.to_owned()]
    } else {
        rules.to_vec()
    };
    let connection = wire::Connection {
        id: STAND_IN.to_owned(),
        name: STAND_IN.to_owned(),
        protocol: "postgres".to_owned(),
        groups: vec![STAND_IN.to_owned()],
        redact: names,
        ..wire::Connection::default()
    };
    let user = wire::User {
        id: STAND_IN.to_owned(),
        name: STAND_IN.to_owned(),
        groups: vec![STAND_IN.to_owned()],
        salt: vec![0; 16],
        iterations: 4096,
        ..wire::User::default()
    };
    wire::Snapshot {
        generation: snapshot.generation.max(1),
        issued_at_ms: snapshot.issued_at_ms,
        expires_at_ms: snapshot.expires_at_ms,
        users: vec![user],
        connections: vec![connection],
        redactions,
        guardrails: Vec::new(),
        revoked_agents: Vec::new(),
        installation_key: if snapshot.installation_key.is_empty() {
            vec![0; 32]
        } else {
            snapshot.installation_key.clone()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> wire::Snapshot {
        let rule = |name: &str, detect: &str, mode| wire::Redaction {
            name: name.to_owned(),
            detect: vec![detect.to_owned()],
            mode,
            ..wire::Redaction::default()
        };
        wire::Snapshot {
            redactions: vec![
                rule("mail", "EMAIL_ADDRESS", wire::RedactionMode::Enforce as i32),
                rule("watch", "EMAIL_ADDRESS", wire::RedactionMode::Analyse as i32),
            ],
            ..wire::Snapshot::default()
        }
    }

    #[test]
    fn a_rule_masks_and_an_analysing_one_only_tells() {
        let text = "to ada@example.com, now";
        let masked = preview(&snapshot(), &["mail".to_owned()], text).unwrap();
        assert_eq!(masked.text, "to [EMAIL]********, now");
        assert_eq!(
            (
                masked.findings[0].start,
                masked.findings[0].end,
                masked.findings[0].action
            ),
            (3, 18, "masked")
        );
        let watched = preview(&snapshot(), &["watch".to_owned()], text).unwrap();
        assert_eq!((watched.text.as_str(), watched.findings[0].action), (text, "found"));
        assert!(preview(&snapshot(), &[], text).unwrap().text.contains("[EMAIL"));
    }

    #[test]
    fn an_unknown_rule_is_named() {
        let errors = preview(&snapshot(), &["nope".to_owned()], "x").unwrap_err();
        assert!(errors[0].message.contains("nope"), "{errors:?}");
    }
}
