-- Counters of what changed, by which control planes on one store hear of each other's changes.
CREATE TABLE feed (
    name   TEXT PRIMARY KEY,
    number BIGINT NOT NULL
);

-- Control planes that are alive say so here; microseconds since 1970 by the database's clock.
CREATE TABLE replica (
    id          TEXT PRIMARY KEY,
    seen_micros BIGINT NOT NULL
);

-- How data planes stand, as the control plane says that each was connected to last. body is JSON of publish::progress.
CREATE TABLE standing (
    dataplane TEXT PRIMARY KEY,
    replica   TEXT NOT NULL,
    connected BIGINT NOT NULL,
    body      TEXT NOT NULL
);

-- Orders to end sessions, for the control plane that the session's data plane is connected to.
CREATE TABLE kill_order (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataplane      TEXT NOT NULL,
    session_id     BYTEA NOT NULL,
    reason         TEXT NOT NULL,
    ordered_by     TEXT NOT NULL,
    created_micros BIGINT NOT NULL
);
