"""CPU per small query of everything that can be in front of a PostgreSQL, in a minute or two."""

from ..common import direct, ours, pgbench, third_parties, warm
from ..result import Result, rounds

NAME = "smoke"
ROWS = [1, 2]
HELP = "a first look with pgbench -S -M prepared on a real PostgreSQL: CPU µs per query of haproxy, pgbouncer, rathole and Sluice"
DEFAULTS = {"rounds": 3, "seconds": 3.0, "clients": [16]}


def run(lab, options):
    result = Result(NAME, ROWS)
    port = lab.postgres().port
    peers = [direct(port), *third_parties(lab, options, ["haproxy", "pgbouncer", "rathole"], port)]
    peers += ours(lab, options, port, {"Sluice direct": {}, "Sluice through agent": {"agent": True}})[1]
    for clients in options.clients:
        case = f"{clients} clients"
        warm(lab, peers, clients)

        def measure(peer):
            done = pgbench(peer, clients, options.seconds)
            cpu = {"cpu_us_per_query": done["cpu_us_per_query"]} if peer.pids else {}
            result.add(case, peer.name, **cpu, per_second=done["per_second"])

        rounds(options, peers, measure)
        place = lambda peer: (case, peer, "cpu_us_per_query")
        result.goal(1, f"smoke: CPU per query, Sluice direct : pgbouncer, {case}", place("Sluice direct"), place("pgbouncer"), "<=", 0.85 if clients < 64 else 0.75)
        result.goal(2, f"smoke: CPU per query, Sluice through agent : rathole, {case}", place("Sluice through agent"), place("rathole"), "<=", 0.6)
    result.does = {peer.name: peer.does for peer in peers}
    return result
