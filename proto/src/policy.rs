//! The policy snapshot: everything a data plane needs to serve sessions while the control plane is away.

use prost::{Enumeration, Message};

/// A snapshot as it travels: the exact bytes that were signed, and the Ed25519 signature over them.
#[derive(Clone, PartialEq, Message)]
pub struct SignedSnapshot {
    /// Encoded [`Snapshot`].
    #[prost(bytes = "vec", tag = "1")]
    pub snapshot: Vec<u8>,
    /// Ed25519 signature over `"sluice-snapshot-v1\0" ‖ snapshot` (64 bytes).
    #[prost(bytes = "vec", tag = "2")]
    pub signature: Vec<u8>,
}

/// The complete policy of one generation.
#[derive(Clone, PartialEq, Message)]
pub struct Snapshot {
    /// Grows by at least one with every change; receivers refuse an older one.
    #[prost(uint64, tag = "1")]
    pub generation: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub issued_at_ms: i64,
    /// After this moment no new session is opened by this snapshot (milliseconds since the Unix epoch).
    #[prost(int64, tag = "3")]
    pub expires_at_ms: i64,
    #[prost(message, repeated, tag = "4")]
    pub users: Vec<User>,
    #[prost(message, repeated, tag = "5")]
    pub connections: Vec<Connection>,
    #[prost(message, repeated, tag = "6")]
    pub redactions: Vec<Redaction>,
    #[prost(message, repeated, tag = "7")]
    pub guardrails: Vec<Guardrail>,
    /// 32 random bytes, constant for an installation: salts shown to unknown users derive from it, and so do hash masks.
    #[prost(bytes = "vec", tag = "8")]
    pub installation_key: Vec<u8>,
    /// Agents whose certificates are refused although they have not run out.
    #[prost(message, repeated, tag = "9")]
    pub revoked_agents: Vec<RevokedAgent>,
    /// Who may open which connection that asks for a review, and until when.
    #[prost(message, repeated, tag = "20")]
    pub access_grants: Vec<AccessGrant>,
    /// Where people read and answer reviews, without a slash at the end; empty: not known.
    #[prost(string, tag = "21")]
    pub review_url: String,
}

/// Just-in-time access: what a review gave.
#[derive(Clone, PartialEq, Message)]
pub struct AccessGrant {
    /// The review that gave it.
    #[prost(string, tag = "1")]
    pub review_id: String,
    #[prost(string, tag = "2")]
    pub user_id: String,
    #[prost(string, tag = "3")]
    pub connection_id: String,
    /// No session lives longer than this (milliseconds since the Unix epoch).
    #[prost(int64, tag = "4")]
    pub until_ms: i64,
}

/// An agent that was removed. Every certificate of an agent names its id, so one entry covers renewed ones too.
#[derive(Clone, PartialEq, Message)]
pub struct RevokedAgent {
    /// Identity from the certificate.
    #[prost(string, tag = "1")]
    pub agent_id: String,
    /// End of its last certificate (milliseconds since the Unix epoch): no entry is needed afterwards.
    #[prost(int64, tag = "2")]
    pub until_ms: i64,
}

/// A person or program that may log in.
#[derive(Clone, PartialEq, Message)]
pub struct User {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub groups: Vec<String>,
    /// SCRAM salt shared by all tokens of the user, so that a login can be checked against each of them.
    #[prost(bytes = "vec", tag = "4")]
    pub salt: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub iterations: u32,
    #[prost(message, repeated, tag = "6")]
    pub tokens: Vec<Token>,
}

/// What can be checked about an access token; the token itself is in nobody's hands but its owner's.
#[derive(Clone, PartialEq, Message)]
pub struct Token {
    #[prost(string, tag = "1")]
    pub id: String,
    /// SCRAM-SHA-256 StoredKey (32 bytes, RFC 5802 section 3).
    #[prost(bytes = "vec", tag = "2")]
    pub stored_key: Vec<u8>,
    /// SCRAM-SHA-256 ServerKey (32 bytes).
    #[prost(bytes = "vec", tag = "3")]
    pub server_key: Vec<u8>,
    /// SHA-256 of the token's text, for protocols that send it.
    #[prost(bytes = "vec", tag = "4")]
    pub sha256: Vec<u8>,
    /// 0: never.
    #[prost(int64, tag = "5")]
    pub expires_at_ms: i64,
    /// Names of the connections that the token may open; empty: all that its user may.
    #[prost(string, repeated, tag = "6")]
    pub connections: Vec<String>,
}

