"""What a connection lets through at all: sizes of results, time of statements, writes, function calls, settings at login."""

import contextlib
import ctypes
import os
import socket
import threading
import time

import psycopg
import pytest
from psycopg import pq

from conftest import PASSWORD, ROUTES, connection, policy
from harness import wire
from harness.sluice import Sluice

# Columns that no detector would find; results with text of unknown origin are refused.
STRICT = """
[[redaction]]
name         = "strict"
detect       = ["EMAIL_ADDRESS"]
columns      = ["public.customers.name"]
unattributed = "deny"

[[guardrail]]
name     = "trusting"
unparsed = "allow"
rules    = [{ deny = ["drop", "set-role"] }]
"""


@pytest.fixture(scope="module")
def gateway(target):
    """Connections with one bound each, through the agent and direct."""
    text = STRICT
    for via in ROUTES:
        bare = {"port": target.port, "via": via, "guardrails": "[]"}
        text += connection(f"rows-{via}", **bare, max_rows=100)
        text += connection(f"bytes-{via}", **bare, max_bytes=20000)
        text += connection(f"time-{via}", **bare, statement_timeout_seconds=1)
        text += connection(f"reader-{via}", **bare, read_only="true")
        text += connection(f"trusting-{via}", target.port, via, guardrails='["trusting"]')
        text += connection(f"guarded-{via}", target.port, via, guardrails='["no-accidents"]')
        text += connection(f"strict-{via}", **bare).replace('["personal-data"]', '["strict"]')
    sluice = Sluice(policy(text), environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield sluice
    finally:
        assert sluice.close() == 0


@pytest.fixture(params=sorted(ROUTES))
def opened(request, gateway):
    """Opens connections: `opened("rows")`."""
    links = []

    def run(name, **options):
        links.append(psycopg.connect(gateway.url(f"{name}-{request.param}", "alice"), autocommit=True, **options))
        return links[-1]

    yield run
    for link in links:
        link.close()


class Hold:
    """A way to the target that passes sessions on, and holds cancel requests back until it is told to let them go."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = port
        self.go = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        first = client.recv(65536)
        if first[4:8] == wire.cancel_request(0, b"")[4:8]:
            self.go.wait(60)
        server = socket.create_connection(("127.0.0.1", self.target))
        server.sendall(first)
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        self._pass(client, server)

    @staticmethod
    def _pass(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.go.set()
        self.listener.close()


def test_a_cancel_request_that_is_stuck_hits_no_later_statement(target):
    """It would, had the session gone on: nobody knows when the target takes it."""
    hold = Hold(target.port)
    text = connection("slow", hold.port, via="direct", tls="disable", guardrails="[]", statement_timeout_seconds=1)
    sluice = Sluice(policy(text), environment={"SHOP_PASSWORD": PASSWORD})
    try:
        with psycopg.connect(sluice.url("slow"), autocommit=True) as link:
            began = time.monotonic()
            with pytest.raises(psycopg.OperationalError, match="did not take a cancel request"):
                link.execute("SELECT pg_sleep(3)")
                for _ in range(200):
                    link.execute("SELECT pg_sleep(0.1)")
            assert time.monotonic() - began < 15
    finally:
        hold.close()
        assert sluice.close() == 0


def test_a_result_with_too_many_rows_ends_in_an_error(opened):
    link = opened("rows")
    assert len(link.execute("SELECT generate_series(1, 100)").fetchall()) == 100
    for count in (101, 1000, 3_000_000):
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="100 rows"):
            link.execute(f"SELECT generate_series(1, {count})")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="100 rows"):
            link.execute("SELECT generate_series(1, %s)", [count], binary=True)
        assert link.execute("SELECT 1").fetchone() == (1,), "the session goes on"


def test_the_rows_up_to_the_bound_arrive_and_no_more(opened):
    link = opened("rows")
    got = []
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        for row in link.cursor().stream("SELECT generate_series(1, 5000)"):
            got.append(row[0])
    assert got == list(range(1, 101))
    assert link.execute("SELECT 1").fetchone() == (1,)


def test_copy_is_bounded_too(opened):
    link = opened("rows")
    for options in ("", "WITH (FORMAT csv)", "WITH (FORMAT binary)"):
        rows = []
        with pytest.raises(psycopg.errors.ProgramLimitExceeded), link.cursor().copy(f"COPY (SELECT generate_series(1, 10000)) TO STDOUT {options}") as copy:
            rows.extend(copy)
        assert sum(bytes(piece).count(b"\n") for piece in rows) <= 100
        assert link.execute("SELECT 1").fetchone() == (1,)


def test_pages_of_a_portal_count_together(opened):
    link = opened("rows")
    link.pgconn.exec_(b"BEGIN")
    portal = psycopg.ServerCursor(link, "pages")
    portal.execute("SELECT generate_series(1, 1000)")
    # Each FETCH is a result of its own: a bound on one result is no bound on a session.
    assert len(portal.fetchmany(100)) == 100
    assert len(portal.fetchmany(100)) == 100
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        portal.fetchmany(101)


def test_inside_a_pipeline_the_session_ends_before_anything_is_told_wrong(opened):
    link = opened("rows")
    with pytest.raises(psycopg.OperationalError), link.pipeline():
        link.execute("SELECT generate_series(1, 1000)")
        link.execute("SELECT 1")
        link.execute("SELECT 2")
    assert link.closed


def test_a_batch_with_too_large_a_result_before_its_end_ends_the_session(opened):
    link = opened("rows")
    with pytest.raises(psycopg.OperationalError, match="more statements were sent behind it"):
        link.execute("SELECT generate_series(1, 1000); SELECT 1")
    assert link.closed
    link = opened("rows")
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        link.execute("SELECT 1; SELECT generate_series(1, 1000)")
    assert link.execute("SELECT 1").fetchone() == (1,)


def test_a_result_with_too_many_bytes_ends_in_an_error(opened):
    link = opened("bytes")
    assert len(link.execute("SELECT repeat('x', 15000)").fetchone()[0]) == 15000
    for size in (30_000, 40_000_000):
        for values in ([], [size]):
            text = f"SELECT repeat('x', {size})" if not values else "SELECT repeat('x', %s)"
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="20000 bytes"):
                link.execute(text, values or None)
            assert link.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.errors.ProgramLimitExceeded), link.cursor().copy("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000)) TO STDOUT") as copy:
        list(copy)
    assert link.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_that_runs_too_long_is_cancelled(opened):
    link = opened("time")
    for text in ("SELECT pg_sleep(30)", "SELECT 1, pg_sleep(30)"):
        begins = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="longer than the 1 s"):
            link.execute(text)
        assert 0.9 < time.monotonic() - begins < 5
        assert link.execute("SELECT 1").fetchone() == (1,)
    link.execute("SELECT pg_sleep(0.6)")
    link.execute("SELECT pg_sleep(0.6)")
    # The setting of the target can be changed by the user; this bound cannot.
    link.execute("SET statement_timeout = 0")
    with pytest.raises(psycopg.errors.QueryCanceled):
        link.execute("SELECT pg_sleep(30)")


WRITES = [
    "INSERT INTO orders VALUES (7000, 1, 1)",
    "UPDATE orders SET total = 0 WHERE id = 1",
    "DELETE FROM orders WHERE id = 1",
    "CREATE TEMP TABLE t (x int)",
    "SELECT 1 INTO t",
    "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT * FROM gone",
    "BEGIN READ WRITE",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ /* */ WRITE",
    "SET default_transaction_read_only = off",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET LOCAL \"transaction_read_only\" TO off",
    "RESET transaction_read_only",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
    "SELECT set_config('default_transaction' || '_read_only', 'off', false)",
    "DO $$ BEGIN SET default_transaction_read_only = off; END $$",
    "DO $$ BEGIN EXECUTE 'SET default_transaction' || '_read_only = off'; END $$",
    "COPY orders TO PROGRAM 'cat'",
    "COPY orders FROM STDIN",
    "SELECT lo_create(0)",
    "SELECT lo_import('/etc/hostname')",
]


@pytest.mark.parametrize("statement", WRITES)
def test_nothing_is_written_on_a_read_only_connection(target, opened, statement):
    link = opened("reader")
    begins = len(target.log())
    for send in (lambda: link.pgconn.exec_(statement.encode()), lambda: link.pgconn.exec_params(statement.encode(), [])):
        assert send().error_field(pq.DiagnosticField.SQLSTATE) == b"25006", statement
    assert statement not in target.log()[begins:]
    assert link.execute("SELECT count(*) FROM orders").fetchone()[0] > 0


def test_what_a_function_writes_is_refused_by_the_target(target, opened):
    target.sql("CREATE OR REPLACE FUNCTION quietly() RETURNS int LANGUAGE sql AS 'INSERT INTO orders VALUES (7001, 1, 1) RETURNING 1'", database="shop")
    link = opened("reader")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        link.execute("SELECT quietly()")
    link.execute("RESET ALL")
    link.execute("DISCARD ALL")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        link.execute("SELECT quietly()")
    assert target.sql("SELECT count(*) FROM orders WHERE id = 7001", database="shop").strip() == "0"


@pytest.mark.parametrize(
    "name,options",
    [
        ("reader", {"options": "-c default_transaction_read_only=off"}),
        ("reader", {"options": "--default-transaction-read-only=off"}),
        ("trusting", {"options": "-crole=postgres"}),
        ("trusting", {"options": "-c search_path=x -c ro\\le=postgres"}),
    ],
)
def test_settings_at_login_are_judged_like_set(opened, name, options):
    with pytest.raises(psycopg.OperationalError, match="refused"):
        opened(name, **options)
    assert opened(name, options="-c search_path=public").execute("SHOW search_path").fetchone() == ("public",)


LIBPQ = ctypes.CDLL("libpq.so.5")
LIBPQ.PQconnectdb.restype = ctypes.c_void_p
LIBPQ.PQfn.restype = ctypes.c_void_p
LIBPQ.PQresultErrorField.restype = ctypes.c_char_p


class Argument(ctypes.Structure):
    _fields_ = [("len", ctypes.c_int), ("isint", ctypes.c_int), ("integer", ctypes.c_void_p)]


class Caller:
    """Calls functions by their number, which psycopg does not."""

    def __init__(self, url):
        self.link = ctypes.c_void_p(LIBPQ.PQconnectdb(url.encode()))
        assert LIBPQ.PQstatus(self.link) == 0

    def call(self, oid, *integers):
        """An integer, or the error's SQLSTATE."""
        result, length = ctypes.c_int(0), ctypes.c_int(0)
        arguments = (Argument * max(1, len(integers)))(*[Argument(4, 1, value) for value in integers])
        done = LIBPQ.PQfn(self.link, oid, ctypes.byref(result), ctypes.byref(length), 1, arguments, len(integers))
        state = LIBPQ.PQresultErrorField(ctypes.c_void_p(done), ord("C"))
        return state.decode() if state else result.value

    def backend_pid(self):
        return LIBPQ.PQbackendPID(self.link)

    def close(self):
        LIBPQ.PQfinish(self.link)


@pytest.mark.parametrize("via", sorted(ROUTES))
def test_calls_by_number_are_judged(target, gateway, via):
    """A function that nobody can tell anything of is refused where effects are guarded, and never reaches the target."""
    lo_creat = int(target.sql("SELECT 'lo_creat'::regproc::oid").strip())
    pid = int(target.sql("SELECT 'pg_backend_pid'::regproc::oid").strip())
    guarded, reader, trusting = [Caller(gateway.url(f"{name}-{via}", "alice")) for name in ("guarded", "reader", "trusting")]
    try:
        assert guarded.call(pid) == "42501"
        assert guarded.call(pid) == "42501", "the session goes on"
        assert guarded.call(lo_creat, 0x60000) > 0, "large objects are known by their functions' numbers"
        assert reader.call(lo_creat, 0x60000) == "25006"
        assert reader.call(pid) == "42501"
        assert trusting.call(pid) == trusting.backend_pid()
    finally:
        for each in (guarded, reader, trusting):
            each.close()


def test_the_numbers_of_functions_are_the_servers(target):
    source = os.path.join(os.path.dirname(__file__), "..", "..", "codecs", "src", "postgres", "functions.rs")
    with open(source, encoding="utf-8") as lines:
        pairs = [line.split("=>") for line in lines if "=> \"" in line]
    known = {int(number): name.strip().strip('",') for numbers, name in pairs for number in numbers.split("|")}
    assert len(known) > 10
    told = target.sql(f"SELECT oid || ' ' || proname FROM pg_proc WHERE oid IN ({','.join(map(str, known))}) ORDER BY oid").split("\n")
    assert dict((int(line.split()[0]), line.split()[1]) for line in told if line) == known


def test_what_cannot_be_read_passes_where_the_guardrail_says_so(opened):
    dynamic = "DO $$ BEGIN EXECUTE 'SEL' || chr(69) || 'CT 1'; END $$"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        opened("guarded").execute(dynamic)
    link = opened("trusting")
    link.execute(dynamic)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        link.execute("DROP TABLE orders")


def test_text_of_unknown_origin_is_refused(opened):
    link = opened("strict")
    assert link.execute("SELECT id FROM customers ORDER BY id LIMIT 1").fetchone() is not None
    assert link.execute("SELECT count(*) FROM customers").fetchone()[0] > 0
    shown = link.execute("SELECT name AS n FROM customers LIMIT 1").fetchone()[0]
    assert shown.startswith("[NAME")
    for text in (
        "SELECT upper(name) FROM customers",
        "SELECT name || '' FROM customers",
        "SELECT name FROM customers UNION SELECT name FROM customers",
        "SELECT row_to_json(c) FROM customers c",
        "SELECT array_agg(name) FROM customers",
    ):
        for parameters in (None, []):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="comes from no column"):
                link.execute(text, parameters)
            assert link.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        link.execute("COPY (SELECT upper(name) FROM customers) TO STDOUT")
