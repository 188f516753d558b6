"""What several scenarios share: sets of peers with a Sluice beside them, and figures that many report."""

import contextlib
import json
import re
import subprocess

from . import peers
from .lab import PASSWORD, Target, settle
from .measure import Spent
from .policy import connection, policy


def wanted(options, names):
    """The peers that the command line asks for."""
    if options.peers is None:
        return names
    return [name for name in names if name == "direct" or any(part in name for part in options.peers)]


def servers(lab, options, tables=(), password=None):
    """The servers to measure behind: `{"replayed": port, "real": port}`.

    They trust everybody unless logins are what is measured: deriving keys would be charged to the queries that follow.
    """
    found = {}
    if options.server in ("replayed", "both"):
        found["replayed"] = lab.replayed(password, tables)
    if options.server in ("real", "both"):
        found["real"] = lab.postgres(tables).port
    return found


def direct(port):
    """The server itself."""
    return Target("direct", port, password=PASSWORD, does=peers.DOES["direct"])


def third_parties(lab, options, names, port, **settings):
    """Running peers in front of one server. Their clients log in at the server, pgbouncer's at pgbouncer."""
    found = []
    for name in peers.available(wanted(options, names)):
        target = lab.peer(name, {"bench": port}, server_password=PASSWORD, **settings)["bench"]
        target.password = target.password or PASSWORD
        found.append(target)
    return found


def ours(lab, options, port, variants, **settings):
    """A Sluice of its own in front of one server, reached in several ways.

    `variants` maps a shown name to the settings of its connection (`agent`, `redact`, `record`).
    """
    names = {shown: f"c{index}" for index, shown in enumerate(variants)}
    text = policy(*(connection(names[shown], port, **values) for shown, values in variants.items()))
    sluice = lab.sluice(text, backend=None if options.backend == "auto" else options.backend, **settings)
    found = []
    for shown, values in variants.items():
        inspected = "parses, judges" + (", redacts" if values.get("redact", True) else "") + (", records" if values.get("record", "statements") != "meta" else "")
        found.append(lab.ours(sluice, names[shown], shown, values.get("agent", False), inspected))
    return sluice, found


def small_queries(lab, target, clients, seconds, rate=None, warm_up=0.3, extra=()):
    """Prepared queries through a target: figures of one measurement.

    All clients are logged in before CPU time is counted and leave after it, so that it is of queries alone.
    """
    arguments = ["--clients", clients, "--seconds", seconds, "--warm", warm_up, "--handshake", *(["--rate", rate] if rate else []), *extra]
    with lab.background("queries", target, *arguments) as load:
        settle(0.1)
        shares = {program: Spent([pid]) for program, pid in target.programs.items()}
        with contextlib.ExitStack() as counting:
            spent = counting.enter_context(Spent(target.pids))
            for share in shares.values():
                counting.enter_context(share)
            load.stdin.write("go\n")
            load.stdin.flush()
            line = load.stdout.readline()
        if not line:
            raise RuntimeError(f"queries on {target.name}: {load.stderr.read()[-1000:]}")
    done = json.loads(line)
    if not done["queries"]:
        raise RuntimeError(f"queries on {target.name}: none was finished in {seconds} s")
    done["cpu_us_per_query"] = spent.seconds * 1e6 / done["all_queries"]
    done["shares"] = {f"{program}_us": share.seconds * 1e6 / done["all_queries"] for program, share in shares.items()}
    return done


def query_figures(lab, target, clients, seconds):
    """Of one closed-loop measurement: CPU per query of the target's processes, and each program's share where there are several."""
    done = small_queries(lab, target, clients, seconds)
    cpu = {"cpu_us_per_query": done["cpu_us_per_query"]} if target.pids else {}
    shares = done["shares"] if len(done["shares"]) > 1 else {}
    return {**cpu, "per_second": done["per_second"], "p99_us": done["latency_us"]["p99"], **shares}


def warm(lab, targets, clients):
    """A moment of load on each, whose figures nobody wants."""
    for target in targets:
        small_queries(lab, target, clients, 0.5)


def pgbench(target, clients, seconds):
    """`pgbench -S -M prepared`: queries, queries per second and CPU of the target's processes per query."""
    command = ["pgbench", "-n", "-S", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(max(1, round(seconds)))]
    with Spent(target.pids) as spent:
        done = subprocess.run(command, env=target.environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pgbench on {target.name}: {done.stderr.strip()[-2000:]}")
    queries = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if not queries or not rate:
        raise RuntimeError(f"pgbench on {target.name}: no query was finished in {seconds} s")
    return {
        "per_second": float(rate.group(1)),
        "cpu_us_per_query": spent.seconds * 1e6 / queries,
    }


def bulk(lab, target, statement, repeat=1):
    """One large result: MB/s, and CPU seconds per GB of the target's processes."""
    settle()
    with Spent(target.pids) as spent:
        done = lab.load("bulk", target, "--statement", statement, "--repeat", repeat)
    figures = {"mb_per_second": done["megabytes_per_second"]}
    if target.pids:
        figures["cpu_s_per_gb"] = spent.seconds / (done["bytes"] / 1e9)
    return figures
