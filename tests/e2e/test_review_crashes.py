"""Each program killed at each step of a review: the review ends in a legal state, and what ran at the target was approved."""

import os
import signal
import time

import psycopg
import pytest

from conftest import connection, io_uring_allowed, policy
from harness.postgres import PASSWORD
from harness.sluice import Sluice
from test_notifications import Receiver
from test_reviews import MORE, Statement, as_user, review, wait_for

HOOK = """
[[notification]]
name   = "ops"
type   = "webhook"
url    = "http://127.0.0.1:{port}/hook"
secret = "literal:whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
PROGRAMS = ("controlplane", "dataplane", "agent")
# The client has been told; the API lists it; the news has arrived elsewhere; it is decided; the client has its answer.
STEPS = ("told", "pending", "notified", "decided", "answered")
OVER = {"EXECUTED", "WITHDRAWN", "UNCONFIRMED", "REJECTED", "EXPIRED"}


@pytest.fixture(scope="module")
def receiver():
    it = Receiver()
    yield it
    it.down()


@pytest.fixture(scope="module", params=["uring", "epoll"])
def gateway(request, target, receiver):
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    held = connection("held", target.port, "agent", database="lab", guardrails='["four-eyes"]')
    own = Sluice(policy(held) + MORE + HOOK.format(port=receiver.port), backend=request.param, environment={"SHOP_PASSWORD": PASSWORD})
    target.sql("CREATE TABLE IF NOT EXISTS crashed (id int)", "ALTER TABLE crashed OWNER TO scram_user", database="lab")
    own.backend = request.param
    try:
        yield own
    finally:
        own.close()


def opened(gateway):
    """A held statement; sessions need a moment after a program was killed before."""

    def attempt():
        try:
            return Statement(gateway, "held", f"ALTER TABLE crashed ADD COLUMN {gateway.column} int")
        except psycopg.OperationalError:
            return None

    return wait_for(attempt, 30)


def known(gateway, id):
    shown = gateway.cli("reviews", "show", id, "--json", check=False)
    return review(gateway, id) if shown.returncode == 0 else None


def reach(gateway, receiver, held, step):
    """Goes on until the step has happened, and says which review it is."""
    id = wait_for(lambda: held.hints)[0].rsplit("/", 1)[1]
    if step == "told":
        return id
    wait_for(lambda: known(gateway, id))
    if step == "pending":
        return id
    wait_for(lambda: any(id.encode() in body for _, _, body in list(receiver.requests)))
    if step == "notified":
        return id
    assert as_user(gateway, "bob", "reviews", "approve", id).returncode == 0
    if step == "answered":
        assert held.finish().error is None
    return id


def ran(gateway, target):
    query = f"SELECT count(*) FROM information_schema.columns WHERE table_name = 'crashed' AND column_name = '{gateway.column}'"
    return target.sql(query, database="lab").strip().splitlines()[-1].strip() == "1"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_review_ends_legally_whoever_dies_when(gateway, receiver, target, program, step):
    gateway.column = f"{program}_{step}_{gateway.backend}"
    # Tokens are made before anybody dies.
    gateway.token("alice")
    gateway.token("bob")
    held = opened(gateway)
    id = reach(gateway, receiver, held, step)
    os.kill(gateway.pids()[program], signal.SIGKILL)
    wait_for(lambda: gateway.cli("whoami", check=False).returncode == 0, 30)
    decided = step in ("decided", "answered")
    if program == "controlplane":
        # The session noticed nothing: what was not decided is still waiting, and can be decided.
        if not decided:
            shown = wait_for(lambda: known(gateway, id), 30)
            assert shown["status"] == "PENDING" and held.is_alive() and not ran(gateway, target)
            assert as_user(gateway, "bob", "reviews", "approve", id).returncode == 0
        assert held.finish().error is None
        shown = wait_for(lambda: (now := review(gateway, id))["status"] == "EXECUTED" and now, 30)
        assert ran(gateway, target)
    else:
        held.join(30)
        assert not held.is_alive(), "the client was left waiting"
        if program == "dataplane" and step == "told":
            # It may have died before it could say anything: then there is no review, and nothing ran.
            deadline = time.monotonic() + 5
            while (shown := known(gateway, id)) is None and time.monotonic() < deadline:
                time.sleep(0.2)
            if shown is None:
                assert not ran(gateway, target)
                return
        shown = wait_for(lambda: (now := known(gateway, id)) and now["status"] in OVER and now, 30)
        allowed = {"EXECUTED", "UNCONFIRMED", "WITHDRAWN"} if decided else {"WITHDRAWN"}
        assert shown["status"] in allowed, shown
    if ran(gateway, target):
        assert [decision["by"] for decision in shown["decisions"]] == ["bob"]
        assert shown["status"] in ("EXECUTED", "UNCONFIRMED"), shown
    # The next one finds everything in order.
    gateway.column += "_after"
    held = opened(gateway)
    id = reach(gateway, receiver, held, "decided")
    assert held.finish().error is None and ran(gateway, target)
    wait_for(lambda: review(gateway, id)["status"] == "EXECUTED")
