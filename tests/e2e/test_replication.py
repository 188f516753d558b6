"""Replication connections: refused unless a connection allows them, parsed and masked where rules apply, relayed where none do."""

import glob
import os
import select
import struct
import subprocess
import time

import psycopg
import pytest
from psycopg import pq

from conftest import PASSWORD, ROUTES, connection, policy
from harness.postgres import Postgres
from harness.process import io_uring_allowed
from harness.sluice import Sluice

HERE = os.path.dirname(os.path.abspath(__file__))
SECRETS = ("Ada Wanderer", "ada.wanderer@example.com", "4111111111111111", "536-22-8726", "Zoe Newcomer", "zoe@example.net")


@pytest.fixture(scope="module")
def source():
    """A server that streams its changes."""
    server = Postgres({"wal_level": "logical", "max_wal_senders": "40", "max_replication_slots": "60", "wal_sender_timeout": "'20s'"})
    try:
        with open(os.path.join(HERE, "seed.sql"), encoding="utf-8") as seed:
            server.create_database("shop", seed.read())
        server.sql("ALTER ROLE scram_user REPLICATION")
        server.sql("CREATE PUBLICATION everything FOR ALL TABLES", database="shop")
        yield server
    finally:
        server.close()


def connections(port):
    """`open` has no rules, `masked` has, `closed` does not allow replication."""
    text = ""
    for via in ROUTES:
        bare = {"port": port, "via": via, "guardrails": "[]"}
        text += connection(f"masked-{via}", **bare, replication='"allow"')
        text += connection(f"open-{via}", **bare, replication='"allow"').replace('redact     = ["personal-data"]', "redact     = []")
        text += connection(f"guarded-{via}", port, via, replication='"allow"', read_only="true")
        text += connection(f"closed-{via}", **bare)
    return text


