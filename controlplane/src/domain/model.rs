//! The objects a policy is made of, as users name them in the policy file and in the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::http::{Http, RouteSet};
use super::notification::Notification;
use super::postgres::Postgres;
use super::review::Groups as ReviewGroups;
use super::role::Role;
use super::window::Window;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Pool,
    Group,
    User,
    Redaction,
    Guardrail,
    Routes,
    Connection,
    Notification,
}

impl Kind {
    /// Every kind, those that others refer to first.
    pub const ALL: [Kind; 8] = [
        Kind::Pool,
        Kind::Group,
        Kind::User,
        Kind::Redaction,
        Kind::Guardrail,
        Kind::Routes,
        Kind::Connection,
        Kind::Notification,
    ];

    /// The kind's word in the policy file, in plans and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pool => "pool",
            Kind::Group => "group",
            Kind::User => "user",
            Kind::Redaction => "redaction",
            Kind::Guardrail => "guardrail",
            Kind::Routes => "routes",
            Kind::Connection => "connection",
            Kind::Notification => "notification",
        }
    }

    /// The kind called `name`.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A named set of interchangeable agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A named set of users, declared so that it can be described; names of groups need no declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Whether a user may log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserStatus {
    #[default]
    Active,
    Inactive,
}

/// Whether a user is somebody who logs in, or something that has keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserType {
    #[default]
    Person,
    /// A service account: no password, no login by an identity provider.
    Service,
}

/// A person or program that uses connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub status: UserStatus,
    /// Roles in the control plane; none: a member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub kind: UserType,
}

/// A detector that users bring themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomDetector {
    pub name: String,
    /// Exactly one of `regex` and `dictionary` is set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub regex: String,
    /// Longest match in bytes, needed where the regex has no bound of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_len: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dictionary: Vec<String>,
    /// Upper and lower case are alike in the dictionary.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
    /// Name of a checksum that a match must fulfil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Words of which one must stand near a match or in its field's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
    /// Letters and digits may touch a match.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inside_words: bool,
    /// Word in masks; the name when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Whether a number with a right checksum needs a word that says what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WordNearby {
    Required,
    #[default]
    Optional,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Whether a redaction rule masks or only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedactionMode {
    #[default]
    Enforce,
    Analyse,
}

/// What happens to content that a rule cannot judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    #[default]
    Close,
    BlankField,
    Pass,
}

/// What happens to result columns that cannot be traced to a table, where a rule names columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unattributed {
    #[default]
    Scan,
    Mask,
    Deny,
}

/// What happens to statements whose effects cannot be told, where a guardrail is about effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unparsed {
    #[default]
    Deny,
    Allow,
}

/// A redaction rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    pub name: String,
    #[serde(default)]
    pub detect: Vec<String>,
    #[serde(default)]
    pub columns: Vec<String>,
    /// JSON paths whose values are masked whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<String>,
    /// Columns of tables in text (CSV) that are masked whole, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub csv: Vec<String>,
    #[serde(default)]
    pub custom: Vec<CustomDetector>,
    /// `label`, `full`, `partial:N`, `hash`, `null` or `replace:TEXT`.
    pub mask: String,
    #[serde(default)]
    pub mode: RedactionMode,
    #[serde(default)]
    pub on_error: OnError,
    #[serde(default)]
    pub except_groups: Vec<String>,
    #[serde(default)]
    pub unattributed: Unattributed,
    /// Values that are never masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Regexes; a value that one matches as a whole is never masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_patterns: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub context: WordNearby,
    /// Levels of base64, hexadecimal and URL encoding that are undone before looking.
    #[serde(default, skip_serializing_if = "is_default")]
    pub decode: u32,
}

/// One rule of a guardrail; exactly one of `deny`, `review`, `deny_pattern` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardrailRule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub review: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
    /// People that must approve; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<u32>,
    /// How long a statement waits for them; absent: ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub groups: ReviewGroups,
}

/// Just-in-time access: sessions need a grant that reviewers gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReview {
    /// Groups whose members decide, besides administrators.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// People that must approve.
    pub approvals: u32,
    /// Longest access that can be asked for.
    pub max_seconds: u64,
    /// How long a request waits.
    pub wait_seconds: u64,
    /// A request must say why.
    #[serde(default)]
    pub reason_required: bool,
    /// Whether people of any group suffice, or each must have spoken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub groups: ReviewGroups,
    /// Grants count only then; none: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// When members need no review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<Window>,
    /// Groups whose members may take access at once, with a reason and an alarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<String>,
    /// Longest access taken that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass_seconds: Option<u64>,
}

/// A list of rules on what a user is about to do; the first that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrail {
    pub name: String,
    #[serde(default)]
    pub rules: Vec<GuardrailRule>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub unparsed: Unparsed,
}

/// The protocol of a connection's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionType {
    Postgres,
    Http,
}

/// Whether TLS is used towards the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetTls {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyFull,
}

/// How much of a session is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    Meta,
    #[default]
    Statements,
    Full,
}

/// When an audit event must be safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    #[default]
    Ordered,
    Strict,
}

/// Who dials the target, when it is not a pool's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    Direct,
}

/// A configured resource that users reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ConnectionType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    pub host: String,
    pub port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(default)]
    pub tls: TargetTls,
    /// Secret reference to the PEM certificate authority of the target; absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub redact: Vec<String>,
    #[serde(default)]
    pub guardrails: Vec<String>,
    #[serde(default)]
    pub record: Record,
    #[serde(default)]
    pub audit: AuditMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_review: Option<AccessReview>,
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    #[serde(default, flatten)]
    pub postgres: Postgres,
}

