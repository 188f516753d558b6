//! Builds a snapshot out of the policy's objects. Pure: the same state gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use proto::policy::{
    AccessGrant, AccessReview, AuditMode, Connection, CredentialScheme, CustomDetector, Guardrail, GuardrailRule, Http,
    HttpHeader, HttpHealth, HttpKey, HttpRoute, HttpUpstream, Mask, MaskKind, OnError, Plaintext, Postgres, Record,
    Redaction, RedactionMode, RevokedAgent, SignedGrant, Snapshot, TargetGrant, TargetVersion, TlsMode, Token,
    Unattributed, User,
};
use proto::sign::SigningKey;

use crate::domain::file::Mask as MaskText;
use crate::domain::model::{self, UserStatus};
use crate::domain::review::Review;
use crate::domain::window::{Window, open_until};
use crate::domain::{http, postgres};
use crate::limits::SCRAM_ITERATIONS;
use crate::store::objects::{self, PolicyState};

/// When a snapshot begins and ends, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub issued_at_ms: i64,
    pub expires_at_ms: i64,
}

/// The snapshot of a state. Inactive users and expired tokens are left out.
pub fn snapshot(state: &PolicyState, installation_key: &[u8], life: Life, key: &SigningKey) -> Snapshot {
    let catalog = &state.catalog;
    Snapshot {
        generation: state.generation,
        issued_at_ms: life.issued_at_ms,
        expires_at_ms: life.expires_at_ms,
        users: catalog
            .users()
            .filter(|(_, user)| user.status == UserStatus::Active)
            .map(|(entry, user)| user_of(state, &entry.id, user, life.issued_at_ms))
            .collect(),
        connections: catalog
            .connections()
            .map(|(entry, connection)| {
                let made = connection_of(&entry.id, connection, state.generation, life, key);
                let http = connection.http.as_ref().map(|http| Http {
                    upstreams: upstreams_of(&entry.id, connection, http, state.generation, life, key),
                    ..http_of(state, connection, http)
                });
                Connection { http, ..made }
            })
            .collect(),
        redactions: catalog.redactions().map(redaction_of).collect(),
        guardrails: catalog.guardrails().map(guardrail_of).collect(),
        installation_key: installation_key.to_vec(),
        revoked_agents: revoked_agents(state, life.issued_at_ms),
        access_grants: access_grants(state, life.issued_at_ms),
        review_url: String::new(),
    }
}

/// For each connection with time windows: its id, until when grants count, and until when members need none. What this says
/// changes at the beginning of a window, and then a new snapshot is due; its end is kept by data planes.
pub fn windows(state: &PolicyState, now_ms: i64) -> BTreeMap<&str, (Option<i64>, Option<i64>)> {
    let now = now_ms.saturating_mul(1000);
    let until = |windows: &[Window]| open_until(windows, now).map(|micros| micros / 1000);
    let ruled = state.catalog.connections().filter_map(|(entry, connection)| {
        let rule = connection.access_review.as_ref()?;
        let windowed = !rule.windows.is_empty() || !rule.free.is_empty();
        windowed.then(|| (entry.id.as_str(), (until(&rule.windows), until(&rule.free))))
    });
    ruled.collect()
}

/// Grants that count now, and those that free hours give to every member; all of them end with their window.
fn access_grants(state: &PolicyState, now_ms: i64) -> Vec<AccessGrant> {
    let windows = windows(state, now_ms);
    let limited: BTreeSet<&str> = state
        .catalog
        .connections()
        .filter(|(_, connection)| {
            connection
                .access_review
                .as_ref()
                .is_some_and(|rule| !rule.windows.is_empty())
        })
        .map(|(entry, _)| entry.id.as_str())
        .collect();
    let reviewed = state.grants.values().filter_map(|review| {
        let grant = access_grant_of(review);
        if review.break_glass || !limited.contains(review.connection_id.as_str()) {
            return Some(grant);
        }
        let (until, _) = windows.get(review.connection_id.as_str())?;
        let until_ms = grant.until_ms.min((*until)?);
        Some(AccessGrant { until_ms, ..grant })
    });
    let mut grants: Vec<AccessGrant> = reviewed.collect();
    for (entry, connection) in state.catalog.connections() {
        let Some((_, Some(until_ms))) = windows.get(entry.id.as_str()) else {
            continue;
        };
        let members = state.catalog.users().filter(|(_, user)| {
            user.status == UserStatus::Active && connection.groups.iter().any(|group| user.groups.contains(group))
        });
        grants.extend(members.map(|(user, _)| AccessGrant {
            review_id: String::new(),
            user_id: user.id.clone(),
            connection_id: entry.id.clone(),
            until_ms: *until_ms,
        }));
    }
    grants
}

