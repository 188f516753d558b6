-- Reviews of statements and of access. body is JSON as domain::review writes it; the other columns are what is looked for.
CREATE TABLE review (
    id             TEXT PRIMARY KEY,
    kind           TEXT NOT NULL,
    state          TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    connection     TEXT NOT NULL,
    dataplane      TEXT NOT NULL,
    undelivered    INTEGER NOT NULL,
    due_micros     INTEGER,
    created_micros INTEGER NOT NULL,
    decided_micros INTEGER,
    body           TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX review_by_time ON review (created_micros DESC, id DESC);
CREATE INDEX review_by_dataplane ON review (dataplane, state);
CREATE INDEX review_due ON review (due_micros) WHERE due_micros IS NOT NULL;

PRAGMA user_version = 3;