/// What an object says, whichever kind it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "one object at a time is held; boxes would be in the way of every reader"
)]
pub enum Body {
    Pool(Pool),
    Group(Group),
    User(User),
    Redaction(Redaction),
    Guardrail(Guardrail),
    Routes(RouteSet),
    Connection(Connection),
    Notification(Notification),
}

impl Body {
    /// The kind of this object.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Pool(_) => Kind::Pool,
            Body::Group(_) => Kind::Group,
            Body::User(_) => Kind::User,
            Body::Redaction(_) => Kind::Redaction,
            Body::Guardrail(_) => Kind::Guardrail,
            Body::Routes(_) => Kind::Routes,
            Body::Connection(_) => Kind::Connection,
            Body::Notification(_) => Kind::Notification,
        }
    }

    /// The name, unique among its kind.
    pub fn name(&self) -> &str {
        match self {
            Body::Pool(it) => &it.name,
            Body::Group(it) => &it.name,
            Body::User(it) => &it.name,
            Body::Redaction(it) => &it.name,
            Body::Guardrail(it) => &it.name,
            Body::Routes(it) => &it.name,
            Body::Connection(it) => &it.name,
            Body::Notification(it) => &it.name,
        }
    }

    /// The key in a [`Catalog`].
    pub fn key(&self) -> Key {
        (self.kind(), self.name().to_owned())
    }

    /// All fields as JSON, defaults included.
    pub fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// Reads back what [`Body::fields`] wrote.
    pub fn from_stored(kind: Kind, json: serde_json::Value) -> Result<Body, serde_json::Error> {
        Ok(match kind {
            Kind::Pool => Body::Pool(serde_json::from_value(json)?),
            Kind::Group => Body::Group(serde_json::from_value(json)?),
            Kind::User => Body::User(serde_json::from_value(json)?),
            Kind::Redaction => Body::Redaction(serde_json::from_value(json)?),
            Kind::Guardrail => Body::Guardrail(serde_json::from_value(json)?),
            Kind::Routes => Body::Routes(serde_json::from_value(json)?),
            Kind::Connection => Body::Connection(serde_json::from_value(json)?),
            Kind::Notification => Body::Notification(serde_json::from_value(json)?),
        })
    }
}

/// Names one object.
pub type Key = (Kind, String);

/// Who made an object and so may change it without being asked twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    Api,
    Policy,
    Bootstrap,
    /// Made by the first login of somebody whom the identity provider vouches for.
    Login,
}

impl Owner {
    /// The owner's word in answers and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Owner::Api => "api",
            Owner::Policy => "policy",
            Owner::Bootstrap => "bootstrap",
            Owner::Login => "login",
        }
    }

    /// The owner called `name`.
    pub fn from_name(name: &str) -> Option<Owner> {
        [Owner::Api, Owner::Policy, Owner::Bootstrap, Owner::Login]
            .into_iter()
            .find(|owner| owner.name() == name)
    }
}

/// An object with what the control plane itself knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Stable over changes (a UUID).
    pub id: String,
    pub body: Body,
    pub managed_by: Owner,
    /// Microseconds since 1970.
    pub created_micros: i64,
    /// Microseconds since 1970.
    pub updated_micros: i64,
}

/// All objects, ordered by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    pub entries: BTreeMap<Key, Entry>,
}

impl Catalog {
    /// The object of this kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Entry> {
        self.entries.get(&(kind, name.to_owned()))
    }

    /// True when there is such an object.
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        self.find(kind, name).is_some()
    }

    /// All objects of a kind by name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries
            .range((kind, String::new())..)
            .take_while(move |((k, _), _)| *k == kind)
            .map(|(_, entry)| entry)
    }

    /// All connections by name, with their entries.
    pub fn connections(&self) -> impl Iterator<Item = (&Entry, &Connection)> {
        self.of(Kind::Connection).filter_map(|e| match &e.body {
            Body::Connection(c) => Some((e, c)),
            _ => None,
        })
    }

    /// All users by name, with their entries.
    pub fn users(&self) -> impl Iterator<Item = (&Entry, &User)> {
        self.of(Kind::User).filter_map(|e| match &e.body {
            Body::User(u) => Some((e, u)),
            _ => None,
        })
    }

    /// All redaction rules by name.
    pub fn redactions(&self) -> impl Iterator<Item = &Redaction> {
        self.of(Kind::Redaction).filter_map(|e| match &e.body {
            Body::Redaction(r) => Some(r),
            _ => None,
        })
    }

    /// All targets of notifications by name.
    pub fn notifications(&self) -> impl Iterator<Item = &Notification> {
        self.of(Kind::Notification).filter_map(|e| match &e.body {
            Body::Notification(n) => Some(n),
            _ => None,
        })
    }

    /// The set of routes of this name.
    pub fn route_set(&self, name: &str) -> Option<&RouteSet> {
        match &self.find(Kind::Routes, name)?.body {
            Body::Routes(set) => Some(set),
            _ => None,
        }
    }

    /// All guardrails by name.
    pub fn guardrails(&self) -> impl Iterator<Item = &Guardrail> {
        self.of(Kind::Guardrail).filter_map(|e| match &e.body {
            Body::Guardrail(g) => Some(g),
            _ => None,
        })
    }
}
