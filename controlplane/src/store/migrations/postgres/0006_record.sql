-- What makes a session's record a chain that can be proved, and what its events are found by.
ALTER TABLE session
    ADD COLUMN chunks    BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN chain     BYTEA NOT NULL DEFAULT '',   -- hash of the last chunk
    ADD COLUMN promises  BYTEA NOT NULL DEFAULT '',   -- hash over the open promises
    ADD COLUMN signature BYTEA NOT NULL DEFAULT '';   -- the installation's, over all other columns
DROP INDEX session_by_user;
DROP INDEX session_by_connection;
CREATE INDEX session_by_user ON session ("user", started_micros DESC, id);
CREATE INDEX session_by_user_id ON session (user_id, started_micros DESC, id);
CREATE INDEX session_by_connection ON session (connection, started_micros DESC, id);

ALTER TABLE session_chunk
    ADD COLUMN first_micros BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN last_micros  BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN "user"       TEXT NOT NULL DEFAULT '',
    ADD COLUMN connection   TEXT NOT NULL DEFAULT '',
    ADD COLUMN hash         BYTEA NOT NULL DEFAULT '',
    ADD COLUMN words        TSVECTOR NOT NULL DEFAULT '';
DROP INDEX session_chunk_by_session;
CREATE INDEX session_chunk_by_session ON session_chunk (session_id, id);
CREATE INDEX session_chunk_by_time ON session_chunk (last_micros DESC, id DESC) WHERE recording = 0;
CREATE INDEX session_chunk_by_user ON session_chunk ("user", last_micros DESC, id DESC) WHERE recording = 0;
CREATE INDEX session_chunk_by_connection ON session_chunk (connection, last_micros DESC, id DESC) WHERE recording = 0;
CREATE INDEX session_chunk_words ON session_chunk USING gin (words) WHERE recording = 0;
