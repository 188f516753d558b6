//! Statements with the effects that they have, plain and disguised.

use super::{analyze, effects};
use crate::wire::sql::{Analyzer, Effects, LexOptions, TableName, Verb};

/// A text and the rule names of everything it does, in alphabetical order.
type Case = (&'static str, &'static str);

const ROWS: &[Case] = &[
    ("SELECT 1", "select"),
    ("select * from customers where id = 1", "select"),
    ("SELECT a AS delete, b AS \"update\" FROM t", "select"),
    ("SELECT 'DELETE FROM t'", "select"),
    ("SELECT $$DELETE FROM t; DROP TABLE t$$", "select"),
    ("SELECT E'\\'; DROP TABLE t; --'", "select"),
    ("SELECT 'a' -- ; DROP TABLE t", "select"),
    ("SELECT /* ; DELETE FROM t */ 1", "select"),
    ("SELECT \"drop table t; delete from t\" FROM x", "select"),
    ("SELECT drop, truncate, copy, lock FROM words", "select"),
    ("TABLE customers", "select"),
    ("VALUES (1), (2)", "select"),
    ("(SELECT 1)", "select"),
    ("((SELECT 1) UNION (SELECT 2))", "select"),
    ("SELECT * FROM t FOR UPDATE", "lock-rows select"),
    ("SELECT * FROM t FOR NO KEY UPDATE OF t NOWAIT", "lock-rows select"),
    ("SELECT * FROM t FOR SHARE SKIP LOCKED", "lock-rows select"),
    ("SELECT * FROM t FOR KEY SHARE", "lock-rows select"),
    ("SELECT * INTO t2 FROM t", "create select"),
    ("SELECT a, b INTO TEMP TABLE x FROM t", "create select"),
    ("WITH x AS (SELECT 1) SELECT * FROM x", "select"),
    ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "insert"),
    ("INSERT INTO t (a, b) SELECT a, b FROM u", "insert select"),
    ("INSERT INTO t DEFAULT VALUES RETURNING id", "insert"),
    (
        "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "insert update",
    ),
    ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "insert"),
    ("UPDATE t SET a = 1 WHERE id = 2", "update"),
    ("UPDATE t SET a = 1", "update update-without-where"),
    ("UPDATE ONLY t SET a = 1", "update update-without-where"),
    ("UPDATE ONLY (t) SET a = 1 WHERE b = 2", "update"),
    ("UPDATE public.t AS x SET a = 1 FROM u WHERE x.id = u.id", "update"),
    (
        "UPDATE t x SET (a, b) = (SELECT 1, 2 WHERE true)",
        "select update update-without-where",
    ),
    ("UPDATE t * SET a = 1", "update update-without-where"),
    ("UPDATE t SET role = 'x' WHERE id = 1", "update"),
    ("UPDATE t SET a = 1 WHERE true", "update"),
    (
        "UPDATE t SET a = 1 RETURNING (SELECT 1 WHERE true)",
        "select update update-without-where",
    ),
    ("UPDATE set SET set = 1", "update update-without-where"),
    ("DELETE FROM t WHERE id = 1", "delete"),
    ("DELETE FROM t", "delete delete-without-where"),
    ("DELETE FROM ONLY t", "delete delete-without-where"),
    ("DELETE FROM t USING u WHERE t.id = u.id", "delete"),
    (
        "DELETE FROM t USING (SELECT 1 AS a WHERE true) u",
        "delete delete-without-where select",
    ),
    ("DELETE FROM t WHERE true", "delete"),
    ("DELETE FROM t WHERE 1=1", "delete"),
    ("DELETE FROM t WHERE CURRENT OF c", "delete"),
    ("DELETE FROM \"where\"", "delete delete-without-where"),
    ("DELETE FROM t AS \"where\"", "delete delete-without-where"),
    (
        "DELETE FROM t RETURNING (SELECT 1 WHERE true)",
        "delete delete-without-where select",
    ),
    (
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "delete merge",
    ),
    (
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.id)",
        "insert merge update",
    ),
    (
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DO NOTHING",
        "merge",
    ),
];

