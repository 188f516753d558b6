"""What an operator ends, ends: agents by their identity, sessions by their id, and each says by whom."""

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
    """A Sluice whose agent a test may revoke."""
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    connections = [connection(f"lab-{via}", target.port, via, database="lab", guardrails="[]") for via in ROUTES]
    own = Sluice(policy(*connections), backend=request.param, environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield own
    finally:
        own.close()


def open_link(gateway, name, user="alice"):
    return psycopg.connect(gateway.url(name, user), autocommit=True, connect_timeout=20)


def refused_links(gateway):
    return sum(int(line.split()[1]) for line in gateway.metrics().splitlines() if line.startswith("sluice_links_refused_total{"))


def test_a_revoked_agent_is_out_at_once_and_stays_out(gateway):
    link, direct = open_link(gateway, "lab-agent"), open_link(gateway, "lab-direct")
    (agent,) = gateway.json("agents", "list")
    assert agent["status"] == "connected" and agent["links"] > 0, agent
    gateway.cli("agents", "revoke", agent["id"])
    revoked = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="the agent was revoked") as caught:
        while time.monotonic() - revoked < 1:
            link.execute("SELECT 1")
            time.sleep(0.01)
    assert caught.value.sqlstate == "08006"
    assert direct.execute("SELECT 1").fetchone() == (1,), "sessions that do not use the agent notice nothing"
    assert gateway.json("agents", "list") == []
    # It goes on trying with a certificate that has not run out, and reads why it is refused.
    deadline = time.monotonic() + 20
    while refused_links(gateway) < 2 or "CertificateRevoked" not in gateway.log():
        assert time.monotonic() < deadline, gateway.log()[-3000:]
        time.sleep(0.1)
    with pytest.raises(psycopg.OperationalError):
        open_link(gateway, "lab-agent")
    again = gateway.cli("agents", "revoke", agent["id"], check=False)
    assert again.returncode == 1 and "there is no agent" in again.stderr


def only_open(gateway, name):
    """The one open session of a connection."""
    deadline = time.monotonic() + 10
    while True:
        found = gateway.sessions(connection=name, status="open")
        if len(found) == 1:
            return found[0]["id"]
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize("via", sorted(ROUTES))
def test_a_killed_session_ends_with_an_error_and_a_record_that_say_who_and_why(gateway, target, via):
    link, other = open_link(gateway, f"lab-{via}"), open_link(gateway, "lab-direct" if via == "agent" else "lab-agent")
    link.execute("SELECT 'before'")
    id = only_open(gateway, f"lab-{via}")
    told = []

    def work():
        try:
            link.execute("SELECT pg_sleep(60)")
        except psycopg.Error as error:
            told.append(error)

    busy = threading.Thread(target=work)
    busy.start()
    time.sleep(0.5)
    printed = gateway.cli("sessions", "kill", id, "--reason", "leaving the company").stdout
    busy.join(10)
    assert not busy.is_alive() and told, "the client was told at once"
    assert told[0].sqlstate == "57P01", told
    assert "killed by an administrator: leaving the company" in str(told[0])
    assert "killed by an administrator: leaving the company" in printed
    session = gateway.session(id)
    assert (session["status"], session["end_cause"]) == ("closed", "killed"), session
    assert session["end_message"] == "killed by an administrator: leaving the company"
    assert other.execute("SELECT 1").fetchone() == (1,)
    deadline = time.monotonic() + 10
    while "pg_sleep(60)" in target.sql("SELECT query FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"):
        assert time.monotonic() < deadline, "the statement runs on at the target"
        time.sleep(0.05)
    again = gateway.cli("sessions", "kill", id, check=False)
    assert again.returncode == 1 and "over already" in again.stderr, again.stderr


def test_users_may_kill_their_own_sessions_and_no_others(gateway):
    own, foreign = open_link(gateway, "lab-direct"), open_link(gateway, "lab-agent", "dana")
    ids = {"alice": only_open(gateway, "lab-direct"), "dana": only_open(gateway, "lab-agent")}

    def kill(id):
        command = [f"{gateway.bin}/sluice", "sessions", "kill", id]
        environment = {**gateway.cli_env, "SLUICE_TOKEN": gateway.token("alice")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)

    assert kill(ids["alice"]).returncode == 0
    with pytest.raises(psycopg.errors.AdminShutdown, match="killed by alice"):
        own.execute("SELECT 1")
    refused = kill(ids["dana"])
    assert refused.returncode == 1 and "there is no session" in refused.stderr
    assert foreign.execute("SELECT 1").fetchone() == (1,)