fn access_grant_of(review: &Review) -> AccessGrant {
    AccessGrant {
        review_id: review.id.clone(),
        user_id: review.user_id.clone(),
        connection_id: review.connection_id.clone(),
        until_ms: review.until_micros.unwrap_or(0) / 1000,
    }
}

/// Entries whose last certificate has run out are left out: TLS refuses those certificates by itself.
fn revoked_agents(state: &PolicyState, now_ms: i64) -> Vec<RevokedAgent> {
    let of = |(id, until_micros): (&String, &i64)| RevokedAgent {
        agent_id: id.clone(),
        // Up, so that the entry never ends before the certificate does.
        until_ms: until_micros / 1000 + 1,
    };
    let all = state.revoked_agents.iter().map(of);
    all.filter(|agent| agent.until_ms > now_ms).collect()
}

fn user_of(state: &PolicyState, id: &str, user: &model::User, now_ms: i64) -> User {
    let live = |t: &&objects::Token| t.user_id == id && t.expires_micros.is_none_or(|e| e / 1000 > now_ms);
    User {
        id: id.to_owned(),
        name: user.name.clone(),
        groups: user.groups.clone(),
        salt: state.salts.get(id).cloned().unwrap_or_default(),
        iterations: SCRAM_ITERATIONS,
        tokens: state.tokens.values().filter(live).map(token_of).collect(),
    }
}

fn token_of(token: &objects::Token) -> Token {
    Token {
        id: token.id.clone(),
        stored_key: token.stored_key.clone(),
        server_key: token.server_key.clone(),
        sha256: token.sha256.clone(),
        expires_at_ms: token.expires_micros.map_or(0, |micros| micros / 1000),
        connections: token.connections.clone(),
    }
}

fn connection_of(id: &str, c: &model::Connection, generation: u64, life: Life, key: &SigningKey) -> Connection {
    let record = match c.record {
        model::Record::Meta => Record::Meta,
        model::Record::Statements => Record::Statements,
        model::Record::Full => Record::Full,
    };
    let audit = match c.audit {
        model::AuditMode::Ordered => AuditMode::Ordered,
        model::AuditMode::Strict => AuditMode::Strict,
    };
    Connection {
        id: id.to_owned(),
        name: c.name.clone(),
        protocol: protocol(c.kind).to_owned(),
        pool: c.pool.clone().unwrap_or_default(),
        listen: c.listen.clone().unwrap_or_default(),
        groups: c.groups.clone(),
        redact: c.redact.clone(),
        guardrails: c.guardrails.clone(),
        record: record.into(),
        audit: audit.into(),
        grant: Some(grant_of(id, c, generation, life, key)),
        database: c.database.clone().unwrap_or_default(),
        http: None,
        access_review: c.access_review.as_ref().map(|rule| AccessReview {
            reason_required: rule.reason_required,
            reviewers: rule.reviewers.clone(),
        }),
        postgres: (c.kind == model::ConnectionType::Postgres).then(|| postgres_of(&c.postgres)),
    }
}

fn postgres_of(p: &postgres::Postgres) -> Postgres {
    let seconds = p.statement_timeout_seconds.unwrap_or(0);
    Postgres {
        result_rows_max: p.max_rows.unwrap_or(0),
        result_bytes_max: p.max_bytes.unwrap_or(0),
        statement_time_max_ms: u32::try_from(seconds * 1000).unwrap_or(u32::MAX),
        read_only: p.read_only,
        replication: p.replication == postgres::Replication::Allow,
    }
}

