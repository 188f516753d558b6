-- Passwords of local users, as PHC strings of argon2id. failures counts since the last good one.
CREATE TABLE password (
    user_id             TEXT PRIMARY KEY,
    phc                 TEXT NOT NULL,
    changed_micros      INTEGER NOT NULL,
    failures            INTEGER NOT NULL DEFAULT 0,
    locked_until_micros INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Keys of programs (and people) for the API alone; only the hash stays.
CREATE TABLE api_key (
    id             TEXT PRIMARY KEY,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    sha256         BLOB NOT NULL UNIQUE,
    scopes         TEXT NOT NULL,         -- JSON list
    created_micros INTEGER NOT NULL,
    expires_micros INTEGER
) STRICT, WITHOUT ROWID;

-- Logins of people, by the hash of their token.
CREATE TABLE login_session (
    sha256         BLOB PRIMARY KEY,
    user_id        TEXT NOT NULL,
    method         TEXT NOT NULL,         -- password | oidc
    created_micros INTEGER NOT NULL,
    expires_micros INTEGER NOT NULL,
    mfa_micros     INTEGER,               -- last time that a second factor was shown
    checked_micros INTEGER NOT NULL,      -- last time that the identity provider was asked
    sealed         BLOB                   -- what the provider gave, sealed with a key made from the token
) STRICT, WITHOUT ROWID;
CREATE INDEX login_session_by_user ON login_session (user_id);

-- What was done in the control plane, by whom. Rows are only ever added; each carries the hash over itself and the one before.
CREATE TABLE admin_log (
    seq       INTEGER PRIMARY KEY,
    at_micros INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    actor_id  TEXT NOT NULL,
    via       TEXT NOT NULL,
    address   TEXT NOT NULL,
    action    TEXT NOT NULL,
    target    TEXT NOT NULL,
    phase     TEXT NOT NULL,              -- begun | ended | event
    begun_seq INTEGER,
    status    INTEGER NOT NULL,
    detail    TEXT NOT NULL,
    hash      BLOB NOT NULL
) STRICT;
CREATE INDEX admin_log_by_actor ON admin_log (actor, seq);

PRAGMA user_version = 4;
