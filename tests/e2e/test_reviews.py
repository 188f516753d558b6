"""Statements and access that wait for people: from psql to an approval by CLI or API and back, and through every crash."""

import datetime
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import psycopg
import pytest

from conftest import ROUTES, connection, io_uring_allowed, policy
from harness.postgres import PASSWORD
from harness.sluice import Sluice

MORE = """
[[guardrail]]
name = "four-eyes"
rules = [
  { review = ["alter"], reviewers = ["dba"], message = "schema changes" },
  { review = ["truncate"], reviewers = ["dba"], approvals = 2 },
  { review = ["create"], reviewers = ["dba"], wait_seconds = 4 },
]
[[user]]
name = "bob"
groups = ["dba"]
[[user]]
name = "carl"
groups = ["dba"]
"""
JIT = '{ reviewers = ["dba"], max_seconds = 3600 }'
JIT_REASON = '{ reviewers = ["dba"], max_seconds = 3600, reason_required = true }'


@pytest.fixture(scope="module", params=["uring", "epoll"])
def gateway(request, target):
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    connections = []
    for via in ROUTES:
        common = {"database": "lab", "guardrails": '["four-eyes"]'}
        connections += [
            connection(f"held-{via}", target.port, via, **common),
            connection(f"jit-{via}", target.port, via, access_review=JIT, **common),
            connection(f"asked-{via}", target.port, via, access_review=JIT_REASON, **common),
        ]
    own = Sluice(policy(*connections) + MORE, backend=request.param, environment={"SHOP_PASSWORD": PASSWORD})
    try:
        yield own
    finally:
        own.close()


