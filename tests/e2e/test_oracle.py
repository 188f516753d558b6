"""The target's own log is the witness: what PostgreSQL executed is in the record exactly once, and nothing else is."""

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

MARK = "oracle"


def recorded(sluice, connection):
    """Texts of all statements of the connection's sessions that reached the target, counted."""
    texts = collections.Counter()
    for session in sluice.sessions(connection=connection, limit=50):
        for statement in sluice.session(session["id"])["statements"]:
            if MARK in statement["text"] and statement["outcome"] not in ("denied", "skipped"):
                texts[normal(statement["text"])] += 1
    return texts


def executed(log):
    """Texts that the server logged as executed, counted. Batches of one message are logged as one."""
    texts = collections.Counter()
    pattern = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", re.S)
    for match in pattern.finditer(log):
        if MARK in match.group(1):
            text = match.group(1)
            for part in [text] if "$$" in text else text.split(";"):
                if MARK in part:
                    texts[normal(part)] += 1
    return texts


def normal(text):
    return " ".join(text.strip().rstrip(";").split())


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


def test_the_record_is_what_the_target_executed(sluice, target, connect, lab):
    before = len(target.log())
    sessions_before = {session["id"] for session in sluice.sessions(connection=lab, limit=50)}
    link = connect(lab)
    workload(link)
    link.close()
    deadline = time.monotonic() + 10
    while True:
        fresh = [s for s in sluice.sessions(connection=lab, limit=50) if s["id"] not in sessions_before]
        if fresh and fresh[0]["status"] == "closed":
            break
        assert time.monotonic() < deadline, "the session's end did not reach the control plane"
        time.sleep(0.1)
    log = target.log()[before:]
    seen = collections.Counter()
    for statement in sluice.session(fresh[0]["id"])["statements"]:
        if MARK in statement["text"]:
            seen[normal(statement["text"])] += 1
    # A statement that fails while it is parsed is not logged as executed, but as the statement of an error.
    failed = collections.Counter(normal(text) for text in re.findall(r"STATEMENT:  (.*)", log) if MARK in text)
    expected = executed(log)
    # The PREPAREd text is logged with its EXECUTE as a detail; statement lines hold each text once.
    missing = expected - seen
    assert not missing, f"executed and not recorded: {missing}"
    invented = seen - (expected | failed | (expected + failed))
    assert not invented, f"recorded and not executed: {invented}"


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


def spaced(text):
    return normal(re.sub(r";\s*", "; ", text))


def recorded_messages(sluice, sessions):
    """Texts of the messages that the target executed, and of those that it refused or skipped, counted."""
    done, refused = collections.Counter(), collections.Counter()
    for session in sessions:
        messages = collections.defaultdict(list)
        for statement in sluice.session(session["id"])["statements"]:
            if statement["form"] != "prepare":
                messages[statement["batch"]].append(statement)
        for parts in messages.values():
            text = spaced("; ".join(normal(part["text"]) for part in parts))
            (done if parts[0]["outcome"] == "ok" else refused)[text] += 1
    return done, refused


def test_what_drivers_made_the_target_execute_is_in_the_record_exactly_once(sluice, target, lab):
    known = {session["id"] for session in sluice.sessions(connection=lab, limit=1000)}
    sluice.token("alice")
    before = len(target.log())
    drive(sluice, lab)
    expected = collections.Counter()
    for match in re.finditer(r"LOG:  (?:statement|execute [^:]*): (.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", target.log()[before:], re.S):
        # The gateway's own look-up of named columns is marked; everything else is the clients'.
        if "sluice catalog lookup" not in match.group(1):
            expected[spaced(match.group(1))] += 1
    assert sum(expected.values()) > 1000
    deadline = time.monotonic() + 15
    while True:
        fresh = [session for session in sluice.sessions(connection=lab, limit=1000) if session["id"] not in known]
        done, refused = recorded_messages(sluice, fresh)
        # What fails while it runs was logged as executed, what fails before that was not.
        missing = expected - done - refused
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert not missing, f"executed and not recorded: {missing}"
    invented = done - expected
    assert not invented, f"recorded as executed and not executed: {invented}"
