"""Stock clients and drivers do through the gateway what they do directly: on both back ends, through the agent and direct."""

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import time

import asyncpg
import psycopg
import pytest

from harness.sluice import target_dir

COPY_BYTES = 100 * 1024 * 1024


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="session")
def big_file(tmp_path_factory):
    """100 MB of rows for COPY: nothing in it looks like personal data."""
    path = tmp_path_factory.mktemp("copy") / "rows.tsv"
    words = "the quick brown fox jumps over a lazy dog while seven wizards quietly brew some stronger ale".split()
    with open(path, "w", encoding="utf-8") as file:
        number, written = 0, 0
        while written < COPY_BYTES:
            number += 1
            line = f"{number}\t{' '.join(words[(number + i) % len(words)] for i in range(number % 29))}\t{number % 7 / 2}\n"
            written += file.write(line)
    return path


def test_psql_copies_100_mb_in_and_out(psql, lab, big_file, tmp_path):
    psql(lab, "DROP TABLE IF EXISTS copied", "CREATE TABLE copied (id int, words text, half numeric(4, 1))")
    back = tmp_path / "back.tsv"
    psql(lab, script=f"\\copy copied FROM '{big_file}'\n\\copy (SELECT id, words, trim_scale(half) FROM copied ORDER BY id) TO '{back}'\n")
    again = tmp_path / "again.tsv"
    with open(big_file, encoding="utf-8") as rows, open(again, "w", encoding="utf-8") as normal:
        normal.writelines(re.sub(r"\.0\n$", "\n", line) for line in rows)
    assert sha256(back) == sha256(again)
    psql(lab, "DROP TABLE copied")