/// The protocol's name in the registry of codecs.
pub fn protocol(kind: model::ConnectionType) -> &'static str {
    match kind {
        model::ConnectionType::Postgres => "postgres",
        model::ConnectionType::Http => "http",
    }
}

/// Each place has a grant of its own, with the target's own name for its certificate.
fn upstreams_of(
    id: &str,
    c: &model::Connection,
    http: &http::Http,
    generation: u64,
    life: Life,
    key: &SigningKey,
) -> Vec<HttpUpstream> {
    let places = http.upstreams.iter();
    places
        .filter_map(|name| {
            let (host, port) = http::split_upstream(name)?;
            let at = model::Connection {
                host,
                port,
                ..c.clone()
            };
            Some(HttpUpstream {
                name: name.clone(),
                grant: Some(key.sign_grant(&TargetGrant {
                    tls_name: c.host.clone(),
                    ..target_of(id, &at, generation, life)
                })),
            })
        })
        .collect()
}

fn grant_of(id: &str, c: &model::Connection, generation: u64, life: Life, key: &SigningKey) -> SignedGrant {
    key.sign_grant(&target_of(id, c, generation, life))
}

fn target_of(id: &str, c: &model::Connection, generation: u64, life: Life) -> TargetGrant {
    let tls = match c.tls {
        model::TargetTls::Disable => TlsMode::Disable,
        model::TargetTls::Prefer => TlsMode::Prefer,
        model::TargetTls::Require => TlsMode::Require,
        model::TargetTls::VerifyFull => TlsMode::VerifyFull,
    };
    TargetGrant {
        connection_id: id.to_owned(),
        connection: c.name.clone(),
        protocol: protocol(c.kind).to_owned(),
        pool: c.pool.clone().unwrap_or_default(),
        host: c.host.clone(),
        port: u32::from(c.port),
        database: c.database.clone().unwrap_or_default(),
        tls: tls.into(),
        username: c.username.clone(),
        password: c.password.clone().unwrap_or_default(),
        tls_ca: c.tls_ca.clone().unwrap_or_default(),
        generation,
        expires_at_ms: life.expires_at_ms,
        tls_name: String::new(),
    }
}

fn http_of(state: &PolicyState, c: &model::Connection, h: &http::Http) -> Http {
    let https = c.tls != model::TargetTls::Disable;
    let host = if c.host.contains(':') {
        format!("[{}]", c.host)
    } else {
        c.host.clone()
    };
    let authority = match (https, c.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    };
    let scheme = match h.credential_scheme {
        http::CredentialScheme::None => CredentialScheme::Nothing,
        http::CredentialScheme::Raw => CredentialScheme::Raw,
        http::CredentialScheme::Bearer => CredentialScheme::Bearer,
        http::CredentialScheme::Basic => CredentialScheme::Basic,
    };
    let plaintext = match h.plaintext {
        http::Plaintext::Loopback => Plaintext::Loopback,
        http::Plaintext::Allow => Plaintext::Allow,
        http::Plaintext::Refuse => Plaintext::Refuse,
    };
    let sets = h.routes.iter().filter_map(|name| state.catalog.route_set(name));
    Http {
        hosts: h.hosts.clone(),
        key_header: h.key_header.clone(),
        credential_header: h.credential_header.clone(),
        credential_scheme: scheme.into(),
        routes: sets
            .flat_map(|set| set.allow.iter().map(|route| route_of(&set.name, route)))
            .collect(),
        allow_from: h.allow_from.clone(),
        trusted_proxies: h.trusted_proxies.clone(),
        proxy_protocol: h.proxy_protocol,
        plaintext: plaintext.into(),
        keys: h.keys.iter().map(key_of).collect(),
        request_bytes_max: h.request_bytes_max,
        response_bytes_max: h.response_bytes_max,
        response_timeout_ms: u32::try_from(h.response_timeout_seconds * 1000).unwrap_or(u32::MAX),
        requests_per_minute: h.requests_per_minute,
        headers: h.headers.iter().map(header_of).collect(),
        authority,
        https,
        refuse_findings: h.refuse_findings.clone(),
        websocket: h.websocket,
        version_header: h.version_header.clone(),
        target_version: match h.http_version {
            http::HttpVersion::Auto => TargetVersion::Negotiated,
            http::HttpVersion::Http1 => TargetVersion::Http1,
            http::HttpVersion::Http2 => TargetVersion::Http2,
        }
        .into(),
        upstreams: Vec::new(),
        health: h.health_path.as_ref().map(|path| HttpHealth {
            path: path.clone(),
            interval_ms: u32::try_from(h.health_interval_seconds * 1000).unwrap_or(u32::MAX),
            timeout_ms: u32::try_from(h.health_timeout_seconds * 1000).unwrap_or(u32::MAX),
        }),
    }
}

