"""Issue 4, line 6: two thousand agents' worth of links come back at once while others log in through a real agent."""

import json
import os

from ..common import settle
from ..measure import Spent
from ..policy import connection, policy
from ..result import Result

NAME = "links"
ROWS = []
HELP = "2,000 simulated agents' links reconnect at once: time until all are greeted, logins of others meanwhile"
DEFAULTS = {"rounds": 3, "clients": [2000], "seconds": 4.0}
QUICK = {"clients": [100], "seconds": 2.0}
PROBES = ["--workers", 4, "--pause-ms", 10]


def run(lab, options):
    result = Result(NAME, ROWS)
    port = lab.replayed()
    text = policy(connection("linked", port, agent=True), connection("direct", port), extra='[[pool]]\nname = "storm"\n')
    sluice = lab.sluice(text, backend=None if options.backend == "auto" else options.backend)
    targets = [lab.ours(sluice, "linked", "logins through a real agent", True), lab.ours(sluice, "direct", "logins in direct mode")]
    credentials = os.path.join(lab.directory, "storm.toml")
    sluice.cli("pools", "keys", "create", "storm", "-o", credentials)
    count = options.clients[0]
    case = f"{count} links"
    arguments = ["--credentials", credentials, "--gateway", sluice.addresses["links"], "--links", count]
    for target in targets:
        calm = lab.load("logins", target, *PROBES, "--seconds", options.seconds)
        result.add(f"{case}, before", target.name, logins=calm["logins"], failed=calm["failed"], p99_us=calm["latency_us"]["p99"], max_us=calm["latency_us"]["max"])
    with lab.background("links", None, *arguments) as links:
        storm(result, f"{case}, first connect", links.first)
        for _ in range(options.rounds):
            again(lab, options, result, case, links, targets, sluice)
    for target in targets:
        result.goal("6 of issue 4", f"failed logins, {target.name}", (f"{case}, while they reconnect", target.name, "failed"), None, "<=", 0)
    return result


def again(lab, options, result, case, links, targets, sluice):
    """Loses all links at once; the logins run from before the loss until after the last greeting."""
    settle(1)
    pids = [sluice.pids()["dataplane"]]
    probes = [lab.background("logins", target, *PROBES, "--seconds", options.seconds, ready=False) for target in targets]
    running = [probe.__enter__() for probe in probes]
    try:
        settle(0.3)
        with Spent(pids) as spent:
            links.stdin.write("again\n")
            links.stdin.flush()
            line = links.stdout.readline()
        if not line:
            raise RuntimeError(f"the links are gone: {links.stderr.read()[-1000:]}")
        done = json.loads(line)
        storm(result, f"{case}, while they reconnect", done, cpu_ms_per_link=spent.seconds * 1e3 / done["links"])
        for target, process in zip(targets, running):
            out, errors = process.communicate(timeout=60)
            if process.returncode != 0:
                raise RuntimeError(f"{target.name}: {errors[-1000:]}")
            seen = json.loads(out)
            if done["seconds"] > options.seconds:
                result.notes.append(f"the links took {done['seconds']:.1f} s, longer than the logins were watched ({options.seconds:.0f} s)")
            figures = {"p99_us": seen["latency_us"]["p99"], "max_us": seen["latency_us"]["max"]}
            result.add(f"{case}, while they reconnect", target.name, logins=seen["logins"], failed=seen["failed"], **figures)
    finally:
        for probe in probes:
            probe.__exit__(None, None, None)


def storm(result, case, done, **more):
    result.add(case, "links", all_greeted_s=done["seconds"], retries=done["retries"], p50_ms=done["greeted_us"]["p50"] / 1e3, **more)