const DISGUISED: &[Case] = &[
    ("/**/DeLeTe/**/ FrOm t", "delete delete-without-where"),
    ("DELETE/**/FROM/**/t", "delete delete-without-where"),
    ("dElEtE\nfRoM\tt", "delete delete-without-where"),
    ("-- hi\nDELETE FROM t", "delete delete-without-where"),
    ("/* /* */ DELETE FROM a */ DELETE FROM t", "delete delete-without-where"),
    ("DELETE FROM t -- WHERE id = 1", "delete delete-without-where"),
    ("DELETE FROM t /* WHERE id = 1 */", "delete delete-without-where"),
    ("DELETE FROM t; -- WHERE", "delete delete-without-where"),
    ("\u{c}DELETE\u{b}FROM\rt", "delete delete-without-where"),
    ("DELETE FROM U&\"\\0074\"", "delete delete-without-where"),
    ("DELETE FROM U&\"!0074\" UESCAPE '!' WHERE a = 1", "delete"),
    ("DELETE FROM U&\"!0074\" UESCAPE '!'", "delete delete-without-where"),
    (
        "SELECT U&'!0061' UESCAPE '!'; DELETE FROM t",
        "delete delete-without-where select",
    ),
    ("SELECT 'a'; DELETE FROM t", "delete delete-without-where select"),
    ("SELECT 'a\\'; DELETE FROM t; --'", "delete delete-without-where select"),
    ("SELECT E'a\\'; DELETE FROM t; --'", "select"),
    ("SELECT $a$ $b$ $a$; DROP TABLE t", "drop select"),
    ("SELECT $$a$$;DROP TABLE t;SELECT $$b$$", "drop select"),
    ("SELECT 1;;;DROP TABLE t", "drop select"),
    ("SELECT 1/*;*/;/*;*/DROP/*;*/TABLE/*;*/t", "drop select"),
    ("SELECT E'x'\n'\\'; DROP TABLE t; --'", "select"),
    ("SELECT 'x'\n'\\'; DROP TABLE t; --'", "drop select"),
    ("SELECT \"a\"\"; DROP TABLE t; --\"", "select"),
    ("SELECT 1 AS \"a;b\"; TRUNCATE t", "select truncate"),
    ("SELECT 1from t; delete from t where 1=1", "delete select"),
    ("SELECT 1 -/* */- DROP TABLE x\n ; DROP TABLE t", "drop select"),
    (
        "WITH d AS (DELETE FROM t) SELECT 1",
        "delete delete-without-where select",
    ),
    (
        "WITH d AS (DELETE FROM t WHERE a = 1 RETURNING *) SELECT * FROM d",
        "delete select",
    ),
    (
        "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d WHERE x = 1",
        "delete delete-without-where select",
    ),
    (
        "WITH a AS (SELECT 1), d AS MATERIALIZED (DELETE FROM t RETURNING *) SELECT 1 WHERE true",
        "delete delete-without-where select",
    ),
    (
        "WITH a AS (WITH b AS (WITH c AS (SELECT 1) SELECT * FROM c) SELECT * FROM b) DELETE FROM t",
        "delete delete-without-where select",
    ),
    (
        "WITH a AS (WITH b AS (DELETE FROM t RETURNING 1) SELECT 1) SELECT 1",
        "delete delete-without-where select",
    ),
    (
        "WITH u AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM u",
        "select update update-without-where",
    ),
    (
        "WITH i AS (INSERT INTO t VALUES (1) RETURNING *) UPDATE u SET a = 1 FROM i WHERE u.id = i.id",
        "insert update",
    ),
    (
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM x) DELETE FROM t WHERE id IN (SELECT n FROM x)",
        "delete select",
    ),
    ("WITH delete AS (SELECT 1) SELECT * FROM delete", "select"),
    ("WITH x AS (DELETE FROM t USING u WHERE true) SELECT 1", "delete select"),
    (
        "INSERT INTO log WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
        "delete delete-without-where insert select",
    ),
    ("EXPLAIN DELETE FROM t", "explain"),
    ("EXPLAIN SELECT 1", "explain"),
    ("EXPLAIN VERBOSE UPDATE t SET a = 1", "explain"),
    ("EXPLAIN (COSTS off) DELETE FROM t", "explain"),
    ("EXPLAIN ANALYZE DELETE FROM t", "delete delete-without-where explain"),
    ("EXPLAIN ANALYSE DELETE FROM t WHERE a = 1", "delete explain"),
    (
        "EXPLAIN ANALYZE VERBOSE DELETE FROM t",
        "delete delete-without-where explain",
    ),
    (
        "EXPLAIN VERBOSE ANALYZE DELETE FROM t",
        "delete delete-without-where explain",
    ),
    ("EXPLAIN (ANALYZE) DELETE FROM t", "delete delete-without-where explain"),
    (
        "EXPLAIN (COSTS off, ANALYZE true) DELETE FROM t",
        "delete delete-without-where explain",
    ),
    (
        "EXPLAIN (\"analyze\", FORMAT json) DELETE FROM t",
        "delete delete-without-where explain",
    ),
    (
        "EXPLAIN (U&\"an\\0061lyze\") DELETE FROM t",
        "delete delete-without-where explain",
    ),
    (
        "EXPLAIN (ANALYZE false) DELETE FROM t",
        "delete delete-without-where explain",
    ),
    ("EXPLAIN (ANALYZE) (SELECT 1)", "explain select"),
    ("EXPLAIN (SELECT 1)", "explain"),
    (
        "EXPLAIN ANALYZE WITH d AS (DELETE FROM t RETURNING 1) SELECT 1",
        "delete delete-without-where explain select",
    ),
    ("EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", "create explain select"),
    ("EXPLAIN ANALYZE EXECUTE p(1)", "execute explain"),
    ("EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT 1", "cursor explain select"),
    ("PREPARE x AS DELETE FROM t", "delete delete-without-where prepare"),
    (
        "PREPARE x (int, text) AS UPDATE t SET a = $1",
        "prepare update update-without-where",
    ),
    ("PREPARE x AS SELECT 1", "prepare select"),
    ("PREPARE \"as\" AS DELETE FROM t WHERE a = $1", "delete prepare"),
    ("EXECUTE x", "execute"),
    ("EXECUTE x('DELETE FROM t')", "execute"),
    ("CREATE TABLE y AS EXECUTE x", "create execute"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t", "cursor select"),
    (
        "DECLARE c BINARY INSENSITIVE CURSOR FOR SELECT * FROM t FOR UPDATE",
        "cursor lock-rows select",
    ),
    ("FETCH ALL FROM c", "cursor"),
    (
        "SELECT 1; DELETE FROM t WHERE a = 1; DELETE FROM u",
        "delete delete-without-where select",
    ),
    (
        "BEGIN; UPDATE t SET a = 1; COMMIT",
        "transaction update update-without-where",
    ),
];

