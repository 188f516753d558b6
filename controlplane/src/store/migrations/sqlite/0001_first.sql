-- Times are microseconds since 1970, in UTC.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The objects of the policy; body is JSON as domain::model writes it.
CREATE TABLE object (
    kind           TEXT NOT NULL,
    name           TEXT NOT NULL,
    id             TEXT NOT NULL UNIQUE,
    body           TEXT NOT NULL,
    managed_by     TEXT NOT NULL,
    created_micros INTEGER NOT NULL,
    updated_micros INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- What is known of access tokens: verifiers, never the token. Revoked ones are deleted.
CREATE TABLE token (
    id             TEXT PRIMARY KEY,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    salt           BLOB NOT NULL,
    stored_key     BLOB NOT NULL,
    server_key     BLOB NOT NULL,
    sha256         BLOB NOT NULL UNIQUE,
    connections    TEXT NOT NULL,
    created_micros INTEGER NOT NULL,
    expires_micros INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE user_salt (
    user_id TEXT PRIMARY KEY,
    salt    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One-time (or few-time) tokens with which agents and data planes get their first certificate.
CREATE TABLE enrol_key (
    id             TEXT PRIMARY KEY,
    role           TEXT NOT NULL,
    pool           TEXT NOT NULL,
    sha256         BLOB NOT NULL UNIQUE,
    note           TEXT NOT NULL,
    created_micros INTEGER NOT NULL,
    expires_micros INTEGER NOT NULL,
    uses_max       INTEGER NOT NULL,
    uses           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Agents and data planes that have been given a certificate.
CREATE TABLE identity (
    id               TEXT PRIMARY KEY,
    role             TEXT NOT NULL,
    pool             TEXT NOT NULL,
    name             TEXT NOT NULL,
    version          TEXT NOT NULL,
    audit_public_key BLOB NOT NULL,
    public_key       BLOB NOT NULL,
    enrol_key_id     TEXT NOT NULL,
    enrolled_micros  INTEGER NOT NULL,
    expires_micros   INTEGER NOT NULL,
    seen_micros      INTEGER,
    removed_micros   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_by_role ON identity (role, pool);

-- How far each segment of each data plane's core has been taken in: the key to exactly once.
CREATE TABLE audit_segment (
    dataplane     TEXT NOT NULL,
    core          INTEGER NOT NULL,
    segment       INTEGER NOT NULL,
    header        BLOB NOT NULL,
    next_sequence INTEGER NOT NULL,
    hash          BLOB NOT NULL,
    state         TEXT NOT NULL,          -- open | ended
    previous      TEXT NOT NULL,          -- first | follows | unknown | differs
    first_of_run  INTEGER NOT NULL,
    sealed_sequence INTEGER,              -- last sequence that a verified seal covers
    PRIMARY KEY (dataplane, core, segment)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id                  BLOB PRIMARY KEY,
    started_micros      INTEGER NOT NULL,
    ended_micros        INTEGER,
    user                TEXT NOT NULL DEFAULT '',
    user_id             TEXT NOT NULL DEFAULT '',
    token_id            TEXT NOT NULL DEFAULT '',
    connection          TEXT NOT NULL DEFAULT '',
    connection_id       TEXT NOT NULL DEFAULT '',
    protocol            TEXT NOT NULL DEFAULT '',
    database            TEXT NOT NULL DEFAULT '',
    client_address      TEXT NOT NULL DEFAULT '',
    application         TEXT NOT NULL DEFAULT '',
    dataplane           TEXT NOT NULL DEFAULT '',
    core                INTEGER NOT NULL DEFAULT 0,
    segment             INTEGER NOT NULL DEFAULT 0,
    generation          INTEGER NOT NULL DEFAULT 0,
    statements          INTEGER NOT NULL DEFAULT 0,
    denied              INTEGER NOT NULL DEFAULT 0,
    failed              INTEGER NOT NULL DEFAULT 0,
    rows                INTEGER NOT NULL DEFAULT 0,
    bytes               INTEGER NOT NULL DEFAULT 0,
    findings            TEXT NOT NULL DEFAULT '{}',
    end_cause           TEXT,
    end_message         TEXT,
    bytes_to_upstream   INTEGER NOT NULL DEFAULT 0,
    bytes_to_downstream INTEGER NOT NULL DEFAULT 0,
    events              INTEGER NOT NULL DEFAULT 0,
    sequence_max        INTEGER NOT NULL DEFAULT -1
) STRICT;
CREATE INDEX session_by_start ON session (started_micros DESC, id);
CREATE INDEX session_by_user ON session (user, started_micros DESC);
CREATE INDEX session_by_connection ON session (connection, started_micros DESC);
CREATE INDEX session_open ON session (dataplane, core) WHERE ended_micros IS NULL;

-- Events of one session from one batch: length-delimited encoded proto events, in order.
CREATE TABLE session_chunk (
    id             INTEGER PRIMARY KEY,
    session_id     BLOB NOT NULL,
    recording      INTEGER NOT NULL,      -- 1: pieces of the recording, 0: all other events
    first_sequence INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    content        BLOB NOT NULL
) STRICT;
CREATE INDEX session_chunk_by_session ON session_chunk (session_id, recording, first_sequence);

PRAGMA user_version = 1;
