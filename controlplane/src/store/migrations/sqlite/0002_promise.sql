-- Statements whose answer began to leave and of which no event has come: superseded by the event of the same number.
CREATE TABLE session_promise (
    session_id BLOB NOT NULL,
    number     INTEGER NOT NULL,
    content    BLOB NOT NULL,         -- an encoded proto event
    PRIMARY KEY (session_id, number)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