@pytest.fixture(scope="module", params=["uring", "epoll"])
def gateway(request, source):
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    sluice = Sluice(policy(connections(source.port)), backend=request.param, environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield sluice
    finally:
        assert sluice.close() == 0


@pytest.fixture(params=sorted(ROUTES))
def via(request):
    return request.param


@pytest.fixture
def slot(source):
    """Makes slots: `slot(plugin)`; all are dropped at the end."""
    made = []

    def run(plugin):
        name = f"s{time.monotonic_ns()}"
        source.sql(f"SELECT pg_create_logical_replication_slot('{name}', '{plugin}')", database="shop")
        made.append(name)
        return name

    yield run
    for name in made:
        source.sql(f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{name}' AND active")
        for _ in range(100):
            if source.sql(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{name}' AND active").strip() == "0":
                break
            time.sleep(0.05)
        source.sql(f"SELECT pg_drop_replication_slot('{name}')", database="shop")


class Stream:
    """A replication connection that is read message by message."""

    def __init__(self, url, kind="database"):
        self.link = pq.PGconn.connect(f"{url} replication={kind}".encode())
        assert self.link.status == pq.ConnStatus.OK, self.link.error_message

    def command(self, text):
        return self.link.exec_(text.encode())

    def start(self, slot, *options):
        wanted = ", ".join(("proto_version '2'", "publication_names 'everything'", *options))
        result = self.command(f"START_REPLICATION SLOT {slot} LOGICAL 0/0 ({wanted})")
        assert result.status == pq.ExecStatus.COPY_BOTH, result.error_message
        return self

    def messages(self, until, seconds=20):
        """Messages of the plugin up to the first for which `until` holds."""
        found = []
        deadline = time.monotonic() + seconds
        while True:
            length, data = self.link.get_copy_data(1)
            if length > 0:
                data = bytes(data)
                if data[:1] == b"w":
                    found.append(data[25:])
                    if until(data[25:]):
                        return found
                elif data[17] == 1:
                    self.link.put_copy_data(struct.pack("!cqqqqb", b"r", 0, 0, 0, 0, 0))
                    self.link.flush()
            elif length == 0:
                assert time.monotonic() < deadline, f"nothing came: {found}"
                select.select([self.link.socket], [], [], 0.5)
                self.link.consume_input()
            else:
                result = self.link.get_result()
                raise EOFError(result.error_message if result else "the stream ended")

    def stop(self):
        """Ends the stream from this side; what the server still says is returned."""
        self.link.put_copy_end()
        while True:
            length, _ = self.link.get_copy_data(0)
            if length < 0:
                break
        results = []
        while (result := self.link.get_result()) is not None:
            results.append((result.status, result.error_message))
        return results

    def close(self):
        self.link.finish()


@pytest.fixture
def stream(gateway, via):
    """Opens replication connections: `stream("masked")`."""
    opened = []

    def run(name, kind="database", user="alice"):
        opened.append(Stream(gateway.url(f"{name}-{via}", user), kind))
        return opened[-1]

    yield run
    for each in opened:
        each.close()


def is_commit(message):
    return message[:1] in (b"C", b"c")


def leaks(data):
    return [secret for secret in SECRETS if secret.encode() in data]


def test_replication_is_refused_where_it_is_not_allowed(gateway, via):
    for kind in ("database", "true"):
        with pytest.raises(psycopg.OperationalError, match="replication is not enabled"):
            psycopg.connect(gateway.url(f"closed-{via}", extra=f"replication={kind}"))
    with pytest.raises(psycopg.OperationalError, match='invalid value for parameter "replication"'):
        psycopg.connect(gateway.url(f"open-{via}", extra="replication=perhaps"))
    assert psycopg.connect(gateway.url(f"closed-{via}", extra="replication=off")).execute("SELECT 1").fetchone() == (1,)


def test_bounds_and_streams_exclude_each_other(gateway, source):
    for bound in ("max_rows", "max_bytes", "statement_timeout_seconds"):
        text = policy(connection("wrong", source.port, replication='"allow"', **{bound: 10}))
        with open(gateway.policy_path, "w", encoding="utf-8") as file:
            file.write(text)
        refused = gateway.cli("apply", "-f", gateway.policy_path, check=False)
        assert refused.returncode != 0 and "a stream of changes has no end" in refused.stdout + refused.stderr


def test_the_log_itself_is_refused_where_values_are_masked(gateway, via, stream, source):
    with pytest.raises(psycopg.OperationalError, match="physical replication cannot be masked"):
        psycopg.connect(gateway.url(f"masked-{via}", extra="replication=true"))
    link = stream("masked")
    name = f"refused_{via}"
    for text in (
        "START_REPLICATION 0/1000000",
        f"START_REPLICATION SLOT {name} PHYSICAL 0/1000000",
        f"START_REPLICATION SLOT {name} LOGICAL 0/0",
        f"START_REPLICATION SLOT {name} LOGICAL 0/0 (proto_version '1')",
        f"BASE_BACKUP (LABEL '{name}')",
    ):
        result = link.command(text)
        assert result.status == pq.ExecStatus.FATAL_ERROR and b"cannot be masked" in result.error_message, text
    assert link.command("IDENTIFY_SYSTEM").ntuples == 1, "the session goes on"
    assert name not in source.log()
    # Somebody without rules may.
    assert stream("masked", user="dana").command("IDENTIFY_SYSTEM").ntuples == 1


def test_facts_about_the_server_are_as_they_are(stream, source):
    link = stream("masked")
    system = source.sql("SELECT system_identifier FROM pg_control_system()").strip()
    result = link.command("IDENTIFY_SYSTEM")
    assert result.get_value(0, 0).decode() == system
    assert link.command("SHOW wal_level").get_value(0, 0) == b"logical"
    assert link.command("SELECT count(*) FROM customers").ntuples == 1
    assert b"Ada" not in link.command("SELECT name FROM customers ORDER BY id").get_value(0, 0)


@pytest.mark.parametrize("options", [(), ("binary 'true'",)], ids=["text", "binary"])
def test_values_of_changes_are_masked(stream, slot, source, options):
    name = slot("pgoutput")
    source.sql(
        "ALTER TABLE customers REPLICA IDENTITY FULL",
        "INSERT INTO customers VALUES (77, 'Zoe Newcomer', 'zoe@example.net', '4111111111111111', NULL, '536-22-8726', 'to zoe@example.net')",
        "UPDATE customers SET note = 'called' WHERE id = 77",
        "UPDATE customers SET email = 'zoe@example.net.' WHERE id = 77",
        "DELETE FROM customers WHERE id = 77",
        database="shop",
    )
    open_name = slot("pgoutput")
    del open_name
    found = b"".join(stream("masked").start(name, *options).messages(lambda message: message[:1] == b"D"))
    assert leaks(found) == []
    assert b"[NAME]" in found and b"[EMAIL]" in found and b"called" in found


def test_without_rules_changes_arrive_as_they_are(stream, slot, source):
    name = slot("pgoutput")
    source.sql("INSERT INTO customers VALUES (78, 'Zoe Newcomer', 'zoe@example.net')", "DELETE FROM customers WHERE id = 78", database="shop")
    link = stream("open").start(name)
    found = b"".join(link.messages(lambda message: message[:1] == b"D"))
    assert b"Zoe Newcomer" in found and b"zoe@example.net" in found
    # Both sides end it, and the session goes on with statements.
    results = link.stop()
    assert (pq.ExecStatus.COMMAND_OK, b"") in results, results
    assert link.command("IDENTIFY_SYSTEM").ntuples == 1


def test_a_large_transaction_is_masked_while_it_runs(stream, slot, source):
    name = slot("pgoutput")
    source.sql("ALTER SYSTEM SET logical_decoding_work_mem = '64kB'")
    source.sql("SELECT pg_reload_conf()")
    source.sql(
        "INSERT INTO customers SELECT n, 'Zoe Newcomer', 'zoe@example.net', NULL, NULL, NULL, repeat('x', 100) FROM generate_series(1000, 4000) n",
        "DELETE FROM customers WHERE id >= 1000",
        database="shop",
    )
    link = stream("masked").start(name, "streaming 'on'")
    commits = []

    def both_committed(message):
        commits.extend([1] if is_commit(message) else [])
        return len(commits) == 2

    found = link.messages(both_committed, seconds=40)
    data = b"".join(found)
    assert leaks(data) == []
    assert data.count(b"[EMAIL]") >= 3001 and any(message[:1] == b"S" for message in found), "it was streamed in pieces"


def test_messages_in_the_log_are_looked_at(stream, slot, source):
    name = slot("pgoutput")
    source.sql("SELECT pg_logical_emit_message(true, 'ada.wanderer@example.com', 'write to zoe@example.net')", database="shop")
    found = b"".join(stream("masked").start(name, "messages 'true'").messages(is_commit))
    assert leaks(found) == [] and found.count(b"[EMAIL]") == 2


def test_a_renamed_column_stays_masked(stream, slot, source):
    name = slot("pgoutput")
    source.sql("CREATE TABLE IF NOT EXISTS clients (id int PRIMARY KEY, name text)", database="shop")
    link = stream("masked").start(name)
    source.sql(
        "INSERT INTO customers VALUES (79, 'Zoe Newcomer', '-')",
        "ALTER TABLE customers RENAME COLUMN name TO called",
        "INSERT INTO customers VALUES (80, 'Zoe Newcomer', '-')",
        "ALTER TABLE customers RENAME COLUMN called TO name",
        "DELETE FROM customers WHERE id IN (79, 80)",
        database="shop",
    )
    found = b"".join(link.messages(lambda message: message[:1] == b"D"))
    assert b"called" in found and leaks(found) == []


def test_other_plugins_are_refused_or_relayed(stream, slot, source):
    name = slot("test_decoding")
    source.sql("INSERT INTO customers VALUES (81, 'Zoe Newcomer', 'zoe@example.net')", "DELETE FROM customers WHERE id = 81", database="shop")
    refused = stream("masked").command(f"START_REPLICATION SLOT {name} LOGICAL 0/0")
    assert b"cannot be masked" in refused.error_message
    # A plugin that is taken for another one says so itself, or is not understood.
    lied = stream("masked").command(f"START_REPLICATION SLOT {name} LOGICAL 0/0 (proto_version '1', publication_names 'x')")
    assert lied.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.COPY_BOTH)
    if lied.status == pq.ExecStatus.COPY_BOTH:
        with pytest.raises((EOFError, AssertionError)):
            stream("masked").messages(is_commit, seconds=3)
    link = stream("open")
    assert link.command(f"START_REPLICATION SLOT {name} LOGICAL 0/0").status == pq.ExecStatus.COPY_BOTH
    assert any(b"Zoe Newcomer" in message for message in link.messages(lambda message: message.startswith(b"COMMIT")))


def test_commands_meet_guardrails(stream):
    link = stream("guarded")
    for text in ("CREATE_REPLICATION_SLOT g LOGICAL pgoutput", "DROP_REPLICATION_SLOT g"):
        assert link.command(text).status == pq.ExecStatus.FATAL_ERROR, text
    assert link.command("IDENTIFY_SYSTEM").ntuples == 1
    assert b"Sluice" in link.command("IDENTIFY_SYSTEM; DROP TABLE customers").error_message


def test_rules_that_come_while_it_streams_end_it(gateway, via, stream, slot, source):
    name = slot("test_decoding")
    link = stream("open")
    assert link.command(f"START_REPLICATION SLOT {name} LOGICAL 0/0").status == pq.ExecStatus.COPY_BOTH
    text = connections(source.port)
    gateway.apply(policy(text.replace("redact     = []", 'redact     = ["personal-data"]')))
    try:
        with pytest.raises(EOFError, match="cannot be masked"):
            link.messages(is_commit)
    finally:
        gateway.apply(policy(text))


def test_the_record_says_what_was_streamed(gateway, via, stream, slot, source):
    name = slot("pgoutput")
    link = stream("masked").start(name)
    source.sql("INSERT INTO customers VALUES (82, 'Zoe Newcomer', 'zoe@example.net')", "DELETE FROM customers WHERE id = 82", database="shop")
    link.messages(lambda message: message[:1] == b"D")
    link.close()
    deadline = time.monotonic() + 20
    found = []
    while not found:
        assert time.monotonic() < deadline
        shown = [gateway.session(session["id"]) for session in gateway.sessions()[:3]]
        found = [each for session in shown for each in session["statements"] if name in each["text"] and each["outcome"] != "running"]
    [statement] = found
    assert statement["rows"] > 3 and sum(each["count"] for each in statement["findings"]) >= 2


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done


@pytest.fixture
def tools(gateway, via):
    """Arguments and environment by which PostgreSQL's own tools go through the gateway."""
    environment = {**os.environ, "PGPASSWORD": gateway.token("alice")}
    return ["-h", "127.0.0.1", "-p", str(gateway.port), "-U", f"alice#open-{via}"], environment


def test_pg_basebackup_and_what_it_needs(tools, tmp_path):
    arguments, environment = tools
    run(["pg_basebackup", *arguments, "-D", str(tmp_path / "copy"), "-X", "stream", "-c", "fast", "--no-sync"], env=environment)
    assert (tmp_path / "copy" / "PG_VERSION").exists() and (tmp_path / "copy" / "backup_manifest").exists()
    [verify] = glob.glob("/usr/lib/postgresql/*/bin/pg_verifybackup")[-1:]
    run([verify, str(tmp_path / "copy")])


def test_pg_receivewal(tools, tmp_path, source):
    arguments, environment = tools
    end = source.sql("SELECT pg_switch_wal()", "SELECT pg_current_wal_lsn()").split()[-1]
    source.sql("INSERT INTO orders SELECT n, 1, 1 FROM generate_series(1000, 1100) n", "DELETE FROM orders WHERE id >= 1000", database="shop")
    until = source.sql("SELECT pg_current_wal_lsn()").strip()
    run(["pg_receivewal", *arguments, "-D", str(tmp_path), "--no-loop", "--endpos", until, "--no-sync"], env=environment)
    files = [path for path in tmp_path.iterdir() if path.stat().st_size == 16 << 20]
    assert files, f"from {end} to {until}: {list(tmp_path.iterdir())}"


def test_pg_recvlogical(tools, tmp_path, source, slot):
    arguments, environment = tools
    name = slot("test_decoding")
    source.sql("INSERT INTO customers VALUES (83, 'Zoe Newcomer', 'zoe@example.net')", "DELETE FROM customers WHERE id = 83", database="shop")
    until = source.sql("SELECT pg_current_wal_lsn()").strip()
    out = tmp_path / "changes"
    run(["pg_recvlogical", *arguments, "-d", "shop", "--slot", name, "--start", "--no-loop", "--endpos", until, "-f", str(out)], env=environment)
    assert "Zoe Newcomer" in out.read_text(encoding="utf-8")


def test_a_subscriber_gets_masked_rows(gateway, via, source):
    """A PostgreSQL that subscribes through the gateway: first the copy of the table, then changes."""
    subscriber = Postgres()
    name = f"sub_{via}_{time.monotonic_ns()}"
    try:
        subscriber.create_database("copy", "CREATE TABLE customers (id int PRIMARY KEY, name text, email text, card text, iban text, ssn text, note text)")
        source.sql("DROP PUBLICATION IF EXISTS people", "CREATE PUBLICATION people FOR TABLE customers", database="shop")
        url = gateway.url(f"masked-{via}")
        subscriber.sql(f"CREATE SUBSCRIPTION {name} CONNECTION '{url}' PUBLICATION people", database="copy")

        def rows():
            return subscriber.sql("SELECT id, name, email, note FROM customers ORDER BY id", database="copy")

        def wait(what):
            deadline = time.monotonic() + 30
            while what not in rows():
                assert time.monotonic() < deadline, f"{what}: {rows()}\n{subscriber.log()[-2000:]}"
                time.sleep(0.1)

        wait("3|[NAME]")
        source.sql("INSERT INTO customers VALUES (84, 'Zoe Newcomer', 'zoe@example.net')", database="shop")
        wait("84|[NAME]")
        assert leaks(rows().encode()) == []
        source.sql("DELETE FROM customers WHERE id = 84", database="shop")
        subscriber.sql(f"DROP SUBSCRIPTION {name}", database="copy")
        assert name not in source.sql("SELECT slot_name FROM pg_replication_slots"), "it dropped its slot through the gateway"
    finally:
        subscriber.close()
        source.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{name}' AND NOT active")
