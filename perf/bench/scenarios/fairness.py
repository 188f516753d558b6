"""Row 8: what a reader that stops and a download do to two hundred people who work."""

import contextlib
import json

from .. import peers as third
from ..common import settle, wanted
from ..lab import PASSWORD, Target
from ..policy import connection, policy
from ..result import Result, rounds

NAME = "fairness"
ROWS = [8]
HELP = "200 sessions at 2,000 queries/s beside a stalled reader and a 100 MB/s download on the same proxy: p99 from schedule"
DEFAULTS = {"seconds": 5.0}
PEERS = ["haproxy", "pgbouncer", "rathole"]
SESSIONS, RATE, PACE = 200, 2000, 100e6
TABLE = "perf_typed_1000"


def run(lab, options):
    result = Result(NAME, ROWS)
    # Two servers, so that what is measured is shared in the proxy and not in the server.
    ports = {"small": lab.replayed(), "large": lab.replayed(warm=[TABLE])}
    pairs = {"direct": {route: Target("direct", port, password=PASSWORD) for route, port in ports.items()}}
    for name in third.available(wanted(options, PEERS)):
        pairs[name] = lab.peer(name, ports, server_password=PASSWORD)
        for target in pairs[name].values():
            target.password = target.password or PASSWORD
    pairs |= sluice(lab, options, ports)
    result.does = {name: pair["small"].does or third.DOES.get(name, "") for name, pair in pairs.items()}

    def measure(name):
        pair = pairs[name]
        settle()
        alone = interactive(lab, options, pair["small"])
        with disturbance(lab, options, pair["large"]) as download:
            disturbed = interactive(lab, options, pair["small"])
        taken = download()
        result.add(
            "200 sessions, 2,000 queries/s", name, p99_us_alone=alone["latency_us"]["p99"], p99_us=disturbed["latency_us"]["p99"],
            p99_9_us=disturbed["latency_us"]["p99_9"], per_second=disturbed["per_second"], download_mb_per_second=taken,
        )

    rounds(options, list(pairs), measure)
    place = lambda name: ("200 sessions, 2,000 queries/s", name, "p99_us")
    result.goal(8, "p99 disturbed, Sluice direct : direct disturbed", place("Sluice direct"), place("direct"), "<=", 1.0)
    result.goal(8, "p99 disturbed, Sluice through agent : direct disturbed", place("Sluice through agent"), place("direct"), "<=", 1.5)
    return result


def sluice(lab, options, ports):
    """All four connections on one Sluice: small and large share its one data core, and the agent."""
    text = policy(*(connection(f"{way}-{route}", port, agent=way == "linked") for way in ("direct", "linked") for route, port in ports.items()))
    running = lab.sluice(text, backend=None if options.backend == "auto" else options.backend)
    return {
        shown: {route: lab.ours(running, f"{way}-{route}", shown, way == "linked") for route in ports}
        for shown, way in (("Sluice direct", "direct"), ("Sluice through agent", "linked"))
    }


def interactive(lab, options, target):
    return lab.load("queries", target, "--clients", SESSIONS, "--rate", RATE, "--seconds", options.seconds, "--warm", 0.5)


@contextlib.contextmanager
def disturbance(lab, options, target):
    """One reader that stopped after its first byte, one that takes 100 MB/s for as long as the others work."""
    statement = ["--statement", f"SELECT * FROM {TABLE}"]
    with lab.background("bulk", target, *statement, "--stall"):
        # Logins and the lead of the interactive load come on top of its length.
        with lab.background("bulk", target, *statement, "--pace", PACE, "--repeat", 1, ready=False) as download:
            settle(0.5)
            rate = []
            if download.poll() is not None:
                raise RuntimeError(f"the download ended: {download.stderr.read()}")
            yield lambda: rate[0]
            if download.poll() is None:
                # 1 GB at 100 MB/s takes ten seconds: longer than the load, so that all of it was disturbed.
                out, errors = download.communicate(timeout=120)
                if download.returncode != 0:
                    raise RuntimeError(f"the download failed: {errors}")
            else:
                out = download.stdout.read()
            rate.append(json.loads(out.splitlines()[-1])["megabytes_per_second"])
