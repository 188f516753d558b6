-- Answers of requests with an Idempotency-Key. status and sealed are absent while the request is being carried out.
CREATE TABLE kept_answer (
    place          BYTEA PRIMARY KEY,
    asked          BYTEA NOT NULL,
    created_micros BIGINT NOT NULL,
    status         BIGINT,
    content_type   TEXT NOT NULL DEFAULT '',
    sealed         BYTEA
);
CREATE INDEX kept_answer_by_age ON kept_answer (created_micros);