def test_what_the_target_says_during_the_login_arrives_and_is_masked(sluice, target, lab):
    # PostgreSQL cuts the name, and quotes it whole before it is ready for queries.
    name = "application_name='carol@example.com " + "x" * 60 + "'"

    def says(url):
        done = subprocess.run(["psql", "-X", "-At", f"{url} {name}", "-c", "SELECT 1"], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "1\n"
        return done.stderr

    direct = says(target.url("lab"))
    assert "carol@example.com" in direct and "will be truncated" in direct
    masked = says(sluice.url(lab))
    assert "carol@example.com" not in masked
    assert masked.count("[EMAIL]") == direct.count("carol@example.com") and "will be truncated" in masked


def test_psql_watch_repeats(sluice, lab):
    command = ["psql", "-X", "-At", sluice.url(lab)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write("SELECT 'tick' \\watch 0.2\n")
        process.stdin.flush()
        seen = 0
        for line in process.stdout:
            seen += "tick" in line
            if seen == 3:
                break
        process.kill()
    assert seen == 3


def test_ctrl_c_cancels_a_sleeping_statement(sluice, lab):
    began = time.monotonic()
    command = ["psql", "-X", sluice.url(lab), "-c", "SELECT pg_sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "canceling statement due to user request" in errors
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_with_50_clients(sluice, lab, mode):
    environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(sluice.port), "PGUSER": "alice", "PGPASSWORD": sluice.token("alice"), "PGDATABASE": lab}
    command = ["pgbench", "-n", "-M", mode, "-c", "50", "-j", "2", "-t", "20"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "number of transactions actually processed: 1000/1000" in done.stdout
    assert "number of failed transactions: 0" in done.stdout


def test_psycopg_binary_values(connect, lab):
    link = connect(lab)
    row = link.execute(
        "SELECT %b::int4, %b::text, %b::float8, %b::bool, %b::bytea, NULL::int8, ARRAY[1, 2, 3], '2020-02-29'::date",
        (7, "straße", 1.5, True, b"\x00\xff"),
        binary=True,
    ).fetchone()
    assert row[:6] == (7, "straße", 1.5, True, b"\x00\xff", None)
    assert row[6] == [1, 2, 3] and row[7].isoformat() == "2020-02-29"


def test_psycopg_pipeline_keeps_order_and_recovers(connect, lab):
    link = connect(lab, autocommit=True)
    with link.pipeline():
        cursors = [link.execute("SELECT %s::int * 2", (n,)) for n in range(200)]
    assert [cursor.fetchone()[0] for cursor in cursors] == [2 * n for n in range(200)]
    with pytest.raises(psycopg.errors.DivisionByZero), link.pipeline():
        link.execute("SELECT 1")
        link.execute("SELECT 1 / 0")
        link.execute("SELECT 2")
    assert link.execute("SELECT 3").fetchone() == (3,)


def test_psycopg_server_side_cursor_and_copy(connect, lab):
    link = connect(lab)
    with link.cursor(name="portal") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT n FROM generate_series(1, 1050) n")
        assert [row[0] for row in cursor] == list(range(1, 1051))
    cursor = link.cursor()
    cursor.execute("CREATE TEMP TABLE piled (n int, t text)")
    for form in ("", " (FORMAT csv)", " (FORMAT binary)"):
        with cursor.copy(f"COPY piled FROM STDIN{form}") as copy:
            if "binary" in form:
                copy.set_types(["int4", "text"])
            if "csv" in form:
                copy.write("".join(f'{n},"row, {n}"\n' for n in range(100)))
            else:
                for n in range(100):
                    copy.write_row((n, f"row, {n}"))
        with cursor.copy(f"COPY (SELECT * FROM piled ORDER BY n) TO STDOUT{form}") as copy:
            data = b"".join(bytes(piece) for piece in copy)
        assert data.count(b"row, 42") == 1
        cursor.execute("DELETE FROM piled WHERE true")


def test_asyncpg(sluice, lab):
    async def run():
        link = await asyncpg.connect(host="127.0.0.1", port=sluice.port, user="alice", database=lab, password=sluice.token("alice"))
        try:
            assert await link.fetchval("SELECT $1::int + 1", 41) == 42
            statement = await link.prepare("SELECT n, repeat('x', n) AS t FROM generate_series(1, $1::int) n")
            rows = await statement.fetch(500)
            assert len(rows) == 500 and rows[499]["t"] == "x" * 500
            async with link.transaction():
                numbers = [row["n"] async for row in link.cursor("SELECT n FROM generate_series(1, 120) n", prefetch=50)]
            assert numbers == list(range(1, 121))
            await link.execute("CREATE TEMP TABLE piled (n int, t text)")
            await link.copy_records_to_table("piled", records=[(n, f"t{n}") for n in range(1000)])
            assert await link.fetchval("SELECT count(*) FROM piled") == 1000
            with pytest.raises(asyncpg.DivisionByZeroError):
                await link.fetchval("SELECT 1 / 0")
            heard = asyncio.get_running_loop().create_future()
            await link.add_listener("news", lambda *arguments: heard.set_result(arguments[3]))
            await link.execute("NOTIFY news, 'hello'")
            assert await asyncio.wait_for(heard, 10) == "hello"
            with pytest.raises(asyncio.TimeoutError):
                await link.fetchval("SELECT pg_sleep(60)", timeout=1)
            assert await link.fetchval("SELECT 5") == 5
        finally:
            await link.close()

    asyncio.run(run())


def test_tokio_postgres(sluice, lab):
    client = os.path.join(target_dir(), "tokio-postgres-client")
    done = subprocess.run([client, sluice.url(lab)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_pg_dump_and_restore_of_20_tables(sluice, target, psql, lab, tmp_path):
    schema = f"dumped_{lab.replace('-', '_')}"
    tables = "".join(
        f"CREATE TABLE {schema}.t{n} (id int PRIMARY KEY, label text, at timestamptz DEFAULT '2020-01-01'); "
        f"INSERT INTO {schema}.t{n} SELECT g, 'label ' || g FROM generate_series(1, 200) g; CREATE INDEX ON {schema}.t{n} (label);"
        for n in range(20)
    )
    target.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema} AUTHORIZATION scram_user; {tables}", database="lab")
    target.sql(*[f"ALTER TABLE {schema}.t{n} OWNER TO scram_user" for n in range(20)], database="lab")
    environment = {**os.environ, "PGPASSWORD": sluice.token("alice")}
    where = ["-h", "127.0.0.1", "-p", str(sluice.port), "-U", "alice"]
    dump = tmp_path / "dump.pgc"
    subprocess.run(["pg_dump", *where, "-d", lab, "-n", schema, "-Fc", "-f", dump], env=environment, check=True, timeout=120)
    before = target.sql(f"SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {schema}.t7 t", database="lab")
    target.sql(f"DROP SCHEMA {schema} CASCADE", database="lab")
    done = subprocess.run(["pg_restore", *where, "-d", lab, dump], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert target.sql(f"SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {schema}.t7 t", database="lab") == before
    assert target.sql(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'", database="lab").strip() == "20"
