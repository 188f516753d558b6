"""The session store: how fast records are taken in, and how fast they are found among a million."""

import json
import os
import subprocess

from ..lab import ROOT
from ..result import Result

NAME = "search"
ROWS = []
HELP = "100,000 sessions with 1,000,000 events: taking them in, and searches by user, connection, time and statement, on PostgreSQL and SQLite"
DEFAULTS = {"rounds": 1, "clients": [100_000]}
QUICK = {"clients": [2_000]}
TESTS = {"PostgreSQL": "it_postgres", "SQLite": "it"}
WORD = "FIGURES "


def run(lab, options):
    result = Result(NAME, ROWS)
    for store, test in TESTS.items():
        for _ in range(options.rounds):
            figures = measured(test, options.clients[0])
            case = f"{figures['sessions']} sessions, {figures['events']} events"
            result.add(case, f"{store}: taking in", events_per_s=figures["ingest_events_per_s"])
            result.add(case, f"{store}: memory", peak_mb=figures["peak memory, MB"])
            for name in [name[: -len(", p95 ms")] for name in figures if name.endswith(", p95 ms")]:
                result.add(case, f"{store}: {name}", p50_ms=figures[f"{name}, p50 ms"], p95_ms=figures[f"{name}, p95 ms"])
            result.add(case, f"{store}: slowest", p95_ms=figures["worst p95 ms"])
    result.goal("store", "p95 ms of the slowest search on PostgreSQL", (case, "PostgreSQL: slowest", "p95_ms"), None, "<", 200)
    result.goal("store", "events/s taken in from one data plane on PostgreSQL", (case, "PostgreSQL: taking in", "events_per_s"), None, ">=", 20_000)
    result.notes.append("the control plane, its client and the database share this machine; each record's place in the hash chain is checked as it is taken in")
    return result


def measured(test, sessions):
    """The figures that the control plane's own test prints."""
    command = ["cargo", "test", "--release", "--locked", "-p", "controlplane", "--test", test, "--", "--exact", "--nocapture", "--test-threads=1"]
    name = "it::measure::many_sessions_are_taken_in_and_found" if test == "it_postgres" else "measure::many_sessions_are_taken_in_and_found"
    environment = {**os.environ, "SLUICE_MEASURE_SESSIONS": str(sessions)}
    done = subprocess.run([*command, name], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    found = [line.split(WORD, 1)[1] for line in done.stdout.splitlines() if WORD in line]
    if done.returncode != 0 or not found:
        raise RuntimeError(f"the measurement failed: {done.stdout[-2000:]}")
    return json.loads(found[0])
