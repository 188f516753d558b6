//! The compiled policy: immutable, shared by all cores, complete enough to decide without asking anyone.

mod compile;
pub(crate) mod guardrail;
pub(crate) mod redaction;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use compile::compile;
pub use redaction::{ColumnName, Mask, RuleSet};

use crate::http::HttpPolicy;
use crate::pipeline::withhold::Bounds;
use guardrail::Guard;
use proto::policy::{AccessReview, AuditMode, Record, SignedGrant};

/// One mistake in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct PolicyError {
    /// Where it is: `redaction "personal-data", detect`.
    pub place: String,
    pub message: String,
}

/// Everything that one generation of the policy says.
#[derive(Debug)]
pub struct Policy {
    pub(crate) generation: u64,
    pub(crate) issued_at_ms: i64,
    pub(crate) expires_at_ms: i64,
    pub(crate) users: HashMap<String, Arc<User>>,
    pub(crate) connections: HashMap<String, Arc<ConnectionPolicy>>,
    pub(crate) mock_salt_key: [u8; 32],
    /// User and number of the token, by the SHA-256 of its text.
    pub(crate) tokens: HashMap<[u8; 32], (Arc<User>, usize)>,
    pub(crate) review_url: String,
    /// End of the access that reviews gave, microseconds since the Unix epoch, by ids of user and connection.
    pub(crate) access_until: HashMap<(String, String), u64>,
    /// Connection by host name.
    pub(crate) hosts: HashMap<String, String>,
}

/// Somebody who may log in.
#[derive(Debug)]
pub struct User {
    pub id: String,
    pub name: String,
    pub groups: Vec<String>,
    /// SCRAM salt shared by all of the user's tokens.
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub tokens: Vec<TokenVerifier>,
}

/// What an access token is checked against.
#[derive(Debug)]
pub struct TokenVerifier {
    pub id: String,
    pub stored_key: [u8; 32],
    pub server_key: [u8; 32],
    /// SHA-256 of the token's text, for protocols that send it; empty if the snapshot has none.
    pub sha256: Vec<u8>,
    /// Microseconds since the Unix epoch; `None`: never.
    pub expires_at_micros: Option<u64>,
    /// Names of the only connections that it opens; empty: all that the user may.
    pub scope: Vec<String>,
}

/// One connection with everything that is enforced on it.
#[derive(Debug)]
pub struct ConnectionPolicy {
    pub id: String,
    pub name: String,
    /// Name in the registry of protocols.
    pub protocol: String,
    /// Empty: the data plane reaches the target itself.
    pub pool: String,
    /// `HOST:PORT` of a listener of its own, or empty.
    pub listen: String,
    /// Database on the target if the client names none.
    pub database: String,
    pub groups: Vec<String>,
    pub record: Record,
    pub audit: AuditMode,
    /// How the target is reached, signed.
    pub grant: Option<SignedGrant>,
    /// Sessions need a grant that a review gave.
    pub access_review: Option<AccessReview>,
    /// Set for connections of type `http`.
    pub http: Option<HttpPolicy>,
    /// How long a statement may run.
    pub statement_time_max: Option<std::time::Duration>,
    /// Nothing may be written.
    pub read_only: bool,
    /// Replication connections are let in.
    pub replication: bool,
    pub(crate) bounds: Bounds,
    pub(crate) columns: Vec<ColumnName>,
    pub(crate) guard: Guard,
    pub(crate) rules: Vec<Arc<redaction::Rule>>,
    /// By which of `rules` apply (bit i: rule i), for every combination that a user of the snapshot has.
    pub(crate) rule_sets: HashMap<u64, Arc<RuleSet>>,
}

impl Policy {
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When the control plane signed it, milliseconds since the Unix epoch.
    pub fn issued_at_ms(&self) -> i64 {
        self.issued_at_ms
    }

    /// After this no session is opened by it, milliseconds since the Unix epoch; 0 or less: no end.
    pub fn expires_at_ms(&self) -> i64 {
        self.expires_at_ms
    }

    /// Whether it is too old at `now_micros` (since the Unix epoch) to open sessions.
    pub fn is_expired(&self, now_micros: u64) -> bool {
        self.expires_at_ms > 0 && now_micros / 1_000 >= self.expires_at_ms.unsigned_abs()
    }

    pub fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    pub fn connection(&self, name: &str) -> Option<&Arc<ConnectionPolicy>> {
        self.connections.get(name)
    }

    /// Whose token has this SHA-256, and which of the user's it is. The digest is what is looked up, so the time that it takes
    /// says nothing about a token.
    pub fn token(&self, sha256: &[u8]) -> Option<(&Arc<User>, usize)> {
        let key: [u8; 32] = sha256.try_into().ok()?;
        self.tokens.get(&key).map(|(user, index)| (user, *index))
    }

    /// Where people answer reviews, without a slash at the end; empty: not known.
    pub fn review_url(&self) -> &str {
        &self.review_url
    }

    /// Until when `user` may use a connection that asks for a review, microseconds since the Unix epoch; `None`: not at all.
    pub fn access_until(&self, user: &User, connection: &ConnectionPolicy) -> Option<u64> {
        let key = (user.id.clone(), connection.id.clone());
        self.access_until.get(&key).copied()
    }

    /// The connection that is reached by this host name (without port, lower case).
    pub fn connection_of_host(&self, host: &str) -> Option<&Arc<ConnectionPolicy>> {
        self.connection(self.hosts.get(host)?)
    }

    /// All connections, in no order.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<ConnectionPolicy>> {
        self.connections.values()
    }

    /// Key from which the salts shown to unknown users are derived, so that they stay the same between attempts.
    pub fn mock_salt_key(&self) -> &[u8; 32] {
        &self.mock_salt_key
    }

    /// The salt (16 bytes) that somebody who does not exist is shown. Iterations are those of real users.
    pub fn mock_salt(&self, user: &str) -> [u8; 16] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.mock_salt_key);
        let tag = aws_lc_rs::hmac::sign(&key, user.as_bytes());
        let mut salt = [0; 16];
        for (to, from) in salt.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        salt
    }
}

impl ConnectionPolicy {
    /// Columns that rules name: to be looked up in the target's catalogue before a session is opened. The index of
    /// [`ResolvedColumn`](crate::ResolvedColumn) counts in this list.
    pub fn columns(&self) -> &[ColumnName] {
        &self.columns
    }

    /// What is masked for a user of these groups.
    pub fn rule_set(&self, groups: &[String]) -> Option<&Arc<RuleSet>> {
        self.rule_sets.get(&redaction::applying(&self.rules, groups))
    }
}
