"""A client that stops reading stops only itself: memory stays bounded and others go on at speed."""

import threading
import time

import psycopg

from harness.process import resident_bytes

# What one session may hold: both directions' buffers, the link's window, and the sockets' own are the kernel's.
SESSION_BYTES_MAX = 4 * 1024 * 1024


def count_for(link, seconds):
    done, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        link.execute("SELECT 1").fetchone()
        done += 1
    return done


def test_a_stalled_reader_of_a_gigabyte_stops_only_itself(sluice, lab):
    pids = [sluice.pids()["dataplane"], sluice.pids()["agent"]]
    other = psycopg.connect(sluice.url(lab), autocommit=True)
    alone = count_for(other, 2)
    before = sum(map(resident_bytes, pids))
    stalled = psycopg.connect(sluice.url(lab), autocommit=True)
    sent = threading.Event()

    def ask():
        # The answer is a gigabyte; only its beginning is ever read, by nobody.
        stalled.pgconn.send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)")
        stalled.pgconn.flush()
        sent.set()

    threading.Thread(target=ask, daemon=True).start()
    assert sent.wait(10)
    time.sleep(2)
    disturbed = count_for(other, 2)
    grown = sum(map(resident_bytes, pids)) - before
    assert grown < SESSION_BYTES_MAX, f"{grown} bytes for one stalled session"
    assert disturbed > alone / 3, f"{disturbed} queries beside a stalled reader, {alone} without"
    stalled.close()
    other.close()
