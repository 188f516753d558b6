-- Passwords of local users, as PHC strings of argon2id. failures counts since the last good one.
CREATE TABLE password (
    user_id             TEXT PRIMARY KEY,
    phc                 TEXT NOT NULL,
    changed_micros      BIGINT NOT NULL,
    failures            BIGINT NOT NULL DEFAULT 0,
    locked_until_micros BIGINT NOT NULL DEFAULT 0
);

-- Keys of programs (and people) for the API alone; only the hash stays.
CREATE TABLE api_key (
    id             TEXT PRIMARY KEY,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    sha256         BYTEA NOT NULL UNIQUE,
    scopes         TEXT NOT NULL,         -- JSON list
    created_micros BIGINT NOT NULL,
    expires_micros BIGINT
);

-- Logins of people, by the hash of their token.
CREATE TABLE login_session (
    sha256         BYTEA PRIMARY KEY,
    user_id        TEXT NOT NULL,
    method         TEXT NOT NULL,         -- password | oidc
    created_micros BIGINT NOT NULL,
    expires_micros BIGINT NOT NULL,
    mfa_micros     BIGINT,               -- last time that a second factor was shown
    checked_micros BIGINT NOT NULL,      -- last time that the identity provider was asked
    sealed         BYTEA                   -- what the provider gave, sealed with a key made from the token
);
CREATE INDEX login_session_by_user ON login_session (user_id);

-- What was done in the control plane, by whom. Rows are only ever added; each carries the hash over itself and the one before.
CREATE TABLE admin_log (
    seq       BIGINT PRIMARY KEY,
    at_micros BIGINT NOT NULL,
    actor     TEXT NOT NULL,
    actor_id  TEXT NOT NULL,
    via       TEXT NOT NULL,
    address   TEXT NOT NULL,
    action    TEXT NOT NULL,
    target    TEXT NOT NULL,
    phase     TEXT NOT NULL,              -- begun | ended | event
    begun_seq BIGINT,
    status    BIGINT NOT NULL,
    detail    TEXT NOT NULL,
    hash      BYTEA NOT NULL
);
CREATE INDEX admin_log_by_actor ON admin_log (actor, seq);
