"""A client that stops reading stops only itself: memory stays within the stated bound and others go on at speed."""

import contextlib
import statistics
import threading
import time

import psycopg
import pytest

from conftest import ROUTES, connection, io_uring_allowed, policy
from harness.postgres import PASSWORD
from harness.process import anonymous_bytes
from harness.sluice import Sluice

KIB = 1024
# The bounds of docs/dataplane.md, "Memory". A chunk: what one receive delivers at most. A window: what the data plane lets an
# agent send ahead for one session; a piece of a chunk pins at most four times its own bytes (tunnel/src/limits.rs).
CHUNK_BYTES = 128 * KIB
FRAME_BYTES = 256 * KIB
RECORDS_BYTES = 128 * KIB
WINDOW_BYTES = 256 * KIB
SESSION_BYTES_MAX = {
    "direct": 2 * CHUNK_BYTES + RECORDS_BYTES + FRAME_BYTES,
    "agent": 4 * WINDOW_BYTES + RECORDS_BYTES + FRAME_BYTES,
}
AGENT_SESSION_BYTES_MAX = WINDOW_BYTES + 2 * 64 * KIB
# Besides the sessions: what the allocator rounds up to, when it gives free pages back at once (MIMALLOC_PURGE_DELAY=0, which the
# gateway of this test runs with, so that memory which is free does not pass for memory that is held).
PROGRAM_BYTES_MAX = 6 * KIB * KIB
PURGE_AT_ONCE = {"MIMALLOC_PURGE_DELAY": "0"}
BULK = "SELECT repeat('x', 1000) FROM generate_series(1, {rows})"
# Queries of one measurement, and measurements of each kind; the median counts.
QUERIES, ROUNDS = 100, 5
# How much longer other sessions' queries may take beside stalled readers, against a client that does not use Sluice at all and
# is measured in turn with them, so that a busy machine slows both. Far beyond what a busy core costs: this is about sessions that wait
# for a reader, and would for ever; how fast they are is measured by `perf/run fairness`.
SLOWER_MAX = 20


@pytest.fixture(params=["uring", "epoll"])
def gateway(request, target):
    """A Sluice of its own: nobody else's buffers are measured."""
    if request.param == "uring" and not io_uring_allowed():
        pytest.skip("the kernel forbids io_uring here")
    connections = [connection(f"lab-{via}", target.port, via, database="lab", guardrails="[]") for via in ROUTES]
    own = Sluice(policy(*connections), backend=request.param, environment={"SHOP_PASSWORD": PASSWORD, **PURGE_AT_ONCE})
    try:
        yield own
    finally:
        own.close()


def seconds(link):
    began = time.monotonic()
    for _ in range(QUERIES):
        link.execute("SELECT 1").fetchone()
    return time.monotonic() - began


def slowness(links, alone):
    """How many times longer queries take through the gateway than without it: the worst link's median."""
    rounds = [[seconds(link) / seconds(alone) for link in links] for _ in range(ROUNDS)]
    return max(statistics.median(link) for link in zip(*rounds))


def warm(gateway):
    """Large results that are read, over both routes and every core: what a core keeps for good is there before anything is counted."""
    for _ in range(6):
        for via in ROUTES:
            with contextlib.closing(psycopg.connect(gateway.url(f"lab-{via}"))) as link:
                assert len(link.execute(BULK.format(rows=30_000)).fetchall()) == 30_000


def stall(link):
    """Asks for a gigabyte and never reads it."""
    link.pgconn.send_query(BULK.format(rows=1_000_000).encode())
    link.pgconn.flush()


def sent(gateway):
    """Bytes that the data plane has sent to clients."""
    return sum(int(line.split()[1]) for line in gateway.metrics().splitlines() if line.startswith("sluice_downstream_bytes_total{"))


def settled(gateway):
    """Waits until the stalled readers get nothing more; gives what they all got."""
    last, still = sent(gateway), 0
    deadline = time.monotonic() + 60
    while still < 10:
        assert time.monotonic() < deadline, "the readers do not stall"
        time.sleep(0.1)
        now = sent(gateway)
        last, still = now, still + 1 if now == last else 0
    return last


@pytest.mark.parametrize("via", sorted(ROUTES))
@pytest.mark.parametrize("readers", [1, 4, 16])
def test_stalled_readers_of_a_gigabyte_stop_only_themselves(gateway, target, via, readers):
    pids = gateway.pids()
    with contextlib.ExitStack() as stack:

        def open_link(url):
            return stack.enter_context(contextlib.closing(psycopg.connect(url, autocommit=True)))

        alone = open_link(target.url("lab"))
        others = [open_link(gateway.url(f"lab-{route}")) for route in ROUTES]
        warm(gateway)
        undisturbed = slowness(others, alone)
        stalled = [open_link(gateway.url(f"lab-{via}")) for _ in range(readers)]
        before = {program: anonymous_bytes(pid) for program, pid in pids.items()}
        got = sent(gateway)
        threads = [threading.Thread(target=stall, args=(link,), daemon=True) for link in stalled]
        for thread in threads:
            thread.start()
        got = settled(gateway) - got
        assert 0 < got < readers * 100_000_000, "what was not read was not sent: the target waits"
        grown = {program: anonymous_bytes(pid) - before[program] for program, pid in pids.items()}
        bound = readers * SESSION_BYTES_MAX[via] + PROGRAM_BYTES_MAX
        assert grown["dataplane"] < bound, f"{grown}, {bound} allowed"
        bound = readers * AGENT_SESSION_BYTES_MAX + PROGRAM_BYTES_MAX
        assert grown["agent"] < bound, f"{grown}, {bound} allowed"
        disturbed = slowness(others, alone)
        assert disturbed < undisturbed * SLOWER_MAX, f"{disturbed:.2f} times a direct client beside stalled readers, {undisturbed:.2f} without"