const CODE: &[Case] = &[
    ("DO $$ BEGIN DELETE FROM t; END $$", "delete delete-without-where do"),
    ("DO $$ BEGIN DELETE FROM t WHERE a = 1; END $$", "delete do"),
    ("DO 'BEGIN DELETE FROM t; END'", "delete delete-without-where do"),
    ("DO E'BEGIN \\x44ELETE FROM t; END'", "delete delete-without-where do"),
    (
        "DO E'BEGIN \\104ELETE\\n FROM t; END'",
        "delete delete-without-where do",
    ),
    ("DO U&'BEGIN \\0044ELETE FROM t; END'", "delete delete-without-where do"),
    (
        "DO U&'BEGIN !0044ELETE FROM t; END' UESCAPE '!'",
        "delete delete-without-where do",
    ),
    ("DO LANGUAGE plpgsql $x$ BEGIN DROP TABLE t; END $x$", "do drop"),
    ("DO $$ BEGIN IF true THEN TRUNCATE t; END IF; END $$", "do truncate"),
    (
        "DO $$ BEGIN IF true THEN NULL; ELSE UPDATE t SET a = 1; END IF; END $$",
        "do update update-without-where",
    ),
    (
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM t LOOP DELETE FROM u WHERE id = r.id; END LOOP; END $$",
        "delete do select",
    ),
    (
        "DO $$ BEGIN FOR r IN DELETE FROM t RETURNING * LOOP PERFORM f(r) WHERE true; END LOOP; END $$",
        "delete delete-without-where do select",
    ),
    (
        "DO $$ BEGIN EXECUTE 'DELETE FROM t'; END $$",
        "delete delete-without-where do execute",
    ),
    (
        "DO $$ BEGIN EXECUTE 'DEL' || 'ETE FROM t'; END $$",
        "delete delete-without-where do execute",
    ),
    (
        "DO $$ BEGIN EXECUTE format('DELETE FROM %I', 't'); END $$",
        "delete delete-without-where do dynamic execute unknown",
    ),
    (
        "DO $$ DECLARE q text := 'DROP TABLE t'; BEGIN EXECUTE q; END $$",
        "do drop dynamic execute unknown",
    ),
    (
        "DO $$ BEGIN EXECUTE chr(68) || 'ROP TABLE t'; END $$",
        "do dynamic execute unknown",
    ),
    (
        "DO $$ BEGIN EXECUTE $q$ DELETE FROM t WHERE a = 1 $q$; END $$",
        "delete do execute",
    ),
    (
        "DO $$ BEGIN EXECUTE 'DELETE FROM t WHERE a = $1' USING 1; END $$",
        "delete do execute",
    ),
    (
        "DO $$ BEGIN EXECUTE $a$ DO $b$ BEGIN EXECUTE 'DROP TABLE t'; END $b$ $a$; END $$",
        "do drop execute",
    ),
    (
        "DO $$ BEGIN COPY t TO PROGRAM 'cat'; END $$",
        "copy-out copy-program do",
    ),
    ("DO $$ BEGIN PERFORM pg_read_file('x'); END $$", "do select server-file"),
    ("DO $$ BEGIN SET ROLE admin; END $$", "do set set-role"),
    ("DO $$ BEGIN x := 'DELETE FROM t'; END $$", "do"),
    ("DO $$ <<l>> BEGIN GRANT ALL ON t TO u; END $$", "do grant"),
    (
        "DO $$ BEGIN RETURN QUERY DELETE FROM t RETURNING 1; END $$",
        "delete delete-without-where do",
    ),
    ("DO $$ BEGIN COMMIT; END $$", "do transaction"),
    ("DO $$ BEGIN /* DELETE FROM t */ NULL; -- DROP TABLE x\n END $$", "do"),
    ("DO LANGUAGE plpython3u $$ import os $$", "do unknown"),
    ("DO LANGUAGE 'plperl' $$ 1 $$", "do unknown"),
    ("DO", "do unknown"),
    (
        "CREATE FUNCTION f() RETURNS void AS $$ DELETE FROM t $$ LANGUAGE sql",
        "create delete delete-without-where",
    ),
    (
        "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE t; END $$",
        "create drop",
    ),
    (
        "CREATE FUNCTION f(language text) RETURNS int AS 'SELECT 1' LANGUAGE SQL",
        "create select",
    ),
    (
        "CREATE PROCEDURE p() LANGUAGE sql AS 'UPDATE t SET a = 1'",
        "create update update-without-where",
    ),
    (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM t; SELECT 1; END",
        "create delete delete-without-where select",
    ),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", "create"),
    (
        "CREATE FUNCTION f() RETURNS int AS 'lib', 'sym' LANGUAGE C",
        "create unknown",
    ),
    (
        "CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql SECURITY DEFINER SET role = 'admin'",
        "create select set-role",
    ),
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (new.*); RETURN new; END $$",
        "create insert",
    ),
    (
        "SELECT query_to_xml('DELETE FROM t RETURNING 1', true, true, '')",
        "delete delete-without-where dynamic select",
    ),
    (
        "SELECT pg_catalog.query_to_xml($1, true, true, '')",
        "dynamic select unknown",
    ),
    (
        "SELECT \"query_to_xml\"('DROP TABLE t', true, true, '')",
        "drop dynamic select",
    ),
    (
        "SELECT U&\"query\\005fto_xml\"('DROP TABLE t', true, true, '')",
        "drop dynamic select",
    ),
    (
        "SELECT * FROM dblink('dbname=x', 'DELETE FROM t') AS d(a int)",
        "delete delete-without-where dynamic remote select",
    ),
    ("SELECT dblink_exec('x', 'DROP TABLE t')", "drop dynamic remote select"),
];