fn route_of(set: &str, route: &http::Route) -> HttpRoute {
    HttpRoute {
        methods: route.methods.clone(),
        path: route.path.clone(),
        query: route.query.clone().unwrap_or_default(),
        query_listed: route.query.is_some(),
        set: set.to_owned(),
    }
}

fn key_of(key: &http::KeyRule) -> HttpKey {
    HttpKey {
        user: key.user.clone(),
        allow_from: key.allow_from.clone(),
        requests_per_minute: key.requests_per_minute.unwrap_or(0),
    }
}

fn header_of(rule: &http::HeaderRule) -> HttpHeader {
    HttpHeader {
        response: rule.on == "response",
        name: rule.name.clone(),
        value: rule.value.clone().unwrap_or_default(),
        remove: rule.value.is_none(),
    }
}

fn redaction_of(r: &model::Redaction) -> Redaction {
    let mode = match r.mode {
        model::RedactionMode::Enforce => RedactionMode::Enforce,
        model::RedactionMode::Analyse => RedactionMode::Analyse,
    };
    let on_error = match r.on_error {
        model::OnError::Close => OnError::Close,
        model::OnError::BlankField => OnError::BlankField,
        model::OnError::Pass => OnError::Pass,
    };
    let unattributed = match r.unattributed {
        model::Unattributed::Scan => Unattributed::Scan,
        model::Unattributed::Mask => Unattributed::Mask,
        model::Unattributed::Deny => Unattributed::Deny,
    };
    Redaction {
        name: r.name.clone(),
        detect: r.detect.clone(),
        columns: r.columns.clone(),
        custom: r.custom.iter().map(custom_of).collect(),
        mask: Some(mask_of(&r.mask)),
        mode: mode.into(),
        on_error: on_error.into(),
        except_groups: r.except_groups.clone(),
        unattributed: unattributed.into(),
        allow: r.allow.clone(),
        allow_patterns: r.allow_patterns.clone(),
        checksum_suffices: r.context == model::WordNearby::Optional,
        decode_depth: r.decode,
        json: r.json.clone(),
        csv: r.csv.clone(),
    }
}

fn custom_of(custom: &model::CustomDetector) -> CustomDetector {
    CustomDetector {
        name: custom.name.clone(),
        regex: custom.regex.clone(),
        length_max: custom.max_len.unwrap_or(0),
        dictionary: custom.dictionary.clone(),
        fold_case: custom.ignore_case,
        checksum: custom.checksum.clone().unwrap_or_default(),
        context: custom.context.clone(),
        inside_words: custom.inside_words,
        label: custom.label.clone().unwrap_or_default(),
    }
}

/// A mask's text was checked when it was read; one that cannot be read hides everything.
fn mask_of(text: &str) -> Mask {
    let (kind, keep_last, text) = match MaskText::parse(text).unwrap_or(MaskText::Full) {
        MaskText::Label => (MaskKind::Label, 0, String::new()),
        MaskText::Full => (MaskKind::Full, 0, String::new()),
        MaskText::Partial(keep) => (MaskKind::Partial, keep, String::new()),
        MaskText::Hash => (MaskKind::Hash, 0, String::new()),
        MaskText::Null => (MaskKind::Null, 0, String::new()),
        MaskText::Replace(with) => (MaskKind::Replace, 0, with),
    };
    Mask {
        kind: kind.into(),
        keep_last,
        text,
    }
}

