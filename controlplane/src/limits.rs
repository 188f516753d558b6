//! Every bound of the control plane in one place.

/// Largest request body of the REST API in bytes (a policy file with thousands of objects fits).
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest gRPC message taken from a data plane or an agent, in bytes.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest certificate signing request taken, in bytes.
pub const CSR_BYTES_MAX: usize = 16 * 1024;
/// Longest time a peer may take for its TLS handshake, in seconds.
pub const TLS_HANDSHAKE_SECONDS_MAX: u64 = 10;
/// Connections served at once on the control listener.
pub const CONTROL_CONNECTIONS_MAX: usize = 4096;
/// Streams a data plane may have open on one connection.
pub const CONTROL_STREAMS_MAX: u32 = 64;
/// Seconds between keep-alive pings to data planes.
pub const KEEP_ALIVE_SECONDS: u64 = 10;
/// Seconds without an answer to a ping after which a connection is closed.
pub const KEEP_ALIVE_ANSWER_SECONDS_MAX: u64 = 20;
/// Items in a page of a list when the caller does not say.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Most items in a page of a list.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// Statements shown of one session when the caller does not say.
pub const STATEMENTS_SHOWN_DEFAULT: usize = 10_000;
/// Most statements shown of one session.
pub const STATEMENTS_SHOWN_MAX: usize = 1_000_000;
/// Longest name of an object, in characters.
pub const NAME_CHARS_MAX: usize = 63;
/// Longest name of a group, in characters (identity providers make long ones).
pub const GROUP_CHARS_MAX: usize = 128;
/// Longest free text (descriptions, messages), in characters.
pub const TEXT_CHARS_MAX: usize = 2048;
/// Objects of one kind.
pub const OBJECTS_PER_KIND_MAX: usize = 100_000;
/// Unrevoked access tokens of one user.
pub const TOKENS_PER_USER_MAX: usize = 100;
/// Mistakes listed in one answer.
pub const MISTAKES_MAX: usize = 200;
/// Iterations of SCRAM-SHA-256: the least that RFC 7677 allows, because the secret is 256 random bits.
pub const SCRAM_ITERATIONS: u32 = 4096;
/// Life of an enrol key when the caller does not say, in seconds.
pub const ENROL_KEY_SECONDS_DEFAULT: u64 = 24 * 3600;
/// Longest life of an enrol key, in seconds.
pub const ENROL_KEY_SECONDS_MAX: u64 = 365 * 24 * 3600;
/// Longest wait for open requests at the end, in seconds.
pub const DRAIN_SECONDS_MAX: u64 = 5;
/// A snapshot is signed anew when this share of its life is over.
pub const SNAPSHOT_RENEW_DIVISOR: u64 = 4;
/// Cancel requests that data planes are asked about at the same time; of more the oldest are given up.
pub const CANCELS_WAITING_MAX: usize = 1024;
/// Orders that wait for one data plane to read them.
pub const ORDERS_WAITING_MAX: usize = 64;
/// Longest wait for the record that says that a killed session is over, in seconds.
pub const KILL_SECONDS_MAX: u64 = 5;
/// How often time is looked at for reviews that it ends, in milliseconds: revocation is promised within a second.
pub const REVIEW_TICK_MILLISECONDS: u64 = 200;
/// Reviews that one look ends.
pub const REVIEWS_DUE_AT_ONCE: usize = 500;
/// Requests for access of one user that wait at the same time.
pub const REVIEWS_PENDING_PER_USER_MAX: usize = 50;
/// Longest access that a review may give, in seconds.
pub const ACCESS_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// Access that a review gives when its rule does not say, in seconds.
pub const ACCESS_SECONDS_DEFAULT: u64 = 8 * 3600;
/// How long a request for access waits when its rule does not say, in seconds.
pub const ACCESS_WAIT_SECONDS_DEFAULT: u64 = 24 * 3600;
/// Time windows of one rule.
pub const WINDOWS_MAX: usize = 50;
/// Groups that a rule may name as reviewers.
pub const REVIEWER_GROUPS_MAX: usize = 32;
/// How often the beginnings and ends of time windows are looked for, in seconds.
pub const WINDOW_TICK_SECONDS: u64 = 1;
/// Access taken in an emergency when its rule does not say, in seconds.
pub const BREAK_GLASS_SECONDS_DEFAULT: u64 = 3600;
/// Recipients of one target of type `email`, and of one mail.
pub const NOTIFICATION_RECIPIENTS_MAX: usize = 100;
/// Chat users that one target maps.
pub const NOTIFICATION_PEOPLE_MAX: usize = 10_000;
/// Deliveries to one target that one look takes on, in order.
pub const DELIVERIES_AT_ONCE: usize = 50;
/// Targets spoken to at the same time.
pub const DELIVERY_TARGETS_AT_ONCE: usize = 32;
/// Longest time for one delivery, in seconds.
pub const DELIVERY_SECONDS_MAX: u64 = 15;
/// How long a delivery belongs to whoever took it on: after a crash, somebody takes it on again then. Seconds.
pub const DELIVERY_CLAIM_SECONDS: i64 = 60;
/// Pause after the first failed try, in seconds; doubled with each further one.
pub const DELIVERY_RETRY_SECONDS_FIRST: u64 = 5;
/// Longest pause between tries, in seconds.
pub const DELIVERY_RETRY_SECONDS_MAX: u64 = 15 * 60;
/// How long a delivery is tried when the configuration does not say, in days.
pub const DELIVERY_DAYS_DEFAULT: u32 = 3;
/// How long deliveries that are over can be looked at, in days.
pub const DELIVERY_KEPT_DAYS: i64 = 30;
/// How often due deliveries are looked for when nobody says that there are some, in milliseconds.
pub const DELIVERY_TICK_MILLISECONDS: u64 = 500;
/// Longest error text kept of a failed try, in characters.
pub const DELIVERY_ERROR_CHARS_MAX: usize = 300;
/// Longest statement or reason in a message to people, in characters.
pub const MESSAGE_TEXT_CHARS_MAX: usize = 1500;
/// Largest button press that a chat may send, in bytes.
pub const CHAT_REQUEST_BYTES_MAX: usize = 256 * 1024;
/// How old or new a chat's signed request may be, in seconds.
pub const CHAT_REQUEST_AGE_SECONDS_MAX: i64 = 300;
/// Longest reason for a kill, in characters.
pub const KILL_REASON_CHARS_MAX: usize = 200;
/// Largest `max_rows` of a connection.
pub const RESULT_ROWS_MAX: u64 = 1_000_000_000_000;
/// Largest `max_bytes` of a connection, bytes.
pub const RESULT_BYTES_MAX: u64 = 1 << 50;
/// Longest `statement_timeout_seconds` of a connection: a week.
pub const STATEMENT_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// Requests of one caller in a minute when the configuration does not say; a tenth of it may come at once.
pub const RATE_PER_MINUTE_DEFAULT: u32 = 12_000;
/// Part of a minute's requests that may come at once.
pub const RATE_BURST_DIVISOR: u32 = 10;
/// Callers whose rate is watched at the same time.
pub const RATE_CALLERS_MAX: usize = 20_000;
/// API keys of one user.
pub const API_KEYS_PER_USER_MAX: usize = 100;
/// Scopes of one API key.
pub const SCOPES_MAX: usize = 50;
/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Wrong passwords in a row after which an account is locked for [`LOCK_SECONDS_FIRST`], twice as long each further time.
pub const PASSWORD_FAILURES_MAX: i64 = 5;
/// First lock of an account, in seconds.
pub const LOCK_SECONDS_FIRST: i64 = 30;
/// Longest lock of an account, in seconds.
pub const LOCK_SECONDS_MAX: i64 = 3600;
/// Passwords that are checked at the same time: each takes [`ARGON2_MEMORY_KIB`] of memory and some tens of milliseconds.
pub const PASSWORD_CHECKS_MAX: usize = 4;
/// Memory of argon2id, in KiB (OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane).
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Passes of argon2id.
pub const ARGON2_PASSES: u32 = 2;
/// How long a login lasts when the configuration does not say, in seconds.
pub const LOGIN_SECONDS_DEFAULT: u64 = 12 * 3600;
/// Lines of the admin log that are checked at once.
pub const LOG_LINES_AT_ONCE: usize = 1000;
/// Longest token of an identity provider, in bytes.
pub const JWT_BYTES_MAX: usize = 64 * 1024;
/// Keys of an identity provider that are read.
pub const JWKS_KEYS_MAX: usize = 64;
/// Largest answer of an identity provider, in bytes.
pub const PROVIDER_ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Longest wait for an answer of an identity provider, in seconds.
pub const PROVIDER_SECONDS_MAX: u64 = 10;
/// How long what a provider says of itself, and its keys, are kept, in seconds.
pub const PROVIDER_CACHE_SECONDS: u64 = 600;
/// Shortest time between two looks for a key that is not known, in seconds.
pub const PROVIDER_KEYS_PAUSE_SECONDS: u64 = 2;
/// How far the clocks of an identity provider and ours may be apart, in seconds.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// Groups of one user that are taken from an identity provider.
pub const GROUPS_PER_USER_MAX: usize = 1000;
/// How long somebody may take to log in at the provider, or to confirm a login of the command line, in seconds.
pub const FLOW_SECONDS_MAX: i64 = 600;
/// Logins that are under way at the same time.
pub const FLOWS_MAX: i64 = 100_000;
/// Shortest time between two questions of a device that waits (RFC 8628 section 3.5), in seconds.
pub const DEVICE_POLL_SECONDS: i64 = 5;
/// How often the provider is asked whether somebody who is logged in still may be, when the configuration does not say, in seconds.
pub const RECHECK_SECONDS_DEFAULT: u64 = 300;
/// Connections to PostgreSQL of one control plane.
pub const POSTGRES_CONNECTIONS_MAX: u32 = 16;
/// Longest wait for a connection to the database, in seconds.
pub const STORE_ACQUIRE_SECONDS_MAX: u64 = 30;
/// How often control planes on one store look for each other's changes without being told to, in milliseconds.
pub const FEED_POLL_MILLISECONDS: u64 = 1000;
/// How often a control plane on a shared store says that it is alive, in seconds.
pub const REPLICA_BEAT_SECONDS: u64 = 2;
/// A control plane that was not heard of for so long, in seconds, is taken for dead.
pub const REPLICA_SECONDS_MAX: i64 = 8;
/// Pause between two writes of how data planes stand, in milliseconds.
pub const STANDINGS_PAUSE_MILLISECONDS: u64 = 20;
/// How long an order for a data plane that is connected elsewhere is worth giving, in seconds.
pub const ORDER_SECONDS_MAX: i64 = 60;
/// Orders that are read at once.
pub const ORDERS_READ_AT_ONCE: i64 = 1000;
/// Stored chunks of events that a search reads at once.
pub const EVENT_CHUNKS_AT_ONCE: usize = 32;
/// Stored chunks of events that a search looks at for one page.
pub const EVENT_CHUNKS_EXAMINED_MAX: usize = 1024;
/// Longest text that is searched for, in characters.
pub const SEARCH_TEXT_CHARS_MAX: usize = 1000;
/// Sessions that are verified in one call.
pub const SESSIONS_VERIFIED_AT_ONCE: usize = 200;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long the answer of a request with such a key is kept, in seconds: a day.
pub const KEPT_ANSWER_SECONDS: i64 = 24 * 3600;
/// Largest answer that is kept, in bytes; a request with a larger one may be done twice.
pub const KEPT_ANSWER_BYTES_MAX: usize = 1024 * 1024;
