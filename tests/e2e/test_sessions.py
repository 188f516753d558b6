"""Every session is recorded: who, what, how much, what was found."""

import os
import signal
import socket
import time
import uuid

import psycopg


def record(sluice, marker, seconds=10):
    """The closed session that ran a statement with the marker in it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for session in sluice.sessions()[:20]:
            full = sluice.session(session["id"])
            if full["status"] == "closed" and any(marker in statement["text"] for statement in full["statements"]):
                return full
        time.sleep(0.1)
    raise AssertionError(f"no closed session with {marker}")


def test_statements_rows_and_findings_are_recorded(sluice, psql, shop):
    marker = f"m{uuid.uuid4().hex}"
    psql(shop, f"SELECT '{marker}', email FROM customers ORDER BY id", "SELECT 1 WHERE false")
    session = record(sluice, marker)
    assert session["user"] == "alice"
    assert session["connection"] == shop
    assert session["application_name"] == "psql"
    first, second = session["statements"]
    assert (first["outcome"], first["rows"]) == ("ok", 3)
    assert (second["text"], second["outcome"], second["rows"]) == ("SELECT 1 WHERE false", "ok", 0)
    found = [(each["detector"], each["count"]) for each in first["findings"]]
    assert ("EMAIL_ADDRESS", 3) in found
    assert second["findings"] == []
    assert session["rows"] == 3
    assert session["statement_count"] == 2


def test_denied_and_failed_statements_are_recorded(sluice, psql, shop):
    marker = f"m{uuid.uuid4().hex}"
    psql(shop, script=f"DELETE FROM orders; -- {marker}\nSELECT 1/0;\nSELECT '{marker}';\n", options=["-v", "ON_ERROR_STOP=0"])
    session = record(sluice, marker)
    outcomes = [(statement["outcome"], statement.get("sqlstate"), statement.get("guardrail")) for statement in session["statements"]]
    assert outcomes[0][0] == "denied" and outcomes[0][2] == "no-accidents"
    assert outcomes[1][:2] == ("error", "22012")
    assert outcomes[2][0] == "ok"
    assert (session["denied_count"], session["failed_count"]) == (1, 1)


def test_no_personal_data_is_in_the_record(sluice, psql, shop):
    marker = f"m{uuid.uuid4().hex}"
    psql(shop, f"SELECT '{marker}', * FROM customers WHERE email = 'ada.wanderer@example.com'")
    session = record(sluice, marker)
    assert "536-22-8726" not in str(session)
    assert "ada.wanderer@example.com" not in str(session)


def test_the_targets_log_has_what_the_record_has(sluice, target, psql, shop):
    marker = f"m{uuid.uuid4().hex}"
    statements = [f"SELECT {number} AS {marker}" for number in range(5)]
    psql(shop, *statements)
    session = record(sluice, marker)
    assert [statement["text"] for statement in session["statements"]] == statements
    for statement in statements:
        assert target.log().count(f"statement: {statement}\n") == 1


def test_a_recording_replays_what_the_client_saw(sluice, psql):
    mark = f"replay{uuid.uuid4().hex}"
    shown = psql("recorded", f"SELECT id, email AS {mark} FROM customers WHERE id = 2").stdout
    found = record(sluice, mark)
    replay = sluice.cli("sessions", "replay", found["id"]).stdout
    assert mark in replay and shown.strip().split("|")[1] in replay and f"=> SELECT id, email AS {mark}" in replay
    assert "bo.lindqvist" not in replay


def test_a_connection_with_its_own_port_takes_plain_names_and_every_parameter(sluice):
    port = sluice.addresses["connections"]["own-port"].rsplit(":", 1)[1]
    url = f"host=127.0.0.1 port={port} user=alice dbname=shop password={sluice.token('alice')}"
    with psycopg.connect(url, application_name="plain", options="-c work_mem=5MB") as link:
        assert link.execute("SHOW work_mem").fetchone() == ("5MB",)
        assert link.execute("SHOW application_name").fetchone() == ("plain",)
        assert "bo.lindqvist" not in link.execute("SELECT email FROM customers WHERE id = 2").fetchone()[0]


def test_goodbye_is_answered_by_the_end_alone(sluice, shop):
    for _ in range(20):
        with psycopg.connect(sluice.url(shop), sslmode="disable", autocommit=True) as link:
            link.execute("SELECT 1")
            with socket.socket(fileno=os.dup(link.pgconn.socket)) as raw:
                raw.settimeout(10)
                # Terminate; and unlike most clients it waits for the server to close.
                raw.sendall(b"X\0\0\0\4")
                assert raw.recv(1000) == b""


def test_flight_recorder_tells_what_a_core_did_and_nothing_of_what_was_said(sluice, psql, shop):
    marker = f"m{uuid.uuid4().hex}"
    psql(shop, f"SELECT '{marker}'")
    id = record(sluice, marker)["id"]
    data_dir = os.path.join(sluice.dir, "dataplane")
    before = set(os.listdir(data_dir))
    os.kill(sluice.pids()["dataplane"], signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while not (written := sorted(name for name in set(os.listdir(data_dir)) - before if name.startswith("flight-"))):
        assert time.monotonic() < deadline, "no flight recorder was written"
        time.sleep(0.05)
    time.sleep(0.2)
    with open(os.path.join(data_dir, written[-1]), encoding="ascii") as file:
        text = file.read()
    assert marker not in text
    kinds = [line.split()[3] for line in text.splitlines() if line.endswith(id.replace("-", "")[:16])]
    assert kinds[0] == "opened" and kinds[-1] == "ended", kinds
    assert {"from-client", "from-target"} <= set(kinds)
    psql(shop, "SELECT 1")