fn guardrail_of(g: &model::Guardrail) -> Guardrail {
    let rule = |r: &model::GuardrailRule| GuardrailRule {
        deny: r.deny.clone(),
        deny_pattern: r.deny_pattern.clone().unwrap_or_default(),
        review: r.review.clone(),
        reviewers: r.reviewers.clone(),
        message: r.message.clone().unwrap_or_default(),
        approvals: r.approvals.unwrap_or(0),
        wait_seconds: r.wait_seconds.unwrap_or(0),
    };
    Guardrail {
        name: g.name.clone(),
        rules: g.rules.iter().map(rule).collect(),
        unparsed_allowed: g.unparsed == model::Unparsed::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::file;
    use crate::domain::model::{Entry, Owner};
    use crate::domain::review::{Event, Reviewer};

    const HOUR_MS: i64 = 3_600_000;

    /// Free on Thursdays (1970 began with one) until noon, grants count until 18:00; alice is a member, bob is none.
    fn state() -> PolicyState {
        let text = r#"
            [[user]]
            name = "alice"
            groups = ["staff"]
            [[user]]
            name = "bob"
            [[connection]]
            name = "orders"
            type = "postgres"
            via = "direct"
            host = "db"
            username = "env:U"
            groups = ["staff"]
            [connection.access_review]
            reviewers = ["dba"]
            max_seconds = 2592000
            windows = [{ days = "thu", from = "06:00", to = "18:00", zone = "UTC" }]
            free = [{ days = "thu", to = "12:00", zone = "UTC" }]
        "#;
        let mut state = PolicyState::default();
        for (key, body) in file::parse(text).unwrap() {
            let entry = Entry {
                id: key.1.clone(),
                body,
                managed_by: Owner::Api,
                created_micros: 0,
                updated_micros: 0,
            };
            state.catalog.entries.insert(key, entry);
        }
        state
    }

    fn grants(state: &PolicyState, hour: i64) -> Vec<(String, i64)> {
        let grants = access_grants(state, hour * HOUR_MS);
        grants
            .into_iter()
            .map(|grant| (grant.user_id, grant.until_ms / HOUR_MS))
            .collect()
    }

    #[test]
    fn free_hours_are_grants_for_members_and_end_with_the_window() {
        let state = state();
        assert_eq!(grants(&state, 1), [("alice".to_owned(), 12)]);
        assert_eq!(grants(&state, 12), []);
        assert_eq!(grants(&state, 24 + 1), [], "a Friday");
    }

    #[test]
    fn grants_count_inside_of_their_windows_alone_and_broken_glass_at_any_time() {
        let mut state = state();
        let mut review = Review {
            user_id: "carol".to_owned(),
            connection_id: "orders".to_owned(),
            seconds: 30 * 86_400,
            ..crate::reviews::empty()
        };
        let admin = Reviewer {
            user_id: String::new(),
            name: "admin".to_owned(),
            groups: Vec::new(),
            admin: true,
        };
        review.expires_micros = i64::MAX;
        let approve = Event::Decide {
            reviewer: admin,
            approve: true,
            comment: String::new(),
        };
        review.apply(approve, 0).unwrap();
        state.grants.insert("r".to_owned(), review.clone());
        let carol = |hour| grants(&state, hour).into_iter().find(|(user, _)| user == "carol");
        assert_eq!(carol(5), None, "before the window");
        assert_eq!(carol(7), Some(("carol".to_owned(), 18)));
        assert_eq!(carol(18), None);
        assert_eq!(
            carol(7 * 24 + 7),
            Some(("carol".to_owned(), 7 * 24 + 18)),
            "again a week later"
        );
        let mut broken = Review {
            state: crate::domain::review::State::Pending,
            ..review
        };
        broken.seconds = 7200;
        broken.break_glass(20 * HOUR_MS * 1000);
        state.grants.insert("r".to_owned(), broken);
        assert_eq!(grants(&state, 21), [("carol".to_owned(), 22)]);
    }
}
