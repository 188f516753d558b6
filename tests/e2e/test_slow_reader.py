"""A client that stops reading stops only itself: memory stays bounded and others go on at speed."""

import contextlib
import threading
import time

import psycopg

from harness.process import resident_bytes

# What one stalled session may add to both programs together: buffers in flight in both directions and the windows of
# its stream; what its sockets hold is the kernel's.
SESSION_BYTES_MAX = 2 * 1024 * 1024
# Many, because the allocator's own ups and downs are several megabytes.
STALLED_SESSIONS = 16
BULK = "SELECT repeat('x', 1000) FROM generate_series(1, {rows})"


def count_for(link, seconds):
    done, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        link.execute("SELECT 1").fetchone()
        done += 1
    return done


def stall(link):
    """Asks for a gigabyte and never reads it."""
    link.pgconn.send_query(BULK.format(rows=1_000_000).encode())
    link.pgconn.flush()


def test_stalled_readers_of_a_gigabyte_stop_only_themselves(sluice, lab):
    pids = [sluice.pids()["dataplane"], sluice.pids()["agent"]]
    with psycopg.connect(sluice.url(lab), autocommit=True) as other, contextlib.ExitStack() as stack:
        # Buffer pools grow with the first bulk result and stay: they are no session's.
        assert len(other.execute(BULK.format(rows=100_000)).fetchall()) == 100_000
        alone = count_for(other, 2)
        stalled = [stack.enter_context(contextlib.closing(psycopg.connect(sluice.url(lab), autocommit=True))) for _ in range(STALLED_SESSIONS)]
        before = sum(map(resident_bytes, pids))
        for link in stalled:
            threading.Thread(target=stall, args=(link,), daemon=True).start()
        time.sleep(3)
        disturbed = count_for(other, 2)
        grown = (sum(map(resident_bytes, pids)) - before) / STALLED_SESSIONS
        assert grown < SESSION_BYTES_MAX, f"{grown:.0f} bytes for each stalled session"
        assert disturbed > alone / 3, f"{disturbed} queries beside stalled readers, {alone} without"