/// A configured resource that users reach.
#[derive(Clone, PartialEq, Message)]
pub struct Connection {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    /// Protocol name as in the registry of codecs: `postgres`, …
    #[prost(string, tag = "3")]
    pub protocol: String,
    /// Pool whose agents reach the target; empty: the data plane reaches it itself (`via = "direct"`).
    #[prost(string, tag = "4")]
    pub pool: String,
    /// Address of a listener of its own, `HOST:PORT`; empty: none.
    #[prost(string, tag = "5")]
    pub listen: String,
    /// Who may connect; empty: nobody.
    #[prost(string, repeated, tag = "6")]
    pub groups: Vec<String>,
    /// Names of redaction rules, in order of rank.
    #[prost(string, repeated, tag = "7")]
    pub redact: Vec<String>,
    /// Names of guardrails.
    #[prost(string, repeated, tag = "8")]
    pub guardrails: Vec<String>,
    #[prost(enumeration = "Record", tag = "9")]
    pub record: i32,
    #[prost(enumeration = "AuditMode", tag = "10")]
    pub audit: i32,
    /// How the target is reached, signed on its own so that an agent can check it.
    #[prost(message, optional, tag = "11")]
    pub grant: Option<SignedGrant>,
    /// Database on the target when the client names none; empty: the connection's name is no database either.
    #[prost(string, tag = "12")]
    pub database: String,
    /// Everything that only connections of type `http` have.
    #[prost(message, optional, tag = "20")]
    pub http: Option<Http>,
    /// Everything that only connections of type `postgres` have; absent: no bounds.
    #[prost(message, optional, tag = "21")]
    pub postgres: Option<Postgres>,
    /// Sessions need a grant that a review gave; absent: membership in a group is enough.
    #[prost(message, optional, tag = "30")]
    pub access_review: Option<AccessReview>,
}

/// How access to a connection is asked for; who answers is the control plane's matter.
#[derive(Clone, PartialEq, Message)]
pub struct AccessReview {
    /// A request must say why, so that none is made for somebody who only tries to connect.
    #[prost(bool, tag = "1")]
    pub reason_required: bool,
    /// Groups whose members answer, for messages.
    #[prost(string, repeated, tag = "2")]
    pub reviewers: Vec<String>,
}

/// Bounds of a connection of type `postgres`.
#[derive(Clone, PartialEq, Message)]
pub struct Postgres {
    /// Rows of one result; 0: no bound.
    #[prost(uint64, tag = "1")]
    pub result_rows_max: u64,
    /// Bytes of one result as it is on the wire; 0: no bound.
    #[prost(uint64, tag = "2")]
    pub result_bytes_max: u64,
    /// How long a statement may run, milliseconds; 0: no bound.
    #[prost(uint32, tag = "3")]
    pub statement_time_max_ms: u32,
    /// Nothing may be written.
    #[prost(bool, tag = "4")]
    pub read_only: bool,
    /// Replication connections are let in.
    #[prost(bool, tag = "5")]
    pub replication: bool,
}

