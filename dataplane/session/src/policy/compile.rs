//! From a snapshot to a policy: everything that can be wrong is found here, all of it at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proto::policy as wire;

use crate::pipeline::withhold::Bounds;

use super::{ConnectionPolicy, Policy, PolicyError, TokenVerifier, User, guardrail, redaction};

/// Bytes of a SCRAM-SHA-256 key.
const KEY_BYTES: usize = 32;
/// SCRAM iterations below this are refused (RFC 7677 section 4).
const ITERATIONS_MIN: u32 = 4_096;
/// Above this a login would cost the client more than it should.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<PolicyError>);

impl Errors {
    pub(super) fn add(&mut self, place: String, message: String) {
        self.push(PolicyError { place, message });
    }

    pub(super) fn push(&mut self, error: PolicyError) {
        self.0.push(error);
    }
}

/// Compiles a snapshot.
///
/// # Errors
/// Every mistake of the snapshot, each with its place. A policy with a mistake is never in force in parts.
pub fn compile(snapshot: &wire::Snapshot) -> Result<Policy, Vec<PolicyError>> {
    let mut errors = Errors::default();
    let key: [u8; KEY_BYTES] = snapshot.installation_key.as_slice().try_into().unwrap_or_else(|_| {
        errors.add("installation key".to_owned(), format!("must be {KEY_BYTES} bytes"));
        [0; KEY_BYTES]
    });
    let users = users(snapshot, &mut errors);
    let rules = redactions(snapshot, &key, &mut errors);
    let guardrails = guardrails(snapshot, &mut errors);
    let connections = connections(snapshot, &users, &rules, &guardrails, &mut errors);
    let hosts = hosts(&connections, &mut errors);
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    Ok(Policy {
        tokens: tokens(&users),
        hosts,
        review_url: snapshot.review_url.clone(),
        access_until: access_until(snapshot),
        generation: snapshot.generation,
        issued_at_ms: snapshot.issued_at_ms,
        expires_at_ms: snapshot.expires_at_ms,
        users,
        connections,
        mock_salt_key: derive(&key, b"sluice-mock-salt"),
    })
}

/// Of several grants the longest counts.
fn access_until(snapshot: &wire::Snapshot) -> HashMap<(String, String), u64> {
    let mut ends = HashMap::new();
    for grant in &snapshot.access_grants {
        let end = u64::try_from(grant.until_ms).unwrap_or(0).saturating_mul(1000);
        let longest: &mut u64 = ends
            .entry((grant.user_id.clone(), grant.connection_id.clone()))
            .or_default();
        *longest = end.max(*longest);
    }
    ends
}

/// Tokens by their digest.
fn tokens(users: &HashMap<String, Arc<User>>) -> HashMap<[u8; 32], (Arc<User>, usize)> {
    let mut tokens = HashMap::new();
    for user in users.values() {
        for (index, token) in user.tokens.iter().enumerate() {
            if let Ok(digest) = token.sha256.as_slice().try_into() {
                tokens.insert(digest, (Arc::clone(user), index));
            }
        }
    }
    tokens
}

fn hosts(connections: &HashMap<String, Arc<ConnectionPolicy>>, errors: &mut Errors) -> HashMap<String, String> {
    let mut hosts = HashMap::new();
    for connection in connections.values() {
        for host in connection.http.iter().flat_map(|http| &http.hosts) {
            if let Some(other) = hosts.insert(host.clone(), connection.name.clone()) {
                let message = format!("{host} is named by connection {other:?} too");
                errors.add(format!("connection {:?}, hosts", connection.name), message);
            }
        }
    }
    hosts
}

/// Purposes never share a key.
fn derive(key: &[u8; KEY_BYTES], purpose: &[u8]) -> [u8; KEY_BYTES] {
    let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key), purpose);
    let mut derived = [0; KEY_BYTES];
    for (to, from) in derived.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    derived
}

