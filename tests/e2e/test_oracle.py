"""The target's own log is the witness: each thing that PostgreSQL executed is in the record exactly once, and nothing else is."""

import asyncio
import collections
import os
import re
import subprocess
import time

import asyncpg
import psycopg
import pytest

from harness.sluice import target_dir

SYNTAX_ERROR = "42601"
ENTRY = r"(.*?)(?=\n\d{4}-\d\d-\d\d |\Z)"


def normal(text):
    """A message's text without what differs between how the log and the record print it: white space and a last semicolon."""
    return " ".join(re.sub(r";\s*", "; ", text.strip().rstrip(";")).split())


def witnessed(log):
    """Texts of the messages that the server logged as executed, and of those that it logged an error for, counted."""
    executed, failed = collections.Counter(), collections.Counter()
    for text in re.findall(r"LOG:  (?:statement|execute [^:]*): " + ENTRY, log, re.S):
        # The gateway's own look-up of named columns is marked; an empty message is logged and not recorded.
        if "sluice catalog lookup" not in text and normal(text):
            executed[normal(text)] += 1
    for text in re.findall(r"STATEMENT:  " + ENTRY, log, re.S):
        # The form in which a refused statement is sent, to be rejected.
        if not text.startswith("!refused by Sluice"):
            failed[normal(text)] += 1
    return executed, failed


def told(sluice, sessions):
    """What the record says of the sessions' messages: texts of those that were executed, of those that failed, and of those
    that failed with a syntax error, which is found before or after the server logs them."""
    executed, failed, unsure = collections.Counter(), collections.Counter(), collections.Counter()
    for session in sessions:
        shown = sluice.session(session["id"])
        assert not shown["statements_truncated"] and shown["events_missing"] == 0
        numbers = [statement["number"] for statement in shown["statements"]]
        assert numbers == list(range(1, shown["statement_count"] + 1)), "a statement is missing or told twice"
        messages = collections.defaultdict(list)
        for statement in shown["statements"]:
            messages[statement["batch"]].append(statement)
        for parts in messages.values():
            outcomes = [part["outcome"] for part in parts]
            assert set(outcomes) <= {"ok", "error", "denied", "skipped"}, f"still open: {parts}"
            assert outcomes.count("error") <= 1
            # Neither a refused statement nor one that the server skipped is executed.
            if not {"ok", "error"} & set(outcomes):
                continue
            text = normal("; ".join(normal(part["text"]) for part in parts))
            if "error" in outcomes:
                failed[text] += 1
            error = next((part for part in parts if part["outcome"] == "error"), None)
            # What cannot be prepared or bound is not executed: only its error is in the log.
            if error and error["form"] == "prepare":
                continue
            if error and error["form"] == "simple" and error["sqlstate"] == SYNTAX_ERROR:
                unsure[text] += 1
            else:
                executed[text] += 1
    return executed, failed, unsure


def compare(sluice, target, lab, known, before, at_least):
    """Holds the record of the sessions that are not `known` against the log from `before` on: one to one."""
    executed, failed = witnessed(target.log()[before:])
    assert sum(executed.values()) >= at_least
    deadline = time.monotonic() + 20
    while True:
        fresh = [session for session in sluice.sessions(connection=lab, limit=1000) if session["id"] not in known]
        closed = all(session["status"] == "closed" for session in fresh)
        if closed and sum(session["statement_count"] for session in fresh) >= sum(executed.values()):
            break
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert closed, "the end of a session did not reach the control plane"
    claimed, refused, unsure = told(sluice, fresh)
    claimed += unsure & (executed - claimed)
    assert not executed - claimed, f"executed and not recorded: {executed - claimed}"
    assert not claimed - executed, f"recorded and not executed, or recorded twice: {claimed - executed}"
    assert not failed - refused, f"failed and not recorded as that: {failed - refused}"
    assert not refused - failed, f"recorded as failed and not failed: {refused - failed}"