/// What a connection of type `http` lets through, and how. Paths and headers in the words of RFC 9110.
#[derive(Clone, PartialEq, Message)]
pub struct Http {
    /// Host names under which clients reach it, besides the path `/c/NAME/`.
    #[prost(string, repeated, tag = "1")]
    pub hosts: Vec<String>,
    /// Where clients put their access token, in lower case; of `authorization` the schemes Bearer and Basic are understood.
    #[prost(string, tag = "2")]
    pub key_header: String,
    /// Where the target's credential goes, in lower case.
    #[prost(string, tag = "3")]
    pub credential_header: String,
    #[prost(enumeration = "CredentialScheme", tag = "4")]
    pub credential_scheme: i32,
    /// What is let through; nothing else is.
    #[prost(message, repeated, tag = "5")]
    pub routes: Vec<HttpRoute>,
    /// Networks from which it may be used; empty: any.
    #[prost(string, repeated, tag = "6")]
    pub allow_from: Vec<String>,
    /// Networks whose `x-forwarded-for` or PROXY header is believed.
    #[prost(string, repeated, tag = "7")]
    pub trusted_proxies: Vec<String>,
    /// The connection's own port expects a PROXY protocol header, version 2.
    #[prost(bool, tag = "8")]
    pub proxy_protocol: bool,
    #[prost(enumeration = "Plaintext", tag = "9")]
    pub plaintext: i32,
    #[prost(message, repeated, tag = "10")]
    pub keys: Vec<HttpKey>,
    /// Largest body of a request, bytes; 0: no bound.
    #[prost(uint64, tag = "11")]
    pub request_bytes_max: u64,
    /// Largest body of an answer, bytes; 0: no bound.
    #[prost(uint64, tag = "12")]
    pub response_bytes_max: u64,
    /// How long the target may take until it begins to answer, milliseconds.
    #[prost(uint32, tag = "13")]
    pub response_timeout_ms: u32,
    /// Requests of one access token per minute; 0: no bound.
    #[prost(uint32, tag = "14")]
    pub requests_per_minute: u32,
    #[prost(message, repeated, tag = "15")]
    pub headers: Vec<HttpHeader>,
    /// `host[:port]` as the target knows itself.
    #[prost(string, tag = "16")]
    pub authority: String,
    /// The target is reached by `https`.
    #[prost(bool, tag = "17")]
    pub https: bool,
    /// Detectors whose findings in a request's body refuse the request.
    #[prost(string, repeated, tag = "18")]
    pub refuse_findings: Vec<String>,
    /// Requests may become WebSockets.
    #[prost(bool, tag = "19")]
    pub websocket: bool,
    /// Name of a header that every answer carries, with our version; empty: none.
    #[prost(string, tag = "20")]
    pub version_header: String,
    /// What is spoken with the target.
    #[prost(enumeration = "TargetVersion", tag = "21")]
    pub target_version: i32,
    /// Where the target is reached, if at several places; empty: where the connection's grant says.
    #[prost(message, repeated, tag = "22")]
    pub upstreams: Vec<HttpUpstream>,
    /// How it is found out which of them are well; absent: by requests alone.
    #[prost(message, optional, tag = "23")]
    pub health: Option<HttpHealth>,
}

/// One of several places where a target is reached.
#[derive(Clone, PartialEq, Message)]
pub struct HttpUpstream {
    /// `host:port`.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub grant: Option<SignedGrant>,
}

/// Checks of a connection's targets: GET on a path, well with a status of 200 to 399.
#[derive(Clone, PartialEq, Message)]
pub struct HttpHealth {
    #[prost(string, tag = "1")]
    pub path: String,
    /// From one check to the next, milliseconds.
    #[prost(uint32, tag = "2")]
    pub interval_ms: u32,
    /// How long an answer may take, milliseconds.
    #[prost(uint32, tag = "3")]
    pub timeout_ms: u32,
}

/// Version of HTTP that is spoken with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum TargetVersion {
    /// HTTP/1.1.
    Http1 = 0,
    /// Both are offered in the TLS handshake, and the target chooses; without TLS HTTP/1.1.
    Negotiated = 1,
    /// HTTP/2, without TLS with prior knowledge (RFC 9113 section 3.3).
    Http2 = 2,
}

/// How the target's credential is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum CredentialScheme {
    /// No credential is put on.
    Nothing = 0,
    /// The secret itself.
    Raw = 1,
    /// `Bearer SECRET`.
    Bearer = 2,
    /// `Basic base64(USERNAME:SECRET)`.
    Basic = 3,
}

/// Whether clients may come without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Plaintext {
    /// Only from this machine.
    Loopback = 0,
    Allow = 1,
    Refuse = 2,
}

/// One route.
#[derive(Clone, PartialEq, Message)]
pub struct HttpRoute {
    /// Empty: every method.
    #[prost(string, repeated, tag = "1")]
    pub methods: Vec<String>,
    /// `/api/v4/projects/{id:project-path|int}`.
    #[prost(string, tag = "2")]
    pub path: String,
    /// Names of the only parameters that the query may have, if `query_listed`.
    #[prost(string, repeated, tag = "3")]
    pub query: Vec<String>,
    #[prost(bool, tag = "4")]
    pub query_listed: bool,
    /// Set of routes that it comes from, for messages.
    #[prost(string, tag = "5")]
    pub set: String,
}

/// What holds for the access tokens of one user on one connection.
#[derive(Clone, PartialEq, Message)]
pub struct HttpKey {
    #[prost(string, tag = "1")]
    pub user: String,
    /// Networks from which they may be used; empty: any.
    #[prost(string, repeated, tag = "2")]
    pub allow_from: Vec<String>,
    /// 0: the connection's.
    #[prost(uint32, tag = "3")]
    pub requests_per_minute: u32,
}

