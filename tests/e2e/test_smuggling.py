"""Bytes that mean one thing to a careless reader and another to the target: none reaches the target unjudged."""

import os
import struct
import time
import uuid

import psycopg
import pytest

from harness import wire
from harness.wire import SYNC, Closed, Wire, message

SECONDS_MAX = 15


@pytest.fixture
def raw(sluice):
    """A client in clear that has logged in to a guarded connection; everything opened is closed."""
    opened = []

    def run(connection="shop-agent", **parameters):
        client = Wire(sluice.port, SECONDS_MAX)
        opened.append(client)
        client.log_in("alice", connection, sluice.token("alice"), **parameters)
        return client

    yield run
    for each in opened:
        each.raw.close()


@pytest.fixture
def marker(target):
    """A word that must not appear in the target's log."""
    word = f"smuggled_{uuid.uuid4().hex}"
    yield word
    assert word not in target.log(), "the target saw what was never judged"


def drop(word):
    return f"DROP TABLE IF EXISTS {word}"


# What follows the login, with the words that must not arrive; the guardrail denies DROP wherever it is seen.
AFTER_LOGIN = {
    "a query behind a NUL in a query": lambda w: message(b"Q", b"SELECT 1\0" + drop(w).encode() + b"\0"),
    "a query behind a NUL in a parse": lambda w: message(b"P", b"\0SELECT 1\0\0\0" + drop(w).encode() + b"\0") + SYNC,
    "a query without its NUL and one behind": lambda w: message(b"Q", b"SELECT 1") + wire.query(drop(w)),
    "a length of 2^31": lambda w: b"Q" + struct.pack("!I", 1 << 31) + wire.query(drop(w)),
    "a length of 2^32 - 1": lambda w: b"Q" + struct.pack("!I", (1 << 32) - 1) + wire.query(drop(w)),
    "a length of 2^31 - 1": lambda w: b"Q" + struct.pack("!I", (1 << 31) - 1) + wire.query(drop(w)),
    "a length of 3": lambda w: b"Q" + struct.pack("!I", 3) + wire.query(drop(w)),
    "a length of 0": lambda w: b"Q" + struct.pack("!I", 0) + wire.query(drop(w)),
    "a sync with a query in it": lambda w: message(b"S", wire.query(drop(w))),
    "a flush with a query in it": lambda w: message(b"H", wire.query(drop(w))),
    "an execute with a query behind its count": lambda w: message(b"E", b"\0" + struct.pack("!i", 0) + wire.query(drop(w))) + SYNC,
    "a bind value longer than its message": lambda w: message(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, 1 << 30)) + wire.query(drop(w)),
    "a bind value of length -2": lambda w: message(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, -2) + b"\0\0") + wire.query(drop(w)),
    "a bind with 65535 formats": lambda w: message(b"B", b"\0\0" + struct.pack("!H", 65535)) + wire.query(drop(w)),
    "an oversize bind": lambda w: b"B" + struct.pack("!I", 1 << 30) + wire.query(drop(w)),
    "an oversize name": lambda w: message(b"C", b"S" + b"x" * 9000 + b"\0") + wire.query(drop(w)),
    "a close of neither kind": lambda w: message(b"C", b"X\0") + wire.query(drop(w)),
    "a describe of neither kind": lambda w: message(b"D", b"Q" + drop(w).encode() + b"\0") + wire.query(drop(w)),
    "a password after the login": lambda w: message(b"p", drop(w).encode() + b"\0") + wire.query(drop(w)),
    "a start-up packet after the login": lambda w: wire.startup(user="scram_user", database="shop") + wire.query(drop(w)),
    "an SSLRequest after the login": lambda w: wire.SSL_REQUEST + wire.query(drop(w)),
    "a cancel request after the login": lambda w: wire.cancel_request(1, b"abcd") + wire.query(drop(w)),
    "a tag of the server": lambda w: message(b"D", b"\0\0") + wire.query(drop(w)),
    "a tag of zero": lambda w: message(b"\0", drop(w).encode()) + wire.query(drop(w)),
    "a function call cut short": lambda w: message(b"F", struct.pack("!ihh", 2, 0, 5)) + wire.query(drop(w)),
    "a denied statement behind COPY data": lambda w: wire.copy_data(wire.query(drop(w))) + wire.query(drop(w)),
    "copy messages outside COPY": lambda w: wire.copy_data(b"x") + wire.COPY_DONE + message(b"f", b"x\0") + wire.query(drop(w)),
    "a parse that is described, not run": lambda w: wire.parse(drop(w), b"s") + message(b"D", b"Ss\0") + SYNC,
    "a batch with the denied one last": lambda w: wire.query("SELECT 1; SELECT 2; " + drop(w)),
    "a name reused for the denied text": lambda w: wire.parse("SELECT 1", b"s") + message(b"C", b"Ss\0") + wire.parse(drop(w), b"s")
    + wire.bind(b"", b"s") + wire.execute() + SYNC,
}


@pytest.mark.parametrize("case", sorted(AFTER_LOGIN))
def test_what_follows_a_login_is_judged_or_ends_the_session(raw, marker, case):
    client = raw()
    client.send(AFTER_LOGIN[case](marker), SYNC)
    client.raw.shutdown(1)
    seen = client.rest()
    assert any(tag == b"E" for tag, _ in seen), [tag for tag, _ in seen]


@pytest.mark.parametrize("case", sorted(AFTER_LOGIN))
def test_the_same_in_single_bytes(raw, marker, case):
    client = raw("shop-direct")
    try:
        for byte in AFTER_LOGIN[case](marker)[:300]:
            client.send(bytes([byte]))
    except OSError:
        # It has been closed on the way, which is an answer.
        return
    client.send(SYNC)
    client.raw.shutdown(1)
    client.rest()


