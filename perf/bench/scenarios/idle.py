"""Row 9: what a session costs that only stays: memory in user space, memory in the kernel, CPU."""

import os
import subprocess

from .. import peers as third
from ..common import direct, ours, wanted
from ..lab import PASSWORD, settle
from ..measure import kernel_bytes, ran_seconds, user_bytes
from ..result import Result

NAME = "idle"
ROWS = [9]
HELP = "9,000 idle sessions, plain and under TLS: user and kernel memory of each, CPU while nothing happens"
DEFAULTS = {"rounds": 3, "clients": [9000], "seconds": 20.0}
QUICK = {"clients": [500], "seconds": 2.0}
PEERS = ["haproxy", "pgbouncer", "rathole"]
AGENT = "Sluice through agent"


def run(lab, options):
    result = Result(NAME, ROWS)
    port = lab.replayed()
    sessions = options.clients[0]
    names = ["direct", *third.available(wanted(options, PEERS)), "Sluice direct", AGENT]
    for _ in range(options.rounds):
        # A process of its own for every measurement: memory that an allocator kept from before would flatter the next.
        for name in names:
            measure(lab, options, result, f"{sessions} sessions, plain", name, port, sessions)
        for name in ("pgbouncer", "Sluice direct"):
            if name in names:
                measure(lab, options, result, f"{sessions} sessions, TLS", name, port, sessions, tls=True)
    plain, tls = f"{sessions} sessions, plain", f"{sessions} sessions, TLS"
    result.goal(9, "user KB per idle session, plain", (plain, "Sluice direct", "user_kb"), None, "<=", 2.0)
    result.goal(9, "user KB per idle session, TLS", (tls, "Sluice direct", "user_kb"), None, "<=", 16.0)
    result.goal(9, "idle CPU, % of a core", (plain, "Sluice direct", "cpu_percent"), None, "<", 0.1)
    result.notes.append("kernel_kb is of the whole machine, both ends included: compare with the direct row")
    return result


def measure(lab, options, result, case, name, port, sessions, tls=False):
    if name == "direct":
        target = direct(port)
    elif name in (AGENT, "Sluice direct"):
        # A link takes 4,096 sessions; an agent keeps several for more.
        links = {"SLUICE_AGENT_LINKS": str(sessions // 4000 + 1)}
        target = ours(lab, options, port, {name: {"agent": name == AGENT}}, environment=links)[1][0]
    else:
        settings = {"tls": certificate(lab)} if tls else {}
        target = lab.peer(name, {"bench": port}, server_password=PASSWORD, **settings)["bench"]
        target.password = PASSWORD
    flags = ["--tls"] if tls else []
    # A few sessions first, so that what is allocated once does not count.
    with lab.background("idle", target, "--sessions", 20, *flags):
        pass
    settle(1)
    before, kernel = user_bytes(target.pids), kernel_bytes()
    with lab.background("idle", target, "--sessions", sessions, *flags):
        settle(3)
        user = user_bytes(target.pids) - before
        held = kernel_bytes() - kernel
        ran = ran_seconds(target.pids)
        settle(options.seconds)
        ran = ran_seconds(target.pids) - ran
    figures = {"kernel_kb": held / sessions / 1000}
    if target.pids:
        figures = {"user_kb": user / sessions / 1000, **figures, "cpu_percent": ran / options.seconds * 100}
    result.add(case, name, **figures)
    result.does[name] = target.does or third.DOES.get(name, "")
    settle(1)


def certificate(lab):
    """Key and certificate for pgbouncer."""
    key, made = os.path.join(lab.directory, "tls.key"), os.path.join(lab.directory, "tls.crt")
    if not os.path.exists(made):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-keyout", key, "-out", made]
        subprocess.run(command, check=True, capture_output=True)
        os.chmod(key, 0o644)
    return key, made