/// A change to the header of requests or answers.
#[derive(Clone, PartialEq, Message)]
pub struct HttpHeader {
    /// Of answers; else of requests.
    #[prost(bool, tag = "1")]
    pub response: bool,
    /// In lower case.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The new value, if `remove` is not set.
    #[prost(string, tag = "3")]
    pub value: String,
    #[prost(bool, tag = "4")]
    pub remove: bool,
}

/// What is recorded of a connection's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Record {
    Statements = 0,
    /// Statements and the results as the client saw them, after masking.
    Full = 1,
    /// Start, end and counts.
    Meta = 2,
}

/// When a record must be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum AuditMode {
    /// Written before the answer is released, synced within 50 ms.
    Ordered = 0,
    /// Durable before the statement is forwarded and before the answer is released.
    Strict = 1,
}

/// A target grant as it travels: the exact bytes that were signed.
#[derive(Clone, PartialEq, Message)]
pub struct SignedGrant {
    /// Encoded [`TargetGrant`].
    #[prost(bytes = "vec", tag = "1")]
    pub grant: Vec<u8>,
    /// Ed25519 signature over `"sluice-grant-v1\0" ‖ grant` (64 bytes).
    #[prost(bytes = "vec", tag = "2")]
    pub signature: Vec<u8>,
}

/// Permission to reach one target, with everything needed to do so. Secrets are references, resolved where they are used.
#[derive(Clone, PartialEq, Message)]
pub struct TargetGrant {
    #[prost(string, tag = "1")]
    pub connection_id: String,
    #[prost(string, tag = "2")]
    pub connection: String,
    #[prost(string, tag = "3")]
    pub protocol: String,
    /// Only agents of this pool may use it; empty: data planes only.
    #[prost(string, tag = "4")]
    pub pool: String,
    #[prost(string, tag = "5")]
    pub host: String,
    #[prost(uint32, tag = "6")]
    pub port: u32,
    /// Default database on the target.
    #[prost(string, tag = "7")]
    pub database: String,
    #[prost(enumeration = "TlsMode", tag = "8")]
    pub tls: i32,
    /// Secret reference (`env:NAME`, `file:PATH`, `literal:TEXT`) or empty.
    #[prost(string, tag = "9")]
    pub username: String,
    /// Secret reference or empty.
    #[prost(string, tag = "10")]
    pub password: String,
    /// Secret reference to the PEM certificate authority of the target, for `verify-full`; empty: the system's.
    #[prost(string, tag = "11")]
    pub tls_ca: String,
    #[prost(uint64, tag = "12")]
    pub generation: u64,
    /// Milliseconds since the Unix epoch; an agent refuses the grant afterwards.
    #[prost(int64, tag = "13")]
    pub expires_at_ms: i64,
    /// Name that the target's certificate must have; empty: `host`.
    #[prost(string, tag = "14")]
    pub tls_name: String,
}

/// How the leg to the target is encrypted; the meanings are libpq's (`sslmode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum TlsMode {
    Prefer = 0,
    Disable = 1,
    Require = 2,
    VerifyFull = 3,
}

/// A redaction rule.
#[derive(Clone, PartialEq, Message)]
pub struct Redaction {
    #[prost(string, tag = "1")]
    pub name: String,
    /// Detector names.
    #[prost(string, repeated, tag = "2")]
    pub detect: Vec<String>,
    /// `schema.table.column`: whole cells, bound to the column's origin.
    #[prost(string, repeated, tag = "3")]
    pub columns: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub custom: Vec<CustomDetector>,
    #[prost(message, optional, tag = "5")]
    pub mask: Option<Mask>,
    #[prost(enumeration = "RedactionMode", tag = "6")]
    pub mode: i32,
    #[prost(enumeration = "OnError", tag = "7")]
    pub on_error: i32,
    /// Members of these groups see the values.
    #[prost(string, repeated, tag = "8")]
    pub except_groups: Vec<String>,
    #[prost(enumeration = "Unattributed", tag = "9")]
    pub unattributed: i32,
    /// Values that the rule's detectors never report.
    #[prost(string, repeated, tag = "10")]
    pub allow: Vec<String>,
    /// Regexes; a value that one matches as a whole is never reported.
    #[prost(string, repeated, tag = "11")]
    pub allow_patterns: Vec<String>,
    /// A right checksum counts where no word says what the number is.
    #[prost(bool, tag = "12")]
    pub checksum_suffices: bool,
    /// Levels of base64, hexadecimal and URL encoding that are undone before looking; 0: none.
    #[prost(uint32, tag = "13")]
    pub decode_depth: u32,
    /// JSON paths whose values are masked whole: `$.user.email`, `$..token`, `$.items[*].name`.
    #[prost(string, repeated, tag = "20")]
    pub json: Vec<String>,
    /// Columns of tables in text (CSV) that are masked whole, by their names in the first record.
    #[prost(string, repeated, tag = "21")]
    pub csv: Vec<String>,
}