const COMMANDS: &[Case] = &[
    ("TRUNCATE t", "truncate"),
    ("TRUNCATE TABLE ONLY a, b RESTART IDENTITY CASCADE", "truncate"),
    ("DROP TABLE IF EXISTS t CASCADE", "drop"),
    ("DROP DATABASE x", "drop"),
    ("drop role alice", "drop"),
    ("DROP OWNED BY alice", "drop"),
    ("ALTER TABLE t DROP COLUMN c", "alter"),
    (
        "ALTER TABLE t ADD COLUMN c int DEFAULT 1, ALTER b SET NOT NULL",
        "alter",
    ),
    ("ALTER TABLE t RENAME TO u", "alter"),
    ("ALTER SYSTEM SET shared_buffers = '1GB'", "alter"),
    ("ALTER ROLE alice SET role = 'admin'", "alter set-role"),
    ("ALTER ROLE alice SUPERUSER", "alter"),
    ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x", "alter select"),
    (
        "CREATE TABLE t (a int PRIMARY KEY, b text REFERENCES u ON DELETE CASCADE ON UPDATE SET NULL)",
        "create",
    ),
    ("CREATE TABLE t AS SELECT * FROM u", "create select"),
    (
        "CREATE TABLE t AS WITH d AS (DELETE FROM u RETURNING *) SELECT * FROM d",
        "create delete delete-without-where select",
    ),
    ("CREATE VIEW v AS SELECT * FROM t", "create select"),
    ("CREATE MATERIALIZED VIEW v AS SELECT 1", "create select"),
    ("CREATE INDEX CONCURRENTLY i ON t (a)", "create"),
    (
        "CREATE TRIGGER x BEFORE UPDATE OF a OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "create",
    ),
    (
        "CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM u",
        "create delete delete-without-where",
    ),
    (
        "CREATE RULE r AS ON UPDATE TO t DO INSTEAD (DELETE FROM a WHERE b; UPDATE c SET d = 1)",
        "create delete update update-without-where",
    ),
    (
        "CREATE RULE r AS ON SELECT TO t DO INSTEAD NOTIFY x",
        "create notify select",
    ),
    (
        "CREATE SCHEMA s CREATE TABLE t (a int) GRANT SELECT ON t TO x",
        "create grant select",
    ),
    ("CREATE ROLE admin SUPERUSER", "create"),
    ("CREATE EXTENSION dblink", "create"),
    ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "create remote"),
    ("CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw", "create remote"),
    ("CREATE POLICY p ON t FOR UPDATE USING (true)", "create lock-rows"),
    ("GRANT SELECT, UPDATE, DELETE ON t TO x", "grant select"),
    ("GRANT admin TO alice", "grant"),
    ("GRANT EXECUTE ON FUNCTION f TO x", "grant"),
    ("REVOKE ALL ON t FROM x", "revoke"),
    ("COPY t FROM STDIN", "copy-in"),
    ("COPY t (a, b) FROM STDIN WITH (FORMAT csv)", "copy-in"),
    ("COPY t TO STDOUT", "copy-out"),
    ("COPY t FROM '/etc/passwd'", "copy-file copy-in"),
    ("COPY t TO '/tmp/x' CSV HEADER", "copy-file copy-out"),
    ("COPY t FROM PROGRAM 'curl x'", "copy-in copy-program"),
    ("COPY/**/t/**/TO/**/PROGRAM/**/'sh'", "copy-out copy-program"),
    ("COPY t TO PROGRAM E'\\x73h'", "copy-out copy-program"),
    ("COPY (SELECT * FROM t) TO STDOUT", "copy-out select"),
    (
        "COPY (DELETE FROM t RETURNING *) TO STDOUT",
        "copy-out delete delete-without-where",
    ),
    (
        "COPY (UPDATE t SET a = 1 WHERE b RETURNING *) TO STDOUT (FORMAT binary)",
        "copy-out update",
    ),
    (
        "COPY (WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x) TO PROGRAM 'x'",
        "copy-out copy-program delete delete-without-where select",
    ),
    ("CALL p(1)", "call"),
    ("CALL p((SELECT 1))", "call select"),
    ("SET search_path = x", "set"),
    ("SET LOCAL statement_timeout TO 5", "set"),
    ("SET TIME ZONE 'UTC'", "set"),
    ("SET ROLE admin", "set set-role"),
    ("set/**/role none", "set set-role"),
    ("SET SESSION ROLE admin", "set set-role"),
    ("SET LOCAL ROLE 'admin'", "set set-role"),
    ("SET role = admin", "set set-role"),
    ("SET \"role\" TO admin", "set set-role"),
    ("SET \"ROLE\" TO admin", "set set-role"),
    ("SET U&\"r\\006fle\" TO admin", "set set-role"),
    ("SET SESSION AUTHORIZATION alice", "set set-role"),
    ("SET SESSION SESSION AUTHORIZATION alice", "set set-role"),
    ("SET session_authorization TO alice", "set set-role"),
    ("RESET ROLE", "set set-role"),
    ("RESET SESSION AUTHORIZATION", "set set-role"),
    ("RESET ALL", "set"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "set"),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "set"),
    ("SELECT set_config('role', 'admin', false)", "select set set-role"),
    ("SELECT pg_catalog.set_config('search_path', '', false)", "select set"),
    (
        "SELECT set_config('ro' || 'le', 'admin', false)",
        "select set set-read-write set-role",
    ),
    (
        "SELECT set_config($1, 'admin', false)",
        "select set set-read-write set-role",
    ),
    (
        "SELECT set_config(value => 'x', setting_name => 'role', is_local => false)",
        "select set set-read-write set-role",
    ),
    ("SELECT set_config(E'\\x72ole', 'admin', false)", "select set set-role"),
    ("SHOW ALL", "show"),
    ("DISCARD ALL", "set"),
    ("BEGIN", "transaction"),
    ("START TRANSACTION READ WRITE", "set-read-write transaction"),
    (
        "BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE",
        "set-read-write transaction",
    ),
    ("BEGIN READ ONLY", "transaction"),
    ("SET TRANSACTION read/**/write", "set set-read-write"),
    (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "set set-read-write",
    ),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "set"),
    ("SET LOCAL transaction_read_only = off", "set set-read-write"),
    ("SET \"Default_Transaction_Read_Only\" TO off", "set set-read-write"),
    ("RESET transaction_read_only", "set set-read-write"),
    (
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "select set set-read-write",
    ),
    (
        "SELECT set_config(value => 'off', setting_name => 'transaction_read_only', is_local => true)",
        "select set set-read-write set-role",
    ),
    (
        "DO $$ BEGIN SET default_transaction_read_only = off; END $$",
        "do set set-read-write",
    ),
    ("END", "transaction"),
    ("ABORT", "transaction"),
    ("ROLLBACK TO SAVEPOINT x", "transaction"),
    ("PREPARE TRANSACTION 'x'", "transaction"),
    ("COMMIT PREPARED 'x'", "transaction"),
    ("LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "lock"),
    ("VACUUM FULL t", "vacuum"),
    ("ANALYZE t", "maintenance"),
    ("REINDEX TABLE t", "maintenance"),
    ("CLUSTER t", "maintenance"),
    ("REFRESH MATERIALIZED VIEW v", "maintenance"),
    ("CHECKPOINT", "maintenance"),
    ("LISTEN x", "listen"),
    ("UNLISTEN *", "listen"),
    ("NOTIFY x, 'payload'", "notify"),
    ("COMMENT ON TABLE t IS 'drop'", "comment"),
    ("SECURITY LABEL ON TABLE t IS 'x'", "comment"),
    ("LOAD 'lib'", "load"),
    ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", "create remote"),
    ("REASSIGN OWNED BY a TO b", "reassign"),
    ("DEALLOCATE ALL", "deallocate"),
    ("SELECT pg_read_file('/etc/passwd')", "select server-file"),
    ("SELECT pg_catalog.\"pg_read_file\"('x')", "select server-file"),
    ("SELECT lo_import('/etc/passwd')", "select server-file"),
    ("SELECT lo_export(1, 'x')", "select server-file"),
    ("FROBNICATE t", "unknown"),
    ("'x'", "unknown"),
    ("1", "unknown"),
    ("DELETE t", "delete delete-without-where"),
    ("SELECT 'open", "select unknown"),
    ("SELECT 1 /* open", "select unknown"),
    ("DELETE FROM t WHERE a = $q$ open", "delete unknown"),
];

