-- Times are microseconds since 1970, in UTC.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- The objects of the policy; body is JSON as domain::model writes it.
CREATE TABLE object (
    kind           TEXT NOT NULL,
    name           TEXT NOT NULL,
    id             TEXT NOT NULL UNIQUE,
    body           TEXT NOT NULL,
    managed_by     TEXT NOT NULL,
    created_micros BIGINT NOT NULL,
    updated_micros BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- What is known of access tokens: verifiers, never the token. Revoked ones are deleted.
CREATE TABLE token (
    id             TEXT PRIMARY KEY,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    salt           BYTEA NOT NULL,
    stored_key     BYTEA NOT NULL,
    server_key     BYTEA NOT NULL,
    sha256         BYTEA NOT NULL UNIQUE,
    connections    TEXT NOT NULL,
    created_micros BIGINT NOT NULL,
    expires_micros BIGINT
);

CREATE TABLE user_salt (
    user_id TEXT PRIMARY KEY,
    salt    BYTEA NOT NULL
);

-- One-time (or few-time) tokens with which agents and data planes get their first certificate.
CREATE TABLE enrol_key (
    id             TEXT PRIMARY KEY,
    role           TEXT NOT NULL,
    pool           TEXT NOT NULL,
    sha256         BYTEA NOT NULL UNIQUE,
    note           TEXT NOT NULL,
    created_micros BIGINT NOT NULL,
    expires_micros BIGINT NOT NULL,
    uses_max       BIGINT NOT NULL,
    uses           BIGINT NOT NULL
);

-- Agents and data planes that have been given a certificate.
CREATE TABLE identity (
    id               TEXT PRIMARY KEY,
    role             TEXT NOT NULL,
    pool             TEXT NOT NULL,
    name             TEXT NOT NULL,
    version          TEXT NOT NULL,
    audit_public_key BYTEA NOT NULL,
    public_key       BYTEA NOT NULL,
    enrol_key_id     TEXT NOT NULL,
    enrolled_micros  BIGINT NOT NULL,
    expires_micros   BIGINT NOT NULL,
    seen_micros      BIGINT,
    removed_micros   BIGINT
);
CREATE INDEX identity_by_role ON identity (role, pool);

-- How far each segment of each data plane's core has been taken in: the key to exactly once.
CREATE TABLE audit_segment (
    dataplane     TEXT NOT NULL,
    core          BIGINT NOT NULL,
    segment       BIGINT NOT NULL,
    header        BYTEA NOT NULL,
    next_sequence BIGINT NOT NULL,
    hash          BYTEA NOT NULL,
    state         TEXT NOT NULL,          -- open | ended
    previous      TEXT NOT NULL,          -- first | follows | unknown | differs
    first_of_run  BIGINT NOT NULL,
    sealed_sequence BIGINT,              -- last sequence that a verified seal covers
    PRIMARY KEY (dataplane, core, segment)
);

CREATE TABLE session (
    id                  BYTEA PRIMARY KEY,
    started_micros      BIGINT NOT NULL,
    ended_micros        BIGINT,
    "user"              TEXT NOT NULL DEFAULT '',
    user_id             TEXT NOT NULL DEFAULT '',
    token_id            TEXT NOT NULL DEFAULT '',
    connection          TEXT NOT NULL DEFAULT '',
    connection_id       TEXT NOT NULL DEFAULT '',
    protocol            TEXT NOT NULL DEFAULT '',
    database            TEXT NOT NULL DEFAULT '',
    client_address      TEXT NOT NULL DEFAULT '',
    application         TEXT NOT NULL DEFAULT '',
    dataplane           TEXT NOT NULL DEFAULT '',
    core                BIGINT NOT NULL DEFAULT 0,
    segment             BIGINT NOT NULL DEFAULT 0,
    generation          BIGINT NOT NULL DEFAULT 0,
    statements          BIGINT NOT NULL DEFAULT 0,
    denied              BIGINT NOT NULL DEFAULT 0,
    failed              BIGINT NOT NULL DEFAULT 0,
    rows                BIGINT NOT NULL DEFAULT 0,
    bytes               BIGINT NOT NULL DEFAULT 0,
    findings            TEXT NOT NULL DEFAULT '{}',
    end_cause           TEXT,
    end_message         TEXT,
    bytes_to_upstream   BIGINT NOT NULL DEFAULT 0,
    bytes_to_downstream BIGINT NOT NULL DEFAULT 0,
    events              BIGINT NOT NULL DEFAULT 0,
    sequence_max        BIGINT NOT NULL DEFAULT -1
);
CREATE INDEX session_by_start ON session (started_micros DESC, id);
CREATE INDEX session_by_user ON session ("user", started_micros DESC);
CREATE INDEX session_by_connection ON session (connection, started_micros DESC);
CREATE INDEX session_open ON session (dataplane, core) WHERE ended_micros IS NULL;

-- Events of one session from one batch: length-delimited encoded proto events, in order.
CREATE TABLE session_chunk (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id     BYTEA NOT NULL,
    recording      BIGINT NOT NULL,      -- 1: pieces of the recording, 0: all other events
    first_sequence BIGINT NOT NULL,
    events         BIGINT NOT NULL,
    content        BYTEA NOT NULL
);
CREATE INDEX session_chunk_by_session ON session_chunk (session_id, recording, first_sequence);

