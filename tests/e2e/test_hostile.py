"""Broken and hostile clients get an error or a close within a stated time; others notice nothing."""

import contextlib
import os
import socket
import struct
import time

import psycopg
import pytest

from harness.process import resident_bytes

# A client that has not logged in is closed after 10 s.
LOGIN_SECONDS_MAX = 10
SLACK_SECONDS = 5

STARTUP = struct.pack("!ii", 8 + len(b"user\0alice\0database\0lab-direct\0\0"), 196608) + b"user\0alice\0database\0lab-direct\0\0"

CASES = {
    "negative length": struct.pack("!i", -1) + b"\0" * 20,
    "length zero": struct.pack("!i", 0) + b"\0" * 20,
    "length 2 GB": struct.pack("!ii", 0x7FFFFFFF, 196608) + b"user\0",
    "unknown version": struct.pack("!ii", 8, 0x00990000),
    "garbage": bytes(range(256)) * 4,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls without asking": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "no terminator": struct.pack("!ii", 20, 196608) + b"user\0alice!!",
    "no user": struct.pack("!ii", 9, 196608) + b"\0",
    "query before login": STARTUP + b"Q" + struct.pack("!i", 13) + b"SELECT 1\0",
    "password of 2 GB": STARTUP + b"p" + struct.pack("!i", 0x7FFFFFFF) + b"x" * 100,
    "bytes stuffed before tls": struct.pack("!ii", 8, 80877103) + STARTUP,
    "replication": struct.pack("!ii", 8 + 28, 196608) + b"user\0alice\0replication\0true\0\0\0"[:28],
}


def dial(sluice):
    raw = socket.create_connection(("127.0.0.1", sluice.port), 5)
    raw.settimeout(LOGIN_SECONDS_MAX + SLACK_SECONDS)
    return raw


def until_closed(raw):
    """Everything that comes until the gateway closes; fails after the stated time."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := raw.recv(65536):
            data += piece
            assert len(data) < 1 << 20
    return data


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_broken_login_is_closed(sluice, case):
    with contextlib.closing(dial(sluice)) as raw:
        raw.sendall(CASES[case])
        answer = until_closed(raw)
    if answer:
        assert answer[:1] in b"ERNS" or b"R" in answer[:64], answer[:80]


def test_a_login_in_single_bytes_is_served_like_any_other(sluice):
    with contextlib.closing(dial(sluice)) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in STARTUP:
            raw.sendall(bytes([byte]))
        answer = raw.recv(4096)
    assert answer[:1] == b"R" and b"SCRAM-SHA-256" in answer


def test_thousands_of_silent_clients_are_closed_and_nobody_waits_for_them(sluice, psql, shop):
    pid = sluice.pids()["dataplane"]
    before = resident_bytes(pid)
    silent = []
    with contextlib.ExitStack() as stack:
        for _ in range(10_000):
            try:
                silent.append(stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", sluice.port), 5))))
            except OSError:
                break
        assert len(silent) > 5_000
        began = time.monotonic()
        assert psql(shop, "SELECT 1").stdout.strip() == "1"
        assert time.monotonic() - began < LOGIN_SECONDS_MAX, "a legitimate login does not wait for silent ones"
        grown = resident_bytes(pid) - before
        assert grown < len(silent) * 32 * 1024, f"{grown / len(silent):.0f} bytes per silent socket"
        deadline = time.monotonic() + LOGIN_SECONDS_MAX + SLACK_SECONDS
        for raw in silent[:: len(silent) // 50]:
            raw.settimeout(max(0.1, deadline - time.monotonic()))
            assert until_closed(raw) == b""
    assert psql(shop, "SELECT 2").stdout.strip() == "2"


AFTER_LOGIN = {
    "unknown tag": b"\x01" + struct.pack("!i", 4),
    "tiny length": b"Q" + struct.pack("!i", 3),
    "negative length": b"Q" + struct.pack("!i", -5),
    "2 GB length": b"Q" + struct.pack("!i", 0x7FFFFFFF) + b"SELECT",
    "no terminator": b"Q" + struct.pack("!i", 12) + b"SELECT 1",
    "copy data outside copy": b"d" + struct.pack("!i", 8) + b"data",
    "bind with too many values": b"B" + struct.pack("!i", 14) + b"\0\0" + struct.pack("!hhh", 0, 0x7FFF, 0) + b"\0\0",
    "server's tag": b"T" + struct.pack("!ih", 6, 0),
}


@pytest.mark.parametrize("case", sorted(AFTER_LOGIN))
def test_broken_messages_end_only_their_session(sluice, connect, shop, case):
    other = connect(shop)
    # In clear, so that broken bytes can be written past the library.
    victim = psycopg.connect(sluice.url(shop, extra="sslmode=disable"))
    with contextlib.closing(victim), contextlib.closing(socket.socket(fileno=os.dup(victim.fileno()))) as raw:
        raw.setblocking(True)
        raw.settimeout(LOGIN_SECONDS_MAX + SLACK_SECONDS)
        raw.sendall(AFTER_LOGIN[case] + b"S" + struct.pack("!i", 4))
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            # Until it is closed, or recovered: the target itself answers some of them with an error and goes on.
            while b"Z\0\0\0\5" not in answer and (piece := raw.recv(65536)):
                answer += piece
    # PostgreSQL ignores COPY data outside COPY (protocol flow, "COPY Operations"); everything else is an error.
    assert answer[:1] == b"E" or (case == "copy data outside copy" and answer[:1] == b"Z"), answer[:100]
    assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_half_open_client_does_not_keep_its_session(connect, shop, target):
    link = connect(shop)
    pid = link.execute("SELECT pg_backend_pid()").fetchone()[0]
    with contextlib.closing(socket.socket(fileno=os.dup(link.fileno()))) as raw:
        raw.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + 40
    while target.sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}").strip() != "0":
        assert time.monotonic() < deadline, "the target's session outlives its client"
        time.sleep(0.2)