fn names(found: Effects) -> String {
    let mut names: Vec<&str> = found.names().collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn every_case_has_its_effects() {
    let mut wrong = Vec::new();
    let all = [ROWS, DISGUISED, CODE, COMMANDS].concat();
    assert!(all.len() >= 150, "{}", all.len());
    for (text, expected) in &all {
        let found = names(effects(text));
        if found != *expected {
            wrong.push(format!("{text}\n    expected {expected}\n    found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same effects when every statement is written in upper case with comments for blanks: only for cases
/// without quotes, where that changes nothing.
#[test]
fn every_case_survives_a_disguise() {
    for (text, expected) in [ROWS, DISGUISED, CODE, COMMANDS].concat() {
        if text.contains(['\'', '"', '$', '-', '/', '\\', '\n']) {
            continue;
        }
        let disguised = text.to_uppercase().replace(' ', "/* ; ' \" $$ /* */ */");
        assert_eq!(names(effects(&disguised)), expected, "{disguised}");
    }
}

/// What the server would see when backslashes escape.
#[test]
fn backslash_strings_follow_the_session_setting() {
    let text = "SELECT 'a\\'; DELETE FROM t; --'";
    for (conforming, expected) in [(true, "delete delete-without-where select"), (false, "select")] {
        let options = LexOptions {
            standard_conforming_strings: conforming,
        };
        let mut analyzer = Analyzer::new(4);
        let analysis = analyzer.analyze(text, options);
        let all = analysis.statements.iter().map(|s| s.effects);
        assert_eq!(names(all.fold(Effects::NONE, |a, b| a | b)), expected);
    }
}

/// Statements of everyday work are understood by the parser, not only by their tokens.
#[test]
fn everyday_statements_are_parsed() {
    for text in [
        "SELECT c.id, c.name, count(*) FILTER (WHERE o.total > 10) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 3 DESC NULLS LAST LIMIT 10 OFFSET 5",
        "SELECT a->>'b', c #>> '{d}', e @> '{}'::jsonb, f ? 'g' FROM t WHERE a ~* 'x' AND b !~ 'y' AND c LIKE 'z%' ESCAPE '!'",
        "SELECT date_trunc('day', now() - interval '1 day') AT TIME ZONE 'UTC', extract(epoch FROM now())",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t",
        "SELECT * FROM generate_series(1, 10) AS g(n) CROSS JOIN LATERAL (SELECT n + 1) x",
        "SELECT ARRAY[1, 2, 3][1], (ARRAY(SELECT 1)), ROW(1, 2), a[1:2] FROM t",
        "SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b",
        "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING id",
        "UPDATE t SET a = a + 1, b = $2 FROM u WHERE t.id = u.id AND u.x = ANY($3) RETURNING t.*",
        "DELETE FROM t USING u WHERE t.id = u.id RETURNING t.id",
        "UPDATE \"T\" SET \"a\" = $1 WHERE \"T\".\"id\" = $2",
        "CREATE TABLE t (id bigserial PRIMARY KEY, a numeric(10, 2) NOT NULL DEFAULT 0, b timestamptz DEFAULT now(), CHECK (a > 0))",
        "SELECT CASE WHEN a IS NULL THEN 'x' ELSE b::text || 'y' END FROM t WHERE a BETWEEN 1 AND 2 AND b IN (SELECT c FROM d)",
        "SELECT nspname FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default",
        "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t",
        "SELECT count(*) FROM t TABLESAMPLE BERNOULLI (10)",
        "SELECT substring('a' FROM 1 FOR 2), trim(BOTH 'x' FROM 'y'), position('a' IN 'b'), overlay('a' PLACING 'b' FROM 1)",
    ] {
        let statements = analyze(text);
        assert!(statements[0].parsed, "{text}");
    }
}

#[test]
fn tables_and_functions_are_listed() {
    let statement = &analyze(
        "WITH x AS (SELECT * FROM Orders o JOIN public.\"Customers\" c ON lower(c.name) = pg_catalog.upper(o.name)) \
         SELECT count(*) FROM x, app.items",
    )[0];
    let tables: Vec<_> = statement.tables.to_vec();
    assert!(tables.contains(&TableName::new(None, "orders")));
    assert!(tables.contains(&TableName::new(Some("public"), "Customers")));
    assert!(tables.contains(&TableName::new(Some("app"), "items")));
    assert!(!tables.contains(&TableName::new(None, "x")));
    let functions = statement.functions.to_vec();
    assert_eq!(
        functions,
        [
            TableName::new(None, "lower"),
            TableName::new(Some("pg_catalog"), "upper"),
            TableName::new(None, "count"),
        ]
    );
    let body = &analyze("DO $$ BEGIN PERFORM s.secret_thing(1); END $$")[0];
    assert_eq!(body.functions.to_vec(), [TableName::new(Some("s"), "secret_thing")]);
    for text in [
        "TRUNCATE a, b.c",
        "LOCK TABLE a, b.c",
        "DROP TABLE IF EXISTS a, b.c",
        "GRANT SELECT ON a, b.c TO x",
    ] {
        let tables = analyze(text)[0].tables.to_vec();
        assert!(tables.contains(&TableName::new(None, "a")), "{text} {tables:?}");
        assert!(tables.contains(&TableName::new(Some("b"), "c")), "{text} {tables:?}");
    }
}

#[test]
fn long_names_are_cut_like_the_server_does() {
    let long = "é".repeat(40);
    let table = &analyze(&format!("SELECT * FROM {long}"))[0].tables[0];
    assert_eq!(table.name, "é".repeat(31));
}

#[test]
fn verbs_name_the_command() {
    for (text, verb) in [
        ("select 1", Verb::Select),
        ("(select 1)", Verb::Select),
        ("with a as (select 1) delete from t", Verb::Delete),
        (
            "with a (x, y) as not materialized (select 1), b as (select 2) insert into t select 1",
            Verb::Insert,
        ),
        ("abort", Verb::Rollback),
        ("explain analyze delete from t", Verb::Explain),
        ("nonsense", Verb::Unknown),
    ] {
        assert_eq!(analyze(text)[0].verb, verb, "{text}");
    }
}

#[test]
fn too_long_a_statement_is_judged_by_its_tokens() {
    let columns: Vec<String> = (0..20_000).map(|n| format!("c{n}")).collect();
    let statement = &analyze(&format!(
        "delete from t where a in (select {} from x)",
        columns.join(",")
    ))[0];
    assert!(!statement.parsed);
    assert_eq!(names(statement.effects), "delete select");
}

#[test]
fn rule_names_are_known() {
    for name in [
        "delete-without-where",
        "update-without-where",
        "drop",
        "truncate",
        "alter",
        "copy",
        "ddl",
        "write",
    ] {
        assert!(Effects::from_rule_name(name).is_some(), "{name}");
    }
    assert_eq!(
        Effects::from_rule_name("copy"),
        Some(Effects::COPY_IN | Effects::COPY_OUT)
    );
    assert_eq!(Effects::from_rule_name("nonsense"), None);
    for name in Effects::rule_names() {
        assert!(Effects::from_rule_name(name).is_some());
    }
}