def wait_for(what, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def as_user(gateway, user, *arguments):
    command = [os.path.join(gateway.bin, "sluice"), *arguments]
    environment = {**gateway.cli_env, "SLUICE_TOKEN": gateway.token(user)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def call(gateway, user, method, path, body=None):
    request = urllib.request.Request(gateway.addresses["api"] + path, method=method)
    request.add_header("authorization", f"Bearer {gateway.token(user)}")
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def pending(gateway, name):
    found = gateway.json("reviews", "list", "--status", "pending", "--connection", name)
    return [review["id"] for review in found]


def one_pending(gateway, name):
    return wait_for(lambda: pending(gateway, name))[0]


def review(gateway, id):
    return gateway.json("reviews", "show", id)


def status_becomes(gateway, id, status):
    return wait_for(lambda: (found := review(gateway, id))["status"] == status and found)


class Statement(threading.Thread):
    """Runs statements in a session of their own; keeps what the client was told."""

    def __init__(self, gateway, name, *texts, parameters=None):
        super().__init__(daemon=True)
        self.link = psycopg.connect(gateway.url(name), autocommit=True, connect_timeout=20)
        self.notices, self.hints, self.error, self.rows = [], [], None, []
        self.link.add_notice_handler(self.note)
        self.texts, self.parameters = texts, parameters
        self.start()

    def note(self, notice):
        # What psycopg tells of a notice is gone when its handler is over.
        self.notices.append(notice.message_primary)
        self.hints += [notice.message_hint] if notice.message_hint else []

    def run(self):
        try:
            for text in self.texts:
                done = self.link.execute(text, self.parameters, prepare=self.parameters is not None)
                self.rows.append(done.statusmessage)
        except psycopg.Error as error:
            self.error = error

    def finish(self):
        self.join(20)
        assert not self.is_alive(), "the statement still waits"
        return self


def columns(target, table):
    query = f"SELECT count(*) FROM information_schema.columns WHERE table_name = '{table}'"
    return int(target.sql(query, database="lab").strip().splitlines()[-1])


@pytest.mark.parametrize("via", sorted(ROUTES))
def test_psql_waits_sees_the_link_and_goes_on_when_the_cli_approves(gateway, target, via):
    table = f"psql_{via}_{gateway.env.get('SLUICE_DATAPLANE_BACKEND')}"
    target.sql(f"CREATE TABLE IF NOT EXISTS {table} (id int)", f"ALTER TABLE {table} OWNER TO scram_user", database="lab")
    before = columns(target, table)
    command = ["psql", "-X", "-At", gateway.url(f"held-{via}"), "-c", f"ALTER TABLE {table} ADD COLUMN x int", "-c", "SELECT 'after'"]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    id = one_pending(gateway, f"held-{via}")
    notice = client.stderr.readline() + client.stderr.readline()
    assert "NOTICE" in notice and "waits for a review by dba" in notice and f"/reviews/{id}" in notice, notice
    assert columns(target, table) == before and client.poll() is None
    shown = review(gateway, id)
    assert (shown["kind"], shown["user"], shown["statement"]) == ("statement", "alice", f"ALTER TABLE {table} ADD COLUMN x int")
    refused = as_user(gateway, "alice", "reviews", "approve", id)
    assert refused.returncode == 1 and "of their own" in refused.stderr, refused.stderr
    assert as_user(gateway, "dana", "reviews", "show", id).returncode == 1, "who is no reviewer does not see it"
    assert as_user(gateway, "bob", "reviews", "approve", id).returncode == 0
    out, err = client.communicate(timeout=20)
    assert client.returncode == 0 and out.split() == ["ALTER", "TABLE", "after"], (out, err)
    assert "approved by bob" in err and columns(target, table) == before + 1
    status_becomes(gateway, id, "EXECUTED")
    session = wait_for(lambda: [s for s in gateway.sessions(connection=f"held-{via}", status="closed") if s["id"] == shown["session_id"]])
    statements = gateway.session(session[0]["id"])["statements"]
    (told,) = statements[0]["reviews"]
    assert (told["id"], told["outcome"], told["by"]) == (id, "approved", "bob") and told["waited_micros"] > 0
    assert "reviews" not in statements[1]


@pytest.mark.parametrize("via", sorted(ROUTES))
def test_a_rejection_by_the_api_refuses_the_statement_and_the_session_goes_on(gateway, via):
    held = Statement(gateway, f"held-{via}", "ALTER TABLE nowhere ADD COLUMN x int")
    id = one_pending(gateway, f"held-{via}")
    assert call(gateway, "dana", "PUT", f"/api/reviews/{id}", {"status": "REJECTED"})[0] == 404
    status, body = call(gateway, "bob", "PUT", f"/api/reviews/{id}", {"status": "REJECTED", "comment": "not on a Friday"})
    assert (status, body["status"]) == (200, "REJECTED")
    held.finish()
    assert held.error.sqlstate == "42501" and "bob rejected it: not on a Friday" in str(held.error)
    assert held.link.execute("SELECT 1").fetchone() == (1,)
    assert call(gateway, "carl", "PUT", f"/api/reviews/{id}", {"status": "APPROVED"})[0] == 409
    assert call(gateway, "bob", "GET", "/api/jits/" + id)[0] == 404, "it is no access"
    shown = review(gateway, id)
    held.link.close()
    statements = gateway.session_when(shown["session_id"], lambda session: session["statements"])["statements"]
    assert statements[0]["outcome"] == "denied" and statements[0]["reviews"][0]["outcome"] == "rejected"


def test_two_people_must_approve_and_one_counts_once(gateway):
    held = Statement(gateway, "held-direct", "TRUNCATE nowhere")
    id = one_pending(gateway, "held-direct")
    assert as_user(gateway, "bob", "reviews", "approve", id).returncode == 0
    again = as_user(gateway, "bob", "reviews", "approve", id)
    assert again.returncode == 1 and "decided already" in again.stderr
    assert held.is_alive() and review(gateway, id)["status"] == "PENDING"
    assert as_user(gateway, "carl", "reviews", "approve", id).returncode == 0
    assert held.finish().error.sqlstate == "42P01", "the target's own answer: there is no such table"


@pytest.mark.parametrize("via", sorted(ROUTES))
def test_prepared_statements_are_asked_for_at_every_run(gateway, via):
    held = Statement(gateway, f"held-{via}", *["EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT %s::int"], parameters=(1,))
    id = one_pending(gateway, f"held-{via}")
    assert review(gateway, id)["params"] in (["1"], ["0001"])
    held.finish()
    assert held.error.sqlstate == "42501" and "nobody answered within 4 s" in str(held.error)
    assert status_becomes(gateway, id, "EXPIRED")
    late = gateway.cli("reviews", "approve", id, check=False)
    assert late.returncode == 1 and "EXPIRED" in late.stderr


def test_a_client_that_cancels_or_goes_away_withdraws(gateway):
    held = Statement(gateway, "held-agent", "ALTER TABLE nowhere ADD COLUMN x int")
    id = one_pending(gateway, "held-agent")
    held.link.cancel()
    assert held.finish().error.sqlstate == "57014"
    assert status_becomes(gateway, id, "WITHDRAWN")
    assert held.link.execute("SELECT 1").fetchone() == (1,)
    command = ["psql", "-X", gateway.url("held-agent"), "-c", "ALTER TABLE nowhere ADD COLUMN x int"]
    client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    id = one_pending(gateway, "held-agent")
    client.kill()
    client.wait()
    assert status_becomes(gateway, id, "WITHDRAWN")
    assert gateway.cli("reviews", "approve", id, check=False).returncode == 1


@pytest.mark.parametrize("via", sorted(ROUTES))
def test_access_is_asked_for_granted_and_revoked_within_a_second(gateway, via):
    name = f"jit-{via}"
    with pytest.raises(psycopg.OperationalError, match="needs a review") as refused:
        psycopg.connect(gateway.url(name))
    assert f"/reviews?connection={name}" in str(refused.value)
    id = one_pending(gateway, name)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(gateway.url(name))
    time.sleep(0.3)
    assert pending(gateway, name) == [id], "the same wish is the same review"
    assert as_user(gateway, "bob", "reviews", "approve", id).returncode == 0

    def connected():
        try:
            return psycopg.connect(gateway.url(name), autocommit=True)
        except psycopg.OperationalError:
            return None

    link = wait_for(connected)
    assert link.execute("SELECT 1").fetchone() == (1,)
    assert call(gateway, "bob", "PUT", f"/api/jits/{id}", {"status": "REVOKED", "comment": "done"})[0] == 200
    revoked = time.monotonic()
    with pytest.raises(psycopg.errors.AdminShutdown):
        while time.monotonic() - revoked < 1:
            link.execute("SELECT 1")
            time.sleep(0.01)
    assert review(gateway, id)["status"] == "REVOKED"
    with pytest.raises(psycopg.OperationalError, match="needs a review"):
        psycopg.connect(gateway.url(name))
    gateway.cli("reviews", "reject", one_pending(gateway, name))


def test_access_with_a_reason_ends_when_its_time_is_over(gateway):
    with pytest.raises(psycopg.OperationalError, match="--reason"):
        psycopg.connect(gateway.url("asked-direct"))
    assert as_user(gateway, "alice", "reviews", "request", "asked-direct").returncode == 1, "without a reason"
    assert as_user(gateway, "eve", "reviews", "request", "asked-direct", "--reason", "x").returncode == 1, "not in a group"
    asked = as_user(gateway, "alice", "reviews", "request", "asked-direct", "--reason", "ticket 7", "--for", "8s", "--json")
    id = json.loads(asked.stdout)["id"]
    assert review(gateway, id)["reason"] == "ticket 7"
    began = time.monotonic()
    gateway.cli("reviews", "approve", id)
    until = time.monotonic() + 8
    link = wait_for(lambda: connect_or_none(gateway, "asked-direct"), 7)
    # The data plane's own clock ends it, and the control plane is not needed: it is stopped meanwhile.
    os.kill(gateway.pids()["controlplane"], signal.SIGSTOP)
    try:
        with pytest.raises(psycopg.errors.AdminShutdown):
            while time.monotonic() < until + 2:
                link.execute("SELECT 1")
                time.sleep(0.05)
        assert began + 8 < time.monotonic() < until + 1
    finally:
        os.kill(gateway.pids()["controlplane"], signal.SIGCONT)
    assert status_becomes(gateway, id, "ENDED")


def connect_or_none(gateway, name):
    try:
        return psycopg.connect(gateway.url(name), autocommit=True)
    except psycopg.OperationalError:
        return None


def test_two_hundred_statements_wait_at_once_and_keep_their_order(gateway):
    held = [Statement(gateway, "held-direct", f"ALTER TABLE nowhere_{index} ADD COLUMN x int") for index in range(200)]

    def all_pending():
        found = gateway.json("reviews", "list", "--status", "pending", "--connection", "held-direct", "--limit", "300")
        return len(found) == 200 and found

    found = wait_for(all_pending, 60)
    created = [datetime.datetime.fromisoformat(each["created_at"]) for each in found]
    assert created == sorted(created, reverse=True)
    assert {each["statement"] for each in found} == {f"ALTER TABLE nowhere_{index} ADD COLUMN x int" for index in range(200)}
    decided = list(reversed(found))
    for index, each in enumerate(decided):
        status = "APPROVED" if index % 2 else "REJECTED"
        assert call(gateway, "bob", "PUT", f"/api/reviews/{each['id']}", {"status": status})[0] == 200
    codes = {f"ALTER TABLE nowhere_{index} ADD COLUMN x int": each.finish().error.sqlstate for index, each in enumerate(held)}
    expected = {each["statement"]: "42P01" if index % 2 else "42501" for index, each in enumerate(decided)}
    assert codes == expected, "each statement got its own answer"
    for each in held:
        each.link.close()
    after = wait_for(lambda: (now := [review(gateway, each["id"])["status"] for each in decided[:6]]) == ["REJECTED", "EXECUTED"] * 3 and now)
    assert after


def test_a_killed_control_plane_finds_the_review_again(gateway):
    held = Statement(gateway, "held-agent", "ALTER TABLE nowhere ADD COLUMN x int")
    id = one_pending(gateway, "held-agent")
    os.kill(gateway.pids()["controlplane"], signal.SIGKILL)
    wait_for(lambda: gateway.cli("reviews", "show", id, check=False).returncode == 0, 30)
    assert held.is_alive(), "the session noticed nothing"
    assert review(gateway, id)["status"] == "PENDING"
    gateway.cli("reviews", "approve", id)
    assert held.finish().error.sqlstate == "42P01"
    assert status_becomes(gateway, id, "EXECUTED")


def test_a_control_plane_that_is_killed_behind_a_decision_delivers_it_after_all(gateway):
    held = Statement(gateway, "held-direct", "ALTER TABLE nowhere ADD COLUMN x int")
    id = one_pending(gateway, "held-direct")
    os.kill(gateway.pids()["dataplane"], signal.SIGSTOP)
    gateway.cli("reviews", "approve", id)
    os.kill(gateway.pids()["controlplane"], signal.SIGKILL)
    os.kill(gateway.pids()["dataplane"], signal.SIGCONT)
    assert held.finish().error.sqlstate == "42P01"
    wait_for(lambda: gateway.cli("reviews", "show", id, check=False).returncode == 0, 30)
    assert status_becomes(gateway, id, "EXECUTED")


def test_a_killed_agent_or_data_plane_leaves_no_review_open(gateway):
    held = Statement(gateway, "held-agent", "ALTER TABLE nowhere ADD COLUMN x int")
    id = one_pending(gateway, "held-agent")
    os.kill(gateway.pids()["agent"], signal.SIGKILL)
    assert held.finish().error is not None
    assert status_becomes(gateway, id, "WITHDRAWN")
    held = Statement(gateway, "held-direct", "ALTER TABLE nowhere ADD COLUMN x int")
    id = one_pending(gateway, "held-direct")
    os.kill(gateway.pids()["dataplane"], signal.SIGKILL)
    assert held.finish().error is not None
    found = wait_for(lambda: (now := review(gateway, id))["status"] != "PENDING" and now, 30)
    assert found["status"] == "WITHDRAWN" and "data plane stopped" in found["note"]
