-- What makes a session's record a chain that can be proved, and what its events are found by.
ALTER TABLE session ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN chain BLOB NOT NULL DEFAULT x'';       -- hash of the last chunk
ALTER TABLE session ADD COLUMN promises BLOB NOT NULL DEFAULT x'';    -- hash over the open promises
ALTER TABLE session ADD COLUMN signature BLOB NOT NULL DEFAULT x'';   -- the installation's, over all other columns
DROP INDEX session_by_user;
DROP INDEX session_by_connection;
CREATE INDEX session_by_user ON session ("user", started_micros DESC, id);
CREATE INDEX session_by_user_id ON session (user_id, started_micros DESC, id);
CREATE INDEX session_by_connection ON session (connection, started_micros DESC, id);

ALTER TABLE session_chunk ADD COLUMN first_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session_chunk ADD COLUMN last_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session_chunk ADD COLUMN "user" TEXT NOT NULL DEFAULT '';
ALTER TABLE session_chunk ADD COLUMN connection TEXT NOT NULL DEFAULT '';
ALTER TABLE session_chunk ADD COLUMN hash BLOB NOT NULL DEFAULT x'';
DROP INDEX session_chunk_by_session;
CREATE INDEX session_chunk_by_session ON session_chunk (session_id, id);
CREATE INDEX session_chunk_by_time ON session_chunk (last_micros DESC, id DESC) WHERE recording = 0;
CREATE INDEX session_chunk_by_user ON session_chunk ("user", last_micros DESC, id DESC) WHERE recording = 0;
CREATE INDEX session_chunk_by_connection ON session_chunk (connection, last_micros DESC, id DESC) WHERE recording = 0;
-- Words of chunks by their numbers; the index alone, without the words themselves.
CREATE VIRTUAL TABLE chunk_words USING fts5 (
    words, content = '', contentless_delete = 1, detail = 'none', tokenize = "ascii tokenchars '_'"
);
