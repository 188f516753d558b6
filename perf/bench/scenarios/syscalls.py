"""Row 13: system calls of the tunnel for sixty-four sessions that move 16 KiB each."""

from .. import peers as third
from ..common import ours, settle, third_parties
from ..measure import has, system_calls
from ..lab import Missing
from ..result import Result, rounds

NAME = "syscalls"
ROWS = [13]
HELP = "64 sessions with answers of 16 KiB through the agent: system calls per MB of each program"
DEFAULTS = {"rounds": 3, "clients": [64], "seconds": 3.0}
STATEMENT = "SELECT * FROM perf_block_16"


def run(lab, options):
    if not has("perf") and not has("strace"):
        raise Missing("neither perf nor strace is installed: run `apt-get install strace` as root")
    result = Result(NAME, ROWS)
    port = lab.replayed(warm=["perf_block_16"])
    peers = [*third_parties(lab, options, ["haproxy 64 KiB", "rathole"], port)]
    peers += ours(lab, options, port, {"Sluice direct": {}, "Sluice through agent": {"agent": True}})[1]
    case = f"{options.clients[0]} sessions, answers of 16 KiB"

    def measure(peer):
        settle()
        figures, by = {}, ""
        # Each program in a measurement of its own: the counters are of processes.
        for program, pids in split(peer).items():
            with system_calls(pids) as counted:
                done = lab.load(
                    "queries", peer, "--clients", options.clients[0], "--seconds", options.seconds, "--warm", 0.2,
                    "--statement", STATEMENT, "--accounts", 0,
                )
            moved = done["all_queries"] * 16 * 1024 / 1e6
            figures[f"{program}_calls_per_mb"], by = counted["calls"] / moved, counted["by"]
        result.facts["counted by"] = by
        result.add(case, peer.name, **figures, mb_per_second=done["per_second"] * 16 * 1024 / 1e6)

    rounds(options, peers, measure)
    result.does = {peer.name: peer.does or third.DOES.get(peer.name, "") for peer in peers}
    for program in ("dataplane", "agent"):
        place = (case, "Sluice through agent", f"{program}_calls_per_mb")
        result.goal(13, f"system calls per MB, {program} (all of them, not only the link's)", place, None, "<=", 12)
    result.notes.append("a MB is 61 answers of 16 KiB; each is also a query on its way up, and both count as calls")
    return result


def split(peer):
    """The programs of a peer by name."""
    if peer.programs:
        return {program: [pid] for program, pid in peer.programs.items()}
    return {"all": peer.pids}