fn users(snapshot: &wire::Snapshot, errors: &mut Errors) -> HashMap<String, Arc<User>> {
    let mut users = HashMap::with_capacity(snapshot.users.len());
    for from in &snapshot.users {
        let place = format!("user {:?}", from.name);
        if from.name.is_empty() {
            errors.add(place.clone(), "has no name".to_owned());
        }
        if !from.tokens.is_empty() {
            if from.salt.is_empty() {
                errors.add(place.clone(), "has tokens but no salt".to_owned());
            }
            if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&from.iterations) {
                let message = format!("iterations must be {ITERATIONS_MIN} to {ITERATIONS_MAX}");
                errors.add(place.clone(), message);
            }
        }
        let tokens = from
            .tokens
            .iter()
            .filter_map(|token| verifier(token, &place, errors))
            .collect();
        let user = User {
            id: from.id.clone(),
            name: from.name.clone(),
            groups: from.groups.clone(),
            salt: from.salt.clone(),
            iterations: from.iterations,
            tokens,
        };
        if users.insert(from.name.clone(), Arc::new(user)).is_some() {
            errors.add(place, "is given twice".to_owned());
        }
    }
    users
}

fn verifier(token: &wire::Token, place: &str, errors: &mut Errors) -> Option<TokenVerifier> {
    let place = format!("{place}, token {:?}", token.id);
    let (Ok(stored_key), Ok(server_key)) = (
        token.stored_key.as_slice().try_into(),
        token.server_key.as_slice().try_into(),
    ) else {
        errors.add(place, format!("stored_key and server_key must be {KEY_BYTES} bytes"));
        return None;
    };
    if !token.sha256.is_empty() && token.sha256.len() != KEY_BYTES {
        errors.add(place.clone(), format!("sha256 must be {KEY_BYTES} bytes"));
    }
    let expires_at_micros = match token.expires_at_ms {
        0 => None,
        // A moment before the epoch has passed like any other.
        ms => Some(u64::try_from(ms).unwrap_or(0).saturating_mul(1_000)),
    };
    Some(TokenVerifier {
        id: token.id.clone(),
        stored_key,
        server_key,
        sha256: token.sha256.clone(),
        expires_at_micros,
        scope: token.connections.clone(),
    })
}

fn redactions(
    snapshot: &wire::Snapshot,
    key: &[u8; KEY_BYTES],
    errors: &mut Errors,
) -> HashMap<String, Arc<redaction::Rule>> {
    let hash_key = derive(key, b"sluice-hash-mask");
    let mut rules = HashMap::with_capacity(snapshot.redactions.len());
    for from in &snapshot.redactions {
        let rule = redaction::rule(from, &hash_key, errors);
        if rules.insert(from.name.clone(), Arc::new(rule)).is_some() {
            errors.add(format!("redaction {:?}", from.name), "is given twice".to_owned());
        }
    }
    rules
}

fn guardrails(snapshot: &wire::Snapshot, errors: &mut Errors) -> HashMap<String, Vec<guardrail::GuardRule>> {
    let mut all = HashMap::with_capacity(snapshot.guardrails.len());
    for from in &snapshot.guardrails {
        let rules = guardrail::rules(from, errors);
        if all.insert(from.name.clone(), rules).is_some() {
            errors.add(format!("guardrail {:?}", from.name), "is given twice".to_owned());
        }
    }
    all
}

fn connections(
    snapshot: &wire::Snapshot,
    users: &HashMap<String, Arc<User>>,
    rules: &HashMap<String, Arc<redaction::Rule>>,
    guardrails: &HashMap<String, Vec<guardrail::GuardRule>>,
    errors: &mut Errors,
) -> HashMap<String, Arc<ConnectionPolicy>> {
    let combinations: HashSet<&[String]> = users.values().map(|user| user.groups.as_slice()).collect();
    let mut sets = redaction::Sets::default();
    let mut connections = HashMap::with_capacity(snapshot.connections.len());
    for from in &snapshot.connections {
        let place = format!("connection {:?}", from.name);
        if from.name.is_empty() {
            errors.add(place.clone(), "has no name".to_owned());
        }
        let rules = redaction::of_connection(from, rules, errors);
        let columns = redaction::columns(&rules);
        kept(from, &rules, guardrails, errors);
        // Nobody without a group of the connection ever gets a session, so no set is made for them.
        let reaching = combinations
            .iter()
            .copied()
            .filter(|groups| groups.iter().any(|g| from.groups.contains(g)));
        let rule_sets = sets.build(&format!("{place}, redact"), &rules, &columns, reaching, errors);
        let guard = guardrail::of_connection(from, guardrails, errors);
        let connection = connection(from, columns, rules, rule_sets, guard, errors);
        if connections.insert(from.name.clone(), Arc::new(connection)).is_some() {
            errors.add(place, "is given twice".to_owned());
        }
    }
    sets.check_unused(rules.values(), errors);
    connections
}