INSIDE_COPY = {
    "a query": lambda w: wire.query(drop(w)),
    "a parse": lambda w: wire.parse(drop(w)) + wire.bind() + wire.execute() + SYNC,
    "a bind": lambda w: wire.bind() + wire.query(drop(w)),
    "a function call": lambda w: message(b"F", struct.pack("!ihhh", 2200, 0, 0, 0)) + wire.query(drop(w)),
    "data whose content is a query": lambda w: wire.copy_data(wire.query(drop("x"))) + wire.COPY_DONE + wire.query(drop(w)),
    "an end and a query at once": lambda w: wire.COPY_DONE + wire.query(drop(w)),
    "a failure and a query at once": lambda w: message(b"f", b"no\0") + wire.query(drop(w)),
    "a sync and a query": lambda w: SYNC + wire.query(drop(w)),
}


@pytest.mark.parametrize("case", sorted(INSIDE_COPY))
@pytest.mark.parametrize("connection", ["shop-agent", "shop-direct"])
def test_inside_of_copy_nothing_passes_unjudged(raw, marker, connection, case):
    client = raw(connection)
    client.send(wire.query("CREATE TEMP TABLE t (x text)"))
    client.until(b"Z")
    client.send(wire.query("COPY t FROM STDIN"))
    assert client.until(b"GEZ")[-1][0] == b"G"
    client.send(INSIDE_COPY[case](marker))
    client.raw.shutdown(1)
    assert any(tag == b"E" for tag, _ in client.rest())


@pytest.mark.parametrize("case", sorted(INSIDE_COPY))
def test_pipelined_with_the_copy_itself(raw, marker, case):
    client = raw()
    client.send(wire.query("CREATE TEMP TABLE t (x text)"))
    client.until(b"Z")
    client.send(wire.parse("COPY t FROM STDIN"), wire.bind(), wire.execute(), INSIDE_COPY[case](marker), SYNC)
    client.raw.shutdown(1)
    client.rest()


BEFORE_TLS = {
    "a start-up packet": lambda: wire.startup(user="alice", database="lab-direct"),
    "a query": lambda: wire.query("SELECT 1"),
    "one byte": lambda: b"\0",
    "a cancel request": lambda: wire.cancel_request(1, b"abcd"),
}


@pytest.mark.parametrize("case", sorted(BEFORE_TLS))
def test_bytes_behind_an_ssl_request_are_never_taken(sluice, case):
    with Wire(sluice.port, SECONDS_MAX) as client:
        client.send(wire.SSL_REQUEST, BEFORE_TLS[case]())
        with pytest.raises(Closed) as closed:
            client.take(1 << 20)
    assert closed.value.args[0] in (b"", b"S"), closed.value.args[0]


def test_a_flood_of_cancel_requests_cancels_nothing_and_stops_nobody(sluice, raw):
    client = raw("lab-agent")
    client.send(wire.query("SELECT pg_sleep(3)"))
    pid, _ = client.key
    began = time.monotonic()
    for _ in range(500):
        with Wire(sluice.port, SECONDS_MAX) as other:
            other.send(wire.cancel_request(pid, os.urandom(4)))
            assert other.rest() == []
    assert time.monotonic() - began < 60
    assert not any(tag == b"E" for tag, _ in client.until(b"Z")), "a guess cancelled a statement"
    client.send(wire.query("SELECT 1"))
    assert wire.rows(client.until(b"Z")) == [("1",)]


def test_a_right_key_cancels_and_the_socket_closes_when_it_is_done(sluice, raw):
    client = raw("lab-agent")
    client.send(wire.query("SELECT pg_backend_pid()"))
    pid, secret = client.key
    assert wire.rows(client.until(b"Z")) == [(str(pid),)], "the key names the target's own session"
    client.send(wire.query("SELECT pg_sleep(30)"))
    time.sleep(0.5)
    with Wire(sluice.port, SECONDS_MAX) as other:
        other.send(wire.cancel_request(pid, secret))
        assert other.rest() == []
    errors = [wire.error(body) for tag, body in client.until(b"Z") if tag == b"E"]
    assert errors and errors[0]["C"] == "57014"


def test_protocol_3_2_gives_long_keys_that_work(sluice, raw):
    client = raw("lab-direct", protocol=wire.PROTOCOL_32)
    pid, secret = client.key
    assert client.negotiated is None and len(secret) == 32
    client.send(wire.query("SELECT pg_sleep(30)"))
    time.sleep(0.5)
    with Wire(sluice.port, SECONDS_MAX) as other:
        other.send(wire.cancel_request(pid, secret[:4]))
        assert other.rest() == []
    with Wire(sluice.port, SECONDS_MAX) as other:
        other.send(wire.cancel_request(pid, secret))
        assert other.rest() == []
    assert any(tag == b"E" and wire.error(body)["C"] == "57014" for tag, body in client.until(b"Z"))


def test_a_newer_protocol_and_unknown_options_are_negotiated(raw):
    client = raw("lab-direct", protocol=3 << 16 | 9999, **{"_pq_.unknown": "x"})
    version, count = struct.unpack("!ii", client.negotiated[:8])
    assert (version, count) == (wire.PROTOCOL_32, 1) and client.negotiated[8:] == b"_pq_.unknown\0"


def test_replication_is_refused_in_words(sluice):
    with pytest.raises(psycopg.OperationalError, match="replication is not enabled"):
        psycopg.connect(sluice.url("lab-direct", extra="replication=database"))
    # Whoever has not proved who they are learns nothing about the connection.
    with Wire(sluice.port, SECONDS_MAX) as client:
        client.send(wire.startup(user="alice", database="lab-direct", replication="database"))
        tag, _ = client.receive()
    assert tag == b"R"
