"""The run-time decision: the same plain relay on our reactor and on other people's run times."""

import os
import subprocess

from ..common import bulk, direct, query_figures, servers, settle, warm
from ..lab import PASSWORD, ROOT, Target, build_apart
from ..result import Result, rounds

NAME = "runtimes"
ROWS = []
HELP = "one plain TCP relay on our reactor (uring, epoll), tokio, monoio, tokio-uring, compio: CPU per query and per GB"
DEFAULTS = {"clients": [16, 100], "server": "replayed"}
OTHERS = ["tokio", "monoio", "tokio-uring", "compio"]
BUFFERS = {"16 KiB": 16 * 1024, "64 KiB": 64 * 1024}
STATEMENT = "SELECT * FROM perf_typed_100"


def run(lab, options):
    result = Result(NAME, ROWS)
    relays, reactor = build_apart("relays"), build_reactor(options)
    for server, port in servers(lab, options, ["perf_typed_100"]).items():
        peers = [direct(port)]
        for backend in ("uring", "epoll"):
            peers.append(relay(lab, f"our reactor, {backend}", lambda listen: [reactor, listen, f"127.0.0.1:{port}", "--backend", backend], "copies bytes; adaptive buffers"))
        for runtime in OTHERS:
            for shown, size in BUFFERS.items():
                peers.append(relay(lab, f"{runtime}, {shown}", lambda listen: [relays, runtime, listen, f"127.0.0.1:{port}", str(size)], f"copies bytes, {shown} buffers"))
        result.does |= {peer.name: peer.does for peer in peers}
        for clients in options.clients:
            queries(lab, result, options, f"{server} server, {clients} clients", [peer for peer in peers if "64 KiB" not in peer.name], clients)
        case = f"{server} server, SELECT 100 MB of typed rows"
        for peer in peers:
            bulk(lab, peer, STATEMENT)
        rounds(options, peers, lambda peer: result.add(case, peer.name, **bulk(lab, peer, STATEMENT, 4)))
    return result


def queries(lab, result, options, case, peers, clients):
    warm(lab, peers, clients)

    def measure(peer):
        settle()
        result.add(case, peer.name, **query_figures(lab, peer, clients, options.seconds))

    rounds(options, peers, measure)


def relay(lab, name, command, does):
    port = lab.port()
    process = lab.start(command(f"127.0.0.1:{port}"), cpus=lab.options.proxy_cpus)
    lab.wait(port, process)
    return Target(name, port, password=PASSWORD, pids=lab.descendants(process.pid), does=does)


def build_reactor(options):
    """The reactor's own example; taken from --bin-dir when it is there."""
    given = os.path.join(options.bin_dir or "", "relay")
    if options.bin_dir and os.path.exists(given):
        return given
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "reactor", "--example", "relay"], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "examples", "relay")
