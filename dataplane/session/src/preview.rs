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
    /// 0 to 100: how little doubt the form, the checksum and the words near it leave.
    pub confidence: u8,
    /// The span is an encoded run with the value inside.
    pub encoded: bool,
    /// What takes its place; the value's own text is not repeated.
    pub mask: String,
    /// `masked`, or `found` where the rule only analyses.
    pub action: &'static str,
}

/// Text as a reader would get it, and what was found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub text: String,
    pub findings: Vec<Previewed>,
    /// What the rules cost; none where nothing is looked for.
    pub cost: Option<scan::Report>,
}

/// Applies the named rules of `snapshot` to `text`, for somebody who is in no excepted group; without names, the detectors
/// that are on by default with their labels. Rules that name columns have nothing to look at here; a mask that makes the
/// field NULL shows the label. With `column`, the text is taken for a value of a column of that name, whose words may confirm what
/// content alone leaves open. Errors: a rule that does not exist, or does not compile, with its place.
pub fn preview(
    snapshot: &wire::Snapshot,
    rules: &[String],
    column: Option<&str>,
    text: &str,
) -> Result<Preview, Vec<PolicyError>> {
    let policy = compile(&stand_in(snapshot, rules))?;
    let rule_set = policy
        .connection(STAND_IN)
        .and_then(|connection| connection.rule_set(&[STAND_IN.to_owned()]));
    let scanner = rule_set.and_then(|set| set.scanner.clone());
    let (Some(set), Some(scanner)) = (rule_set, scanner) else {
        return Ok(Preview {
            text: text.to_owned(),
            findings: Vec::new(),
            cost: None,
        });
    };
    let context = column.map_or(scan::Context::NONE, |name| scanner.context_of(name));
    let mut found = Vec::new();
    scanner.scan(text.as_bytes(), context, &mut scan::Scratch::default(), &mut found);
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
        let masked_from = out.len();
        let encoded = finding.detector.is_in_code();
        match &action.mask {
            _ if !action.enforce => out.extend_from_slice(value),
            _ if encoded => Mask::Encoded.append(&action.label, value, &mut out),
            Mask::Null => Mask::Label.append(&action.label, value, &mut out),
            mask => mask.append(&action.label, value, &mut out),
        }
        findings.push(Previewed {
            detector: action.name.to_string(),
            start: finding.start,
            end: finding.end,
            confidence: finding.confidence,
            encoded,
            mask: match action.enforce {
                true => String::from_utf8_lossy(out.get(masked_from..).unwrap_or_default()).into_owned(),
                false => String::new(),
            },
            action: if action.enforce { "masked" } else { "found" },
        });
        at = end;
    }
    out.extend_from_slice(text.as_bytes().get(at..).unwrap_or_default());
    Ok(Preview {
        text: String::from_utf8_lossy(&out).into_owned(),
        findings,
        cost: Some(scanner.report().clone()),
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
        ..wire::Snapshot::default()
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
        let masked = preview(&snapshot(), &["mail".to_owned()], None, text).unwrap();
        assert_eq!(masked.text, "to [EMAIL]********, now");
        assert_eq!(
            (
                masked.findings[0].start,
                masked.findings[0].end,
                masked.findings[0].action
            ),
            (3, 18, "masked")
        );
        let watched = preview(&snapshot(), &["watch".to_owned()], None, text).unwrap();
        assert_eq!((watched.text.as_str(), watched.findings[0].action), (text, "found"));
        assert!(preview(&snapshot(), &[], None, text).unwrap().text.contains("[EMAIL"));
    }

    #[test]
    fn an_unknown_rule_is_named() {
        let errors = preview(&snapshot(), &["nope".to_owned()], None, "x").unwrap_err();
        assert!(errors[0].message.contains("nope"), "{errors:?}");
    }

    #[test]
    fn a_column_name_confirms_a_weak_form_and_masks_are_shown() {
        let text = "876543210";
        let mut snapshot = snapshot();
        snapshot.redactions[0].detect = vec!["AUSTRALIA_TAX_FILE_NUMBER".to_owned()];
        let rules = ["mail".to_owned()];
        snapshot.redactions[0].checksum_suffices = false;
        assert!(preview(&snapshot, &rules, None, text).unwrap().findings.is_empty());
        let found = preview(&snapshot, &rules, Some("tax_file_number"), text).unwrap();
        assert_eq!(
            (found.findings[0].mask.as_str(), found.text.as_str()),
            ("[TFN]****", "[TFN]****")
        );
        assert!(found.findings[0].confidence >= 75 && found.cost.unwrap().hold_back_bytes_max > 0);
        snapshot.redactions[0].checksum_suffices = true;
        assert_eq!(preview(&snapshot, &rules, None, text).unwrap().findings.len(), 1);
    }

    #[test]
    fn allowed_values_stay_and_encoded_ones_are_masked_in_their_alphabet() {
        let mut snapshot = snapshot();
        snapshot.redactions[0].allow = vec!["help@example.com".to_owned()];
        snapshot.redactions[0].allow_patterns = vec![r".*@ourselves\.example".to_owned()];
        snapshot.redactions[0].decode_depth = 1;
        let text = "help@example.com x@ourselves.example bWFpbCBhZGFAZXhhbXBsZS5jb20gbm93IQ==";
        let seen = preview(&snapshot, &["mail".to_owned()], None, text).unwrap();
        assert_eq!(
            seen.text,
            "help@example.com x@ourselves.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
        );
        assert!(seen.findings[0].encoded);
    }

    #[test]
    fn names_need_a_dictionary_and_a_mistake_says_where_it_is() {
        let mut snapshot = snapshot();
        snapshot.redactions[0].detect = vec!["PERSON_NAME".to_owned()];
        let errors = preview(&snapshot, &["mail".to_owned()], None, "x").unwrap_err();
        assert_eq!(errors[0].place, "redaction \"mail\", detect");
        assert!(errors[0].message.contains("dictionary"), "{errors:?}");
        snapshot.redactions[0].custom = vec![wire::CustomDetector {
            name: "PERSON_NAME".to_owned(),
            dictionary: vec!["Ada Lovelace".to_owned()],
            fold_case: true,
            ..wire::CustomDetector::default()
        }];
        let seen = preview(&snapshot, &["mail".to_owned()], None, "by ADA LOVELACE.").unwrap();
        assert_eq!(seen.text, "by [NAME]******.");
        snapshot.redactions[0].custom[0].dictionary.clear();
        snapshot.redactions[0].custom[0].regex = "(".to_owned();
        let errors = preview(&snapshot, &["mail".to_owned()], None, "x").unwrap_err();
        assert_eq!(errors[0].place, "redaction \"mail\", custom", "{errors:?}");
    }
}