/// A detector written by the operator.
#[derive(Clone, PartialEq, Message)]
pub struct CustomDetector {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub regex: String,
    /// Longest match in bytes where the expression itself has no bound; 0: not given.
    #[prost(uint32, tag = "3")]
    pub length_max: u32,
    /// Words and phrases instead of an expression.
    #[prost(string, repeated, tag = "4")]
    pub dictionary: Vec<String>,
    /// Upper and lower case are alike in the dictionary.
    #[prost(bool, tag = "5")]
    pub fold_case: bool,
    /// Name of a checksum that the digits and letters of a match must fulfil; empty: none.
    #[prost(string, tag = "6")]
    pub checksum: String,
    /// A match counts only with one of these words near it or in the field's name.
    #[prost(string, repeated, tag = "7")]
    pub context: Vec<String>,
    /// Letters and digits may touch a match.
    #[prost(bool, tag = "8")]
    pub inside_words: bool,
    /// Word in masks; empty: the name.
    #[prost(string, tag = "9")]
    pub label: String,
}

/// How a finding is replaced.
#[derive(Clone, PartialEq, Message)]
pub struct Mask {
    #[prost(enumeration = "MaskKind", tag = "1")]
    pub kind: i32,
    /// `partial`: how many characters at the end stay.
    #[prost(uint32, tag = "2")]
    pub keep_last: u32,
    /// `replace`: the new text.
    #[prost(string, tag = "3")]
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum MaskKind {
    /// `[EMAIL]` padded with `*` or cut to the same length.
    Label = 0,
    /// `*` for every byte.
    Full = 1,
    Partial = 2,
    /// Keyed HMAC-SHA-256, truncated, in hexadecimal.
    Hash = 3,
    Null = 4,
    Replace = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum RedactionMode {
    Enforce = 0,
    /// Findings are recorded and nothing is changed.
    Analyse = 1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum OnError {
    Close = 0,
    BlankField = 1,
    Pass = 2,
}

/// What happens to result columns that cannot be traced to a table, where a rule names columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Unattributed {
    /// The rule's detectors decide.
    Scan = 0,
    /// Text of unknown origin is masked as a whole.
    Mask = 1,
    /// A result with text of unknown origin is refused.
    Deny = 2,
}

/// A guardrail: rules judged in order, the most severe verdict wins.
#[derive(Clone, PartialEq, Message)]
pub struct Guardrail {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub rules: Vec<GuardrailRule>,
    /// Statements whose effects cannot be told are let through; else they are refused where effects are guarded.
    #[prost(bool, tag = "10")]
    pub unparsed_allowed: bool,
}

/// One rule; exactly one of `deny`, `deny_pattern` and `review` is given.
#[derive(Clone, PartialEq, Message)]
pub struct GuardrailRule {
    /// Effect names: `drop`, `delete-without-where`, …
    #[prost(string, repeated, tag = "1")]
    pub deny: Vec<String>,
    /// Regular expression on the statement's text.
    #[prost(string, tag = "2")]
    pub deny_pattern: String,
    /// Effect names that need a person's decision.
    #[prost(string, repeated, tag = "3")]
    pub review: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub reviewers: Vec<String>,
    /// Shown to the user.
    #[prost(string, tag = "5")]
    pub message: String,
    /// Members of the reviewers' groups that must approve; 0: one.
    #[prost(uint32, tag = "20")]
    pub approvals: u32,
    /// How long a statement waits for them, in seconds; 0: the data plane's default.
    #[prost(uint32, tag = "21")]
    pub wait_seconds: u32,
}
