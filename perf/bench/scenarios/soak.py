"""Issue 4, line 9: ten minutes of everything; memory, descriptors and buffers must return to where they started."""

import random
import re
import time

from ..common import settle
from ..measure import descriptors, user_bytes
from ..policy import connection, policy
from ..result import Result

NAME = "soak"
ROWS = []
HELP = "mixed load for --minutes: resident memory, descriptors and the balance of buffers return to the start value"
DEFAULTS = {"rounds": 1, "minutes": 10.0, "clients": [32]}
QUICK = {"minutes": 0.5}
# What may be left of growth: allocators keep some pages, and the audit's shipping has its own rhythm.
MEMORY_SLACK = 1.10
MEMORY_SLACK_BYTES = 8 << 20
DESCRIPTORS_SLACK = 2
SETTLE_SECONDS = 30
# What the data plane itself counts: nothing may be left open or lent, on any core.
BALANCES = ("sluice_sessions_open", "sluice_links_open", "sluice_buffers_held_bytes")


def run(lab, options):
    result = Result(NAME, ROWS)
    ports = {"replayed": lab.replayed(warm=["perf_typed_100"]), "real": lab.postgres().port}
    ways = [(way, server) for way in ("direct", "linked") for server in ports]
    text = policy(*(connection(f"{way}-{server}", ports[server], agent=way == "linked") for way, server in ways))
    sluice = lab.sluice(text, backend=None if options.backend == "auto" else options.backend)
    targets = [lab.ours(sluice, f"{way}-{server}", agent=way == "linked") for way, server in ways]
    programs = {name: pid for name, pid in sluice.pids().items() if name in ("dataplane", "agent")}
    # The first round is warm-up: caches, pools and stacks reach their size before the start value is taken.
    random.seed(4)
    phase(lab, options, targets, min(60.0, options.minutes * 12))
    settle(min(SETTLE_SECONDS, options.minutes * 10))
    start = seen(sluice, programs)
    end_at = time.monotonic() + options.minutes * 60
    peak = {}
    while time.monotonic() < end_at:
        phase(lab, options, targets, min(20.0, max(2.0, end_at - time.monotonic())))
        for name, value in seen(sluice, programs).items():
            peak[name] = max(peak.get(name, 0), value)
            if name.endswith("_bytes"):
                result.add(f"{options.minutes:g} minutes", name, value=value)
    settle(min(SETTLE_SECONDS, options.minutes * 10))
    end = seen(sluice, programs)
    compare(result, f"{options.minutes:g} minutes", start, peak, end)
    return result


def phase(lab, options, targets, seconds):
    """All kinds of load at once, on random targets, for a while; some of it breaks off in the middle."""
    pick = lambda: random.choice(targets)
    replayed = [target for target in targets if target.database.endswith("replayed")]
    clients = options.clients[0]
    runs = [
        lab.background("queries", pick(), "--clients", clients, "--seconds", seconds, ready=False),
        lab.background("queries", pick(), "--clients", clients, "--rate", 500, "--seconds", seconds, ready=False),
        lab.background("logins", pick(), "--workers", 4, "--seconds", seconds, "--pause-ms", 5, ready=False),
        lab.background("bulk", random.choice(replayed), "--seconds", seconds, ready=False),
        lab.background("bulk", random.choice(replayed), "--pace", 30e6, "--seconds", seconds, ready=False),
    ]
    # These are cut off: a reader that stopped, and sessions that were idle.
    cut = [
        lab.background("bulk", random.choice(replayed), "--stall"),
        lab.background("idle", pick(), "--sessions", 50),
    ]
    running = [each.__enter__() for each in runs + cut]
    try:
        deadline = time.monotonic() + seconds + 120
        for process in running[: len(runs)]:
            _, errors = process.communicate(timeout=max(1, deadline - time.monotonic()))
            if process.returncode != 0:
                raise RuntimeError(f"{' '.join(process.args[1:2])}: {errors[-500:]}")
    finally:
        for each in runs + cut:
            each.__exit__(None, None, None)


def seen(sluice, programs):
    """What must come back: memory and descriptors of both programs, and what the data plane says about its buffers."""
    found = {}
    for name, pid in programs.items():
        found[f"{name}_bytes"] = user_bytes([pid])
        found[f"{name}_descriptors"] = descriptors([pid])
    for line in sluice.metrics().splitlines():
        name = re.split(r"[{ ]", line, maxsplit=1)[0]
        if name in BALANCES:
            found[name] = found.get(name, 0) + float(line.rsplit(" ", 1)[1])
    return found


def compare(result, case, start, peak, end):
    failed = []
    for name, value in end.items():
        before = start.get(name, 0)
        if name.endswith("_bytes"):
            allowed = max(before * MEMORY_SLACK, before + MEMORY_SLACK_BYTES)
        elif name.endswith("_descriptors"):
            allowed = before + DESCRIPTORS_SLACK
        else:
            allowed = before
        returned = value <= allowed
        failed += [] if returned else [name]
        result.add(f"{case}, start, peak, end", name, start=before, peak=peak.get(name, 0), end=value, returned="yes" if returned else "NO")
    for name in BALANCES:
        if name not in end:
            raise RuntimeError(f"the data plane's metrics do not have {name}")
    result.facts["failed"] = failed