/// Refuses rules that the connection's protocol cannot keep.
fn kept(
    from: &wire::Connection,
    rules: &[Arc<redaction::Rule>],
    guardrails: &HashMap<String, Vec<guardrail::GuardRule>>,
    errors: &mut Errors,
) {
    let is_http = from.protocol == codecs::http::SPEC.name;
    for rule in rules {
        if is_http && !rule.columns.is_empty() {
            let message = format!(
                "rule {:?} names columns of tables, which HTTP has not; use json or csv",
                rule.name
            );
            errors.add(format!("connection {:?}, redact", from.name), message);
        }
        if !(is_http || rule.json.is_empty() && rule.csv.is_empty()) {
            let message = format!(
                "rule {:?} names JSON paths or columns of CSV, which are for connections of type http",
                rule.name
            );
            errors.add(format!("connection {:?}, redact", from.name), message);
        }
    }
    for name in from.guardrails.iter().filter(|_| is_http) {
        let effects = |rule: &guardrail::GuardRule| matches!(rule.trigger, guardrail::Trigger::Effects(_));
        if guardrails.get(name).is_some_and(|rules| rules.iter().any(effects)) {
            let message =
                format!("guardrail {name:?} is about SQL; for HTTP use deny_pattern on \"METHOD /path?query\"");
            errors.add(format!("connection {:?}, guardrails", from.name), message);
        }
    }
    if is_http != from.http.is_some() {
        errors.add(
            format!("connection {:?}", from.name),
            "has not what its type needs".to_owned(),
        );
    }
}

fn connection(
    from: &wire::Connection,
    columns: Vec<redaction::ColumnName>,
    rules: Vec<Arc<redaction::Rule>>,
    rule_sets: HashMap<u64, Arc<redaction::RuleSet>>,
    guard: guardrail::Guard,
    errors: &mut Errors,
) -> ConnectionPolicy {
    let unknown = |what: &str, value: i32| PolicyError {
        place: format!("connection {:?}, {what}", from.name),
        message: format!("setting {value} is not known here"),
    };
    let record = wire::Record::try_from(from.record).unwrap_or_else(|_| {
        errors.push(unknown("record", from.record));
        wire::Record::Full
    });
    let audit = wire::AuditMode::try_from(from.audit).unwrap_or_else(|_| {
        errors.push(unknown("audit", from.audit));
        wire::AuditMode::Strict
    });
    let http = from
        .http
        .as_ref()
        .map(|http| crate::http::policy::compile(from, http, &mut errors.0));
    let postgres = from.postgres.clone().unwrap_or_default();
    let bound = |max: u64| if max == 0 { u64::MAX } else { max };
    ConnectionPolicy {
        access_review: from.access_review.clone(),
        statement_time_max: (postgres.statement_time_max_ms > 0)
            .then(|| Duration::from_millis(u64::from(postgres.statement_time_max_ms))),
        read_only: postgres.read_only,
        replication: postgres.replication,
        bounds: Bounds {
            rows_max: bound(postgres.result_rows_max),
            bytes_max: bound(postgres.result_bytes_max),
        },
        http,
        id: from.id.clone(),
        name: from.name.clone(),
        protocol: from.protocol.clone(),
        pool: from.pool.clone(),
        listen: from.listen.clone(),
        database: from.database.clone(),
        groups: from.groups.clone(),
        record,
        audit,
        grant: from.grant.clone(),
        columns,
        guard,
        rules,
        rule_sets,
    }
}
