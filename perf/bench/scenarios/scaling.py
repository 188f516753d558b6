"""More cores: queries and bulk with 1, 2, 4, … cores for every proxy. Means something where load has cores of its own."""

import json
import os

from .. import peers as third
from ..common import direct, ours, settle, wanted
from ..lab import PASSWORD, Missing
from ..measure import Spent
from ..result import Result, rounds

NAME = "scaling"
ROWS = []
HELP = "queries and bulk with 1, 2, 4, … proxy cores (--cores, --proxy-cpus, --load-cpus); for bare metal"
DEFAULTS = {"rounds": 3}
PEERS = ["haproxy 64 KiB", "nginx 64 KiB", "pgbouncer 64 KiB"]
CLIENTS_PER_CORE, READERS_PER_CORE = 32, 4
# One generator keeps one core busy; as many run as proxies have cores.
GENERATORS_PER_CORE = 1


def run(lab, options):
    result = Result(NAME, ROWS)
    usable = len(os.sched_getaffinity(0))
    cores = options.cores or [count for count in (1, 2, 4, 8, 16, 32, 64) if count * 2 <= usable]
    if max(cores) * 2 > usable:
        result.notes.append(f"{usable} CPUs for proxies of up to {max(cores)} cores and their load: the load is part of what is measured")
    if not cores:
        raise Missing("one CPU is not enough to measure anything beside a load")
    for count in cores:
        port = lab.replayed(warm=["perf_typed_100"], threads=max(1, count))
        peers = [direct(port)]
        for name in third.available(wanted(options, PEERS)):
            target = lab.peer(name, {"bench": port}, threads=count, server_password=PASSWORD)["bench"]
            target.password = PASSWORD
            peers.append(target)
        sluice, found = ours(lab, options, port, {"Sluice direct": {}}, cores=f"0-{count - 1}" if count > 1 else "0")
        peers += found
        result.does |= {peer.name: peer.does for peer in peers}
        rounds(options, peers, lambda peer: measure(lab, options, result, peer, count))
    first = cores[0]
    for count in cores[1:]:
        place = lambda many: (f"{many} cores, queries", "Sluice direct", "per_second")
        result.goal("scaling", f"queries per second, {count} cores : {first}", place(count), place(first), ">=", 0.8 * count / first)
    return result


def measure(lab, options, result, peer, count):
    settle()
    generators = max(1, count * GENERATORS_PER_CORE)
    arguments = ["--clients", CLIENTS_PER_CORE * count // generators, "--seconds", options.seconds]
    with Spent(peer.pids) as spent:
        done = together(lab, "queries", peer, generators, arguments)
    queries = sum(each["all_queries"] for each in done)
    cpu = {"cpu_us_per_query": spent.seconds * 1e6 / queries} if peer.pids else {}
    result.add(f"{count} cores, queries", peer.name, per_second=sum(each["per_second"] for each in done), **cpu)
    with Spent(peer.pids) as spent:
        done = lab.load("bulk", peer, "--statement", "SELECT * FROM perf_typed_100", "--readers", READERS_PER_CORE * count, "--repeat", 2)
    cpu = {"cpu_s_per_gb": spent.seconds / (done["bytes"] / 1e9)} if peer.pids else {}
    result.add(f"{count} cores, bulk", peer.name, mb_per_second=done["megabytes_per_second"], jain=done["jain"], **cpu)


def together(lab, command, target, count, arguments):
    """Several generators at once; what each printed."""
    running = [lab.background(command, target, *arguments, ready=False) for _ in range(count)]
    processes = [each.__enter__() for each in running]
    try:
        outputs = [process.communicate(timeout=600) for process in processes]
        for process, (_, errors) in zip(processes, outputs):
            if process.returncode != 0:
                raise RuntimeError(errors[-1000:])
        return [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    finally:
        for each in running:
            each.__exit__(None, None, None)
