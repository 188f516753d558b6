-- Statements whose answer began to leave and of which no event has come: superseded by the event of the same number.
CREATE TABLE session_promise (
    session_id BYTEA NOT NULL,
    number     BIGINT NOT NULL,
    content    BYTEA NOT NULL,         -- an encoded proto event
    PRIMARY KEY (session_id, number)
);

