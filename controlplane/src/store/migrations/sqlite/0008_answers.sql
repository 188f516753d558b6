-- Answers of requests with an Idempotency-Key. status and sealed are absent while the request is being carried out.
CREATE TABLE kept_answer (
    place          BLOB PRIMARY KEY,
    asked          BLOB NOT NULL,
    created_micros INTEGER NOT NULL,
    status         INTEGER,
    content_type   TEXT NOT NULL DEFAULT '',
    sealed         BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_answer_by_age ON kept_answer (created_micros);
