-- Notifications on their way: one row for each event and target, written with what happened.
CREATE TABLE delivery (
    id             TEXT PRIMARY KEY,
    event_id       TEXT NOT NULL,
    event          TEXT NOT NULL,
    target         TEXT NOT NULL,
    subject        TEXT NOT NULL,         -- id of what it is about
    body           TEXT NOT NULL,
    state          TEXT NOT NULL,         -- waiting | delivered | dead
    attempts       INTEGER NOT NULL,
    due_micros     INTEGER,
    claimed_micros INTEGER,
    created_micros INTEGER NOT NULL,
    done_micros    INTEGER,
    error          TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (target, due_micros) WHERE state = 'waiting';
CREATE INDEX delivery_by_time ON delivery (created_micros DESC, id DESC);
CREATE INDEX delivery_by_state ON delivery (state, created_micros DESC, id DESC);
