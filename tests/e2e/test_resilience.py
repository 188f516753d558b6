"""What happens when a program dies: sessions of others go on, nothing that was answered is missing from the record."""

import collections
import os
import re
import signal
import subprocess
import threading
import time

import psycopg
import pytest

from conftest import ROUTES, connection, io_uring_allowed, policy
from harness.postgres import PASSWORD
from harness.sluice import Sluice


@pytest.fixture(params=["uring", "epoll"])
def gateway(request, target):
    """A Sluice that a test may break."""
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    connections = [connection(f"lab-{via}", target.port, via, database="lab", guardrails="[]") for via in ROUTES]
    own = Sluice(policy(*connections), backend=request.param, environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield own
    finally:
        own.close()


def open_link(gateway, name):
    return psycopg.connect(gateway.url(name), autocommit=True, connect_timeout=20)


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)


def test_an_agent_that_is_killed_ends_its_sessions_with_an_error(gateway):
    link = open_link(gateway, "lab-agent")
    direct = open_link(gateway, "lab-direct")
    began = time.monotonic()
    os.kill(gateway.pids()["agent"], signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError) as caught:
        while time.monotonic() - began < 5:
            link.execute("SELECT 1")
            time.sleep(0.05)
    assert time.monotonic() - began < 5
    assert "target" in str(caught.value) or "terminat" in str(caught.value) or "closed" in str(caught.value), caught.value
    assert direct.execute("SELECT 1").fetchone() == (1,), "sessions that do not use the agent notice nothing"
    deadline = time.monotonic() + 20
    while True:
        try:
            assert open_link(gateway, "lab-agent").execute("SELECT 2").fetchone() == (2,)
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the agent did not come back"
            time.sleep(0.2)


def test_without_control_plane_sessions_go_on_and_new_ones_open(gateway):
    links = [open_link(gateway, name) for name in ("lab-agent", "lab-direct")]
    gateway.token("alice")
    freeze(gateway.pids()["controlplane"])
    try:
        for link in links:
            assert link.execute("SELECT 1").fetchone() == (1,)
        for name in ("lab-agent", "lab-direct"):
            assert open_link(gateway, name).execute("SELECT 2").fetchone() == (2,)
    finally:
        os.kill(gateway.pids()["controlplane"], signal.SIGCONT)


def test_a_killed_control_plane_changes_nothing_for_clients(gateway):
    link = open_link(gateway, "lab-direct")
    os.kill(gateway.pids()["controlplane"], signal.SIGKILL)
    for _ in range(20):
        assert link.execute("SELECT 1").fetchone() == (1,)
        time.sleep(0.05)
    assert open_link(gateway, "lab-agent").execute("SELECT 2").fetchone() == (2,)


def test_a_restarted_data_plane_serves_from_its_spooled_snapshot(gateway):
    gateway.token("alice")
    freeze(gateway.pids()["controlplane"])
    try:
        os.kill(gateway.pids()["dataplane"], signal.SIGKILL)
        deadline = time.monotonic() + 20
        while True:
            try:
                assert open_link(gateway, "lab-direct").execute("SELECT 1").fetchone() == (1,)
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, gateway.log()[-3000:]
                time.sleep(0.2)
    finally:
        os.kill(gateway.pids()["controlplane"], signal.SIGCONT)


def test_a_killed_data_plane_loses_no_statement_that_was_answered(gateway):
    answered, stop = [[] for _ in range(8)], threading.Event()

    def work(number):
        try:
            link = open_link(gateway, "lab-direct" if number % 2 else "lab-agent")
            count = 0
            while not stop.is_set():
                text = f"SELECT 'answered {number} {count}'"
                link.execute(text)
                answered[number].append(text)
                count += 1
        except psycopg.OperationalError:
            pass

    gateway.token("alice")
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    os.kill(gateway.pids()["dataplane"], signal.SIGKILL)
    for thread in threads:
        thread.join(20)
    stop.set()
    expected = {text for texts in answered for text in texts}
    assert len(expected) > 200, "the load ran"
    deadline = time.monotonic() + 30
    while True:
        recorded = set()
        for session in gateway.sessions(limit=100):
            recorded |= {statement["text"] for statement in gateway.session(session["id"])["statements"]}
        missing = expected - recorded
        if not missing:
            break
        assert time.monotonic() < deadline, f"{len(missing)} of {len(expected)} answered statements are not in the record"
        time.sleep(0.5)
    unclean = [session for session in gateway.sessions(limit=100) if session.get("unclean")]
    assert unclean, "a session that a kill ended is shown as such"


def events_written(gateway):
    """Audit events that the data plane has written since it started."""
    return int(re.search(r"^sluice_audit_events_written_total (\d+)", gateway.metrics(), re.MULTILINE).group(1))


def test_a_data_plane_killed_under_pgbench_loses_no_answered_transaction(gateway, tmp_path):
    script = tmp_path / "numbered.sql"
    script.write_text("SELECT :client_id AS answered;\n", encoding="utf-8")
    environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(gateway.port), "PGUSER": "alice", "PGPASSWORD": gateway.token("alice"), "PGDATABASE": "lab-direct"}
    command = ["pgbench", "-n", "-M", "simple", "-c", "8", "-T", "30", "-f", str(script), "--log", f"--log-prefix={tmp_path}/log"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as load:
        # By the number of events, as a loaded machine needs longer; and few enough that no session has more statements than one
        # answer of the API shows (10,000).
        deadline = time.monotonic() + 25
        while events_written(gateway) < 2000 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(gateway.pids()["dataplane"], signal.SIGKILL)
        load.wait(60)
    answered = collections.Counter()
    for log in tmp_path.glob("log.*"):
        answered.update(line.split()[0] for line in log.read_text(encoding="utf-8").splitlines())
    assert len(answered) == 8 and sum(answered.values()) > 1000, "the load ran"
    deadline = time.monotonic() + 30
    while True:
        recorded = collections.Counter()
        for session in gateway.sessions(limit=100):
            for statement in gateway.json("sessions", "show", session["id"])["statements"]:
                if statement["text"].startswith("SELECT ") and "answered" in statement["text"]:
                    recorded[statement["text"].split()[1]] += 1
        missing = answered - recorded
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert not missing, f"answered and not recorded, by client: {missing}"
