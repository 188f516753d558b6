//! Checks that the objects of a catalog fit together: what one names, another must be.

use std::collections::BTreeMap;

use super::http::Plaintext;
use super::mistake::{Mistake, Mistakes};
use super::model::{AuditMode, Catalog, Connection, Kind, Record};
use super::postgres::Replication;

/// Every reference must lead somewhere, and no two connections may want the same port.
pub fn references(catalog: &Catalog) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let mut listeners: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, connection) in catalog.connections() {
        connection_references(catalog, connection, &mut mistakes);
        let Some(listen) = connection.listen.as_deref().filter(|l| !l.ends_with(":0")) else {
            continue;
        };
        if let Some(other) = listeners.insert(listen, &connection.name) {
            let place = format!("connection \"{}\": listen", connection.name);
            mistakes.add(place, format!("{listen} is taken by connection \"{other}\""));
        }
    }
    mistakes.or(())
}

/// Things that are allowed and probably not meant.
pub fn warnings(catalog: &Catalog) -> Vec<String> {
    let mut warnings = Vec::new();
    for (_, connection) in catalog.connections() {
        let place = format!("connection \"{}\": groups", connection.name);
        if connection.groups.is_empty() {
            warnings.push(format!("{place}: empty, so nobody may connect"));
        }
        if let Some(http) = &connection.http {
            let place = |field: &str| format!("connection \"{}\": {field}", connection.name);
            if http.routes.is_empty() {
                warnings.push(format!("{}: empty, so every request is refused", place("routes")));
            }
            if http.plaintext == Plaintext::Allow {
                warnings.push(format!(
                    "{}: allow, so tokens may cross a network in clear",
                    place("plaintext")
                ));
            }
        }
        for group in &connection.groups {
            if !catalog.users().any(|(_, user)| user.groups.contains(group)) {
                warnings.push(format!("{place}: no user is in group \"{group}\""));
            }
        }
    }
    warnings.truncate(crate::limits::MISTAKES_MAX);
    warnings
}

/// Names of all groups: declared ones and those that anything names.
pub fn group_names(catalog: &Catalog) -> Vec<String> {
    let mut names: Vec<String> = catalog.of(Kind::Group).map(|e| e.body.name().to_owned()).collect();
    names.extend(catalog.users().flat_map(|(_, u)| u.groups.iter().cloned()));
    names.extend(catalog.connections().flat_map(|(_, c)| c.groups.iter().cloned()));
    names.extend(catalog.redactions().flat_map(|r| r.except_groups.iter().cloned()));
    names.extend(
        catalog
            .guardrails()
            .flat_map(|g| g.rules.iter().flat_map(|r| r.reviewers.iter().cloned())),
    );
    names.extend(
        catalog
            .connections()
            .filter_map(|(_, c)| c.access_review.as_ref())
            .flat_map(|rule| rule.reviewers.iter().chain(&rule.break_glass).cloned()),
    );
    names.sort();
    names.dedup();
    names
}

fn connection_references(catalog: &Catalog, connection: &Connection, mistakes: &mut Mistakes) {
    let place = |field: &str| format!("connection \"{}\": {field}", connection.name);
    if let Some(pool) = &connection.pool
        && !catalog.has(Kind::Pool, pool)
    {
        mistakes.add(place("pool"), format!("unknown pool \"{pool}\""));
    }
    for rule in &connection.redact {
        if !catalog.has(Kind::Redaction, rule) {
            mistakes.add(place("redact"), format!("unknown rule \"{rule}\""));
        }
    }
    for guardrail in &connection.guardrails {
        if !catalog.has(Kind::Guardrail, guardrail) {
            mistakes.add(place("guardrails"), format!("unknown guardrail \"{guardrail}\""));
        }
    }
    let postgres = &connection.postgres;
    let bounded =
        postgres.max_rows.is_some() || postgres.max_bytes.is_some() || postgres.statement_timeout_seconds.is_some();
    if postgres.replication == Replication::Allow && bounded {
        mistakes.add(
            place("replication"),
            "allow cannot stand beside max_rows, max_bytes or statement_timeout_seconds: a stream of changes has no end",
        );
    }
    if let Some(http) = &connection.http {
        for set in &http.routes {
            if !catalog.has(Kind::Routes, set) {
                mistakes.add(place("routes"), format!("unknown set of routes \"{set}\""));
            }
        }
        for key in &http.keys {
            if !catalog.has(Kind::User, &key.user) {
                mistakes.add(place("keys"), format!("unknown user \"{}\"", key.user));
            }
        }
        if http.proxy_protocol && connection.listen.is_none() {
            mistakes.add(place("proxy_protocol"), "needs a port of the connection's own: listen");
        }
        if connection.record == Record::Full {
            mistakes.add(
                place("record"),
                "full is not built for type http; use statements or meta",
            );
        }
    }
    if connection.audit == AuditMode::Strict {
        mistakes.add(place("audit"), "mode strict is not built yet; use ordered");
    }
}