def workload(link):
    link.autocommit = True
    link.execute("CREATE TEMP TABLE oracle_rows (n int, t text)")
    for n in range(5):
        link.execute("INSERT INTO oracle_rows VALUES (%s, %s)", (n, f"row {n}"))
    link.execute("SELECT 1 AS oracle_a; SELECT 2 AS oracle_b; SELECT 3 AS oracle_c")
    with link.pipeline():
        for n in range(10):
            link.execute("SELECT %s::int AS oracle_piped", (n,), prepare=True)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        link.execute("SELECT missing FROM oracle_rows")
    with link.cursor().copy("COPY oracle_rows TO STDOUT") as copy:
        assert sum(1 for _ in copy) == 5
    with link.cursor().copy("COPY oracle_rows FROM STDIN") as copy:
        copy.write_row((9, "copied"))
    link.execute("PREPARE oracle_plan AS SELECT count(*) FROM oracle_rows")
    link.execute("EXECUTE oracle_plan")
    link.execute("DO $$ BEGIN PERFORM 'oracle in a block'; END $$")
    with pytest.raises(psycopg.errors.SyntaxError):
        link.execute("SELEC oracle")
    with pytest.raises(psycopg.errors.SyntaxError):
        link.execute("INSERT INTO oracle_rows VALUES (1, 'x', 'more than there are columns')")
    with pytest.raises(psycopg.errors.DivisionByZero):
        link.execute("SELECT 1 AS oracle_first; SELECT 1 / 0 AS oracle_fails; SELECT 2 AS oracle_skipped")
    with pytest.raises(psycopg.errors.DivisionByZero), link.pipeline():
        for n in (1, 0, 2):
            link.execute("SELECT 1 / %s::int AS oracle_piped_error", (n,))
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        link.execute("SELECT %s::int AS oracle_not_bound", ("no number",))
    link.execute("")
    # The same text again, once as a statement that fails: each counts for itself.
    link.execute("CREATE TEMP TABLE oracle_once (n int PRIMARY KEY)")
    link.execute("INSERT INTO oracle_once VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        link.execute("INSERT INTO oracle_once VALUES (1)")
    with link.transaction(), link.cursor("oracle_cursor") as cursor:
        cursor.execute("SELECT generate_series(1, 5) AS oracle_series")
        assert len(cursor.fetchmany(2)) + len(cursor.fetchall()) == 5
    assert len(link.execute("SELECT repeat('oracle', 50000), n FROM generate_series(1, 20) n").fetchall()) == 20


def test_the_record_is_what_the_target_executed(sluice, target, connect, lab):
    known = {session["id"] for session in sluice.sessions(connection=lab, limit=1000)}
    before = len(target.log())
    link = connect(lab)
    workload(link)
    link.close()
    compare(sluice, target, lab, known, before, at_least=30)


def ignored_after_an_error(link, waits):
    """A statement that fails, and two that the target ignores for it; with `waits` its error is read before they are sent."""
    raw = link.pgconn
    raw.enter_pipeline_mode()
    raw.send_query_params(b"SELECT 1 / (random() * 0)::int AS oracle_ignored_fails", None)
    raw.send_flush_request()
    raw.flush()
    if waits:
        assert raw.get_result().status == psycopg.pq.ExecStatus.FATAL_ERROR
        assert raw.get_result() is None
    for n in range(2):
        raw.send_query_params(b"SELECT %d AS oracle_ignored" % n, None)
    raw.pipeline_sync()
    raw.flush()
    statuses = []
    while psycopg.pq.ExecStatus.PIPELINE_SYNC not in statuses:
        result = raw.get_result()
        statuses += [result.status] if result else []
    raw.exit_pipeline_mode()
    assert statuses.count(psycopg.pq.ExecStatus.PIPELINE_ABORTED) == 2
    assert link.execute("SELECT 'oracle goes on'").fetchone() == ("oracle goes on",)


@pytest.mark.parametrize("waits", [True, False], ids=["read before", "on its way"])
def test_what_the_target_ignores_after_an_error_is_recorded_as_skipped(sluice, target, connect, lab, waits):
    known = {session["id"] for session in sluice.sessions(connection=lab, limit=1000)}
    before = len(target.log())
    link = connect(lab)
    link.autocommit = True
    ignored_after_an_error(link, waits)
    link.close()
    compare(sluice, target, lab, known, before, at_least=2)
    assert "AS oracle_ignored\n" not in target.log()[before:], "the target executed what it was to ignore"
    (session,) = (session for session in sluice.sessions(connection=lab, limit=1000) if session["id"] not in known)
    told_of = {statement["text"]: statement["outcome"] for statement in sluice.session(session["id"])["statements"]}
    assert told_of["SELECT 1 / (random() * 0)::int AS oracle_ignored_fails"] == "error"
    assert [told_of.get(f"SELECT {n} AS oracle_ignored") for n in range(2)] == ["skipped", "skipped"]


def drive(sluice, lab):
    """pgbench in its three modes, tokio-postgres, asyncpg, pg_dump and psql, one after the other."""
    environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(sluice.port), "PGUSER": "alice", "PGPASSWORD": sluice.token("alice"), "PGDATABASE": lab}
    client = os.path.join(target_dir(), "tokio-postgres-client")
    commands = [["pgbench", "-n", "-M", mode, "-c", "4", "-t", "20"] for mode in ("simple", "extended", "prepared")]
    commands += [[client, sluice.url(lab)], ["pg_dump", "-s"], ["psql", "-X", "-c", "SELECT 1; SELECT 2", "-c", "\\d"]]
    for command in commands:
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    async def with_asyncpg():
        link = await asyncpg.connect(host="127.0.0.1", port=sluice.port, user="alice", database=lab, password=sluice.token("alice"))
        for n in range(20):
            assert await link.fetchval("SELECT $1::int + 1", n) == n + 1
        await link.close()

    asyncio.run(with_asyncpg())


def test_what_drivers_made_the_target_execute_is_in_the_record_exactly_once(sluice, target, lab):
    known = {session["id"] for session in sluice.sessions(connection=lab, limit=1000)}
    sluice.token("alice")
    before = len(target.log())
    drive(sluice, lab)
    compare(sluice, target, lab, known, before, at_least=1000)


@pytest.mark.parametrize("change", ["twice", "as failed", "missing", "of another text"])
def test_the_comparison_finds_what_is_wrong(change):
    class Record:
        """A record with one statement that was executed, and a fault."""

        def sessions(self, connection, limit):
            return [{"id": "s", "status": "closed", "statement_count": 1}]

        def session(self, _):
            good = {"number": 1, "batch": 1, "text": "SELECT 1", "form": "simple", "outcome": "ok"}
            failed = {**good, "number": 2, "batch": 2, "outcome": "error", "sqlstate": "22012"}
            statements = {
                "twice": [good, failed],
                "as failed": [{**failed, "number": 1}],
                "missing": [],
                "of another text": [{**good, "text": "SELECT 2"}],
            }[change]
            return {"statements": statements, "statement_count": len(statements), "statements_truncated": False, "events_missing": 0}

    class Target:
        def log(self):
            return "2026-01-01 00:00:00.000 UTC [1] LOG:  statement: SELECT 1;\n2026-01-01 00:00:00.000 UTC [1] LOG:  done\n"

    with pytest.raises(AssertionError, match="recorded"):
        compare(Record(), Target(), "lab", set(), 0, at_least=1)
